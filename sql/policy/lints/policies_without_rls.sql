-- Policies on a table whose row security is off decide nothing.
create or replace view auth.lint_policies_without_rls with (security_invoker = true) as
  select 'policies_without_rls'::text as code, 'error'::text as severity, c.name as object,
         format(case p.n when 1 then '%s policy, and row security is off' else '%s policies, and row security is off' end, p.n) as evidence,
         format(case when c.is_child then 'alter table %1$s enable row level security, force row level security;' else 'select auth.enable_rls(%2$L);' end, c.name, c.name) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/policies_without_rls.md'::text as doc
  from auth.lint_relations c
  join (select polrelid, count(*) as n from pg_catalog.pg_policy group by polrelid) p on p.polrelid = c.oid
  where not c.relrowsecurity;
revoke all on auth.lint_policies_without_rls from public;
grant select on auth.lint_policies_without_rls to fluxbase_admin;
comment on view auth.lint_policies_without_rls is 'Tables with policies that are not in force.';
