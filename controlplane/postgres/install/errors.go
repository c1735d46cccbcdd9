package install

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/tern/v2/migrate"
)

// A Refusal says what the installing user may not do. Nothing was changed.
type Refusal struct {
	Message    string
	Statements string // what a DBA runs, one statement a line; empty when no statement helps
	Hint       string
}

// Error is message, statements and hint, each on lines of its own.
func (r *Refusal) Error() string {
	text := r.Message
	if r.Statements != "" {
		text += "\n" + r.Statements
	}
	if r.Hint != "" {
		text += "\n" + r.Hint
	}
	return text
}

// explain wraps an error of PostgreSQL so that everything it says is shown: detail, hint, and the line of the file's
// text. nil stays nil.
func explain(doing string, err error) error {
	var pe *pgconn.PgError
	if err == nil || !errors.As(err, &pe) {
		if err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
		return nil
	}
	if pe.Code == "42501" && strings.HasSuffix(pe.Message, "may not make the roles of Fluxbase") {
		return &Refusal{Message: pe.Message, Statements: pe.Detail, Hint: pe.Hint}
	}
	text := fmt.Sprintf("%s (SQLSTATE %s)", pe.Message, pe.Code)
	if pe.Detail != "" {
		text += "\n" + pe.Detail
	}
	if pe.Hint != "" {
		text += "\n" + pe.Hint
	}
	var me migrate.MigrationPgError
	if errors.As(err, &me) {
		if me.MigrationName != "" {
			doing = me.MigrationName
		}
		if line, lineErr := migrate.ExtractErrorLine(me.Sql, int(pe.Position)); pe.Position > 0 && lineErr == nil {
			text += fmt.Sprintf("\nline %d: %s", line.LineNum, strings.TrimSpace(line.Text))
		}
	}
	return &sqlError{text: doing + ": " + text, err: err}
}

// sqlError shows its text and keeps the error of PostgreSQL for errors.As.
type sqlError struct {
	text string
	err  error
}

// Error is the text.
func (e *sqlError) Error() string { return e.text }

// Unwrap is the error of PostgreSQL.
func (e *sqlError) Unwrap() error { return e.err }
