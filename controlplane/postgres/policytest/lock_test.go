package policytest

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func lock(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	return strings.Join(lines(t, conn, `select auth.policy_lock()`), "\n") + "\n"
}

func drift(t *testing.T, conn *pgx.Conn, locked string) string {
	t.Helper()
	return strings.Join(lines(t, conn, `select change || ' ' || fact from auth.policy_drift($1)`, locked), "\n")
}

const lockedSQL = closedSQL + `alter table t add v varchar, add d date, add at timestamptz, add i interval, add raw bytea;
	create policy "p; --" on t to authenticated using (v in ('a', 'b') and d > '2026-02-01' and at < '2026-02-01 12:00+02' and i > '1 day 2 hours' and raw = '\xff00');
	create policy q on t for select to anon, authenticated using (a = E'two  words\nand \\n a "line"' and exists (select from public.t x where x.id = t.id));
	create view v with (security_invoker = true) as select * from t; grant select (id, a) on t to anon with grant option;
	create function public.f(a integer) returns integer language sql security definer set search_path = pg_catalog, pg_temp as 'select 1';
	create function public.bound(a integer) returns integer language sql security definer return a + 1;
	alter default privileges in schema public grant select on tables to anon;
	create sequence public.s; grant usage on sequence public.s to authenticated; `

func TestPolicyLockIsTheSameForEverybody(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, lockedSQL)
	want := lock(t, b.super)
	for _, fact := range []string{
		"-- policy lock 1, PostgreSQL " + one[string](t, b.super, `select (current_setting('server_version_num')::integer / 10000)::text`) + "\n",
		"table public.t: row security on, forced, owner ", "table public.t: grant delete to authenticated\n", "column public.t.a: grant select to anon with grant option\n",
		`policy "p; --" on public.t: permissive for all to authenticated using (`, "view public.v: runs as its caller", "sequence public.s: grant usage to authenticated\n",
		"function public.f(a integer): security definer, owner ", "function public.f(a integer): grant execute to public\n", "in schema public on tables: grant select to anon\n",
		"role service_role: member of nothing\n", `a = 'two  words\nand \\n a "line"'::text`,
	} {
		if !strings.Contains(want, fact) {
			t.Errorf("no %q in\n%s", fact, want)
		}
	}
	if strings.Contains(want, "auth.users") {
		t.Errorf("our own objects:\n%s", want)
	}
	dba := b.dba(t)
	for _, setting := range []string{
		`search_path = public, auth`, `quote_all_identifiers = on`, `datestyle = 'SQL, DMY'`, `intervalstyle = sql_standard`, `timezone = 'Asia/Tokyo'`, `bytea_output = escape`, `extra_float_digits = 0`,
	} {
		inTx(t, dba, func() {
			exec(t, dba, `set local `+setting)
			if got := lock(t, dba); got != want {
				t.Errorf("with %s:\n%s", setting, got)
			}
			if got := drift(t, dba, want); got != "" {
				t.Errorf("with %s: %s", setting, got)
			}
		})
	}
}

func TestPolicyDrift(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, lockedSQL)
	locked := lock(t, b.super)
	for name, c := range map[string]struct {
		change string
		want   []string // each in the drift; none: no drift
	}{
		"nothing": {`select`, nil},
		// What a dump and restore does: the printed form is read again, and prints differently.
		"restore": {`do $$ declare v text := pg_get_expr(polqual, polrelid) from pg_policy where polname = 'p; --'; begin
			drop policy "p; --" on public.t; execute format('create policy "p; --" on public.t to authenticated using (%s)', v); end $$`, nil},
		"literal":     {`alter policy "p; --" on t using (v in ('a', 'c') and d > '2026-02-01' and at < '2026-02-01 12:00+02' and i > '1 day 2 hours' and raw = '\xff00')`, []string{`- policy "p; --"`, `+ policy "p; --"`}},
		"white space": {`alter policy q on t using (a = E'two words\nand \\n a "line"' and exists (select from public.t x where x.id = t.id))`, []string{`- policy q`, `+ policy q`}},
		"roles":       {`alter policy q on t to authenticated`, []string{`+ policy q on public.t: permissive for select to authenticated using`}},
		"more roles":  {`alter policy q on t to anon, authenticated, service_role`, []string{`+ policy q on public.t: permissive for select to anon, authenticated, service_role using`}},
		"check":       {`alter policy "p; --" on t with check (true)`, []string{`+ policy "p; --"`}},
		"dropped":     {`drop policy q on t`, []string{`- policy q`}},
		"new":         {`create policy r on t to anon using (false)`, []string{`+ policy r on public.t: permissive for all to anon using false`}},
		"grant":       {`grant truncate on t to anon`, []string{`+ table public.t: grant truncate to anon`}},
		"force":       {`alter table t no force row level security`, []string{`+ table public.t: row security on, owner`, `- table public.t: row security on, forced, owner`}},
		"view":        {`alter view v reset (security_invoker)`, []string{`+ view public.v: runs as its owner`}},
		"function":    {`create or replace function public.f(a integer) returns integer language sql security definer set search_path = pg_catalog, pg_temp as 'select 2'`, []string{`+ function public.f(a integer): security definer`}},
		"bound":       {`create or replace function public.bound(a integer) returns integer language sql security definer return a + 2`, []string{`+ function public.bound(a integer): security definer`}},
		"default":     {`alter default privileges in schema public grant insert on tables to anon`, []string{`in schema public on tables: grant insert to anon`}},
		"member":      {`grant service_role to anon`, []string{`+ role anon: member of service_role`}},
		// The condition can no longer be read, and is not there either.
		"column": {`drop policy q on t; drop view v; alter table t rename a to b; create policy q on t for select to anon, authenticated using (b = 'x')`, []string{`- policy q`, `+ policy q`}},
	} {
		inTx(t, b.super, func() {
			exec(t, b.super, c.change)
			exec(t, b.super, `set local role fluxbase_admin`)
			got := drift(t, b.super, locked)
			if (got == "") != (c.want == nil) {
				t.Errorf("%s: drift\n%s", name, got)
			}
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("%s: no %q in\n%s", name, want, got)
				}
			}
			if name == "restore" && lock(t, b.super) == locked {
				t.Error("a restore prints the same: the test tests nothing")
			}
			if n := one[int](t, b.super, `select count(*)::int from pg_class where relpersistence = 't'`); n != 0 {
				t.Errorf("%s: %d temporary tables are left", name, n)
			}
		})
	}
	exec(t, b.super, `do $$ begin execute format('revoke temporary on database %I from public', current_database()); end $$; alter policy q on t using (a = 'x')`)
	refused(t, b.dba(t), "42501", "grant temporary", `select auth.policy_drift($1)`, locked)
	refused(t, b.super, "22023", "policy lock", `select auth.policy_drift('select 1')`)
	refused(t, b.super, "22023", "policy lock", `select auth.policy_drift(null)`)
	for _, who := range []string{"anon", "authenticated", "service_role", "fluxbase_api"} {
		refused(t, b.db.Conn(t, who), "42501", "permission denied", `select auth.policy_lock()`)
	}
}

// Names may hold a new line, and a fact is one line all the same.
func TestPolicyLockOfOddNames(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, `do $$ begin
		execute E'create table public."odd\n-- \\ name" (v varchar); grant select on public."odd\n-- \\ name" to anon';
		execute E'create policy "p\nq" on public."odd\n-- \\ name" to anon using (v in (''a'', ''b''))'; end $$`)
	locked := lock(t, b.super)
	if got := drift(t, b.super, locked); got != "" {
		t.Errorf("drift:\n%s", got)
	}
	exec(t, b.owner, `do $$ declare v text := pg_get_expr(polqual, polrelid) from pg_policy where polname = E'p\nq'; begin
		execute E'drop policy "p\nq" on public."odd\n-- \\ name"'; execute format(E'create policy "p\nq" on public."odd\n-- \\ name" to anon using (%s)', v); end $$`)
	if got := drift(t, b.super, locked); got != "" || lock(t, b.super) == locked {
		t.Errorf("drift after a restore:\n%s", got)
	}
}

// A lock file is text that somebody sends in: what it holds besides an expression must not run.
func TestPolicyDriftRunsNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, lockedSQL)
	exec(t, b.super, `create sequence public.ran; grant all on sequence public.ran to public; create policy u on public.t for insert to anon with check (a = 'x')`)
	for _, head := range []string{`policy q on public.t: permissive for select to anon, authenticated using `, `policy u on public.t: permissive for insert to anon with check `} {
		for _, expression := range []string{
			`true); select nextval('public.ran'); --`, `true); select nextval('public.ran'); select (true`, `true) ; do $$ begin perform nextval('public.ran'); end $$; --`,
			`true\n); select nextval('public.ran'); --`, `(select nextval('public.ran') > 0)`,
		} {
			locked := strings.ReplaceAll(lock(t, b.super), head, head+expression+" -- ")
			if got := drift(t, b.super, locked); !strings.Contains(got, "- "+head+expression) {
				t.Errorf("%s: no drift:\n%s", expression, got)
			}
			if one[bool](t, b.super, `select is_called from public.ran`) {
				t.Fatalf("%s%s was run", head, expression)
			}
		}
	}
}

// 500 tables with three policies each within a second; the bound leaves room for a busy machine.
func TestPolicyLockOnManyTables(t *testing.T) {
	t.Parallel()
	if !long() {
		t.Skip("FLUXBASE_TEST_LONG is not set")
	}
	b := newBed(t)
	exec(t, b.owner, `do $$ begin for i in 1..500 loop
		execute format('create table public.t%s (id bigint primary key, user_id uuid)', i);
		perform auth.protect(format('public.t%s', i)::regclass, 'public_read'); end loop; end $$`)
	start := time.Now()
	locked := lock(t, b.super)
	took := time.Since(start)
	start = time.Now()
	if got := drift(t, b.super, locked); got != "" {
		t.Errorf("drift: %s", got)
	}
	t.Logf("%d lines in %s, drift in %s", strings.Count(locked, "\n"), took, time.Since(start))
	if took > 3*time.Second {
		t.Errorf("auth.policy_lock() took %s", took)
	}
}
