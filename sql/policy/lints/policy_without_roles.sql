-- A policy without TO holds for everybody, anon and roles that do not exist yet included.
create or replace view auth.lint_policy_without_roles with (security_invoker = true) as
  select 'policy_without_roles'::text as code, 'error'::text as severity, p.object as object,
         'it names no role, so it holds for everybody' as evidence,
         format('alter policy %I on %s to authenticated;', y.polname, p.relation) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/policy_without_roles.md'::text as doc
  from auth.lint_policies() p join pg_catalog.pg_policy y on y.oid = p.policy_id
  where 0 = any (p.roles);
revoke all on auth.lint_policy_without_roles from public;
grant select on auth.lint_policy_without_roles to fluxbase_admin;
comment on view auth.lint_policy_without_roles is 'Policies that hold for every role.';
