package install_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// catalog is everything that a database holds beside PostgreSQL's own objects, one line an object, and what the cluster
// knows of roles. Two databases with the same lines behave alike.
const catalog = `
with schemas as (
  select n.oid, n.nspname from pg_namespace n where n.nspname !~ '^pg_' and n.nspname <> 'information_schema')
select line from (
  select 'schema ' || n.nspname || ' owner ' || n.nspowner::regrole || acl(coalesce(n.nspacl, acldefault('n', n.nspowner))) || comment_of('pg_namespace', n.oid, 0)
  from pg_namespace n where n.oid in (select oid from schemas)
  union all
  select 'relation ' || c.oid::regclass || ' ' || c.relkind::text || c.relpersistence::text || ' owner ' || c.relowner::regrole
    || ' rls ' || c.relrowsecurity || c.relforcerowsecurity || ' options ' || coalesce(c.reloptions::text, '') || ' partition ' || coalesce(pg_get_expr(c.relpartbound, c.oid), '')
    || acl(coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner))) || comment_of('pg_class', c.oid, 0)
  from pg_class c where c.relnamespace in (select oid from schemas) and c.relkind <> 'i'
  union all
  select 'column ' || a.attrelid::regclass || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' notnull ' || a.attnotnull
    || ' identity ' || a.attidentity::text || ' default ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || ' at ' || row_number() over (partition by c.oid order by a.attnum) || acl(a.attacl) || comment_of('pg_class', c.oid, a.attnum)
  from pg_attribute a join pg_class c on c.oid = a.attrelid left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where c.relnamespace in (select oid from schemas) and a.attnum > 0 and not a.attisdropped and c.relkind <> 'i'
  union all
  select 'view ' || c.oid::regclass || ' ' || pg_get_viewdef(c.oid) from pg_class c where c.relnamespace in (select oid from schemas) and c.relkind in ('v', 'm')
  union all
  select 'index ' || pg_get_indexdef(i.indexrelid) from pg_index i join pg_class c on c.oid = i.indexrelid where c.relnamespace in (select oid from schemas)
  union all
  select 'constraint ' || x.conname || ' on ' || x.conrelid::regclass || ' ' || pg_get_constraintdef(x.oid) || x.convalidated
  from pg_constraint x where x.connamespace in (select oid from schemas)
  union all
  select 'function ' || p.oid::regprocedure || ' owner ' || p.proowner::regrole || acl(coalesce(p.proacl, acldefault('f', p.proowner))) || comment_of('pg_proc', p.oid, 0)
    || case p.prokind when 'a' then '' else md5(pg_get_functiondef(p.oid)) end
  from pg_proc p where p.pronamespace in (select oid from schemas)
  union all
  select 'trigger ' || pg_get_triggerdef(t.oid) || t.tgenabled::text from pg_trigger t join pg_class c on c.oid = t.tgrelid
  where c.relnamespace in (select oid from schemas) and not t.tgisinternal
  union all
  select 'policy ' || p.polname || ' on ' || p.polrelid::regclass || ' ' || p.polcmd::text || p.polpermissive || ' to ' || p.polroles::regrole[]::text
    || coalesce(pg_get_expr(p.polqual, p.polrelid), '') || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')
  from pg_policy p join pg_class c on c.oid = p.polrelid where c.relnamespace in (select oid from schemas)
  union all
  select 'type ' || t.oid::regtype || ' ' || t.typtype::text || ' owner ' || t.typowner::regrole from pg_type t where t.typnamespace in (select oid from schemas)
  union all
  select 'extension ' || e.extname || ' in ' || e.extnamespace::regnamespace || ' owner ' || e.extowner::regrole from pg_extension e
  union all
  select 'database' || acl(coalesce(d.datacl, acldefault('d', d.datdba))) from pg_database d where d.datname = current_database()
  union all
  select 'default' || a.defaclobjtype::text || a.defaclrole::regrole || acl(a.defaclacl) from pg_default_acl a
) x (line) where line is not null order by line`

// roles is what the cluster knows of roles. Grantors are left out: they differ by who ran the script.
const roles = `
select line from (
  select 'role ' || r.rolname || ' ' || r.rolsuper || r.rolinherit || r.rolcreaterole || r.rolcreatedb || r.rolcanlogin || r.rolreplication || r.rolbypassrls from pg_roles r where r.rolname !~ '^pg_'
  union all
  select distinct 'member ' || m.member::regrole || ' of ' || m.roleid::regrole || ' ' || coalesce(to_jsonb(m) ->> 'inherit_option', '') || coalesce(to_jsonb(m) ->> 'set_option', '')
  from pg_auth_members m where m.roleid::regrole::text !~ '^pg_' and coalesce((to_jsonb(m) ->> 'set_option')::boolean, true)
  union all
  select 'setting ' || s.setrole::regrole || ' ' || s.setconfig::text from pg_db_role_setting s
) x (line) order by line`

// snapshot reads the catalog as the superuser that conn is.
func snapshot(t *testing.T, conn *pgx.Conn, query string) []string {
	t.Helper()
	_, err := conn.Exec(t.Context(), `
		create or replace function pg_temp.acl(p_acl aclitem[]) returns text language sql as $$
		  select ' acl ' || coalesce(string_agg(case a.grantee when 0 then 'public' else a.grantee::regrole::text end || '=' || a.privilege_type || a.is_grantable, ',' order by a.grantee::regrole::text, a.privilege_type), '')
		  from aclexplode(p_acl) a $$;
		create or replace function pg_temp.comment_of(p_class regclass, p_object oid, p_part integer) returns text language sql as $$
		  select ' comment ' || coalesce((select d.description from pg_description d where d.classoid = p_class and d.objoid = p_object and d.objsubid = p_part), '') $$`)
	if err != nil {
		t.Fatal(err)
	}
	query = strings.NewReplacer(" acl(", " pg_temp.acl(", "comment_of(", "pg_temp.comment_of(").Replace(query)
	rows, _ := conn.Query(t.Context(), query)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// differ fails the test with the lines that are in one snapshot only.
func differ(t *testing.T, what string, want, got []string) {
	t.Helper()
	count := map[string]int{}
	for _, line := range want {
		count[line]++
	}
	for _, line := range got {
		count[line]--
	}
	shown := 0
	for _, line := range append(append([]string{}, want...), got...) {
		n := count[line]
		if n == 0 {
			continue
		}
		count[line] = 0
		sign := "-"
		if n < 0 {
			sign = "+"
		}
		if shown++; shown <= 12 {
			t.Errorf("%s: %s %s", what, sign, line)
		}
	}
	if shown > 12 {
		t.Errorf("%s: and %d more", what, shown-12)
	}
	if len(want) == 0 {
		t.Errorf("%s: the snapshot is empty", what)
	}
}

// public keeps the lines of objects outside of our schemas.
func public(lines []string) []string {
	var kept []string
	for _, line := range lines {
		if !strings.HasPrefix(line, "database ") && strings.Contains(line, "public") && !strings.Contains(line, "fluxbase") && !strings.Contains(line, "auth.") && !strings.Contains(line, "audit.") {
			kept = append(kept, line)
		}
	}
	return kept
}

// root is the directory of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// psql runs a script as libpq's own client does.
func psql(t *testing.T, dsn string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("this machine has no psql")
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"--no-psqlrc", "-q", "-v", "ON_ERROR_STOP=1", dsn}, args...)...)
	cmd.Dir = root(t)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// ternBinary builds the command once for all tests of the process.
var ternBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tern-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "tern")
	out, err := exec.Command("go", "build", "-o", path, "github.com/jackc/tern/v2").CombinedOutput()
	if err != nil {
		return string(out), err
	}
	return path, nil
})
