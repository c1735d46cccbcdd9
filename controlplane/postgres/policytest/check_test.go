package policytest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// defect is what one lint must find: SQL that makes it, and findings "object: evidence" that contain these texts.
type defect struct {
	seed  string
	finds []string
	// sound is the nearest thing that is right; with it the lint is silent.
	sound string
}

const tableSQL = `create table public.t (id bigint generated always as identity primary key, user_id uuid references auth.users, org_id uuid, a text);
	create index on public.t (user_id); create index on public.t (org_id); `
const closedSQL = tableSQL + `select auth.enable_rls('public.t'); grant select, insert, update, delete on public.t to authenticated; `

const tenantSQL = `insert into auth.organizations (id, slug, name) values ('aaaaaaaa-0000-4000-8000-000000000001', 'acme', 'x'); create schema acme;
	insert into auth.tenant_schemas (schema_name, org_id, template) values ('acme', 'aaaaaaaa-0000-4000-8000-000000000001', 'template');
	create table acme.made (id bigint primary key); select auth.enable_rls('acme.made'); grant usage on schema acme to authenticated; grant select on acme.made to authenticated; `

var defects = map[string]defect{
	"rls_disabled": {tableSQL + `grant select on t to anon`, []string{`public.t: anon may use it`}, tableSQL},
	"rls_not_forced": {tableSQL + `grant insert (a) on t to authenticated; alter table t enable row level security`,
		[]string{`public.t: row security is on but not forced`}, closedSQL},
	"policies_without_rls": {tableSQL + `create policy p on t to authenticated using (a = 'x')`, []string{`public.t: 1 policies`}, closedSQL + `create policy p on t to authenticated using (a = 'x')`},
	"rls_without_policy":   {closedSQL, []string{`public.t: authenticated may use it`}, closedSQL + `create policy p on t for select to authenticated using (true)`},
	"policy_without_roles": {closedSQL + `create policy p on t using (a = 'x')`, []string{`policy p on public.t`}, closedSQL + `create policy p on t to authenticated using (a = 'x')`},
	"policy_true_for_writes": {closedSQL + `create policy p on t for delete to authenticated using (true); create policy q on t for update to anon using (a = 'x') with check (true); create policy r on t using (true)`,
		[]string{`policy p on public.t: the rule for old rows is true for delete`, `policy q on public.t: the rule for new rows is true for update`, `policy r on public.t: the rule for new rows is true for all commands`},
		closedSQL + `create policy p on t for select to authenticated using (true); create policy q on t as restrictive for all to authenticated using (true)`},
	"policy_identity_per_row": {closedSQL + `create policy p on t to authenticated using (user_id = auth.uid()); create policy q on t to authenticated using (org_id in (select m.org_id from public.t m where m.user_id = auth.current_user_id()));
		create policy r on t to authenticated using (a = auth.jwt() ->> 'x' and auth.has_permission('a.b'))`,
		[]string{`policy p on public.t: auth.uid()`, `policy q on public.t: auth.current_user_id()`, `policy r on public.t: auth.has_permission(), auth.jwt()`},
		closedSQL + `create policy p on t to authenticated using (user_id = (select auth.uid()) and a = 'auth.uid()' and a = ((select auth.jwt()) ->> 'x') and (select auth.has_permission('y (z')) and auth.has_org_role(org_id, 'owner'))`},
	"policy_constant_or": {closedSQL + `create policy p on t to authenticated using (user_id = (select auth.uid()) or (select auth.is_admin())); create policy q on t to authenticated using (a = 'x' and (user_id is null or auth.role() = 'x'));
		create policy r on t to authenticated using (user_id = (select auth.uid()) or (select auth.jwt() -> 'app_metadata' ->> 'admin') = 'yes')`,
		[]string{`policy p on public.t: OR`, `policy q on public.t: OR`, `policy r on public.t: OR`},
		closedSQL + `create policy p on t to authenticated using (user_id = (select auth.uid()) or a = 'x or y' or org_id is null); create policy q on t as restrictive to authenticated using (a = 'x' or (select auth.is_admin()))`},
	"policy_column_not_indexed": {closedSQL + `alter table t add "Team Id" uuid; create policy p on t to authenticated using ("Team Id" = any (array(select unnest(auth.org_ids()))))`,
		[]string{`public.t: policy p on public.t compares "Team Id"`}, closedSQL + `create policy p on t to authenticated using (org_id = any ((select auth.org_ids())::uuid[]) or id = any (array(select 1::bigint)))`},
	"policy_recursive": {closedSQL + `create table public.u (id bigint, t_id bigint); select auth.enable_rls('public.u');
		create policy p on t for select to authenticated using (id in (select u.t_id from u)); create policy q on u for select to authenticated using (t_id in (select t.id from t)); create policy s on t for insert to authenticated with check (exists (select from t t2 where t2.id = t.id))`,
		[]string{`policy p on public.t: it reads public.u`, `policy q on public.u: it reads public.t`, `policy s on public.t: it reads public.t`},
		closedSQL + `create table public.u (id bigint, t_id bigint); select auth.enable_rls('public.u');
		create policy p on t for select to authenticated using (id in (select u.t_id from u)); create policy q on u for select to authenticated using (t_id > 0); create policy r on u for select to service_role using (t_id in (select t.id from t))`},
	"view_not_invoker": {closedSQL + `create view v as select * from t; grant select on v to anon`, []string{`public.v: anon may use it`},
		closedSQL + `create view v with (security_invoker = on) as select * from t; grant select on v to anon; create view w as select 1 as one`},
	"relation_without_rls": {closedSQL + `create materialized view m as select * from t; grant select on m to authenticated`, []string{`public.m: authenticated may use this materialized view`}, closedSQL + `create materialized view m as select * from t`},
	"grant_beyond_rows":    {closedSQL + `grant truncate, trigger on t to authenticated; grant references on t to public`, []string{`public.t: REFERENCES to public, TRIGGER to authenticated, TRUNCATE to authenticated`}, closedSQL},
	"partition_grant": {`create table public.t (id int) partition by list (id); create table public.t1 partition of public.t default; grant select on t1 to anon`, []string{`public.t1: anon`},
		`create table public.t (id int) partition by list (id); create table public.t1 partition of public.t default; grant select on t to anon`},
	"role_bypasses_rls": {`alter role fluxbase_api bypassrls; alter role anon superuser; grant service_role to authenticated; create table public.mine (); alter table public.mine owner to fluxbase_server; grant anon to service_role`,
		[]string{`role fluxbase_api: it is a superuser`, `role fluxbase_api: it may become anon`, `role anon: it is a superuser`, `role authenticated: it may become `, `role fluxbase_server: it owns public.mine`}, tableSQL},
	"definer_search_path": {`create function public.f() returns int language sql security definer return 1;
		create function public.g() returns int language sql security definer as 'select 1';
		create function public.h() returns int language sql security definer set search_path = '' as 'select 1';
		create function public.i() returns int language sql security definer set search_path = pg_temp, pg_catalog as 'select 1';
		create schema open; grant create on schema open to anon; grant usage on schema open to anon;
		create function public.j(a int, b text) returns int language sql security definer set search_path = open, pg_temp as 'select 1'`,
		[]string{`function public.g(): it takes the search_path of its caller`, `function public.h(): pg_temp is not last`, `function public.i(): pg_temp is not last`, `function public.j(a integer, b text): anon may create objects in schema open`},
		`create function public.g() returns int language sql as 'select 1'; create function public.h() returns int language sql security definer set search_path = pg_catalog, public, pg_temp as 'select 1'`},
	"function_for_public": {`create function public.f() returns int language sql return 1; create function public.g() returns int language sql security definer return 1`,
		[]string{`function public.f(): everybody may execute it`, `function public.g(): everybody may execute it, and it runs with the rights of`},
		`create function public.f() returns int language sql return 1; revoke all on function public.f() from public; create schema closed; create function closed.f() returns int language sql return 1`},
	"default_grants": {`alter default privileges in schema public grant select, insert on tables to anon`, []string{`in schema public: every new table grants insert, select to anon`}, `alter default privileges grant select on tables to service_role`},
	"schema_create":  {`grant create on schema public to authenticated`, []string{`schema public: authenticated may create`}, `grant create on schema public to service_role`},
	"setting_without_nullif": {closedSQL + `create policy p on t to authenticated using (user_id = (select current_setting('app.user', true)::uuid)); create policy q on t to authenticated using (a = current_setting('app.a'))`,
		[]string{`policy p on public.t: it reads current_setting('app.user'::text, true)`, `policy q on public.t: it reads current_setting('app.a'::text)`},
		closedSQL + `create policy p on t to authenticated using (user_id = (select nullif(current_setting('app.user', true), '')::uuid))`},
	"policy_user_metadata": {closedSQL + `create policy p on t to authenticated using ((select auth.jwt() -> 'user_metadata' ->> 'role') = a)`, []string{`policy p on public.t`}, closedSQL + `create policy p on t to authenticated using ((select auth.jwt() -> 'app_metadata' ->> 'role') = a)`},
	"unique_without_tenant": {closedSQL + `alter table t add constraint t_a_key unique (a); create policy p on t to authenticated using (org_id = any ((select auth.org_ids())::uuid[]))`, []string{`index t_a_key on public.t: it is unique on (a)`},
		closedSQL + `alter table t add unique (org_id, a), add code uuid default gen_random_uuid() unique; create policy p on t to authenticated using (org_id = any ((select auth.org_ids())::uuid[]))`},
	"foreign_key_without_tenant": {closedSQL + `alter table t add parent bigint constraint t_parent_fk references t (id); create policy p on t to authenticated using (org_id = (select auth.current_org_id()))`, []string{`constraint t_parent_fk on public.t: it refers to public.t without org_id`},
		closedSQL + `alter table t add unique (org_id, id), add parent bigint, add foreign key (org_id, parent) references t (org_id, id); create policy p on t to authenticated using (org_id = (select auth.current_org_id()))`},
	"user_reference_without_key": {closedSQL + `alter table t add author uuid; create policy p on t to authenticated using (author = (select auth.uid()))`, []string{`public.t: author is compared`}, closedSQL + `create policy p on t to authenticated using (user_id = (select auth.uid()))`},
	"tenant_table_open": {tenantSQL + `create policy p on acme.made to authenticated using (true); create table acme.other (id bigint primary key); select auth.enable_rls('acme.other');
		grant select on acme.other to authenticated; create policy tenant_schema on acme.other as restrictive to authenticated using ((select auth.require_tenant(gen_random_uuid())))`,
		[]string{`acme.made: it is in the schema of a tenant`, `acme.other: it is in the schema of a tenant`},
		tenantSQL + `create policy p on acme.made to authenticated using (true); select auth.lock_tenant_schema('acme', 'aaaaaaaa-0000-4000-8000-000000000001')`},
	"context_not_verified": {`@sql/context/plain.sql`, []string{`function auth.verified_context_text()`}, `select`},
	// PostgreSQL itself grants it, so here the sound database is the changed one.
	"temporary_for_public": {`select`, []string{`database `}, `do $$ begin execute format('revoke temporary on database %I from public', current_database()); end $$`},
}

// demo makes a database with the tables of the demo application.
func demo(t *testing.T) *pgx.Conn {
	t.Helper()
	db := pgtest.Database(t)
	text, err := os.ReadFile("../../../testdata/demo/001_tables.sql")
	if err != nil {
		t.Fatal(err)
	}
	super := db.Conn(t, "superuser")
	// As the owner of an application: not a superuser.
	exec(t, super, `grant fluxbase_author to `+pgtest.Installer)
	exec(t, db.Conn(t, "installer"), string(text))
	return super
}

func TestCheckIsSilentOnSoundDatabases(t *testing.T) {
	t.Parallel()
	for name, conn := range map[string]*pgx.Conn{"clean": pgtest.Database(t).Conn(t, "superuser"), "demo": demo(t)} {
		if found := findings(t, conn, `select object || ': ' || code from auth.check('info') where code <> 'temporary_for_public'`); len(found) > 0 {
			t.Errorf("%s: %s", name, strings.Join(found, "\n"))
		}
	}
}

func findings(t *testing.T, conn *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	return lines(t, conn, sql, args...)
}

func TestLints(t *testing.T) {
	t.Parallel()
	conn := demo(t)
	codes := lines(t, conn, `select substr(viewname, 6) from pg_views where schemaname = 'auth' and viewname like 'lint\_%' and viewname not in ('lint_request_roles', 'lint_relations', 'lint_exposed') order by 1`)
	for code := range defects {
		if !slices.Contains(codes, code) {
			t.Errorf("there is no lint %s", code)
		}
	}
	for _, code := range codes {
		d, known := defects[code]
		if !known {
			t.Errorf("the lint %s has no test", code)
			continue
		}
		seed := d.seed
		if name, ok := strings.CutPrefix(seed, "@"); ok {
			text, err := fluxbase.Files.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			seed = string(text)
		}
		inTx(t, conn, func() {
			exec(t, conn, seed)
			exec(t, conn, `set local role fluxbase_admin; set local search_path = public, auth`)
			got := findings(t, conn, `select object || ': ' || evidence from auth.check('info') where code = $1`, code)
			for _, want := range d.finds {
				if !slices.ContainsFunc(got, func(f string) bool { return strings.HasPrefix(f, want) || strings.Contains(f, want) }) {
					t.Errorf("%s does not find %q, but %q", code, want, got)
				}
			}
			if len(got) != len(d.finds) {
				t.Errorf("%s finds %q", code, got)
			}
			if bad := lines(t, conn, `select f::text from auth.check('info') f where code is null or severity is null or object is null or evidence is null or fix is null
				or doc <> 'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/' || code || '.md'`); len(bad) > 0 {
				t.Errorf("%s: incomplete: %q", code, bad)
			}
		})
		inTx(t, conn, func() {
			exec(t, conn, d.sound)
			if got := findings(t, conn, `select object || ': ' || evidence from auth.check('info') where code = $1`, code); len(got) > 0 {
				t.Errorf("%s finds something in what is sound: %q", code, got)
			}
		})
		page := filepath.Join("../../../docs/policies", code+".md")
		if _, err := os.Stat(page); err != nil {
			t.Errorf("the lint %s has no page: %v", code, err)
		}
	}
}

// Templates of auth.protect() are sound in the eyes of auth.check().
func TestCheckAcceptsTemplates(t *testing.T) {
	t.Parallel()
	conn := demo(t)
	for template, options := range map[string]string{
		"owner": `, p_deleted_column => 'deleted_at', p_aal => 'aal2', p_scope => 'docs'`, "tenant": `, p_write_org_roles => '{owner}'`, "team": `, p_members => 'public.members'`,
		"public_read": `, p_published_column => 'published'`, "members_write": ``, "shared": ``,
	} {
		inTx(t, conn, func() {
			exec(t, conn, docsSQL+`; create table public.members (team_id integer, user_id uuid)`)
			exec(t, conn, `select auth.protect('public.docs', '`+template+`'`+options+`)`)
			if found := findings(t, conn, `select object || ': ' || evidence from auth.check()`); len(found) > 0 {
				t.Errorf("%s: %q", template, found)
			}
		})
	}
}

func TestCheckSeverityAndCallers(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	admin := db.Conn(t, "fluxbase_admin")
	refused(t, admin, "22023", "error, warning or info", `select auth.check('loud')`)
	refused(t, admin, "22023", "error, warning or info", `select auth.check(null)`)
	for _, who := range []string{"anon", "authenticated", "service_role", "fluxbase_api"} {
		refused(t, db.Conn(t, who), "42501", "permission denied", `select auth.check()`)
	}
	super := db.Conn(t, "superuser")
	exec(t, super, tableSQL+`grant all on t to anon; alter default privileges grant select on tables to anon`)
	if got := strings.Join(lines(t, super, `select distinct severity from auth.check('error')`), " "); got != "error" {
		t.Errorf("at error: %s", got)
	}
	if got := strings.Join(lines(t, super, `select severity from auth.check() group by severity order by 1`), " "); got != "error warning" {
		t.Errorf("at warning: %s", got)
	}
}

// A thousand tables in five seconds; the bound leaves room for a busy machine.
func TestCheckOnManyTables(t *testing.T) {
	t.Parallel()
	if !long() {
		t.Skip("FLUXBASE_TEST_LONG is not set")
	}
	b := newBed(t)
	for n := range 10 {
		exec(t, b.owner, fmt.Sprintf(`do $$ begin for i in 1..100 loop
			execute format('create table public.t%[1]d_%%s (id bigint generated always as identity primary key, user_id uuid, org_id uuid)', i);
			perform auth.protect(format('public.t%[1]d_%%s', i)::regclass, 'tenant', p_write_org_roles => '{owner}'); end loop; end $$`, n))
	}
	start := time.Now()
	findings(t, b.super, `select object from auth.check('info')`)
	took := time.Since(start)
	t.Logf("auth.check() on 1,000 tables: %s", took)
	if took > 15*time.Second {
		t.Errorf("auth.check() took %s", took)
	}
}

// inTx runs statements in a transaction that is rolled back.
func inTx(t *testing.T, conn *pgx.Conn, fn func()) {
	t.Helper()
	exec(t, conn, `begin`)
	fn()
	exec(t, conn, `rollback`)
}
