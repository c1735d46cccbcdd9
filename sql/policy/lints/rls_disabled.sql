-- A table that requests reach without row security: every row is everybody's.
create or replace view auth.lint_rls_disabled with (security_invoker = true) as
  select 'rls_disabled'::text as code, 'error'::text as severity, c.name as object,
         format('%s may use it and row security is off', c.roles) as evidence,
         format('select auth.enable_rls(%L);', c.name) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/rls_disabled.md'::text as doc
  from auth.lint_exposed c
  where c.relkind in ('r', 'p') and not c.relrowsecurity and not c.is_child;
revoke all on auth.lint_rls_disabled from public;
grant select on auth.lint_rls_disabled to fluxbase_admin;
comment on view auth.lint_rls_disabled is 'Tables that requests reach without row security.';
