package sqltest

import (
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

const functionsGolden = "../../../testdata/golden/functions.txt"

// One line a function of ours; its diff is the security review of a change. Functions of an extension are not ours.
const functionsSQL = `
select format('%s.%s(%s) -> %s | %s | %s | %s | %s | %s',
  n.nspname, p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
  case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end
    || case p.proparallel when 's' then ' parallel safe' else '' end,
  case when p.prosecdef then 'DEFINER' else 'invoker' end,
  coalesce((select string_agg(c, '; ' order by c) from unnest(p.proconfig) c), case when p.prosqlbody is not null then 'bound body' else 'NO SEARCH PATH' end),
  coalesce((select string_agg(case a.grantee when 0 then 'PUBLIC' else pg_get_userbyid(a.grantee) end, ', '
              order by case a.grantee when 0 then 'PUBLIC' else pg_get_userbyid(a.grantee) end)
            from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee <> p.proowner), 'owner only'),
  case when obj_description(p.oid, 'pg_proc') is null then 'NO DOC' else 'doc' end)
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase')
  and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
order by 1`

func TestFunctionsMatchGolden(t *testing.T) {
	t.Parallel()
	conn := pgtest.Database(t).Conn(t, "superuser")
	got := strings.Join(lines(t, conn, functionsSQL), "\n") + "\n"
	if *update {
		if err := os.WriteFile(functionsGolden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(functionsGolden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("functions differ from %s (go test ./controlplane/postgres/sqltest -update, then review the diff):\n%s",
			functionsGolden, difference(string(want), got))
	}
}

func lines(t *testing.T, conn *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func join(lines []string) string { return strings.Join(lines, "\n") + "\n" }

// difference lists lines that only one text has.
func difference(want, got string) string {
	var b strings.Builder
	has := func(text string) map[string]bool {
		m := map[string]bool{}
		for line := range strings.Lines(text) {
			m[line] = true
		}
		return m
	}
	w, g := has(want), has(got)
	for line := range strings.Lines(want) {
		if !g[line] {
			b.WriteString("- " + line)
		}
	}
	for line := range strings.Lines(got) {
		if !w[line] {
			b.WriteString("+ " + line)
		}
	}
	return b.String()
}

// Each query names what breaks a rule; no row, no breach.
func TestContract(t *testing.T) {
	t.Parallel()
	const ours = `('auth', 'audit', 'ratelimit', 'fluxbase')`
	const requestRoles = `('anon', 'authenticated', 'service_role', 'fluxbase_api', 'fluxbase_service', 'fluxbase_server')`
	const functions = ` from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ` + ours + `
		and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')`
	rules := []struct{ name, sql string }{
		{"everything is owned by fluxbase_owner", `
			select format('%s.%s', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where n.nspname in ` + ours + ` and c.relowner <> 'fluxbase_owner'::regrole
			union all select p.oid::regprocedure::text` + functions + ` and p.proowner <> 'fluxbase_owner'::regrole
			union all select n.nspname from pg_namespace n where n.nspname in ` + ours + ` and n.nspowner <> 'fluxbase_owner'::regrole`},
		{"no role of a request or a login has a right on a table, view or sequence", `
			select format('%s may %s %s.%s', r.rolname, p.p, n.nspname, c.relname)
			from pg_class c join pg_namespace n on n.oid = c.relnamespace, pg_roles r,
			     unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) p
			where n.nspname in ` + ours + ` and r.rolname in ` + requestRoles + `
			  and case when c.relkind in ('r', 'p', 'v', 'm', 'f') then has_table_privilege(r.oid, c.oid, p.p)
			             or p.p in ('select', 'insert', 'update', 'references') and has_any_column_privilege(r.oid, c.oid, p.p)
			           when c.relkind = 'S' then p.p in ('select', 'update') and has_sequence_privilege(r.oid, c.oid, p.p)
			                                or has_sequence_privilege(r.oid, c.oid, 'usage') end`},
		{"tables are granted to the auditor and the author alone, for what they are for", `
			select format('%s may %s %s.%s', pg_get_userbyid(a.grantee), a.privilege_type, n.nspname, c.relname)
			from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join lateral aclexplode(c.relacl) a
			where n.nspname in ` + ours + ` and c.relkind <> 'v' and a.grantee <> c.relowner
			  and not (c.oid = 'audit.log'::regclass and a.grantee = 'fluxbase_auditor'::regrole and a.privilege_type = 'SELECT')
			union all
			select format('%s may %s %s of %s', pg_get_userbyid(a.grantee), a.privilege_type, t.attname, t.attrelid::regclass)
			from pg_attribute t join pg_class c on c.oid = t.attrelid join pg_namespace n on n.oid = c.relnamespace
			  cross join lateral aclexplode(t.attacl) a
			where n.nspname in ` + ours + ` and not (t.attrelid in ('auth.users'::regclass, 'auth.organizations'::regclass) and t.attname = 'id'
			  and a.grantee = 'fluxbase_author'::regrole and a.privilege_type = 'REFERENCES')`},
		{"no role of a request may use or create in a schema but auth", `
			select format('%s may %s in %s', r.rolname, p.p, n.nspname) from pg_namespace n, pg_roles r, unnest(array['usage', 'create']) p
			where n.nspname in ` + ours + ` and r.rolname in ('anon', 'authenticated', 'service_role', 'fluxbase_author')
			  and has_schema_privilege(r.oid, n.oid, p.p) and not (n.nspname = 'auth' and p.p = 'usage')`},
		{"row security is on, without FORCE", `
			select format('%s.%s', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where n.nspname in ` + ours + ` and c.relkind in ('r', 'p') and (not c.relrowsecurity or c.relforcerowsecurity)`},
		{"policies name their roles", `
			select format('%s on %s', p.polname, p.polrelid::regclass) from pg_policy p join pg_class c on c.oid = p.polrelid
			  join pg_namespace n on n.oid = c.relnamespace where n.nspname in ` + ours + ` and 0 = any (p.polroles)`},
		{"views run as their caller", `
			select format('%s.%s', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where n.nspname in ` + ours + ` and c.relkind in ('v', 'm') and not coalesce(c.reloptions @> '{security_invoker=true}', false)`},
		{"views are granted to administrators alone", `
			select format('%s may %s %s', a.grantee::regrole, a.privilege_type, c.oid::regclass)
			from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join lateral aclexplode(c.relacl) a
			where n.nspname in ` + ours + ` and c.relkind = 'v' and a.grantee <> c.relowner
			  and not (a.grantee = 'fluxbase_admin'::regrole and a.privilege_type = 'SELECT')`},
		{"functions have a comment", `select p.oid::regprocedure::text` + functions + ` and obj_description(p.oid, 'pg_proc') is null`},
		{"tables and views have a comment", `
			select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where n.nspname in ` + ours + ` and c.relkind in ('r', 'p', 'v') and not c.relispartition and obj_description(c.oid, 'pg_class') is null`},
		{"functions pin their search_path or are bound", `
			select p.oid::regprocedure::text` + functions + ` and p.prosqlbody is null
			  and not coalesce(p.proconfig @> array['search_path=pg_catalog, pg_temp'], false)`},
		{"definer functions are plpgsql", `
			select p.oid::regprocedure::text` + functions + ` and p.prosecdef and p.prolang <> (select oid from pg_language where lanname = 'plpgsql')`},
		{"parameters are named p_", `
			select format('%s: %s', p.oid::regprocedure, a.name)` + strings.Replace(functions, " where ",
			` cross join lateral unnest(p.proargnames) with ordinality a (name, i) where `, 1) + `
			  and coalesce(p.proargmodes[a.i], 'i') in ('i', 'b', 'v') and a.name !~ '^p_'`},
		{"the public may execute what is listed and nothing else", `
			select p.oid::regprocedure::text` + functions + ` and has_function_privilege('public', p.oid, 'execute')
			  and format('%s.%s', n.nspname, p.proname) not in (
			    'auth.verified_context', 'auth.verified_context_text', 'auth.current_user_id', 'auth.uid', 'auth.session_id', 'auth.current_org_id', 'auth.aal', 'auth.role',
			    'auth.current_user_role', 'auth.is_authenticated', 'auth.jwt', 'auth.email', 'auth.org_ids', 'auth.has_org_role',
			    -- what owners of tables call, and policies of auth.protect()
			    'auth.require_application_table', 'auth.notice_other_roles', 'auth.require_tenant', 'auth.require_tenant_schema', 'auth.protect', 'auth.unprotect', 'auth.has_scope', 'auth.org_ids_with_role',
			    -- parts of auth.protect(), which runs as its caller: they read the catalog and return statements
			    'auth.policy_statement', 'auth.protect_check_roles', 'auth.protect_check_members', 'auth.protect_check_maintenance', 'auth.protect_check_columns', 'auth.protect_aal_rule', 'auth.protect_conditions', 'auth.protect_check_updates', 'auth.protect_rule', 'auth.protect_policies',
			    'auth.protect_narrowing', 'auth.protect_members', 'auth.protect_shares', 'auth.protect_shares_table', 'auth.protect_shares_policies',
			    'auth.protect_grants', 'auth.protect_indexes', 'auth.protect_views',
			    'auth.current_org_role', 'auth.has_permission', 'auth.has_org_permission', 'auth.set_active_org', 'auth.is_admin', 'auth.enable_rls', 'auth.login_reset',
			    -- policies of tenants' schemas, and the server for their names
			    'auth.require_tenant', 'auth.require_tenant_schema',
			    -- explains statements that its caller has prepared
			    'auth.limit_cost')`},
		{"requests execute the gate and what is public, nothing else", `
			select format('%s: %s', r.rolname, p.oid::regprocedure)` + strings.Replace(functions, " where ", ` cross join pg_roles r where `, 1) + `
			  and r.rolname in ('anon', 'authenticated', 'service_role', 'fluxbase_api', 'fluxbase_service')
			  and has_function_privilege(r.oid, p.oid, 'execute') and not has_function_privilege('public', p.oid, 'execute')
			  and not (r.rolname like 'fluxbase%' and n.nspname = 'fluxbase'
			           and p.proname in ('begin_request', 'check_request', 'check_role', 'begin_issuer_request', 'check_issuer', 'error_codes'))`},
		{"the auditor reads and changes nothing", `
			select p.oid::regprocedure::text` + functions + ` and has_function_privilege('fluxbase_auditor', p.oid, 'execute')
			  and not has_function_privilege('public', p.oid, 'execute') and p.provolatile = 'v'`},
		{"triggers that guard are always enabled", `
			select format('%s on %s', t.tgname, t.tgrelid::regclass) from pg_trigger t join pg_class c on c.oid = t.tgrelid
			  join pg_namespace n on n.oid = c.relnamespace
			where n.nspname in ` + ours + ` and not t.tgisinternal and t.tgenabled <> 'A'
			  and t.tgname not in ('users_before_write', 'users_identity_insert', 'users_identity_update')`},
		{"constraints and indexes are named after their table", `
			select format('%s on %s', c.conname, c.conrelid::regclass) from pg_constraint c join pg_class r on r.oid = c.conrelid
			  join pg_namespace n on n.oid = r.relnamespace
			where n.nspname in ` + ours + ` and not r.relispartition and c.contype <> 'n' and c.conname !~ ('^' || r.relname || '_.*_(pk|key|fk|ck)$')`},
	}
	conn := pgtest.Database(t).Conn(t, "superuser")
	for _, rule := range rules {
		if broken := lines(t, conn, rule.sql); len(broken) > 0 {
			t.Errorf("%s, but:\n  %s", rule.name, strings.Join(broken, "\n  "))
		}
	}
}

// Nothing of ours is in public, and nothing of ours runs with the rights of a superuser.
func TestNothingInPublic(t *testing.T) {
	t.Parallel()
	conn := pgtest.Database(t).Conn(t, "superuser")
	if n := one[int](t, conn, `
		select (select count(*) from pg_class where relnamespace = 'public'::regnamespace)::int
		     + (select count(*) from pg_proc where pronamespace = 'public'::regnamespace)::int
		     + (select count(*) from pg_type where typnamespace = 'public'::regnamespace)::int`); n != 0 {
		t.Errorf("%d objects in public", n)
	}
}
