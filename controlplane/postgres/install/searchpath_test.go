package install_test

import (
	"testing"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// What somebody made in public takes no part in an installation, however well it fits: bodies and views that are bound
// would keep it for good, and it would run with the rights of whoever calls them.
func TestMigrateIgnoresTheSearchPath(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	exec1(t, super, `
		create function public.jsonb_build_object(text, text, text, integer, text, text, text, text) returns jsonb language sql immutable as 'select ''{"spied": true}''::jsonb';
		create function public.spied(text, name) returns text language sql immutable as 'select ''spied''::text';
		create operator public.|| (leftarg = text, rightarg = name, function = public.spied);
		create function public.spied(oid, integer) returns boolean language plpgsql as $$ begin raise 'spied'; end $$;
		create operator public.= (leftarg = oid, rightarg = integer, function = public.spied)`)
	migrate(t, db.Conn(t, "installer"))
	var bound []string
	if err := super.QueryRow(t.Context(), `
		select array(
			select distinct pg_describe_object(d.classid, d.objid, 0) || ' on ' || pg_describe_object(d.refclassid, d.refobjid, 0)
			from pg_depend d
			left join pg_proc p on d.refclassid = 'pg_proc'::regclass and p.oid = d.refobjid
			left join pg_operator o on d.refclassid = 'pg_operator'::regclass and o.oid = d.refobjid
			where coalesce(p.pronamespace, o.oprnamespace) = 'public'::regnamespace
			  and (pg_identify_object(d.classid, d.objid, 0)).schema in ('auth', 'audit', 'ratelimit', 'fluxbase'))`).Scan(&bound); err != nil {
		t.Fatal(err)
	}
	if len(bound) > 0 {
		t.Errorf("bound: %q", bound)
	}
}

// The same holds for migrations.
func TestMigrationsIgnoreTheSearchPath(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	conn := db.Conn(t, "installer")
	s, err := install.ReadStatus(t.Context(), conn, fluxbase.Files)
	if err != nil {
		t.Fatal(err)
	}
	files := changed(t, map[string]string{"schema/" + pad(s.Latest+1) + "_path.sql": "do $$ begin execute format('comment on schema fluxbase is %L', current_setting('search_path')); end $$;\n"})
	if _, err := install.Migrate(t.Context(), conn, files, latest); err != nil {
		t.Fatal(err)
	}
	var path string
	if err := conn.QueryRow(t.Context(), `select obj_description('fluxbase'::regnamespace)`).Scan(&path); err != nil || path != "pg_catalog, pg_temp" {
		t.Errorf("%q, %v", path, err)
	}
}
