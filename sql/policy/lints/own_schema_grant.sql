-- The schemas of Fluxbase are reached through functions alone: no role of requests has a right on a table in them, and nobody else owns anything there.
create or replace view auth.lint_own_schema_grant with (security_invoker = true) as
  select 'own_schema_grant'::text as code, 'error'::text as severity, x.object as object, x.evidence as evidence, x.fix as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/own_schema_grant.md'::text as doc
  from (
    with own as (select n.oid, n.nspname, n.nspowner, n.nspacl from pg_catalog.pg_namespace n where n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase')),
    relation as (
      select c.oid, format('%I.%I', own.nspname, c.relname) as name, c.relowner, c.relacl
      from own join pg_catalog.pg_class c on c.relnamespace = own.oid
      where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')),
    held (object, kind, privilege, grantee, owner, acl) as (
      select r.name, 'table ', a.privilege_type, a.grantee, r.relowner, r.relacl from relation r cross join lateral aclexplode(r.relacl) a
      union all
      select r.name, 'table ', format('%s (%I)', a.privilege_type, t.attname), a.grantee, r.relowner, t.attacl
      from relation r join pg_catalog.pg_attribute t on t.attrelid = r.oid and t.attacl is not null and not t.attisdropped cross join lateral aclexplode(t.attacl) a
      union all
      select format('schema %I', own.nspname), '', a.privilege_type, a.grantee, own.nspowner, own.nspacl
      from own cross join lateral aclexplode(own.nspacl) a
      where own.nspname <> 'auth')
    select h.object, string_agg(format('%s to %s', h.privilege, g.grantee), ', ' order by h.privilege, g.grantee) as evidence,
           string_agg(distinct auth.lint_revoke(p_object => h.kind || h.object, p_acl => h.acl, p_owner => h.owner, p_grantees => array[h.grantee]), ' ') as fix
    from held h cross join lateral (select case h.grantee when 0 then 'public' else h.grantee::regrole::text end as grantee) g
    where h.grantee = 0 or h.grantee in (select q.oid from auth.lint_request_roles q)
       or h.grantee in (select r.oid from pg_catalog.pg_roles r where r.rolname = 'service_role')
       or h.kind = 'table ' and h.grantee in (select l.oid from auth.lint_logins l)
    group by h.object
    union all
    select o.object, format('it is in a schema of Fluxbase, and %s owns it', o.owner::regrole), 'move it to a schema of the application'
    from (select r.name as object, r.oid, 'pg_catalog.pg_class'::regclass as class, r.relowner as owner from relation r
          union all
          select format('function %I.%I(%s)', own.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), p.oid, 'pg_catalog.pg_proc'::regclass, p.proowner
          from own join pg_catalog.pg_proc p on p.pronamespace = own.oid) o
    where o.owner <> (select w.oid from pg_catalog.pg_roles w where w.rolname = 'fluxbase_owner')
      and not exists (select from pg_catalog.pg_depend d where d.classid = o.class and d.objid = o.oid and d.deptype = 'e')) x;
revoke all on auth.lint_own_schema_grant from public;
grant select on auth.lint_own_schema_grant to fluxbase_admin;
comment on view auth.lint_own_schema_grant is 'Grants and objects in the schemas of Fluxbase that are not those of its installation.';
