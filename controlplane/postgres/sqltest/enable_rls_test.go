package sqltest

import (
	"context"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

const shapeOfTable = `select concat_ws(' ', c.relrowsecurity, c.relforcerowsecurity,
	(select string_agg(concat_ws('/', p.polname, p.polroles::regrole[], p.polcmd, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)), ',') from pg_policy p where p.polrelid = c.oid))
	from pg_class c where c.oid = $1::text::regclass`

func TestEnableRLS(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	owner := db.Conn(t, "installer")
	exec(t, owner, `create table public.t (id int); insert into public.t values (1); create schema "Odd Schema"; create table "Odd Schema"."Odd ""Table" (id int)`)
	exec(t, owner, `grant all on public.t to anon, authenticated, service_role, public`)
	for range 2 {
		exec(t, owner, `select auth.enable_rls('public.t')`)
		exec(t, owner, `select auth.enable_rls('"Odd Schema"."Odd ""Table"')`)
	}
	const want = "t t service_role_all/{service_role}/*/true/true"
	for _, table := range []string{"public.t", `"Odd Schema"."Odd ""Table"`} {
		if got := one[string](t, owner, shapeOfTable, table); got != want {
			t.Errorf("%s: %s, want %s", table, got, want)
		}
	}
	for _, who := range []string{"anon", "authenticated"} {
		for _, right := range []string{"truncate", "trigger", "references"} {
			if one[bool](t, owner, `select has_table_privilege($1, 'public.t', $2)`, who, right) {
				t.Errorf("%s may %s", who, right)
			}
		}
		if !one[bool](t, owner, `select has_table_privilege($1, 'public.t', 'select')`, who) {
			t.Errorf("%s lost select", who)
		}
		if n := one[int](t, db.Conn(t, who), `select count(*)::int from public.t`); n != 0 {
			t.Errorf("%s sees %d rows", who, n)
		}
	}
	if n := one[int](t, db.Conn(t, "service_role"), `select count(*)::int from public.t`); n != 1 {
		t.Errorf("service_role sees %d rows", n)
	}
	if n := one[int](t, owner, `select count(*)::int from public.t`); n != 0 {
		t.Errorf("the owner sees %d rows: no FORCE", n)
	}
}

// An application that was there before keeps its grants and loses the rows: whoever closes the table is told.
func TestEnableRLSNamesOtherRoles(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	app, reader := "app_"+db.Name, "Reader_"+db.Name
	exec(t, super, `create role `+app+`; create role "`+reader+`"`)
	t.Cleanup(func() {
		if _, err := super.Exec(context.Background(), `drop owned by `+app+`, "`+reader+`"; drop role `+app+`, "`+reader+`"`); err != nil {
			t.Error(err)
		}
	})
	var said []string
	owner := listening(t, db, "installer", &said)
	exec(t, owner, `create table public.old (id int, user_id uuid); create table public.quiet (id int); grant select on public.quiet to authenticated;
		grant select, update on public.old to `+app+`, authenticated; grant select on public.old to "`+reader+`"`)
	exec(t, owner, `select auth.enable_rls('public.quiet')`)
	if len(said) != 0 {
		t.Errorf("without other roles: %q", said)
	}
	exec(t, owner, `select auth.enable_rls('public.old')`)
	if len(said) != 1 || !strings.Contains(said[0], `public.old`) || !strings.Contains(said[0], `"`+reader+`", `+app) || strings.Contains(said[0], "authenticated") || !strings.Contains(said[0], "p_maintenance_roles") {
		t.Errorf("said %q", said)
	}
	exec(t, owner, `alter table public.old disable row level security; create policy all_of_it on public.old to `+app+`, "`+reader+`" using (true)`)
	exec(t, owner, `select auth.enable_rls('public.old')`)
	exec(t, owner, `select auth.enable_rls('public.old')`)
	if len(said) != 1 {
		t.Errorf("with policies: %q", said)
	}
}

func TestEnableRLSReachesPartitions(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	owner := db.Conn(t, "installer")
	exec(t, owner, `create table public.p (id int) partition by range (id);
		create table public.p1 partition of public.p for values from (0) to (10) partition by range (id);
		create table public.p11 partition of public.p1 for values from (0) to (5);
		grant all on public.p, public.p1, public.p11 to authenticated;
		insert into public.p values (1);
		select auth.enable_rls('public.p');
		create policy p_all on public.p for select to authenticated using (true)`)
	conn := db.Conn(t, "authenticated")
	for table, want := range map[string]int{"p": 1, "p1": 0, "p11": 0} {
		if n := one[int](t, conn, `select count(*)::int from public.`+table); n != want {
			t.Errorf("%s: %d rows, want %d", table, n, want)
		}
		refused(t, conn, "42501", nil, `truncate public.`+table)
	}
	refused(t, owner, "42809", []string{"partition", "parent"}, `select auth.enable_rls('public.p11')`)
}

func TestEnableRLSReachesChildren(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	owner := db.Conn(t, "installer")
	exec(t, owner, `create table public.vehicles (id int, kind text);
		create table public.cars (doors int) inherits (public.vehicles);
		create table public.vans () inherits (public.cars);
		grant all on public.vehicles, public.cars, public.vans to authenticated, service_role;
		insert into public.vehicles values (1); insert into public.cars values (2); insert into public.vans values (3);
		select auth.enable_rls('public.vans');
		create policy vans_some on public.vans for select to authenticated using (id = 3);
		select auth.enable_rls('public.vehicles');
		create policy vehicles_all on public.vehicles for select to authenticated using (true)`)
	conn := db.Conn(t, "authenticated")
	for table, want := range map[string]int{"vehicles": 3, "cars": 0, "vans": 1} {
		if n := one[int](t, conn, `select count(*)::int from public.`+table); n != want {
			t.Errorf("%s: %d rows, want %d", table, n, want)
		}
		refused(t, conn, "42501", nil, `truncate only public.`+table)
	}
	if n := one[int](t, db.Conn(t, "service_role"), `select count(*)::int from public.cars`); n != 2 {
		t.Errorf("service_role sees %d cars", n)
	}
}

// A foreign table has no row security, so only grants can close it.
func TestEnableRLSClosesForeignPartitions(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	exec(t, super, `create foreign data wrapper nowhere; create server nowhere foreign data wrapper nowhere;
		create table public.p (id int) partition by range (id);
		create foreign table public.p1 partition of public.p for values from (0) to (10) server nowhere;
		create table public.c (id int);
		create foreign table public.c1 () inherits (public.c) server nowhere;
		grant all on public.p, public.p1, public.c, public.c1 to authenticated, service_role;
		select auth.enable_rls('public.p'), auth.enable_rls('public.c')`)
	for _, table := range []string{"p1", "c1"} {
		if one[bool](t, super, `select has_table_privilege('authenticated', 'public.' || $1, 'select, insert, update, delete')`, table) {
			t.Errorf("authenticated may use %s", table)
		}
		if !one[bool](t, super, `select has_table_privilege('service_role', 'public.' || $1, 'select')`, table) {
			t.Errorf("service_role lost %s", table)
		}
	}
	if !one[bool](t, super, `select has_table_privilege('authenticated', 'public.p', 'select')`) {
		t.Error("authenticated lost select on the parent")
	}
	refused(t, super, "42809", []string{"tables alone"}, `select auth.enable_rls('public.c1')`)
}

func TestEnableRLSRefuses(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	owner := db.Conn(t, "installer")
	exec(t, owner, `create table public.t (id int); create view public.v as select 1 as one`)
	refused(t, owner, "42809", []string{"security_invoker"}, `select auth.enable_rls('public.v')`)
	refused(t, owner, "42P01", nil, `select auth.enable_rls(null)`)
	super := db.Conn(t, "superuser")
	for _, table := range strings.Fields("auth.users audit.log fluxbase.packages pg_catalog.pg_class information_schema.sql_features") {
		refused(t, super, "42501", []string{"no table of the application"}, `select auth.enable_rls($1::text::regclass)`, table)
	}
	exec(t, super, `create temporary table tmp (id int)`)
	refused(t, super, "42501", nil, `select auth.enable_rls('tmp')`)
	// It gives nobody a right: who does not own the table is refused by PostgreSQL.
	for _, who := range []string{"anon", "authenticated", "service_role", "fluxbase_author", "fluxbase_admin", "fluxbase_api"} {
		refused(t, db.Conn(t, who), "42501", []string{"must be owner"}, `select auth.enable_rls('public.t')`)
	}
}
