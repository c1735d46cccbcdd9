package rest

import (
	"net/http"
	"strings"
	"testing"
)

// TestPreRequest sees that the function runs before every kind of request, as its role, in its transaction and write.
func TestPreRequest(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `create schema "pre Req"; grant usage on schema "pre Req" to anon, authenticated;
		create function "pre Req"."check It"() returns void language plpgsql volatile as $$ begin
			if current_setting('request.headers', true)::json ->> 'x-stop' = 'yes' then
				raise sqlstate 'PT451' using message = 'stopped';
			end if;
			perform set_config('app.who', current_user || ' ' || current_setting('request.method') || ' ' || current_setting('request.path'), true);
			perform set_config('response.headers', json_build_array(json_build_object('X-Who', current_setting('app.who')))::text, true);
		end $$;
		create function public.who() returns text language plpgsql stable as $$ begin return current_setting('app.who', true); end $$;
		create function public.plain_pre() returns integer language sql stable return 1`)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	var err error
	if f.PreRequest, err = PreRequest(t.Context(), f.gateway, "pre Req.check It"); err != nil || f.PreRequest != `"pre Req"."check It"` {
		t.Fatalf("%q, %v", f.PreRequest, err)
	}
	for _, c := range []struct{ method, path, body, who string }{
		{"GET", "/rpc/who", "", "authenticated GET /rpc/who"},
		{"HEAD", "/places", "", "authenticated HEAD /places"},
		{"POST", "/places", `{"id":50}`, "authenticated POST /places"},
		{"PATCH", "/places?id=eq.50", `{"name":"x"}`, "authenticated PATCH /places"},
		{"DELETE", "/places?id=eq.50", "", "authenticated DELETE /places"},
	} {
		for use := range 2 {
			f.wire.Reset()
			w := f.do(t, c.method, c.path, c.body, "Prefer: resolution=ignore-duplicates")
			if w.Code >= 300 || w.Header().Get("X-Who") != c.who {
				t.Errorf("%s %s: %d %v %s", c.method, c.path, w.Code, w.Header(), w.Body)
			}
			if got := f.wire.Counts().Writes; use == 1 && got != 1 {
				t.Errorf("%s %s: %d writes", c.method, c.path, got)
			}
		}
		if w := f.do(t, c.method, c.path, c.body, "X-Stop: yes"); w.Code != 451 {
			t.Errorf("%s %s, stopped: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
	if w := f.root(t, http.MethodGet, "X-Stop: yes"); w.Code != 451 {
		t.Errorf("the description, stopped: %d", w.Code)
	}
	if w := f.do(t, "GET", "/rpc/who", ""); !strings.Contains(w.Body.String(), "authenticated GET /rpc/who") {
		t.Errorf("its settings do not reach the request: %s", w.Body)
	}
	// One that does not look at the request, and what is no such function.
	if f.PreRequest, err = PreRequest(t.Context(), f.gateway, "plain_pre"); err != nil || f.PreRequest != "public.plain_pre" {
		t.Errorf("%q, %v", f.PreRequest, err)
	}
	for _, name := range []string{"absent", "public.add", "public.numbers", "public.", "a.b.c"} {
		if sql, err := PreRequest(t.Context(), f.gateway, name); err == nil {
			t.Errorf("%s is %s", name, sql)
		}
	}
	f.exec(t, "drop function public.plain_pre()")
	if w := f.do(t, "GET", "/places", ""); w.Code < 400 {
		t.Errorf("the function is gone: %d", w.Code)
	}
}
