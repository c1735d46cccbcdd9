package sqltest

import (
	"io/fs"
	"testing"

	"github.com/jackc/tern/v2/migrate"

	"github.com/wayli-app/fluxbase"
	pginstall "github.com/wayli-app/fluxbase/controlplane/postgres/install"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// install runs the packages again, as the user who installed.
func install(t *testing.T, db *pgtest.DB) {
	t.Helper()
	if _, err := pginstall.Migrate(t.Context(), db.Conn(t, "installer"), fluxbase.Files, pginstall.Options{To: pginstall.Latest}); err != nil {
		t.Fatal(err)
	}
}

// Everything the catalog says of our objects; oids and transaction ids are left out.
const catalogSQL = `
with ours as (select n.oid from pg_namespace n where n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase'))
select 'function ' || p.oid::regprocedure || ' ' || md5(pg_get_functiondef(p.oid)) || ' ' || coalesce(p.proacl::text, '') || ' ' || coalesce(obj_description(p.oid, 'pg_proc'), '')
from pg_proc p where p.pronamespace in (select oid from ours) and p.prokind = 'f'
union all
select 'relation ' || c.oid::regclass || ' ' || c.oid || ' ' || c.relfilenode || ' ' || coalesce(c.relacl::text, '') || ' ' || coalesce(c.reloptions::text, '')
  || c.relrowsecurity || c.relforcerowsecurity || ' ' || coalesce(obj_description(c.oid, 'pg_class'), '')
  || case when c.relkind = 'v' then pg_get_viewdef(c.oid) else '' end
from pg_class c where c.relnamespace in (select oid from ours)
union all
select 'trigger ' || t.oid || pg_get_triggerdef(t.oid) || t.tgenabled::text from pg_trigger t join pg_class c on c.oid = t.tgrelid where c.relnamespace in (select oid from ours)
union all
select 'policy ' || p.oid || p.polname from pg_policy p
union all
select 'constraint ' || c.oid || pg_get_constraintdef(c.oid) from pg_constraint c where c.connamespace in (select oid from ours)
union all
select 'schema ' || n.nspname || coalesce(n.nspacl::text, '') from pg_namespace n where n.oid in (select oid from ours)
union all
select 'column ' || a.attrelid::regclass || '.' || a.attname || coalesce(a.attacl::text, '') from pg_attribute a where a.attacl is not null
union all
select 'setting ' || s::text from auth.settings s
union all
select 'audit ' || count(*) from audit.log
union all
select 'common passwords ' || count(*) from auth.common_passwords
order by 1`

func TestInstallingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	conn := db.Conn(t, "superuser")
	before := lines(t, conn, catalogSQL)
	if len(before) < 200 {
		t.Fatalf("only %d lines", len(before))
	}
	install(t, db)
	after := lines(t, conn, catalogSQL)
	if d := difference(join(before), join(after)); d != "" {
		t.Error(d)
	}
}

func TestPackagesRefuseAnotherOwner(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	for _, name := range pginstall.Packages {
		sub, err := fs.Sub(fluxbase.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		pkg, err := migrate.LoadCodePackage(sub)
		if err != nil {
			t.Fatal(err)
		}
		text, err := pkg.Eval(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, role := range []string{"superuser", "installer"} {
			refused(t, db.Conn(t, role), "42501", []string{"run this as fluxbase_owner", "role=fluxbase_owner"}, text)
		}
	}
}
