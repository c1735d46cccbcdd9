package gateway

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestMaxCost sees that an expensive statement does not run, that one within the limit does, and that both cost one write.
func TestMaxCost(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	if err := f.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.exec(t, `create operator public.=== (leftarg = text, rightarg = text, function = texteq)`) // not in pg_catalog
	cheap, dear := QueryOptions{ReadOnly: true, MaxCost: 1000}, QueryOptions{MaxCost: 0.001}
	for use := range 7 { // the sixth may have a generic plan
		for _, tt := range []struct {
			sql  string
			args []string
			want string
		}{
			{countNotes, nil, "5"},
			{"select body from public.notes where id = $1", []string{"1"}, "note 1"},
			{"select $1::text || $2", []string{`a"b\c`, "{},NULL'; select 1 --"}, `a"b\c{},NULL'; select 1 --`},
			{"select body from public.notes where body === $1", []string{"note 3"}, "note 3"},
		} {
			f.wire.Reset()
			if got := f.one(t, annCaller(), cheap, tt.sql, tt.args...); got != tt.want {
				t.Errorf("%s: %s", tt.sql, got)
			}
			if got := f.wire.Counts(); got.Writes != 1 || got.Ready != 1 {
				t.Errorf("%s, use %d: %d writes", tt.sql, use, got.Writes)
			}
		}
		f.wire.Reset()
		_, err := f.query(t.Context(), annCaller(), dear, "update public.notes set body = $1 where id = 1", "changed")
		wantCode(t, err, "ZF422")
		if got := f.wire.Counts(); got.Writes != 1 {
			t.Errorf("a refusal: %d writes", got.Writes)
		}
	}
	if got := f.value(t, "select count(*) from public.notes where body = 'changed'"); got != "0" {
		t.Error("the statement ran")
	}
	var pg *pgconn.PgError
	_, err := f.query(t.Context(), annCaller(), cheap, "select * from auth.users") // not readable: as without the limit
	if !errors.As(err, &pg) || pg.Code != "42501" {
		t.Errorf("%v", err)
	}
	_, err = f.query(t.Context(), annCaller(), cheap, "select $1::integer", "x")
	wantCode(t, err, "22P02")
	_, err = f.query(t.Context(), annCaller(), QueryOptions{MaxCost: 0.001, Rollback: true, Volatile: true}, "delete from public.notes")
	wantCode(t, err, "ZF422")
	if got := f.one(t, annCaller(), read, countNotes); got != "5" {
		t.Errorf("afterwards: %s", got)
	}
	// NULL is an argument, too.
	err = f.Query(t.Context(), annCaller(), Statement{SQL: "select coalesce($1, 'none')", Args: [][]byte{nil}}, cheap, func(row [][]byte) error {
		if string(row[0]) != "none" {
			t.Errorf("NULL: %s", row[0])
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	// The result of a statement that is cached has changed: it is prepared anew.
	f.one(t, annCaller(), cheap, "select * from public.notes where id = 1")
	f.exec(t, "alter table public.notes add column more text")
	f.one(t, annCaller(), cheap, "select * from public.notes where id = 1")

	f.unnamed = true
	if _, err := f.query(t.Context(), annCaller(), cheap, countNotes); !errors.Is(err, errCostNeedsNames) {
		t.Errorf("behind a pooler: %v", err)
	}
}
