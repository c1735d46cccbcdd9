-- A policy without TO holds for everybody, anon and roles that do not exist yet included.
create or replace view auth.lint_policy_without_roles with (security_invoker = true) as
  select 'policy_without_roles'::text as code, 'error'::text as severity, p.object as object,
         'it names no role, so it holds for everybody' as evidence,
         format('alter policy %I on %s to %s;', y.polname, p.relation, concat_ws(', ', coalesce(e.roles, 'authenticated'),
           -- auth.enable_rls() gives it one of its own.
           case when has_table_privilege(s.oid, p.relation_id, 'select, insert, update, delete')
                     and not exists (select from pg_catalog.pg_policy o where o.polrelid = p.relation_id and o.polpermissive and s.oid = any (o.polroles) and o.polcmd in ('*', p.command))
                then 'service_role' end)) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/policy_without_roles.md'::text as doc
  from auth.lint_policies() p join pg_catalog.pg_policy y on y.oid = p.policy_id
  left join auth.lint_exposed e on e.oid = p.relation_id
  join pg_catalog.pg_roles s on s.rolname = 'service_role'
  where 0 = any (p.roles);
revoke all on auth.lint_policy_without_roles from public;
grant select on auth.lint_policy_without_roles to fluxbase_admin;
comment on view auth.lint_policy_without_roles is 'Policies that hold for every role.';
