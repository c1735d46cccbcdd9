-- A view runs with the rights of its owner unless it says security_invoker: it shows all that its owner may see.
create or replace view auth.lint_view_not_invoker with (security_invoker = true) as
  select 'view_not_invoker'::text as code, 'error'::text as severity, c.name as object,
         format('%s may use it, and it reads with the rights of %s', c.roles, c.relowner::regrole) as evidence,
         format('alter view %s set (security_invoker = true);', c.name) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/view_not_invoker.md'::text as doc
  from auth.lint_exposed c
  where c.relkind = 'v'
    and not coalesce((select o.option_value::boolean from pg_catalog.pg_options_to_table(c.reloptions) o where o.option_name = 'security_invoker'), false);
revoke all on auth.lint_view_not_invoker from public;
grant select on auth.lint_view_not_invoker to fluxbase_admin;
comment on view auth.lint_view_not_invoker is 'Views that pass by the policies of their tables.';
