-- A login of the server or a role of requests that row security does not hold for, or that may become one.
create or replace view auth.lint_role_bypasses_rls with (security_invoker = true) as
  select 'role_bypasses_rls'::text as code, 'error'::text as severity, 'role ' || quote_ident(x.name) as object,
         x.evidence as evidence,
         x.fix as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/role_bypasses_rls.md'::text as doc
  from (
    select r.rolname::text as name, 'it is a superuser or has BYPASSRLS: no policy holds for it' as evidence,
           format('alter role %I nosuperuser nobypassrls;', r.rolname) as fix
    from pg_catalog.pg_roles r
    where (r.rolsuper or r.rolbypassrls)
      and (r.rolname in ('fluxbase_api', 'fluxbase_service', 'fluxbase_server') or r.oid in (select q.oid from auth.lint_request_roles q))
    union all
    select r.rolname, format('it may become %s', string_agg(quote_ident(g.rolname), ', ' order by g.rolname)),
           format('revoke %s from %I;', string_agg(quote_ident(g.rolname), ', ' order by g.rolname), r.rolname)
    from pg_catalog.pg_roles r join pg_catalog.pg_roles g on g.oid <> r.oid and pg_has_role(r.oid, g.oid, 'member')
    where not r.rolsuper
      and (r.rolname = 'fluxbase_api' or r.oid in (select q.oid from auth.lint_request_roles q))
      and (g.rolname = 'service_role' or g.rolsuper or g.rolbypassrls
           or exists (select from auth.lint_relations c where c.relowner = g.oid))
    group by r.oid, r.rolname
    union all
    select r.rolname, format('it owns %s', string_agg(c.name, ', ' order by c.name)), 'give these to a role that runs no requests'
    from pg_catalog.pg_roles r join auth.lint_relations c on c.relowner = r.oid
    where r.rolname in ('fluxbase_api', 'fluxbase_service', 'fluxbase_server', 'service_role') or r.oid in (select q.oid from auth.lint_request_roles q)
    group by r.oid, r.rolname) x;
revoke all on auth.lint_role_bypasses_rls from public;
grant select on auth.lint_role_bypasses_rls to fluxbase_admin;
comment on view auth.lint_role_bypasses_rls is 'Roles that run requests and that row security does not bind.';
