package rest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// TestHiddenColumns sees that a column without a grant is answered like one that does not exist, wherever it is named.
func TestHiddenColumns(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `create table public.half (id integer primary key, shown text, secret text unique, task_id integer references public.tasks);
		grant select (id, shown, task_id), insert (id, shown), update (shown), delete on public.half to authenticated;
		create table public.written (id integer primary key, inbox text);
		grant select (id), insert (inbox) on public.written to authenticated;
		insert into public.half values (1, 'a', 'b', 1)`)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	const representation = "Prefer: return=representation"
	for _, c := range []struct{ method, path, body, header string }{
		{"GET", "/half?select=id,secret", "", ""},
		{"GET", "/half?select=id,x:secret", "", ""},
		{"GET", "/half?select=id,secret->a", "", ""},
		{"GET", "/half?select=id,secret::integer", "", ""},
		{"GET", "/half?select=id&secret=eq.1", "", ""},
		{"HEAD", "/half?select=id&secret=eq.1", "", ""},
		{"GET", "/half?select=id&not.or=(id.eq.1,and(shown.eq.1,secret.is.null))", "", ""},
		{"GET", "/half?select=id&order=shown,secret.desc", "", ""},
		{"GET", "/half?select=id&secret=eq.1", "", "Prefer: count=exact"},
		{"GET", "/tasks?select=id,half(id,secret)", "", ""},
		{"GET", "/tasks?select=id,...half(secret)", "", ""},
		{"GET", "/tasks?select=id,half(id)&half.secret=eq.1", "", ""},
		{"GET", "/tasks?select=id,half(id)&half.order=secret", "", ""},
		{"POST", "/half", `{"id":2,"secret":"x"}`, ""},
		{"POST", "/half?columns=id,secret", `{"id":2}`, ""},
		{"POST", "/half?select=id,secret", `{"id":2}`, representation},
		{"POST", "/half?on_conflict=secret", `{"id":2,"shown":"x"}`, "Prefer: resolution=ignore-duplicates"},
		{"PATCH", "/half?id=eq.1", `{"secret":"x"}`, ""},
		{"PATCH", "/half?id=eq.1&secret=eq.b", `{"shown":"x"}`, ""},
		{"PATCH", "/half?id=eq.1&select=secret", `{"shown":"x"}`, representation},
		{"DELETE", "/half?secret=eq.b", "", ""},
	} {
		hidden := f.do(t, c.method, c.path, c.body, c.header)
		absent := f.do(t, c.method, strings.ReplaceAll(c.path, "secret", "absent"), strings.ReplaceAll(c.body, "secret", "absent"), c.header)
		if hidden.Code != absent.Code || strings.ReplaceAll(hidden.Body.String(), "secret", "absent") != absent.Body.String() || absent.Code != 400 {
			t.Errorf("%s %s %s:\nhidden %d %s\nabsent %d %s", c.method, c.path, c.body, hidden.Code, hidden.Body, absent.Code, absent.Body)
		}
		hidden.Header().Del("Content-Length")
		absent.Header().Del("Content-Length")
		if fmt.Sprint(hidden.Header()) != fmt.Sprint(absent.Header()) {
			t.Errorf("%s %s:\nhidden %v\nabsent %v", c.method, c.path, hidden.Header(), absent.Header())
		}
	}
	// What is not hidden is forbidden, as ever.
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/half", ""},
		{"GET", "/secrets?select=id", ""},
		{"GET", "/secrets?hidden=eq.1", ""},
		{"GET", "/written?inbox=eq.1&select=id", ""}, // may be written, so it is known
		{"POST", "/written", `{"id":1}`},
		{"PATCH", "/written", `{"id":1}`},
	} {
		if w := f.do(t, c.method, c.path, c.body); w.Code != 403 || code(t, w) != "42501" {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
	if got := f.value(t, "select count(*) from public.half where shown = 'a' and secret = 'b'"); got != "1" {
		t.Error("something was written")
	}
}

// TestHiddenFails sees that the first error stands when the question behind it cannot be asked.
func TestHiddenFails(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, "create table public.half (id integer, secret text); grant select (id) on public.half to authenticated")
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Gateway = once{f.gateway, new(int)}
	if w := f.do(t, "GET", "/half?select=secret", ""); w.Code != 403 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// once is a gateway whose second query fails.
type once struct {
	*gateway.Gateway
	calls *int
}

func (o once) Query(ctx context.Context, c gateway.Caller, s gateway.Statement, q gateway.QueryOptions, fn func([][]byte) error) error {
	if *o.calls++; *o.calls > 1 {
		return gateway.ErrBusy
	}
	return o.Gateway.Query(ctx, c, s, q, fn)
}
