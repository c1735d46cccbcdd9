package rest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
)

// searching is an application in a schema of its own, whose SQL counts on the search path of PostgREST.
const searching = `set check_function_bodies = off;
	create schema api; create schema ext; create schema "odd "" ext";
	create extension citext schema ext;
	create table api.items (id integer primary key, tag ext.citext);
	insert into api.items values (1, 'One'), (2, 'Two');
	create table ext.items (id integer); create table ext.private (id integer);
	insert into ext.items values (99); insert into ext.private values (7);
	create domain ext.small as integer check (value < 100);
	create function ext.helper(integer) returns integer language sql stable as 'select $1 * 2';
	create function "odd "" ext".deep() returns integer language sql stable as 'select 5';
	create function ext.twice(api.items) returns integer language sql stable as 'select helper($1.id)';
	create function ext.siblings(api.items) returns setof api.items language sql stable as 'select i.* from items i where i.id <> $1.id';
	create function ext.both(a api.items, b integer) returns integer language sql stable as 'select 1';
	create function api.unqualified() returns json language sql stable as
		$$ select json_build_array((select max(id) from items), helper(3), deep(), (select max(id) from private), current_setting('search_path')) $$;
	create function api.shadowed() returns integer language plpgsql volatile as
		$$ begin create temporary table items (id integer); return (select max(id) from items); end $$;
	create function public.path() returns text language sql stable as $$ select current_setting('search_path') $$;
	create function public.other() returns integer language sql stable as 'select max(id) from items';
	create function api.tagged() returns trigger language plpgsql as $$ begin new.tag = new.tag || '/' || helper(new.id); return new; end $$;
	create trigger tagged before insert on api.items for each row execute function api.tagged();
	grant usage on schema api, ext, "odd "" ext" to authenticated;
	grant select, insert on api.items to authenticated; grant select on ext.items, ext.private to authenticated`

// searchSetup exposes api and public, and searches the extra schemas.
func searchSetup(t *testing.T, extra ...string) *fixture {
	t.Helper()
	f := setup(t)
	f.exec(t, searching)
	f.Cache = catalog.NewCache(func(ctx context.Context) (*catalog.Catalog, error) {
		return catalog.Load(ctx, f.gateway, catalog.Schemas{Exposed: []string{"api", "public"}, Extra: extra})
	}, time.Now)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestSearchPath sees that SQL finds what lies in the schema of the request and in the extra ones, in this order and in the one
// write of the request, and that nobody else does.
func TestSearchPath(t *testing.T) {
	t.Parallel()
	f := searchSetup(t, "ext", `odd " ext`)
	public := []string{"Accept-Profile: public"}
	for _, c := range []exchange{
		{"GET", "/rpc/unqualified", "", nil, 200, `[2, 6, 5, 7, "\"api\", \"ext\", \"odd \"\" ext\", pg_temp"]`, "0-0/*"},
		{"POST", "/rpc/unqualified", "", nil, 200, `[2, 6, 5, 7, "\"api\", \"ext\", \"odd \"\" ext\", pg_temp"]`, "0-0/*"},
		{"GET", "/rpc/path", "", public, 200, `"\"public\", \"ext\", \"odd \"\" ext\", pg_temp"`, "0-0/*"},
		{"GET", "/rpc/other", "", public, 200, `99`, "0-0/*"},
		{"POST", "/rpc/shadowed", "", nil, 200, `2`, "0-0/*"}, // a temporary table takes nobody's place
		// operators, types, and functions of a row
		{"GET", "/items?select=id&tag=eq.ONE", "", nil, 200, `[{"id":1}]`, "0-0/*"},
		{"GET", "/items?select=id&tag=in.(ONE,two)&order=id", "", nil, 200, `[{"id":1}` + ", \n " + `{"id":2}]`, "0-1/*"},
		{"GET", "/items?select=id::small,twice&twice=gt.2", "", nil, 200, `[{"id":2,"twice":4}]`, "0-0/*"},
		{"GET", "/items?select=siblings(id,twice)&id=eq.1", "", nil, 200, `[{"siblings":[{"id":2,"twice":4}]}]`, "0-0/*"},
		{"POST", "/items?select=tag", `{"id":3,"tag":"x"}`, []string{representation}, 201, `[{"tag":"x/6"}]`, "*/*"},
		// what is searched is not exposed
		{"GET", "/private", "", nil, 404, `{"code":"PGRST205","message":"Could not find the table 'api.private' in the schema cache","details":null,"hint":null}`, ""},
		{"GET", "/private", "", []string{"Accept-Profile: ext"}, 406, `{"code":"PGRST106","message":"Invalid schema: ext","details":null,"hint":"Only the following schemas are exposed: api, public"}`, ""},
	} {
		for use := range 2 {
			if use == 1 && c.status == 201 {
				continue
			}
			f.wire.Reset()
			f.exchange(t, c)
			if got := f.wire.Counts(); use == 1 && c.status == 200 && got.Writes != 1 {
				t.Errorf("%s: %d writes", c.path, got.Writes)
			}
		}
	}
	for _, path := range []string{"/rpc/helper?a=1", "/rpc/twice", "/rpc/both", "/rpc/deep"} {
		if w := f.do(t, "GET", path, ""); w.Code != 404 || code(t, w) != "PGRST202" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	f.Transactor, f.Limits.Bulk, f.sizes.from, f.sizes.chunk = f.gateway, 1<<20, -1, 1
	f.exchange(t, exchange{"POST", "/items?select=tag", `[{"id":4,"tag":"x"},{"id":5,"tag":"y"}]`, []string{representation}, 201,
		`[{"tag":"x/8"}` + ", \n " + `{"tag":"y/10"}]`, "*/*"})
}

// TestSearchPathOfLogin sees that requests to public need no setting without extra schemas, and others a path without them.
func TestSearchPathOfLogin(t *testing.T) {
	t.Parallel()
	for _, extra := range [][]string{nil, {"public"}} {
		f := searchSetup(t, extra...)
		f.exchange(t, exchange{"GET", "/rpc/path", "", []string{"Accept-Profile: public"}, 200, `"\"$user\", public"`, "0-0/*"})
		want := `["\"api\", pg_temp"]`
		if extra != nil {
			want = `["\"api\", \"public\", pg_temp"]`
		}
		f.exec(t, `create or replace function api.unqualified() returns json language sql stable as $$ select json_build_array(current_setting('search_path')) $$`)
		f.exchange(t, exchange{"GET", "/rpc/unqualified", "", nil, 200, want, "0-0/*"})
		if f.before(f.Cache.Current().Paths["public"].Setting, "", false, nil) != nil {
			t.Error("a request to public has a statement before its own")
		}
	}
}

// TestOpenSchemas sees who could put something in the way.
func TestOpenSchemas(t *testing.T) {
	t.Parallel()
	f := searchSetup(t)
	schemas := []string{"api", "ext", "absent"}
	if open, err := catalog.OpenSchemas(t.Context(), f.gateway, schemas); err != nil || open != nil {
		t.Errorf("%q %v", open, err)
	}
	f.exec(t, "grant create on schema ext to authenticated; grant create on schema api to public; grant create on schema other to public")
	open, err := catalog.OpenSchemas(t.Context(), f.gateway, schemas)
	if err != nil || !slices.Contains(open, "authenticated may create objects in ext") || !slices.Contains(open, "anon may create objects in api") ||
		strings.Contains(strings.Join(open, ", "), "other") || slices.Contains(open, "anon may create objects in ext") {
		t.Errorf("%q %v", open, err)
	}
}
