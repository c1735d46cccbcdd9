package rest

import (
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

// TestTxEnd sees what stays of a write under each setting and preference, and what the answer says about it.
func TestTxEnd(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, c := range []struct {
		end     dialect.TxEnd
		prefer  string
		status  int
		kept    bool
		applied string
	}{
		{"", "", 201, true, ""},
		{"", "tx=rollback", 201, true, ""},
		{dialect.TxCommit, "tx=commit, handling=strict", 201, true, "handling=strict"},
		{dialect.TxCommit, "tx=rollback, handling=strict", 400, false, ""},
		{dialect.TxCommitOverride, "", 201, true, ""},
		{dialect.TxCommitOverride, "tx=commit", 201, true, "tx=commit"},
		{dialect.TxCommitOverride, "tx=rollback", 201, false, "tx=rollback"},
		{dialect.TxCommitOverride, "tx=rollback, tx=commit", 201, false, "tx=rollback"},
		{dialect.TxCommitOverride, "handling=strict, tx=rollback, count=exact, return=minimal", 201, false,
			"return=minimal, count=exact, tx=rollback, handling=strict"},
		{dialect.TxRollback, "", 201, false, ""},
		{dialect.TxRollback, "tx=commit", 201, false, ""},
		{dialect.TxRollback, "tx=commit, handling=strict", 400, false, ""},
		{dialect.TxRollback, "tx=rollback, handling=strict", 201, false, "handling=strict"},
		{dialect.TxRollbackOverride, "", 201, false, ""},
		{dialect.TxRollbackOverride, "tx=commit", 201, true, "tx=commit"},
		{dialect.TxRollbackOverride, "tx=rollback", 201, false, "tx=rollback"},
	} {
		f.Limits.TxEnd = c.end
		headers := []string{}
		if c.prefer != "" {
			headers = append(headers, "Prefer: "+c.prefer)
		}
		w := f.do(t, "POST", "/places", `{"id":100,"name":"new"}`, headers...)
		if w.Code != c.status || w.Header().Get("Preference-Applied") != c.applied {
			t.Errorf("%q %q: %d %q %s", c.end, c.prefer, w.Code, w.Header().Get("Preference-Applied"), w.Body)
		}
		if w.Code == 400 && code(t, w) != "PGRST122" {
			t.Errorf("%q %q: %s", c.end, c.prefer, w.Body)
		}
		if kept := f.value(t, "select count(*) from public.places where id = 100") == "1"; kept != c.kept {
			t.Errorf("%q %q: kept %v", c.end, c.prefer, kept)
		}
		f.exec(t, "delete from public.places where id = 100")
	}
	if _, err := New(f.Config); err != nil {
		t.Error(err)
	}
	f.Limits.TxEnd = "sometimes"
	if _, err := New(f.Config); err == nil {
		t.Error("an unknown end was accepted")
	}
}

// TestRolledBack sees that every kind of request answers as if it had been kept, in one write, and that nothing is.
func TestRolledBack(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Limits.TxEnd = dialect.TxCommitOverride
	const undo = "Prefer: tx=rollback, return=representation"
	before := f.value(t, "select sum(hashtext(x::text)) from (select to_jsonb(t) from public.tasks t union all select to_jsonb(p) from public.places p) s(x)")
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string // a part of the answer
	}{
		{"GET", "/places?id=eq.1", "", 200, `"Rome"`},
		{"POST", "/places", `{"id":100,"name":"new"}`, 201, `"new"`},
		{"PATCH", "/places?id=eq.1", `{"name":"new"}`, 200, `"new"`},
		{"PUT", "/places?id=eq.1", `{"id":1,"name":"new"}`, 200, `"new"`},
		{"DELETE", "/task_people?person_id=eq.1", "", 200, `"lead"`},
		{"POST", "/rpc/rename", `{"task":1,"name":"new"}`, 204, ""},
		{"GET", "/rpc/hello?name=x", "", 200, `"hello x"`},
		{"POST", "/places", `{"id":1}`, 409, "23505"},
	} {
		for use := range 2 {
			f.wire.Reset()
			w := f.do(t, c.method, c.path, c.body, undo)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
			}
			if got := f.wire.Counts(); use == 1 && (got.Writes != 1 || got.Ready > 3) {
				t.Errorf("%s %s: %d writes, %d times ready", c.method, c.path, got.Writes, got.Ready)
			}
		}
	}
	after := f.value(t, "select sum(hashtext(x::text)) from (select to_jsonb(t) from public.tasks t union all select to_jsonb(p) from public.places p) s(x)")
	if before != after {
		t.Error("something stayed")
	}
	if got := f.value(t, "select count(*) from public.task_people"); got != "3" {
		t.Errorf("%s rows of task_people", got)
	}
}
