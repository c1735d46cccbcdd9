package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Roles runs schema/roles.sql in one transaction: all of it happens, or nothing. installer is the user who will run
// the migrations; empty stands for the session user. What the session may not do comes back as a *Refusal with the
// statements for a DBA.
func Roles(ctx context.Context, conn *pgx.Conn, files fs.FS, installer string) error {
	text, err := fs.ReadFile(files, "schema/roles.sql")
	if err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		err = inTx(ctx, conn, func(tx pgx.Tx) error { return runRoles(ctx, tx, string(text), installer) })
		if err == nil || attempt == 50 || !isRace(err) {
			return explain("schema/roles.sql", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("schema/roles.sql: %w", ctx.Err())
		case <-time.After(time.Duration(10+5*attempt) * time.Millisecond):
		}
	}
}

func runRoles(ctx context.Context, tx pgx.Tx, text, installer string) error {
	if _, err := tx.Exec(ctx, `select pg_catalog.set_config('fluxbase.installer', $1, true)`, installer); err != nil {
		return err
	}
	// Without arguments pgconn sends the file as one simple query, just as it stands.
	_, err := tx.Conn().PgConn().Exec(ctx, text).ReadAll()
	return err
}

// isRace says that an installation in another database of the cluster touched the same shared catalog rows at the
// same moment: our lock holds within one database, roles belong to all. A repetition finds what the other one did.
func isRace(err error) bool {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return false
	}
	switch pe.Code {
	case "42710", "23505", "40001", "40P01": // duplicate_object, unique_violation, serialization_failure, deadlock_detected
		return true
	case "XX000":
		return pe.Message == "tuple concurrently updated" || pe.Message == "tuple concurrently deleted"
	}
	return false
}
