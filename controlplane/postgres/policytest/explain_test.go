package policytest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// dba is a session as the documentation tells: a login without rights of its own that became fluxbase_admin.
func (b *bed) dba(t *testing.T) *pgx.Conn {
	t.Helper()
	name := "policytest_dba_" + strings.TrimPrefix(b.db.Name, "fluxbase_test_")
	exec(t, b.super, `create role `+name+` noinherit; grant fluxbase_admin to `+name)
	t.Cleanup(func() { exec2(t, b, `drop role `+name) })
	conn := b.db.Conn(t, "superuser")
	exec(t, conn, `set session authorization `+name)
	exec(t, conn, `set role fluxbase_admin`)
	return conn
}

// verdict is the last line of a report: result and reason.
func verdict(t *testing.T, conn *pgx.Conn, arguments string) string {
	t.Helper()
	return one[string](t, conn, `select result || ': ' || detail from auth.explain_access(`+arguments+`) order by step desc limit 1`)
}

func TestExplainAccessVerdicts(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	dba := b.dba(t)
	exec(t, b.owner, docsSQL+`; create domain public.colour as text default 'red'; alter table docs add colour public.colour;
		create view public.docs_view with (security_invoker = true) as select * from docs; grant select on docs_view to authenticated;
		create table public.logged (id int primary key, a int); select auth.enable_rls('public.logged'); grant all on public.logged to authenticated;
		create policy p on public.logged to authenticated using (a > 1);
		create function public.nothing() returns trigger language plpgsql as 'begin return new; end';
		create trigger t before insert or update on public.logged for each row execute function public.nothing();
		create table public.parts (id int, a int) partition by list (id); create table public.parts1 partition of public.parts default;
		select auth.enable_rls('public.parts'); grant all on public.parts to authenticated; create policy p on public.parts to authenticated using (a > 1)`)
	exec(t, b.owner, `select auth.protect('public.docs', 'owner')`)
	exec(t, b.owner, `create policy hide on public.docs as restrictive for select to authenticated using (deleted_at is null)`)
	exec(t, b.super, `insert into docs (user_id, title) values ($1, 'hers')`, b.users[0][0])
	exec(t, b.super, `create foreign data wrapper nowhere; create server nowhere foreign data wrapper nowhere;
		create foreign table public.far (id int) server nowhere; create materialized view public.summary as select 1 as one;
		grant select, delete on public.far, public.summary to authenticated; create table public.hidden (id int primary key, a int); grant select on public.hidden to authenticated`)
	for arguments, want := range map[string]string{
		`'u0.0@example.com', 'docs', 'select', '{"id": 1}'`:                                                  `allowed: every phase is open`,
		`'u0.1@example.com', 'docs', 'select', '{"id": 1}'`:                                                  `denied: read: no permissive policy is true, the row is left out`,
		`null, 'docs', 'select', '{"id": 1}'`:                                                                `denied: anon has no grant: select`,
		`null, 'docs', 'select', '{"id": 1}', p_role => 'service_role'`:                                      `allowed: every phase is open`,
		`'u0.0@example.com', 'docs', 'insert', '{"title": "x"}'`:                                             `allowed: every phase is open`,
		`'u0.0@example.com', 'docs', 'insert', '{"user_id": null}'`:                                          `denied: new row: no permissive policy is true, the statement is refused`,
		`'u0.0@example.com', 'docs', 'insert', '{"deleted_at": "2020-01-01"}'`:                               `allowed: every phase is open`,
		`'u0.0@example.com', 'docs', 'insert', '{"deleted_at": "2020-01-01"}', p_returning => true`:          `denied: new row is read: stopped by hide, the statement is refused`,
		`'u0.0@example.com', 'docs', 'update', '{"id": 1}', '{"title": "x"}'`:                                `allowed: every phase is open`,
		`'u0.0@example.com', 'docs', 'update', '{"id": 1}', '{"deleted_at": "2020-01-01"}'`:                  `denied: changed row is read: stopped by hide, the statement is refused`,
		`'u0.0@example.com', 'docs', 'update', '{"id": 1}', '{"deleted_at": "2020-01-01"}', false`:           `allowed: every phase is open`,
		`'u0.0@example.com', 'docs', 'update', '{"id": 1}', '{"user_id": "` + b.users[0][1].String() + `"}'`: `denied: changed row: no permissive policy is true, the statement is refused`,
		`'u0.1@example.com', 'docs', 'upsert', '{"id": 1}', '{"id": 1, "title": "x"}'`:                       `denied: conflicting row: no permissive policy is true, the statement is refused`,
		`'u0.1@example.com', 'docs', 'select'`:                                                               `unknown: protect_owner: the row is not given; hide: the row is not given`,
		`'u0.0@example.com', 'docs', 'update', '{"id": 1}'`:                                                  `unknown: protect_owner: p_new, the values to write, is not given`,
		`'u0.0@example.com', 'public.far', 'select'`:                                                         `unknown: it is a foreign table: its server decides`,
		`'u0.0@example.com', 'public.summary', 'select'`:                                                     `allowed: it has no row security`,
		`'u0.0@example.com', 'public.summary', 'delete'`:                                                     `denied: a materialized view is only read`,
		`'u0.1@example.com', 'docs_view', 'select', '{"id": 1}'`:                                             `unknown: it is a view: ask for the tables that it reads, public.docs`,
		`'u0.1@example.com', 'docs_view', 'insert', '{"id": 1}'`:                                             `denied: authenticated has no grant: insert on the columns id`,
		`'u0.0@example.com', 'logged', 'insert', '{"id": 1, "a": 2}'`:                                        `unknown: a BEFORE trigger may change or drop the row`,
		`'u0.0@example.com', 'logged', 'insert', '{"id": 1, "a": 1}'`:                                        `unknown: a BEFORE trigger may change or drop the row`,
		`'u0.0@example.com', 'logged', 'update', '{"id": 1, "a": 1}', '{"a": 2}'`:                            `denied: read: no permissive policy is true, the row is left out`,
		`'u0.0@example.com', 'logged', 'delete', '{"id": 1, "a": 2}'`:                                        `allowed: every phase is open`,
		`'u0.0@example.com', 'parts', 'insert', '{"id": 1, "a": 2}'`:                                         `allowed: every phase is open`,
		`'u0.0@example.com', 'parts1', 'insert', '{"id": 1, "a": 2}'`:                                        `denied: authenticated has no grant: insert on the columns a, id`,
		`null, 'auth.users', 'select', p_role => 'service_role'`:                                             `denied: service_role has no grant: select on the columns`,
	} {
		arguments = strings.Replace(arguments, "'docs", "'public.docs", 1)
		for _, table := range []string{"logged", "parts1", "parts"} {
			arguments = strings.Replace(arguments, "'"+table+"'", "'public."+table+"'", 1)
		}
		if got := verdict(t, dba, arguments); !strings.HasPrefix(got, want) {
			t.Errorf("%s\n got  %s\n want %s", arguments, got, want)
		}
	}
	exec(t, b.super, `create policy coloured on public.docs as restrictive for insert to authenticated with check (colour = 'red' and id > 0)`)
	if got := verdict(t, dba, `'u0.0@example.com', 'public.docs', 'insert', '{"title": "x"}'`); got != `unknown: coloured: not known: id, colour` {
		t.Errorf("with defaults that cannot be known: %s", got)
	}
	exec(t, b.super, `drop policy coloured on public.docs`)
	// A function without a search_path of its own finds what it finds in a request.
	exec(t, b.super, `create function public.looks_around(p bigint) returns boolean language plpgsql stable as 'begin return exists (select from parts) or p > 0; end';
		create policy around on public.docs as restrictive for select to authenticated using (public.looks_around(id))`)
	if got := verdict(t, dba, `'u0.0@example.com', 'public.docs', 'select', '{"id": 1}'`); got != `allowed: every phase is open` {
		t.Errorf("without search_path: %s", got)
	}
	exec(t, b.super, `drop policy around on public.docs`)
	// A function that the user may not execute, and a policy that recurses, end every query; the line says which policy it is.
	exec(t, b.super, `create function public.secret() returns boolean language plpgsql as 'begin return true; end'; revoke all on function public.secret() from public;
		create policy secret on public.docs for select to authenticated using (public.secret())`)
	if got := verdict(t, dba, `'u0.0@example.com', 'public.docs', 'select', '{"id": 1}'`); !strings.Contains(got, "denied: read") || !strings.Contains(got, "permission denied for function secret (42501)") {
		t.Errorf("without EXECUTE: %s", got)
	}
	exec(t, b.super, `drop policy secret on public.docs; create policy circle on public.docs for select to authenticated using (id in (select d.id from public.docs d))`)
	if got := verdict(t, dba, `'u0.0@example.com', 'public.docs', 'select', '{"id": 1}'`); !strings.Contains(got, "denied: read") || !strings.Contains(got, "42P17") {
		t.Errorf("recursion: %s", got)
	}
	for _, c := range []struct{ code, text, arguments string }{
		{"P0002", "no row with this key", `'u0.0@example.com', 'public.docs', 'select', '{"id": 77}'`},
		{"42501", "to_jsonb", `'u0.0@example.com', 'public.hidden', 'select', '{"id": 1}'`},
		{"P0002", "", `'nobody@example.com', 'public.docs', 'select', '{"id": 1}'`},
		{"42703", "no column", `'u0.0@example.com', 'public.docs', 'select', '{"idd": 1}'`},
		{"22023", "command", `'u0.0@example.com', 'public.docs', 'truncate', '{"id": 1}'`},
		{"22023", "JSON object", `'u0.0@example.com', 'public.docs', 'select', '[1]'`},
		{"42P01", "", `'u0.0@example.com', null, 'select'`},
	} {
		refused(t, dba, c.code, c.text, `select auth.explain_access(`+c.arguments+`)`)
	}
	for _, who := range []string{"anon", "authenticated", "service_role", "fluxbase_api", "fluxbase_server"} {
		refused(t, b.db.Conn(t, who), "42501", "permission denied", `select auth.explain_access(null, 'public.docs', 'select')`)
	}
}

func TestExplainAccessLeavesNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	dba := b.dba(t)
	exec(t, b.owner, docsSQL+`; create table public.effects (n int);
		create function public.writes(id bigint) returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
		  as $$ begin insert into public.effects values (1); perform set_config('app.left', 'yes', false); return id > 0; end $$;
		create function public.fires() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp
		  as $$ begin insert into public.effects values (2); return null; end $$;
		create trigger fires after insert or update or delete on docs for each row execute function public.fires()`)
	exec(t, b.owner, `select auth.protect('public.docs', 'owner'); create policy effect on public.docs as restrictive to authenticated using (public.writes(id))`)
	exec(t, b.super, `set session_replication_role = replica; insert into docs (user_id) values ('`+b.users[0][0].String()+`'); set session_replication_role = origin`)
	state := func() string {
		return one[string](t, b.super, `select concat_ws(' ', (select count(*) from effects), (select string_agg(xmin::text || xmax::text || ctid::text, ',') from docs))`)
	}
	before := state()
	for _, command := range []string{"select", "select for update", "insert", "update", "delete", "upsert"} {
		if got := verdict(t, dba, fmt.Sprintf(`'u0.0@example.com', 'public.docs', '%s', '{"id": 1}', '{"id": 1, "title": "x"}'`, command)); !strings.HasPrefix(got, "allowed") {
			t.Errorf("%s: %s", command, got)
		}
	}
	if got := one[string](t, dba, `select concat_ws(',', current_user, current_setting('role'), nullif(current_setting('fluxbase.context', true), ''), nullif(current_setting('request.jwt.claims', true), ''), nullif(current_setting('app.left', true), ''))`); got != "fluxbase_admin,fluxbase_admin" {
		t.Errorf("left behind: %s", got)
	}
	if after := state(); after != before {
		t.Errorf("before %s, after %s", before, after)
	}
	// Each user whose eyes it took is in the audit log.
	if n := one[int](t, b.super, `select count(*)::int from audit.log where action = 'context.signed' and subject_id = $1`, b.users[0][0]); n != 6 {
		t.Errorf("%d audited calls", n)
	}
	if verdict(t, dba, `'u0.0@example.com', 'public.docs', 'select', '{"id": 1}'`); one[int](t, b.super, `select count(*)::int from audit.log where action = 'context.signed' and details ->> 'role' = 'service_role'`) == 0 {
		t.Error("a row was read as service_role, and the audit log does not say so")
	}
	exec(t, b.super, `create function public.wrapped() returns setof text language plpgsql security definer as $$ begin return query select result from auth.explain_access('u0.0@example.com', 'public.docs', 'select', '{"id": 1}'); end $$`)
	refused(t, b.super, "42501", "role", `select public.wrapped()`)
}

func TestExplainAccessIsQuick(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	dba := b.dba(t)
	exec(t, b.owner, docsSQL)
	exec(t, b.owner, `select auth.protect('public.docs', 'owner')`)
	for i := range 9 {
		exec(t, b.owner, fmt.Sprintf(`create policy p%d on docs for select to authenticated using (user_id = (select auth.uid()) and title <> '%[1]d')`, i))
	}
	best := time.Hour
	for range 10 {
		start := time.Now()
		verdict(t, dba, `'u0.0@example.com', 'public.docs', 'select', '{"id": 1, "user_id": null, "title": "x"}'`)
		best = min(best, time.Since(start))
	}
	t.Logf("11 policies: %s", best)
	if best > 50*time.Millisecond {
		t.Errorf("a table with ten policies takes %s", best)
	}
}

func TestWhoCan(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	dba := b.dba(t)
	exec(t, b.owner, docsSQL)
	exec(t, b.owner, `select auth.protect('public.docs', 'tenant')`)
	exec(t, b.super, `insert into docs (org_id) values ($1)`, b.orgs[1])
	const who = `select string_agg(who, ' ' order by who) from auth.who_can('public.docs', `
	for command, want := range map[string]string{
		`'select', '{"id": 1}')`: "a service key u1.0@example.com u1.1@example.com u1.2@example.com",
		`'delete', '{"id": 1}')`: "a service key u1.0@example.com u1.1@example.com u1.2@example.com",
		`'update', '{"id": 1}', '{"org_id": "` + b.orgs[0].String() + `"}')`: "a service key",
	} {
		if got := one[string](t, dba, who+command); got != want {
			t.Errorf("%s: %s, want %s", command, got, want)
		}
	}
}

// A row is found by its key where other columns know no null, and a caller without grants is denied although nobody may read it.
func TestExplainAccessFindsTheRow(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	dba := b.dba(t)
	exec(t, b.owner, `create domain public.owner_id as uuid check (value is not null); create domain public.nr as integer check (value > 0);
		create table public.strict (nr public.nr, part char(3), user_id public.owner_id not null, title text, primary key (nr, part));
		create table public.parts (id integer primary key, user_id uuid) partition by list (id); create table public.parts1 partition of public.parts default`)
	exec(t, b.owner, `select auth.protect('public.strict', 'owner', p_user_column => 'user_id')`)
	exec(t, b.owner, `select auth.protect('public.parts', 'owner')`)
	exec(t, b.super, `insert into strict values (1, 'ab', $1)`, b.users[0][0])
	exec(t, b.super, `insert into parts values (1, $1)`, b.users[0][0])
	for arguments, want := range map[string]string{
		`'u0.0@example.com', 'strict', 'select', '{"nr": 1, "part": "ab"}'`: "allowed: every phase is open",
		`'u0.1@example.com', 'strict', 'select', '{"nr": 1, "part": "ab"}'`: "denied: read: no permissive policy is true",
		`'u0.0@example.com', 'parts', 'select', '{"id": 1}'`:                "allowed: every phase is open",
		`'u0.0@example.com', 'parts1', 'select', '{"id": 1}'`:               "denied: authenticated has no grant: select on the columns id, user_id",
	} {
		if got := verdict(t, dba, arguments); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", arguments, got, want)
		}
	}
	const who = `select coalesce(string_agg(who, ' ' order by who), '') from auth.who_can(`
	if got := one[string](t, dba, who+`'strict', 'delete', '{"nr": 1, "part": "ab"}')`); got != "a service key u0.0@example.com" {
		t.Errorf("who can: %s", got)
	}
	if got := one[string](t, dba, who+`'parts1', 'select', '{"id": 1}')`); got != "" {
		t.Errorf("who can read a partition without grants: %s", got)
	}
	exec(t, b.owner, `grant select on parts1 to authenticated`)
	for _, call := range []string{`auth.explain_access('u0.0@example.com', 'parts1', 'select', '{"id": 1}')`, `auth.who_can('parts1', 'select', '{"id": 1}')`} {
		refused(t, dba, "42501", "the row is not found by its key", `select * from `+call)
	}
}

// A user of two organizations is asked about as active in one, in the other, in none; nobody is active where she is no member.
func TestExplainInAnOrganization(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	dba := b.dba(t)
	exec(t, b.owner, docsSQL)
	exec(t, b.owner, `select auth.protect('public.docs', 'tenant', p_active_org => true)`)
	exec(t, b.super, `insert into docs (org_id) values ($1)`, b.orgs[1])
	exec(t, b.super, `insert into auth.memberships (org_id, user_id, role) values ($1, $2, 'member')`, b.orgs[1], b.users[0][1])
	for _, c := range []struct{ user, org, want string }{
		{`'u0.1@example.com'`, `'org1'`, "allowed"},
		{`'u0.1@example.com'`, `'` + b.orgs[1].String() + `'`, "allowed"},
		{`'u0.1@example.com'`, `'org0'`, "denied"},
		{`'u0.1@example.com'`, `''`, "denied"},
		{`'u0.1@example.com'`, `null`, "denied"}, // two are not the only one
		{`'u1.1@example.com'`, `null`, "allowed"},
		{`'u1.1@example.com'`, `'org1'`, "allowed"},
		{`'u1.1@example.com'`, `''`, "denied"},
		{`null`, `''`, "denied"},
	} {
		if got, _, _ := strings.Cut(verdict(t, dba, c.user+`, 'public.docs', 'select', '{"id": 1}', p_org => `+c.org), ":"); got != c.want {
			t.Errorf("%s in %s: %s, want %s", c.user, c.org, got, c.want)
		}
	}
	for _, c := range []struct{ code, text, user, org string }{
		{"P0002", "organization org1 is none of the user", `'u0.2@example.com'`, `'org1'`},
		{"P0002", "organization 'nowhere' does not exist", `'u0.2@example.com'`, `'nowhere'`},
		{"22023", "without being a user", `null`, `'org1'`},
	} {
		refused(t, dba, c.code, c.text, `select auth.explain_access(`+c.user+`, 'public.docs', 'select', '{"id": 1}', p_org => `+c.org+`)`)
		refused(t, dba, c.code, c.text, `select auth.explain_as(`+c.user+`, 'select * from public.docs', p_org => `+c.org+`)`)
	}
	if n := one[int](t, b.super, `select count(*)::int from audit.log where action = 'context.signed' and subject_id = $1 and details ->> 'org_id' = $2`,
		b.users[0][1], b.orgs[1].String()); n != 2 {
		t.Errorf("%d audited calls name the organization", n)
	}

	const who = `select coalesce(string_agg(who, ' ' order by who), '') from auth.who_can('public.docs', 'select', '{"id": 1}', p_org => `
	for org, want := range map[string]string{
		`null`:   "a service key u1.0@example.com u1.1@example.com u1.2@example.com",
		`'org1'`: "a service key u0.1@example.com u1.0@example.com u1.1@example.com u1.2@example.com",
		`'org0'`: "a service key u1.0@example.com u1.1@example.com u1.2@example.com",
		`''`:     "a service key",
	} {
		if got := one[string](t, dba, who+org+`)`); got != want {
			t.Errorf("in %s: %s, want %s", org, got, want)
		}
	}
	refused(t, dba, "P0002", "does not exist", who+`'nowhere')`)

	for org, want := range map[string]string{`'org1'`: "rows=1", `'org0'`: "rows=0"} {
		plan := strings.Join(lines(t, dba, `select auth.explain_as('u0.1@example.com', 'select * from public.docs where id > 0', p_analyze => true, p_org => `+org+`)`), "\n")
		plan, _, _ = strings.Cut(plan, "InitPlan")
		if _, actual, _ := strings.Cut(plan, "(actual"); !strings.Contains(strings.Replace(actual, ".00", "", 1), want+" ") { // PostgreSQL 18 writes rows=1.00
			t.Errorf("in %s, want %s:\n%s", org, want, plan)
		}
	}
}

// What the planner folds away is not called, and no right to call it is missing: in a condition "f() and null" is false.
func TestExplainFoldsLikeThePlanner(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.super, `create function public.not_for_requests() returns boolean language sql return true;
		revoke all on function public.not_for_requests() from public;
		create table public.folded (id bigint primary key);
		insert into public.folded values (1);
		alter table public.folded enable row level security;
		grant select on public.folded to authenticated;
		create policy everything on public.folded for select to authenticated using (id > 0);
		create policy never on public.folded for select to authenticated using (public.not_for_requests() and null::boolean)`)
	verdict := func() string {
		return one[string](t, b.super, `select result from auth.explain_access($1, 'public.folded', 'select', '{"id": 1}') where kind = 'verdict'`, b.users[0][0].String())
	}
	if got := verdict(); got != "allowed" {
		t.Errorf("folded: %s", got)
	}
	exec(t, b.super, `alter policy never on public.folded using (public.not_for_requests() and id < 10)`)
	if got := verdict(); got != "denied" {
		t.Errorf("not folded: %s", got)
	}
}

func TestExplainAs(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	dba := b.dba(t)
	exec(t, b.owner, docsSQL)
	exec(t, b.owner, `select auth.protect('public.docs', 'owner', p_indexes => false)`)
	exec(t, b.super, `insert into docs (user_id) select gen_random_uuid() from generate_series(1, 2000); analyze docs`)
	plan := strings.Join(lines(t, dba, `select auth.explain_as('u0.0@example.com', 'select * from public.docs where id = 7')`), "\n")
	for _, part := range []string{"-- as u0.0@example.com, authenticated", "InitPlan", "-- as service_role, without row security", "-- factor: 1."} {
		if !strings.Contains(plan, part) {
			t.Errorf("no %q in\n%s", part, plan)
		}
	}
	plan = strings.Join(lines(t, dba, `select auth.explain_as(null, 'select * from public.docs')`), "\n")
	if !strings.Contains(plan, "permission denied for table docs (42501)") || !strings.Contains(plan, "no factor") {
		t.Errorf("as anon:\n%s", plan)
	}
	lines(t, dba, `select auth.explain_as('u0.0@example.com', 'delete from public.docs', p_analyze => true)`)
	if n := one[int](t, b.super, `select count(*)::int from docs`); n != 2000 {
		t.Errorf("%d rows are left", n)
	}
	if got := one[string](t, dba, `select current_user::text`); got != "fluxbase_admin" {
		t.Errorf("left behind: %s", got)
	}
	for query, sqlstate := range map[string]string{`drop table docs`: "42601", `select 1; select 2`: "42P11", `select $1`: "42P02", `selct`: "42601"} {
		refused(t, dba, sqlstate, "the query has no plan", `select auth.explain_as('u0.0@example.com', $1)`, query)
	}
	refused(t, dba, "22004", "the query has no plan", `select auth.explain_as('u0.0@example.com', null)`)
	for _, who := range []string{"authenticated", "fluxbase_api"} {
		refused(t, b.db.Conn(t, who), "42501", "permission denied", `select auth.explain_as(null, 'select 1')`)
	}
}
