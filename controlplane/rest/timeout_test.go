package rest

import (
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// TestRoleTimeout sees that a role's own statement_timeout holds for its requests, of any kind, and for nobody else's.
func TestRoleTimeout(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Transactor, f.Limits.Bulk = f.gateway, 1<<20
	f.exec(t, `
		create function public.doze(seconds double precision) returns text language sql stable as 'select pg_sleep(seconds)::text';
		create function public.time_limit() returns text language sql stable as $$ select current_setting('statement_timeout') $$;
		create function public.dozes() returns trigger language plpgsql as $$ begin perform pg_sleep(1); return new; end $$;
		create trigger dozes before insert on public.places for each row execute function public.dozes()`)
	reload := func() {
		t.Helper()
		if err := f.Cache.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	reload()
	limit := func() string { return f.do(t, "GET", "/rpc/time_limit", "").Body.String() }
	before := limit()
	f.exec(t, `do $$ begin execute format('alter role authenticated in database %I set statement_timeout = %L', current_database(), '700ms'); end $$`)
	if got := limit(); got != before || got == `"700ms"` {
		t.Errorf("before the catalog is read again: %s, it was %s", got, before)
	}
	reload()
	if got := limit(); got != `"700ms"` {
		t.Errorf("the limit is %s", got)
	}
	for name, send := range map[string]func() (int, string){
		"call":   func() (int, string) { w := f.do(t, "GET", "/rpc/doze?seconds=1", ""); return w.Code, code(t, w) },
		"insert": func() (int, string) { w := f.do(t, "POST", "/places", `{"id":60}`); return w.Code, code(t, w) },
		"bulk insert": func() (int, string) {
			f.sizes.from, f.sizes.chunk = -1, 1
			defer func() { f.sizes.from = bulkFrom }()
			w := f.do(t, "POST", "/places", `[{"id":61},{"id":62}]`)
			return w.Code, code(t, w)
		},
	} {
		if status, sqlstate := send(); status != 500 || sqlstate != "57014" {
			t.Errorf("%s: %d %s", name, status, sqlstate)
		}
	}
	f.caller = gateway.Caller{Role: "anon"}
	if got := limit(); got != before {
		t.Errorf("that of anon is %s", got)
	}
}
