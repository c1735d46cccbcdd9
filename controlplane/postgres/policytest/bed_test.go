package policytest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// background is for what ends after a test has ended.
var background = context.Background()

// long says that the rounds of a release are wanted.
func long() bool { return os.Getenv("FLUXBASE_TEST_LONG") != "" }

// bed is a database with two organizations of three users each; the first user of each is its owner.
type bed struct {
	db    *pgtest.DB
	super *pgx.Conn // looks and signs
	owner *pgx.Conn // owns the application's tables
	orgs  [2]uuid.UUID
	users [2][3]uuid.UUID
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{db: pgtest.Database(t)}
	b.super, b.owner = b.db.Conn(t, "superuser"), b.db.Conn(t, "installer")
	for o := range b.orgs {
		b.orgs[o] = one[uuid.UUID](t, b.super, `insert into auth.organizations (slug, name) values ($1, $1) returning id`, fmt.Sprintf("org%d", o))
		for u := range b.users[o] {
			b.users[o][u] = one[uuid.UUID](t, b.super, `insert into auth.users (email, email_confirmed_at) values ($1, now()) returning id`, email(o, u))
			role := "member"
			if u == 0 {
				role = "owner"
			}
			exec(t, b.super, `insert into auth.memberships (org_id, user_id, role) values ($1, $2, $3)`, b.orgs[o], b.users[o][u], role)
		}
	}
	return b
}

func email(org, user int) string { return fmt.Sprintf("u%d.%d@example.com", org, user) }

// caller is who a request comes from; the zero value is a caller without token.
type caller struct {
	user, org, key uuid.UUID
	aal, role      string
}

func (b *bed) user(org, user int) caller {
	return caller{user: b.users[org][user], org: b.orgs[org], aal: "aal1", role: "authenticated"}
}

// as runs fn in a transaction on conn as the caller, and rolls it back.
func as(t *testing.T, conn *pgx.Conn, c caller, fn func()) {
	t.Helper()
	exec(t, conn, `begin`)
	become(t, conn, c)
	fn()
	exec(t, conn, `rollback`)
}

// become makes the rest of the transaction a request of the caller, as the gate does.
func become(t *testing.T, conn *pgx.Conn, c caller) {
	t.Helper()
	if c.role == "" {
		c.role = "anon"
	}
	id := func(u uuid.UUID) any {
		if u == uuid.Nil {
			return nil
		}
		return u.String()
	}
	var aal any
	if c.aal != "" {
		aal = c.aal
	}
	exec(t, conn, `select set_config('fluxbase.context', c, true), set_config('fluxbase.context_mac', fluxbase.context_mac(p_context => c), true), set_config('role', $6, true)
		from (select jsonb_build_array(1, $1::text, null, $2::text, $3::text, $4::text, $5::text, null, null, null, extract(epoch from now())::bigint, null)::text c) x`,
		id(c.user), id(c.org), aal, c.role, id(c.key), c.role)
}

// outcome of a statement: rows it returned or touched, or the SQLSTATE of its error.
type outcome struct {
	rows int64
	code string
}

func (o outcome) String() string {
	if o.code != "" {
		return o.code
	}
	return fmt.Sprint(o.rows)
}

// try runs a statement in a subtransaction that is kept when it succeeds.
func try(t *testing.T, conn *pgx.Conn, sql string, args ...any) outcome {
	t.Helper()
	exec(t, conn, `savepoint try`)
	tag, err := conn.Exec(t.Context(), sql, args...)
	if err != nil {
		var pe *pgconn.PgError
		if !errors.As(err, &pe) {
			t.Fatalf("%s: %v", firstLine(sql), err)
		}
		exec(t, conn, `rollback to try`)
		return outcome{code: pe.Code}
	}
	exec(t, conn, `release try`)
	return outcome{rows: tag.RowsAffected()}
}

// one returns the only column of the only row.
func one[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	if err == nil {
		var value T
		if value, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[T]); err == nil {
			return value
		}
	}
	t.Fatalf("%s: %v", firstLine(sql), describe(err))
	panic("unreachable")
}

func lines(t *testing.T, conn *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	if err == nil {
		var got []string
		if got, err = pgx.CollectRows(rows, pgx.RowTo[string]); err == nil {
			return got
		}
	}
	t.Fatalf("%s: %v", firstLine(sql), describe(err))
	panic("unreachable")
}

func exec(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", firstLine(sql), describe(err))
	}
}

// refused wants the SQLSTATE and, when given, a text somewhere in message, detail and hint.
func refused(t *testing.T, conn *pgx.Conn, sqlstate, text, sql string, args ...any) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql, args...)
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != sqlstate || !strings.Contains(pe.Message+"\n"+pe.Detail+"\n"+pe.Hint, text) {
		t.Errorf("%s %v: got %v, want SQLSTATE %s and %q", firstLine(sql), args, describe(err), sqlstate, text)
	}
}

func describe(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return fmt.Sprintf("%s %s (detail %q, hint %q, where %q)", pe.Code, pe.Message, pe.Detail, pe.Hint, pe.Where)
	}
	return fmt.Sprint(err)
}

// firstLine keeps messages readable.
func firstLine(sql string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(sql), "\n")
	return line
}
