package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// FileError is what PostgreSQL says about a statement of a file.
type FileError struct {
	File string
	Line int // from 1; 0 when PostgreSQL does not say where
	Err  *pgconn.PgError
	Hint string // what to do about it, when there is something better than PostgreSQL's own
}

// Error is the place, the message and the hint, for people.
func (e *FileError) Error() string {
	place := e.File
	if e.Line > 0 {
		place = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	text := fmt.Sprintf("%s: %s (%s)", place, e.Err.Message, e.Err.Code)
	if e.Err.Detail != "" {
		text += "\ndetail: " + e.Err.Detail
	}
	if e.Hint != "" {
		text += "\nhint: " + e.Hint
	}
	return text
}

// Unwrap gives the error of PostgreSQL.
func (e *FileError) Unwrap() error { return e.Err }

// execute runs a file inside a DO block, where PostgreSQL refuses BEGIN, COMMIT and the like.
func (s *session) execute(ctx context.Context, file File, lockTimeout time.Duration) error {
	var path string
	err := s.tx.QueryRow(ctx, `select current_setting('search_path') from (select set_config('fluxbase.policy_file', $1, true)) x`, file.Text).Scan(&path)
	if err == nil {
		_, err = s.tx.Exec(ctx, `do $$ begin execute pg_catalog.current_setting('fluxbase.policy_file'); end $$`)
	}
	if err == nil {
		// What a file sets ends with it, and does not stay in the session either.
		_, err = s.tx.Exec(ctx, `reset session authorization`)
	}
	if err == nil {
		_, err = s.tx.Exec(ctx, `reset role`)
	}
	if err == nil {
		_, err = s.tx.Exec(ctx, `reset all`)
	}
	if err == nil {
		_, err = s.tx.Exec(ctx, `select set_config('search_path', $1, true), set_config('lock_timeout', $2, true), set_config('client_connection_check_interval', $3, true)`,
			path, milliseconds(lockTimeout), s.checking)
	}
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return err
	}
	return &FileError{File: file.Name, Line: lineOf(file.Text, pe), Err: pe, Hint: hintFor(file.Text, pe)}
}

// lineOf finds the place that PostgreSQL names by a character of the text; it does not for every statement.
func lineOf(text string, pe *pgconn.PgError) int {
	if pe.InternalPosition <= 0 || pe.InternalQuery != text {
		return 0
	}
	line := 1
	for i, r := range []rune(text) {
		if i >= int(pe.InternalPosition)-1 {
			break
		}
		if r == '\n' {
			line++
		}
	}
	return line
}

// hintFor knows what people run into.
func hintFor(text string, pe *pgconn.PgError) string {
	switch {
	case pe.Code == "0A000" && strings.Contains(pe.Message, "transaction commands"), pe.Code == "2D000":
		return "policy files run in one transaction that fluxbase ends: leave out BEGIN, COMMIT and the like"
	case pe.Code == "42710" && strings.Contains(pe.Message, "policy"):
		return "another file makes it, too, or somebody else made it: then write \"drop policy if exists ...\" before it, and it belongs to the files"
	case pe.Code == "42725":
		return "a function that the files made before is there until they have run: write \"drop function if exists ...\" with its arguments before the new one"
	case pe.Code == "42723":
		return "write \"create or replace function\""
	case pe.Code == "42601" && (strings.HasPrefix(text, `\`) || strings.Contains(text, "\n\\")):
		return "policy files are SQL alone: commands of psql such as \\set are for tests"
	case pe.Code == "25001":
		return "this command cannot run in a transaction: it belongs to a migration"
	case pe.Code == "22021":
		return "policy files are UTF-8"
	}
	return pe.Hint
}
