-- The authorization surface as text, for version control.  Tables: the catalog.  Caller: fluxbase_admin.
-- One fact a line, sorted; settings that change how PostgreSQL prints are pinned, so every caller gets the same bytes.
-- A new line is written \n, inside an expression a backslash \\: a change in a literal, white space included, stays visible.

create or replace function auth.policy_lock_policy(
  p_policy text, p_relation text, p_permissive boolean, p_command "char", p_roles text, p_using text, p_check text)
returns text language plpgsql immutable parallel safe security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return format('policy %s on %s: %s for %s to %s%s%s', p_policy, p_relation, case when p_permissive then 'permissive' else 'restrictive' end,
    case p_command when '*' then 'all' when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' else 'delete' end, p_roles,
    ' using ' || replace(replace(p_using, '\', '\\'), E'\n', '\n'), ' with check ' || replace(replace(p_check, '\', '\\'), E'\n', '\n'));
end $$;
revoke all on function auth.policy_lock_policy(text, text, boolean, "char", text, text, text) from public;
grant execute on function auth.policy_lock_policy(text, text, boolean, "char", text, text, text) to fluxbase_admin;
comment on function auth.policy_lock_policy(text, text, boolean, "char", text, text, text) is 'Line of one policy in auth.policy_lock().';

create or replace function auth.policy_lock()
returns setof text language plpgsql stable security invoker
set search_path = pg_catalog, pg_temp set quote_all_identifiers = off set datestyle = 'ISO, YMD' set intervalstyle = 'postgres'
set timezone = 'UTC' set bytea_output = 'hex'
as $$
begin
  return next format('-- policy lock 1, PostgreSQL %s', current_setting('server_version_num')::integer / 10000);
  return query
    with application as materialized (
      select n.oid, n.nspname, quote_ident(n.nspname) as name, n.nspowner, n.nspacl from pg_namespace n
      where n.nspname not in ('auth', 'audit', 'ratelimit', 'fluxbase', 'information_schema') and n.nspname !~ '^pg_'),
    -- What an extension made is the extension's.
    extension as materialized (select d.classid, d.objid from pg_depend d where d.deptype = 'e'),
    relation as materialized (
      select c.oid, format('%I.%I', s.nspname, c.relname) as name, c.relkind, c.relowner, c.relacl, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relispartition
      from pg_class c join application s on s.oid = c.relnamespace
      where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        and not exists (select from extension e where e.classid = 'pg_class'::regclass and e.objid = c.oid)),
    function as materialized (
      select p.oid, format('%s %I.%I(%s)', case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end,
               s.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as name,
             p.proowner, p.proacl, p.prosecdef, p.proconfig, p.prosrc, case when p.prosqlbody is not null then pg_get_function_sqlbody(p.oid) end as bound
      from pg_proc p join application s on s.oid = p.pronamespace
      where not exists (select from extension e where e.classid = 'pg_proc'::regclass and e.objid = p.oid)),
    granted (object, acl, owner) as (
      select 'schema ' || s.name, coalesce(s.nspacl, acldefault('n', s.nspowner)), s.nspowner from application s
      union all
      select case r.relkind when 'S' then 'sequence ' else 'table ' end || r.name, coalesce(r.relacl, acldefault((case r.relkind when 'S' then 's' else 'r' end)::"char", r.relowner)), r.relowner from relation r
      union all
      select format('column %s.%I', r.name, a.attname), a.attacl, r.relowner from relation r join pg_attribute a on a.attrelid = r.oid and a.attacl is not null and not a.attisdropped
      union all
      select f.name, coalesce(f.proacl, acldefault('f', f.proowner)), f.proowner from function f
      union all
      select format('default privileges of %s%s on %s', d.defaclrole::regrole, ' in schema ' || s.name,
               case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types' when 'n' then 'schemas' else 'large objects' end), d.defaclacl, d.defaclrole
      from pg_default_acl d left join application s on s.oid = d.defaclnamespace
      where d.defaclnamespace = 0 or s.oid is not null),
    line (text) as (
      select format('%s: grant %s to %s%s', g.object, lower(a.privilege_type), case a.grantee when 0 then 'public' else a.grantee::regrole::text end,
               case when a.is_grantable then ' with grant option' else '' end)
      from granted g cross join lateral aclexplode(g.acl) a where a.grantee <> g.owner
      union all
      -- PostgreSQL lets everybody use new functions and types, unless default privileges of a role say otherwise.
      select format('default privileges of %s on %s: no %s to public', d.defaclrole::regrole, k.name, k.privilege)
      from pg_default_acl d join (values ('f', 'functions', 'execute'), ('T', 'types', 'usage')) k (type, name, privilege) on k.type = d.defaclobjtype::text
      where d.defaclnamespace = 0 and not exists (select from aclexplode(d.defaclacl) a where a.grantee = 0)
      union all
      select format('table %s: row security %s, owner %s', r.name, case when not r.relrowsecurity then 'off' when r.relforcerowsecurity then 'on, forced' else 'on' end, r.relowner::regrole)
      from relation r where r.relkind in ('r', 'p')
      union all
      select format('view %s: %s, owner %s', r.name,
               case when coalesce((select o.option_value::boolean from pg_options_to_table(r.reloptions) o where o.option_name = 'security_invoker'), false)
                    then 'runs as its caller' else 'runs as its owner' end, r.relowner::regrole)
      from relation r where r.relkind in ('v', 'm')
      union all
      select auth.policy_lock_policy(p_policy => quote_ident(p.polname), p_relation => r.name, p_permissive => p.polpermissive, p_command => p.polcmd,
               p_roles => (select string_agg(case u.oid when 0 then 'public' else u.oid::regrole::text end, ', ' order by u.oid::regrole::text collate "C") from unnest(p.polroles) u (oid)),
               p_using => pg_get_expr(p.polqual, p.polrelid), p_check => pg_get_expr(p.polwithcheck, p.polrelid))
      from pg_policy p join relation r on r.oid = p.polrelid
      union all
      select format('%s: security definer, owner %s, %s, body %s', f.name, f.proowner::regrole,
               coalesce((select string_agg(c, '; ' order by c collate "C") from unnest(f.proconfig) c), 'no settings'),
               encode(sha256(convert_to(coalesce(f.bound, f.prosrc), 'UTF8')), 'hex'))
      from function f where f.prosecdef
      union all
      select format('role %I: %s', r.rolname, concat_ws(', ', case when r.rolsuper then 'superuser' end, case when r.rolbypassrls then 'bypassrls' end,
               coalesce('member of ' || (select string_agg(distinct quote_ident(g.rolname) collate "C", ', ' order by quote_ident(g.rolname) collate "C")
                                       from pg_auth_members m join pg_roles g on g.oid = m.roleid where m.member = r.oid), 'member of nothing')))
      from pg_roles r where r.rolname in ('anon', 'authenticated', 'service_role') or r.rolname = any (string_to_array(auth.setting(p_key => 'request_roles'), ',')))
    select replace(l.text, E'\n', '\n') from line l order by l.text collate "C";
end $$;
revoke all on function auth.policy_lock() from public;
grant execute on function auth.policy_lock() to fluxbase_admin;
comment on function auth.policy_lock() is
  'Policies, grants, default privileges, row security, definer functions and roles of requests, one fact a line: what you commit and compare.';

-- What PostgreSQL prints after it has read the expressions again.  A dump and restore prints some differently, once: the list
-- of an IN over varchar, for instance.  A temporary table with the columns of the real one stands in for it, so nothing is locked.
create or replace function auth.policy_reparse(p_relation regclass, p_using text, p_check text)
returns text[] language plpgsql volatile security invoker
set search_path = pg_catalog, pg_temp set quote_all_identifiers = off set datestyle = 'ISO, YMD' set intervalstyle = 'postgres'
set timezone = 'UTC' set bytea_output = 'hex' set client_min_messages = 'error'
as $$
declare
  v_name text := (select c.relname from pg_class c where c.oid = p_relation);
  v_result text[];
  v_text text;
  v_cursor refcursor;
begin
  if not has_database_privilege(current_database(), 'temporary') then
    raise exception using errcode = '42501', message = format('%s may not create temporary tables', current_user),
      detail = 'a policy whose text differs is read again on a temporary table',
      hint = format('grant temporary on database %I to fluxbase_admin', current_database());
  end if;
  begin
    execute format('create temporary table %I (%s)', v_name,
      (select string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum)
       from pg_attribute a where a.attrelid = p_relation and a.attnum > 0 and not a.attisdropped));
    -- The text comes from a file and may hold more than an expression.  A cursor is refused for more than one statement,
    -- and this one is neither planned nor run: nobody fetches.
    foreach v_text in array array_remove(array[p_using, p_check], null) loop
      open v_cursor for execute format(E'explain select (%s\n) from pg_temp.%I', v_text, v_name);
      close v_cursor;
    end loop;
    if p_using is not null then
      execute format('create policy u on pg_temp.%I using (%s)', v_name, p_using);
    end if;
    if p_check is not null then
      execute format('create policy c on pg_temp.%I for insert with check (%s)', v_name, p_check);
    end if;
    select array[max(pg_get_expr(p.polqual, p.polrelid)), max(pg_get_expr(p.polwithcheck, p.polrelid))] into v_result
    from pg_policy p where p.polrelid = format('pg_temp.%I', v_name)::regclass;
    raise exception using errcode = 'ZF999', message = 'undo';
  exception
    when sqlstate 'ZF999' then
      return v_result;
    -- It cannot be read any more: a column or function of it is gone, so it did change.
    when syntax_error_or_access_rule_violation or invalid_schema_name or data_exception then
      return null;
  end;
end $$;
revoke all on function auth.policy_reparse(regclass, text, text) from public;
grant execute on function auth.policy_reparse(regclass, text, text) to fluxbase_admin;
comment on function auth.policy_reparse(regclass, text, text) is 'Expressions of a policy as PostgreSQL prints them after reading them again; null when it cannot.';

create or replace function auth.policy_drift(p_lock text)
returns table (change text, fact text)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_locked text[] := array(select l from regexp_split_to_table(p_lock, '\r?\n') l where l <> '' and l !~ '^--');
  v_now text[] := array(select l from auth.policy_lock() l where l !~ '^--');
  v_pair record;
  v_old text[];
  v_new text[];
begin
  if p_lock is null or p_lock !~ '^-- policy lock 1, PostgreSQL \d+' then
    raise exception using errcode = '22023', message = 'this is no policy lock',
      detail = 'its first line says: -- policy lock 1, PostgreSQL and the major version', hint = 'psql -Atc "select auth.policy_lock()" > policies.lock';
  end if;
  -- Policies whose lines differ in nothing but the expressions are compared once more, both read again.
  for v_pair in
    with gone as (select l from unnest(v_locked) l where l like 'policy %' and not l = any (v_now)),
    come as (select h.head, x.line, p.polrelid, pg_get_expr(p.polqual, p.polrelid) as qual, pg_get_expr(p.polwithcheck, p.polrelid) as chk
             from pg_policy p join auth.lint_relations n on n.oid = p.polrelid
             cross join lateral (select replace(format('policy %s on %s: ', quote_ident(p.polname), n.name), E'\n', '\n')) h (head)
             join unnest(v_now) x (line) on starts_with(x.line, h.head) and not x.line = any (v_locked))
    select g.l as gone, c.line as come, c.polrelid::regclass as relation, regexp_replace(substr(g.l, length(c.head) + 1), '( using | with check ).*$', '') as rest,
           regexp_replace(substr(c.line, length(c.head) + 1), '( using | with check ).*$', '') as rest_now, c.head, c.qual, c.chk,
           replace(replace(replace(substring(substr(g.l, length(c.head) + 1) from ' using (.*?)(?: with check .*)?$'), '\\', E'\x01'), '\n', E'\n'), E'\x01', '\') as old_qual,
           replace(replace(replace(substring(substr(g.l, length(c.head) + 1) from ' with check (.*)$'), '\\', E'\x01'), '\n', E'\n'), E'\x01', '\') as old_check
    from gone g join come c on starts_with(g.l, c.head)
  loop
    continue when v_pair.rest <> v_pair.rest_now;
    v_old := auth.policy_reparse(p_relation => v_pair.relation, p_using => v_pair.old_qual, p_check => v_pair.old_check);
    v_new := auth.policy_reparse(p_relation => v_pair.relation, p_using => v_pair.qual, p_check => v_pair.chk);
    if v_old is not null and v_old is not distinct from v_new then
      v_locked := array_remove(v_locked, v_pair.gone);
      v_now := array_remove(v_now, v_pair.come);
    end if;
  end loop;
  return query
    select x.change, x.fact from (
      select '-' as change, l as fact from unnest(v_locked) l where not l = any (v_now)
      union all
      select '+', l from unnest(v_now) l where not l = any (v_locked)) x
    order by split_part(x.fact, ': ', 1) collate "C", split_part(x.fact, ': ', 2) like 'row security %', x.change collate "C" desc, x.fact collate "C";
end $$;
revoke all on function auth.policy_drift(text) from public;
grant execute on function auth.policy_drift(text) to fluxbase_admin;
comment on function auth.policy_drift(text) is
  'What differs between a committed auth.policy_lock() and now: - is gone, + has come. A policy that only prints differently, after a restore or an upgrade, does not.';
