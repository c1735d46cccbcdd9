package rest

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

// TestAsked sees what SQL is told of the HTTP request, that it costs no further write, and that nothing of what proves an
// identity is told.
func TestAsked(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `create function public.asked() returns json language plpgsql stable as $$ begin return json_build_object(
		'method', current_setting('request.method', true), 'path', current_setting('request.path', true),
		'headers', nullif(current_setting('request.headers', true), '')::json, 'cookies', nullif(current_setting('request.cookies', true), '')::json); end $$`)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	headers := []string{"User-Agent: test/1", "X-Two: a", "X-Two: b\xff", "Authorization: Bearer secret", "apikey: secret", "X-API-Key: secret",
		"Cookie: theme=dark; __Host-fluxbase-access=secret", "X-CSRF-Token: secret", "Proxy-Authorization: secret"}
	for _, method := range []string{"GET", "POST"} {
		for range 2 {
			f.wire.Reset()
			w := f.do(t, method, "/rpc/asked", "", headers...)
			var got struct {
				Method, Path     string
				Headers, Cookies map[string]string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if got.Method != method || got.Path != "/rpc/asked" || got.Headers["user-agent"] != "test/1" || got.Headers["x-two"] != "a, b\ufffd" ||
				len(got.Headers) != 2 || len(got.Cookies) != 1 || got.Cookies["theme"] != "dark" {
				t.Errorf("%+v", got)
			}
		}
		if got := f.wire.Counts(); got.Writes != 1 {
			t.Errorf("%d writes", got.Writes)
		}
	}
}

// TestAskedIsSeen sees when SQL looks at the request, wherever it does, and that it is not told otherwise.
func TestAskedIsSeen(t *testing.T) {
	t.Parallel()
	f := setup(t)
	seen := func() bool {
		t.Helper()
		c, err := f.load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p, refusal := planOf(c, dialect.Input{Method: http.MethodGet, Name: "tasks", Header: http.Header{}})
		if refusal != nil {
			t.Fatal(refusal)
		}
		if p.Asked != c.Asked {
			t.Error("the plan does not know")
		}
		return c.Asked
	}
	if seen() {
		t.Fatal("seen in the schema of the tests")
	}
	for name, change := range map[string][2]string{
		"function": {`create function hidden.look() returns text language plpgsql stable as $$ begin return current_setting('request.method', true); end $$`,
			`drop function hidden.look()`},
		"body": {`create function hidden.look() returns text language sql stable return current_setting('request.path', true)`, `drop function hidden.look()`},
		"policy": {`create policy look on public.owned for select to authenticated using (current_setting('request.headers', true) <> '')`,
			`drop policy look on public.owned`},
		"view":    {`create view hidden.look as select current_setting('request.cookies', true)`, `drop view hidden.look`},
		"default": {`alter table hidden.things add column look text default current_setting('request.method', true)`, `alter table hidden.things drop column look`},
	} {
		f.exec(t, change[0])
		if !seen() {
			t.Errorf("a %s is not seen", name)
		}
		f.exec(t, change[1])
		if seen() {
			t.Errorf("a %s that is gone is seen", name)
		}
	}
}
