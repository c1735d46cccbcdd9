-- PostgreSQL makes every new function executable by everybody.  A definer function is then a way round all policies.
create or replace view auth.lint_function_for_public with (security_invoker = true) as
  select 'function_for_public'::text as code, case when f.prosecdef then 'error' else 'warning' end as severity, format('%s %s', f.kind, f.name) as object,
         case when f.prosecdef then 'everybody may execute it, and it runs with the rights of ' || f.proowner::regrole else 'everybody may execute it' end as evidence,
         concat_ws(' ', auth.lint_revoke(p_object => f.kind || ' ' || f.name, p_acl => coalesce(f.proacl, acldefault('f', f.proowner)), p_owner => f.proowner,
                                         p_privileges => array['EXECUTE'], p_grantees => array[0::oid]),
                   'grant execute on ' || f.kind || ' ' || f.name || ' to ' || u.roles || ';') as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/function_for_public.md'::text as doc
  from auth.lint_functions f
  -- Whoever uses a table or view calls what its policies, defaults, constraints and query call.
  cross join lateral (
    select string_agg(distinct quote_ident(r.rolname), ', ') as roles
    from pg_catalog.pg_depend d
    left join pg_catalog.pg_policy p on d.classid = 'pg_catalog.pg_policy'::regclass and p.oid = d.objid
    left join pg_catalog.pg_attrdef a on d.classid = 'pg_catalog.pg_attrdef'::regclass and a.oid = d.objid
    left join pg_catalog.pg_constraint k on d.classid = 'pg_catalog.pg_constraint'::regclass and k.oid = d.objid
    left join pg_catalog.pg_rewrite w on d.classid = 'pg_catalog.pg_rewrite'::regclass and w.oid = d.objid
    join pg_catalog.pg_class c on c.oid = coalesce(p.polrelid, a.adrelid, k.conrelid, w.ev_class)
    join pg_catalog.pg_roles r on (r.rolname = 'service_role' or r.oid in (select q.oid from auth.lint_request_roles q))
      and (p.oid is null or 0 = any (p.polroles) or exists (select from unnest(p.polroles) u (oid) where pg_has_role(r.oid, u.oid, 'usage')))
      and (has_table_privilege(r.oid, c.oid, 'select, insert, update, delete') or has_any_column_privilege(r.oid, c.oid, 'select, insert, update'))
    where d.refclassid = 'pg_catalog.pg_proc'::regclass and d.refobjid = f.oid) u
  where not f.is_trigger
    and exists (select from aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a where a.grantee = 0)
    and exists (select from auth.lint_request_roles r where has_schema_privilege(r.oid, f.schema_id, 'usage'));
revoke all on auth.lint_function_for_public from public;
grant select on auth.lint_function_for_public to fluxbase_admin;
comment on view auth.lint_function_for_public is 'Functions of the application that everybody may execute.';
