package planner

import (
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// Violation returns what an error of the statement means: the refusal of its number of rows when it is the
// one that builder.number raises, else the error as it is.
func (p *Plan) Violation(err error) error {
	if err == nil || !p.Media.Object && p.Prefer.MaxAffected == nil && p.Action != dialect.Put {
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
	case p.Action == dialect.Put:
		return fault.PutPayload()
	case p.Prefer.MaxAffected != nil && rows > *p.Prefer.MaxAffected && p.Action != dialect.Insert:
		return fault.MaxAffected(rows)
	case p.Media.Object:
		return fault.Singular(rows)
	}
	return err
}
