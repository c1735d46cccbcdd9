package rest

import (
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/rest/resttest"
)

// TestDynamicSQL sees that every request is followed by a new start of its connection as soon as one application
// function may run SQL that it makes up, and none before.
func TestDynamicSQL(t *testing.T) {
	t.Parallel()
	f := setup(t)
	volatile := func() bool {
		t.Helper()
		c, err := f.load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"GET /tasks", "DELETE /tasks", "POST /tasks {}", "GET /rpc/hello?name=x"} {
			p, apiErr := planOf(c, resttest.Line(t, line))
			if apiErr != nil {
				t.Fatal(apiErr)
			}
			if p.Volatile() != c.DynamicSQL {
				t.Errorf("%s: volatile %v with dynamic SQL %v", line, p.Volatile(), c.DynamicSQL)
			}
		}
		return c.DynamicSQL
	}
	// The schema of the tests has one, in a trigger or a function, or it has none: begin without.
	f.exec(t, `do $$ declare r record; begin
		for r in select p.oid::regprocedure as f from pg_proc p join pg_language l on l.oid = p.prolang
			where p.pronamespace in ('public'::regnamespace, 'other'::regnamespace, 'hidden'::regnamespace) and l.lanname = 'plpgsql' loop
			execute format('drop function %s cascade', r.f); end loop; end $$`)
	f.exec(t, `create function public.static() returns text language plpgsql volatile as $$ begin return 'x'; end $$;
		create function public.stable(p text) returns text language plpgsql stable as $$ declare r text; begin execute p into r; return r; end $$`)
	if volatile() {
		t.Error("without a volatile function that runs made-up SQL")
	}
	// Nothing of the exposed schemas refers to it.
	f.exec(t, `create function hidden.run() returns trigger language plpgsql volatile as $$ begin EXECUTE new.body; return null; end $$`)
	if !volatile() {
		t.Error("with a trigger function that runs made-up SQL")
	}
}
