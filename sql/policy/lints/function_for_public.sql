-- PostgreSQL makes every new function executable by everybody.  A definer function is then a way round all policies.
create or replace view auth.lint_function_for_public with (security_invoker = true) as
  select 'function_for_public'::text as code, case when f.prosecdef then 'error' else 'warning' end as severity, format('%s %s', f.kind, f.name) as object,
         case when f.prosecdef then 'everybody may execute it, and it runs with the rights of ' || f.proowner::regrole else 'everybody may execute it' end as evidence,
         format('revoke execute on %s %s from public;', f.kind, f.name) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/function_for_public.md'::text as doc
  from auth.lint_functions f
  where not f.is_trigger
    and exists (select from aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a where a.grantee = 0)
    and exists (select from auth.lint_request_roles r where has_schema_privilege(r.oid, f.schema_id, 'usage'));
revoke all on auth.lint_function_for_public from public;
grant select on auth.lint_function_for_public to fluxbase_admin;
comment on view auth.lint_function_for_public is 'Functions of the application that everybody may execute.';
