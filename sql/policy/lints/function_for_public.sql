-- PostgreSQL makes every new function executable by everybody.  A definer function is then a way round all policies.
create or replace view auth.lint_function_for_public with (security_invoker = true) as
  select 'function_for_public'::text as code, 'warning'::text as severity, format('function %I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as object,
         case when p.prosecdef then 'everybody may execute it, and it runs with the rights of ' || p.proowner::regrole else 'everybody may execute it' end as evidence,
         format('revoke execute on function %I.%I(%s) from public;', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/function_for_public.md'::text as doc
  from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  where n.nspname not in ('auth', 'audit', 'ratelimit', 'fluxbase', 'information_schema') and n.nspname !~ '^pg_' and p.prorettype <> 'trigger'::regtype
    and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0)
    and exists (select from auth.lint_request_roles r where has_schema_privilege(r.oid, n.oid, 'usage'))
    and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e');
revoke all on auth.lint_function_for_public from public;
grant select on auth.lint_function_for_public to fluxbase_admin;
comment on view auth.lint_function_for_public is 'Functions of the application that everybody may execute.';
