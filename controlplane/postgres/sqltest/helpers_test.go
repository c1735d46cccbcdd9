package sqltest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	flag.Parse()
	pgtest.Main(m)
}

const password = "tram umbrella night"

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

func exec(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", firstLine(sql), describe(err))
	}
}

// listening is a connection that collects what it is told in notices: message and hint.
func listening(t *testing.T, db *pgtest.DB, role string, said *[]string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(db.URL(role))
	if err != nil {
		t.Fatal(err)
	}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { *said = append(*said, n.Message+" "+n.Hint) }
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) }) //nolint:errcheck // the database is dropped next
	return conn
}

// refused wants the SQLSTATE and, when given, each text somewhere in message, detail and hint.
func refused(t *testing.T, conn *pgx.Conn, sqlstate string, texts []string, sql string, args ...any) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql, args...)
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || pe.Code != sqlstate {
		t.Errorf("%s %v: got %v, want SQLSTATE %s", firstLine(sql), args, describe(err), sqlstate)
		return
	}
	for _, text := range texts {
		if !strings.Contains(pe.Message+"\n"+pe.Detail+"\n"+pe.Hint, text) {
			t.Errorf("%s %v: no %q in %s", firstLine(sql), args, text, describe(err))
		}
	}
}

func describe(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return fmt.Sprintf("%s %s (detail %q, hint %q, where %q)", pe.Code, pe.Message, pe.Detail, pe.Hint, pe.Where)
	}
	return fmt.Sprint(err)
}

// newUser makes a confirmed user with a password.
func newUser(t *testing.T, admin *pgx.Conn, email string) uuid.UUID {
	t.Helper()
	return one[uuid.UUID](t, admin, `select auth.create_user(p_email => $1, p_password => $2)`, email, password)
}

// newSession puts a living session into the table, as auth.issue_session does.
func newSession(t *testing.T, super *pgx.Conn, user uuid.UUID) uuid.UUID {
	t.Helper()
	return one[uuid.UUID](t, super,
		`insert into auth.sessions (user_id, expires_at) values ($1, now() + interval '1 hour') returning id`, user)
}

// audited counts the rows of an action.
func audited(t *testing.T, super *pgx.Conn, action string) int {
	t.Helper()
	return one[int](t, super, `select count(*)::int from audit.log where action = $1`, action)
}

// anonymously calls entry points in one transaction, as the server does for a client at an address that shows no credentials.
func anonymously(t *testing.T, super, server *pgx.Conn, ip string, fn func(tx pgx.Tx) error) {
	t.Helper()
	context := fmt.Sprintf(`[1,null,null,null,null,"anon",null,"%s","r",null,%d,null]`, ip, time.Now().Unix())
	mac := one[string](t, super, `select fluxbase.context_mac(p_context => $1)`, context)
	err := pgx.BeginFunc(t.Context(), server, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `select fluxbase.begin_entry(null, null, null, $1, $2, null)`, context, mac); err != nil {
			return err
		}
		return fn(tx)
	})
	if err != nil {
		t.Fatal(describe(err))
	}
}

// firstLine keeps messages readable.
func firstLine(sql string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(sql), "\n")
	return line
}

// inTx runs statements in a transaction that is rolled back.
func inTx(t *testing.T, conn *pgx.Conn, fn func()) {
	t.Helper()
	exec(t, conn, `begin`)
	fn()
	exec(t, conn, `rollback`)
}

// role creates a role of the cluster that goes when the test ends, and returns its name.
func role(t *testing.T, super *pgx.Conn, name, options string) string {
	t.Helper()
	name = fmt.Sprintf("sqltest_%d_%s", os.Getpid(), name)
	exec(t, super, `create role `+name+` `+options)
	t.Cleanup(func() {
		if _, err := super.Exec(context.Background(), `drop owned by `+name+`; drop role `+name); err != nil {
			t.Errorf("drop role %s: %v", name, err)
		}
	})
	return name
}

// waitForLock returns when a session of the database waits for a lock.
func waitForLock(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !one[bool](t, conn, `select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')`) {
		if time.Now().After(deadline) {
			t.Fatal("nobody waits for a lock")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
