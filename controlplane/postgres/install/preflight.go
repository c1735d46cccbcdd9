package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A Finding is one thing that stands in the way of an installation.
type Finding struct {
	Problem    string
	Statements string // what a DBA runs, one statement a line; empty when no statement helps
	Hint       string
}

// errRollback ends a transaction that only looked.
var errRollback = errors.New("rolled back on purpose")

// Preflight looks, as the installing user, for what Migrate would miss, and changes nothing. No finding means that
// Migrate can run.
func Preflight(ctx context.Context, conn *pgx.Conn, files fs.FS) ([]Finding, error) {
	src, err := load(files)
	if err != nil {
		return nil, err
	}
	var recovery bool
	if err := conn.QueryRow(ctx, `select pg_catalog.pg_is_in_recovery()`).Scan(&recovery); err != nil {
		return nil, err
	}
	if recovery {
		return []Finding{{Problem: "this is a standby; connect to the primary"}}, nil
	}
	var findings []Finding
	// Running the roles and rolling back answers with the same words as Migrate would.
	if err := tryRoles(ctx, conn, src, ""); err != nil {
		f, err := findingOf(err)
		if err != nil {
			return nil, err
		}
		findings = append(findings, f)
	}
	f, err := checkPgcrypto(ctx, conn)
	if err != nil {
		return nil, err
	}
	return append(findings, f...), nil
}

// tryRoles runs schema/roles.sql and rolls it back. nil means that it could do what it had to do.
func tryRoles(ctx context.Context, conn *pgx.Conn, src source, installer string) error {
	err := inTx(ctx, conn, func(tx pgx.Tx) error {
		if err := runRoles(ctx, tx, src.roles, installer); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `set local role `+Owner); err != nil {
			return err
		}
		return errRollback
	})
	if errors.Is(err, errRollback) {
		return nil
	}
	return explain("schema/roles.sql", err)
}

func findingOf(err error) (Finding, error) {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return Finding{Problem: refusal.Message, Statements: refusal.Statements, Hint: refusal.Hint}, nil
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		problem := pe.Message
		if pe.Detail != "" {
			problem += "\n" + pe.Detail
		}
		return Finding{Problem: problem, Hint: pe.Hint}, nil
	}
	return Finding{}, err // the connection is gone, for example
}

func checkPgcrypto(ctx context.Context, conn *pgx.Conn) ([]Finding, error) {
	var schema string
	var usable bool
	err := conn.QueryRow(ctx, `select n.nspname, n.nspname = 'fluxbase'
		or coalesce((select pg_catalog.has_schema_privilege(r.oid, n.oid, 'usage') from pg_catalog.pg_roles r where r.rolname = 'fluxbase_owner'),
		            pg_catalog.has_schema_privilege('public', n.oid, 'usage'))
		from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace
		where e.extname = 'pgcrypto'`).Scan(&schema, &usable)
	switch {
	case err == nil && usable:
		return nil, nil
	case err == nil:
		return []Finding{{
			Problem:    fmt.Sprintf("the extension pgcrypto lives in schema %s, which %s may not use", schema, Owner),
			Statements: fmt.Sprintf("grant usage on schema %s to %s;", pgx.Identifier{schema}.Sanitize(), Owner),
			Hint:       "A superuser or the owner of that schema runs it once the roles are there.",
		}}, nil
	case !errors.Is(err, pgx.ErrNoRows):
		return nil, err
	}
	var available, trusted bool
	err = conn.QueryRow(ctx, `select count(*) > 0, coalesce(bool_or(v.trusted), false)
		from pg_catalog.pg_available_extension_versions v where v.name = 'pgcrypto'`).Scan(&available, &trusted)
	switch {
	case err != nil:
		return nil, err
	case !available:
		return []Finding{{Problem: "the extension pgcrypto is not available on this server",
			Hint: "Install PostgreSQL's contrib modules on its machine (the package postgresql-contrib, where it is separate)."}}, nil
	case !trusted:
		return []Finding{{Problem: "the extension pgcrypto may be made by a superuser only on this server",
			Statements: "create extension pgcrypto;"}}, nil
	}
	return nil, nil
}
