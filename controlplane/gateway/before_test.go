package gateway

import "testing"

// TestBefore sees that the statement before the statement runs first, under the same role, in the same transaction and write.
func TestBefore(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	if err := f.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	const sql = "select current_setting('app.x', true) || current_user || $1"
	set := &Statement{SQL: "select set_config('app.x', $1, true)", Args: [][]byte{[]byte("before ")}}
	for use := range 3 {
		f.wire.Reset()
		for _, opt := range []QueryOptions{{ReadOnly: true, Before: set}, {Before: set, MaxCost: 1e6}, {Before: set, Rollback: true}} {
			if got := f.one(t, annCaller(), opt, sql, "!"); got != "before authenticated!" {
				t.Errorf("%+v: %s", opt, got)
			}
		}
		if got := f.wire.Counts(); got.Writes != 3 {
			t.Errorf("use %d: %d writes", use, got.Writes)
		}
	}
	if got := f.one(t, annCaller(), read, "select coalesce(nullif(current_setting('app.x', true), ''), 'none')"); got != "none" {
		t.Errorf("left behind: %s", got)
	}
	// An error of it is the request's, and nothing behind it runs or is taken for prepared.
	insert := "insert into public.notes values (200, auth.uid(), 'x') returning id"
	_, err := f.query(t.Context(), annCaller(), QueryOptions{Before: &Statement{SQL: "select 1/0"}}, insert)
	wantCode(t, err, "22012")
	f.wire.Reset()
	if got := f.one(t, annCaller(), write, insert); got != "200" || f.wire.Counts().Writes != 1 {
		t.Errorf("%s after %d writes", got, f.wire.Counts().Writes)
	}
}
