package rest

import (
	"slices"
	"testing"
)

// TestForeignCode sees which requests are followed by a new start of their connection.
func TestForeignCode(t *testing.T) {
	t.Parallel()
	f := setup(t)
	load := func() *Catalog {
		t.Helper()
		c, err := Load(t.Context(), f.gateway, exposed)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	named := func(c *Catalog) (list []string) {
		for name := range c.foreign.writes {
			text := name.name
			if c.foreign.reads[name] {
				text += " read"
			}
			list = append(list, text)
		}
		slices.Sort(list)
		return list
	}

	f.exec(t, `
		create function public.plain() returns text language plpgsql volatile as $$ begin return 'x'; end $$;
		create function public.touch() returns trigger language plpgsql as $$ begin return new; end $$;
		create table public.with_trigger (id int); create table public.with_default (id text default public.plain());
		create table public.with_policy (id text); alter table public.with_policy enable row level security;
		create policy p on public.with_policy using (id = public.plain());
		create table public.with_ours (id uuid default auth.current_user_id()); alter table public.with_ours enable row level security;
		create policy p on public.with_ours using (id = (select auth.current_user_id()));
		create table public.with_check (id text check (id <> lower(public.plain())));
		create trigger t before insert on public.with_trigger for each row execute function public.touch();
		create view public.over_policy with (security_invoker = true) as select id from public.with_policy;
		create view public.over_that with (security_invoker = true) as select id from public.over_policy;
		create view public.with_call as select public.plain() as x;
		create function public.same(a text, b text) returns boolean language plpgsql immutable as $$ begin return a = b; end $$;
		create operator public.=== (leftarg = text, rightarg = text, function = public.same);
		create view public.with_operator as select 'a'::text operator(public.===) 'b'::text as x;`)
	if c := load(); c.foreign.calls || len(c.foreign.writes) > 0 {
		t.Errorf("without dynamic SQL: calls %v, %v", c.foreign.calls, named(c))
	}

	before := load().Version
	f.exec(t, `create function hidden.run(p text) returns void language plpgsql volatile as $$ begin execute p; end $$`)
	c := load()
	if c.Version == before {
		t.Error("the catalog would not be replaced")
	}
	want := []string{"over_policy read", "over_that read", "with_call read", "with_check", "with_default",
		"with_operator read", "with_policy read", "with_trigger"}
	if got := named(c); !c.foreign.calls || !slices.Equal(got, want) {
		t.Errorf("with dynamic SQL: calls %v\n got %q\nwant %q", c.foreign.calls, got, want)
	}
	for _, p := range []struct {
		action   Action
		relation string
		want     bool
	}{
		{Call, "plain", true}, {Read, "with_trigger", false}, {Insert, "with_trigger", true},
		{Read, "with_policy", true}, {Delete, "with_ours", false},
	} {
		if got := c.foreign.mayRun(p.action, qualifiedName{"public", p.relation}); got != p.want {
			t.Errorf("%v on %s: %v, want %v", p.action, p.relation, got, p.want)
		}
	}
}

// TestForeignCodeOfEmbeds sees that an embedded relation counts, and the junction that leads to it.
func TestForeignCodeOfEmbeds(t *testing.T) {
	t.Parallel()
	for _, relation := range []string{"people", "task_people"} {
		c := goldenCatalog(t)
		c.foreign.reads = map[qualifiedName]bool{{"public", relation}: true}
		for line, want := range map[string]bool{
			"GET /tasks":                                    false,
			"GET /tasks?select=projects(name)":              false,
			"GET /tasks?select=people(name)":                true,
			"GET /projects?select=tasks(people())":          true,
			"DELETE /tasks?select=people(name)":             true,
			"GET /rpc/tasks_of?project=1&select=people(id)": true,
		} {
			p, err := plan(c, parseLine(t, line))
			if err != nil {
				t.Fatal(err)
			}
			if p.Volatile() != want {
				t.Errorf("%s with %s: %v", line, relation, p.Volatile())
			}
		}
	}
}
