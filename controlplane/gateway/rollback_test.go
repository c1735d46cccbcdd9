package gateway

import (
	"fmt"
	"testing"
)

// TestRollback sees that nothing of a batch that is undone stays, whatever happens in it, that it costs one write, and
// that the connection is as good as before.
func TestRollback(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	undo := QueryOptions{Rollback: true}
	undoRPC := QueryOptions{Rollback: true, Volatile: true}
	const insert = "insert into public.notes values ($1, auth.uid(), 'new') returning id"

	if err := f.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for use := range 3 {
		f.wire.Reset()
		if got := f.one(t, annCaller(), undo, insert, "100"); got != "100" {
			t.Errorf("the row that was undone: %s", got)
		}
		if got := f.wire.Counts(); got.Writes != 1 || got.Ready != 2 {
			t.Errorf("use %d: %d writes, %d times ready", use, got.Writes, got.Ready)
		}
	}
	if got := f.one(t, annCaller(), undoRPC, "select public.run('insert into public.notes values (101, auth.uid(), null)') is null"); got == "" {
		t.Error("no answer of a function")
	}
	if got := f.one(t, annCaller(), QueryOptions{Rollback: true, ReadOnly: true}, countNotes); got != "5" {
		t.Errorf("a read: %s", got)
	}
	for name, tt := range map[string]struct{ sql, code string }{
		"statement":  {"select 1/0", "22012"},
		"syntax":     {"selec", "42601"},
		"constraint": {"insert into app.things values (1, 999)", "23503"}, // deferred
	} {
		_, err := f.query(t.Context(), annCaller(), undo, tt.sql)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		wantCode(t, err, tt.code)
	}
	// A function cannot end the transaction to save its work.
	_, err := f.query(t.Context(), annCaller(), undoRPC, "select public.run('commit')")
	wantCode(t, err, "0A000")

	if got := f.value(t, "select (select count(*) from public.notes where id > 10) + (select count(*) from app.things)"); got != "0" {
		t.Errorf("%s rows stayed", got)
	}
	// The next requests are committed, on the same connection.
	pid := f.one(t, annCaller(), undo, "select pg_backend_pid()")
	if got := f.one(t, annCaller(), write, insert, "102"); got != "102" || f.value(t, "select count(*) from public.notes where id = 102") != "1" {
		t.Errorf("the write after it: %s", got)
	}
	if got := f.one(t, annCaller(), read, "select pg_backend_pid()"); got != pid {
		t.Errorf("another connection: %s, %s", pid, got)
	}
	f.exec(t, fmt.Sprintf("update auth.sessions set revoked_at = now(), revoked_reason = 'test' where id = '%s'", annSession))
	_, err = f.query(t.Context(), annCaller(), undo, insert, "103")
	wantCode(t, err, "ZF401")
	// What was not even parsed behind the refusal is not taken for prepared.
	const first = "insert into public.notes values ($1, auth.uid(), 'first use') returning id"
	_, err = f.query(t.Context(), annCaller(), undo, first, "104")
	wantCode(t, err, "ZF401")
	f.wire.Reset()
	f.one(t, bobCaller(), undo, first, "104")
	if got := f.wire.Counts().Writes; got != 1 {
		t.Errorf("%d writes for the first use behind a refusal", got)
	}
	if got := f.one(t, bobCaller(), read, countNotes); got != "5" {
		t.Errorf("the next caller: %s", got)
	}
}
