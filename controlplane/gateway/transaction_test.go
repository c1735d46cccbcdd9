package gateway

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

const insertNote = "insert into public.notes values ($1, auth.current_user_id(), $2) returning id"

// note makes the statement that inserts a note.
func note(id int) Statement {
	return Statement{SQL: insertNote, Args: [][]byte{[]byte(strconv.Itoa(id)), []byte("in a transaction")}}
}

// notes counts what the transactions of a test have left.
func (f *fixture) notes(t *testing.T) string {
	t.Helper()
	return f.value(t, "select count(*) from public.notes where body = 'in a transaction'")
}

func TestTransaction(t *testing.T) {
	t.Parallel()
	for _, pooler := range []Pooler{PoolerNone, PoolerTransaction} {
		t.Run(string(pooler), func(t *testing.T) {
			t.Parallel()
			f := setup(t, func(c *Config) { c.Pooler = pooler })
			ctx := t.Context()
			f.one(t, annCaller(), read, "select 1::text") // so that the connection is there
			f.wire.Reset()
			var got []string
			err := f.Transaction(ctx, annCaller(), TransactionOptions{}, func(tx *Transaction) error {
				for id := 101; id <= 103; id++ {
					if err := tx.Query(ctx, note(id), func(row [][]byte) error {
						got = append(got, string(row[0]))
						return nil
					}); err != nil {
						return err
					}
				}
				if n := f.notes(t); n != "0" {
					t.Errorf("%s notes are seen before the commit", n)
				}
				return nil
			})
			if err != nil || len(got) != 3 || got[2] != "103" || f.notes(t) != "3" {
				t.Fatalf("%v, %q, %s notes", err, got, f.notes(t))
			}
			if writes := f.wire.Counts().Writes; writes != 5 { // gate, three statements, commit
				t.Errorf("%d writes", writes)
			}
			// Nothing of it is left in the session.
			if got := f.one(t, anonCaller(), read, "select current_user || coalesce(auth.current_user_id()::text, '')"); got != "anon" {
				t.Errorf("the next request is %s", got)
			}
		})
	}
}

// TestTransactionIsUndone sees that whatever goes wrong leaves no row, no open transaction and a usable connection.
func TestTransactionIsUndone(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	ctx := t.Context()
	own := errors.New("own")
	thing := Statement{SQL: "insert into app.things values (1, 4711)"} // violates a deferred key
	for _, c := range []struct {
		name string
		opt  TransactionOptions
		fn   func(*Transaction) error
		code string // of PostgreSQL; empty is own
	}{
		{"an error of the function", TransactionOptions{}, func(*Transaction) error { return own }, ""},
		{"an error of a statement", TransactionOptions{}, func(tx *Transaction) error { return tx.Query(ctx, note(1), nil) }, "23505"},
		{"an error that the function hides", TransactionOptions{}, func(tx *Transaction) error {
			_ = tx.Query(ctx, note(1), nil)
			return nil
		}, "-"},
		{"a statement after an error", TransactionOptions{}, func(tx *Transaction) error {
			_ = tx.Query(ctx, note(1), nil)
			return tx.Query(ctx, note(202), nil)
		}, "-"},
		{"an error of the row function", TransactionOptions{}, func(tx *Transaction) error {
			return tx.Query(ctx, note(203), func([][]byte) error { return own })
		}, ""},
		{"a deferred constraint", TransactionOptions{}, func(tx *Transaction) error { return tx.Query(ctx, thing, nil) }, "23503"},
		{"a deferred constraint of what is undone", TransactionOptions{Rollback: true}, func(tx *Transaction) error { return tx.Query(ctx, thing, nil) }, "23503"},
		{"the statement timeout", TransactionOptions{StatementTimeout: 50 * time.Millisecond}, func(tx *Transaction) error {
			return tx.Query(ctx, Statement{SQL: "select pg_sleep(10)"}, nil)
		}, "57014"},
		{"a row of somebody else", TransactionOptions{}, func(tx *Transaction) error {
			return tx.Query(ctx, Statement{SQL: "insert into public.notes values (204, '" + bob.String() + "', 'in a transaction')"}, nil)
		}, "42501"},
		{"copy", TransactionOptions{}, func(tx *Transaction) error { return tx.Query(ctx, Statement{SQL: "copy app.things from stdin"}, nil) }, "-"},
	} {
		err := f.Transaction(ctx, annCaller(), c.opt, func(tx *Transaction) error {
			if err := tx.Query(ctx, note(200), nil); err != nil {
				return err
			}
			return c.fn(tx)
		})
		switch {
		case c.code == "" && !errors.Is(err, own), c.code == "-" && err == nil:
			t.Errorf("%s: %v", c.name, err)
		case c.code != "" && c.code != "-":
			wantCode(t, err, c.code)
		}
		if n := f.notes(t); n != "0" {
			t.Fatalf("%s: %s notes are left", c.name, n)
		}
		if got := f.one(t, annCaller(), read, "select body from public.notes where id = 1"); got != "note 1" {
			t.Errorf("%s: the next request reads %q", c.name, got)
		}
		if open := f.value(t, "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'"); open != "0" {
			t.Errorf("%s: %s transactions are open", c.name, open)
		}
	}
	if err := f.Transaction(ctx, annCaller(), TransactionOptions{Rollback: true}, func(tx *Transaction) error { return tx.Query(ctx, note(205), nil) }); err != nil || f.notes(t) != "0" {
		t.Errorf("rollback: %v, %s notes", err, f.notes(t))
	}
}

// TestTransactionGate sees that the gate stands before a transaction: a dead session is refused, a damaged connection is
// replaced, and what a volatile function leaves behind is dropped.
func TestTransactionGate(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	ctx := t.Context()
	called := 0
	insert := func(tx *Transaction) error { called++; return tx.Query(ctx, note(300+called), nil) }
	f.exec(t, "delete from auth.sessions where id = '"+annSession.String()+"'")
	wantCode(t, f.Transaction(ctx, annCaller(), TransactionOptions{}, insert), "ZF401")
	if called != 0 {
		t.Fatal("a dead session wrote")
	}
	if _, err := f.query(ctx, bobCaller(), write, "select public.run('deallocate all')"); err != nil { // not announced as volatile
		t.Fatal(err)
	}
	const pid = "select pg_backend_pid()::text"
	var backend string
	if err := f.Transaction(ctx, bobCaller(), TransactionOptions{Volatile: true}, func(tx *Transaction) error {
		if err := insert(tx); err != nil {
			return err
		}
		if err := tx.Query(ctx, Statement{SQL: pid}, func(row [][]byte) error { backend = string(row[0]); return nil }); err != nil {
			return err
		}
		return tx.Query(ctx, Statement{SQL: "select public.run('deallocate all; prepare fluxbase_reset as select 1')"}, nil)
	}); err != nil {
		t.Fatal(err)
	}
	if called != 1 || f.notes(t) != "1" {
		t.Errorf("%d calls, %s notes", called, f.notes(t))
	}
	if got := f.one(t, bobCaller(), read, "select statement from pg_prepared_statements where name = '"+resetName+"'"); got != resetSQL {
		t.Errorf("left behind: %s", got)
	}
	if got := f.one(t, bobCaller(), read, pid); got != backend {
		t.Error("the connection was not clean and had to be replaced")
	}
}

// TestTransactionAfterDDL sees that a statement whose prepared form is out of date is prepared anew.
func TestTransactionAfterDDL(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	ctx := t.Context()
	for i := range 2 {
		err := f.Transaction(ctx, annCaller(), TransactionOptions{}, func(tx *Transaction) error {
			for range 2 {
				if err := tx.Query(ctx, Statement{SQL: "select * from public.notes"}, nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(i, err)
		}
		f.exec(t, "alter table public.notes alter column body type varchar(100)")
	}
}

func TestTransactionCanceled(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	err := f.Transaction(ctx, annCaller(), TransactionOptions{}, func(tx *Transaction) error {
		if err := tx.Query(ctx, note(400), nil); err != nil {
			return err
		}
		time.AfterFunc(100*time.Millisecond, cancel)
		return tx.Query(ctx, Statement{SQL: "select pg_sleep(20)"}, nil)
	})
	if !errors.Is(err, context.Canceled) || f.notes(t) != "0" {
		t.Errorf("%v, %s notes", err, f.notes(t))
	}
	f.one(t, annCaller(), read, "select 1::text")
}

func TestTransactionPanic(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	f := setupOn(t, db, func(*pgtest.DB, *Config) {})
	func() {
		defer func() { _ = recover() }()
		_ = f.Transaction(t.Context(), annCaller(), TransactionOptions{}, func(tx *Transaction) error {
			if err := tx.Query(t.Context(), note(500), nil); err != nil {
				t.Error(err)
			}
			panic("in the function")
		})
	}()
	f.one(t, annCaller(), read, "select 1::text")
	waitFor(t, func() bool {
		return f.value(t, "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'") == "0"
	})
	if f.notes(t) != "0" {
		t.Error("a panic committed")
	}
}

// TestTransactionDoors sees that a transaction passes the gate that a single statement of the same caller passes: that of
// the trusted issuer, which may have been disabled, and that of the service key's login.
func TestTransactionDoors(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	ctx := t.Context()
	issuer := Caller{Role: "authenticated", IssuerID: uuid.New(), Claims: []byte(`{"role":"authenticated"}`)}
	f.exec(t, "insert into auth.trusted_issuers (id, name, issuer, allowed_roles) values ('"+issuer.IssuerID.String()+"', 'other', 'https://other', '{authenticated}')")
	var got string
	who := func(tx *Transaction) error {
		return tx.Query(ctx, Statement{SQL: "select session_user || ' ' || current_user"}, func(row [][]byte) error { got = string(row[0]); return nil })
	}
	for _, c := range []struct {
		caller Caller
		want   string
	}{
		{issuer, "fluxbase_api authenticated"},
		{Caller{Role: "service_role"}, "fluxbase_service service_role"},
		{anonCaller(), "fluxbase_api anon"},
	} {
		if err := f.Transaction(ctx, c.caller, TransactionOptions{}, who); err != nil || got != c.want {
			t.Errorf("%s: %q, %v", c.want, got, err)
		}
	}
	f.exec(t, "update auth.trusted_issuers set disabled_at = now(), disabled_reason = 'test'")
	got = ""
	wantCode(t, f.Transaction(ctx, issuer, TransactionOptions{}, who), "ZF401")
	if got != "" {
		t.Error("a disabled issuer got in")
	}
}
