-- What files of policies made.  Tables: auth.policy_sets, the catalog.  Caller: fluxbase policy, as a member of fluxbase_admin.
-- A key says what an object is; how to remove it is always made from the catalog and never stored.

create or replace function auth.policy_objects()
returns table (key text, version text, removal text)
language plpgsql stable security invoker set search_path = pg_catalog, pg_temp set quote_all_identifiers = off
as $$
begin
  return query
    with application as materialized (
      select n.oid, quote_ident(n.nspname) as name, n.nspowner, n.nspacl from pg_namespace n
      where n.nspname not in ('auth', 'audit', 'ratelimit', 'fluxbase', 'information_schema') and n.nspname !~ '^pg_'),
    extension as materialized (select d.classid, d.objid from pg_depend d where d.deptype = 'e'),
    relation as materialized (
      select c.oid, s.name || '.' || quote_ident(c.relname) as name, c.relkind, c.relowner, c.relacl
      from pg_class c join application s on s.oid = c.relnamespace
      where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
        and not exists (select from extension e where e.classid = 'pg_class'::regclass and e.objid = c.oid)),
    function as materialized (
      select p.oid, p.xmin, p.ctid, case p.prokind when 'p' then 'procedure ' when 'a' then 'aggregate ' else 'function ' end as kind,
             format('%s.%I(%s)', s.name, p.proname, pg_get_function_identity_arguments(p.oid)) as name, p.proowner, p.proacl
      from pg_proc p join application s on s.oid = p.pronamespace
      where not exists (select from extension e where e.classid = 'pg_proc'::regclass and e.objid = p.oid)),
    granted (object, columns, acl, owner) as (
      select 'schema ' || s.name, '', s.nspacl, s.nspowner from application s
      union all
      select case r.relkind when 'S' then 'sequence ' else 'table ' end || r.name, '', r.relacl, r.relowner from relation r
      union all
      select 'table ' || r.name, format(' (%I)', a.attname), a.attacl, r.relowner
      from relation r join pg_attribute a on a.attrelid = r.oid and a.attacl is not null and not a.attisdropped
      union all
      select case f.kind when 'procedure ' then f.kind else 'function ' end || f.name, '', f.proacl, f.proowner from function f)
    select format('policy %I on %s', p.polname, r.name), p.oid::text, format('drop policy %I on %s', p.polname, r.name)
    from pg_policy p join relation r on r.oid = p.polrelid
    union all
    select format('grant %s%s on %s to %s%s', lower(a.privilege_type), g.columns, g.object, w.name, case when a.is_grantable then ' with grant option' else '' end),
           '', format('revoke %s%s on %s from %s', lower(a.privilege_type), g.columns, g.object, w.name)
    from granted g cross join lateral aclexplode(g.acl) a
    cross join lateral (select case a.grantee when 0 then 'public' else a.grantee::regrole::text end) w (name)
    where a.grantee <> g.owner
    union all
    select format('default grant %s on %s to %s by %s%s%s', lower(a.privilege_type), k.name, w.name, d.defaclrole::regrole, ' in schema ' || s.name,
             case when a.is_grantable then ' with grant option' else '' end), '',
           format('alter default privileges for role %s%s revoke %s on %s from %s', d.defaclrole::regrole, ' in schema ' || s.name, lower(a.privilege_type), k.name, w.name)
    from pg_default_acl d left join application s on s.oid = d.defaclnamespace
    cross join lateral aclexplode(d.defaclacl) a
    cross join lateral (select case a.grantee when 0 then 'public' else a.grantee::regrole::text end) w (name)
    join (values ('r', 'tables'), ('S', 'sequences'), ('f', 'functions'), ('T', 'types'), ('n', 'schemas')) k (type, name) on k.type = d.defaclobjtype::text
    where (d.defaclnamespace = 0 or s.oid is not null) and a.grantee <> d.defaclrole
    union all
    select f.kind || f.name, f.oid || ' ' || f.xmin || ' ' || f.ctid, format('drop %s%s', f.kind, f.name)
    from function f;
end $$;
revoke all on function auth.policy_objects() from public;
grant execute on function auth.policy_objects() to fluxbase_admin;
comment on function auth.policy_objects() is
  'Policies, grants and functions of the application: a key, a version that changes when the object is made anew, and the statement that removes it.';

create or replace function auth.policy_set(p_name text)
returns text[] language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce((select s.objects from auth.policy_sets s where s.name = p_name), '{}');
end $$;
revoke all on function auth.policy_set(text) from public;
grant execute on function auth.policy_set(text) to fluxbase_admin;
comment on function auth.policy_set(text) is 'Keys of what the files of a set made when they were applied last; empty when they never were.';

create or replace function auth.save_policy_set(p_name text, p_objects text[], p_changes text[])
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  insert into auth.policy_sets as s (name, objects) values (p_name, p_objects)
  on conflict (name) do update set objects = excluded.objects, applied_at = now(), applied_by = session_user;
  perform audit.record(p_action => 'policies.apply', p_details => jsonb_build_object('set', p_name, 'changes', p_changes));
end $$;
revoke all on function auth.save_policy_set(text, text[], text[]) from public;
grant execute on function auth.save_policy_set(text, text[], text[]) to fluxbase_admin;
comment on function auth.save_policy_set(text, text[], text[]) is 'Remembers what the files of a set made, and records what that changed.';
