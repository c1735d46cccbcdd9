-- Without FORCE the owner of a table, and every definer function of his, passes by the policies.
create or replace view auth.lint_rls_not_forced with (security_invoker = true) as
  select 'rls_not_forced'::text as code, 'error'::text as severity, c.name as object,
         'row security is on but not forced: policies do not hold for ' || c.relowner::regrole as evidence,
         format('alter table %s force row level security;', c.name) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/rls_not_forced.md'::text as doc
  from auth.lint_exposed c
  where c.relkind in ('r', 'p') and c.relrowsecurity and not c.relforcerowsecurity;
revoke all on auth.lint_rls_not_forced from public;
grant select on auth.lint_rls_not_forced to fluxbase_admin;
comment on view auth.lint_rls_not_forced is 'Tables that requests reach whose owner passes by the policies.';
