package rest

import (
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// violation returns what an error of the statement means: the refusal of its number of rows when it is the
// one that builder.number raises, else the error as it is.
func (p *Plan) violation(err error) error {
	if err == nil || !p.media.Object && p.prefer.MaxAffected == nil && p.action != Put {
		return err
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "22P02" {
		return err
	}
	_, text, found := strings.Cut(pg.Message, wrongNumber)
	if !found {
		return err
	}
	end := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(text)
	}
	rows, parseErr := strconv.ParseInt(text[:end], 10, 64)
	switch {
	case parseErr != nil:
		return err
	case p.action == Put:
		return errPutPayload()
	case p.prefer.MaxAffected != nil && rows > *p.prefer.MaxAffected && p.action != Insert:
		return errMaxAffected(rows)
	case p.media.Object:
		return errSingular(rows)
	}
	return err
}
