-- A login of the server or a role of requests that row security does not hold for, or that may become one.
create or replace view auth.lint_role_bypasses_rls with (security_invoker = true) as
  select 'role_bypasses_rls'::text as code, x.severity as severity, 'role ' || quote_ident(x.name) as object,
         x.evidence as evidence,
         x.fix as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/role_bypasses_rls.md'::text as doc
  from (
    with bound (oid, name) as (
      select l.oid, l.name from auth.lint_logins l
      union
      select q.oid, q.name from auth.lint_request_roles q),
    beyond (oid) as (
      select g.oid from pg_catalog.pg_roles g
      where g.rolname = 'service_role' or g.rolname ~ '^(pg|fluxbase)_' or g.rolsuper or g.rolbypassrls or g.rolcreaterole or g.rolreplication
         or exists (select from auth.lint_relations c where c.relowner = g.oid))
    select 'error'::text as severity, b.name, 'it is a superuser or has BYPASSRLS: no policy holds for it' as evidence,
           format('alter role %I nosuperuser nobypassrls;', b.name) as fix
    from bound b join pg_catalog.pg_roles r on r.oid = b.oid
    where r.rolsuper or r.rolbypassrls
    union all
    select 'error', b.name, 'it has CREATEROLE or REPLICATION: it can give itself more', format('alter role %I nocreaterole noreplication;', b.name)
    from bound b join pg_catalog.pg_roles r on r.oid = b.oid
    where r.rolcreaterole or r.rolreplication
    union all
    select 'error', b.name, format('it may become %s', string_agg(quote_ident(g.rolname), ', ' order by g.rolname)),
           -- The last step of each way there.
           (select string_agg(distinct format('revoke %I from %I%s;', t.rolname, h.rolname,
                     case when m.grantor <> 10 and current_setting('server_version_num')::integer >= 160000 then format(' granted by %s', m.grantor::regrole) end), ' ')
            from pg_catalog.pg_auth_members m join pg_catalog.pg_roles t on t.oid = m.roleid join pg_catalog.pg_roles h on h.oid = m.member
            where m.roleid = any (array_agg(g.oid))
              and (m.member = b.oid or pg_has_role(b.oid, m.member, 'member')
                   and (m.member not in (select beyond.oid from beyond) or b.name = 'fluxbase_service' and h.rolname = 'service_role')))
    from bound b join pg_catalog.pg_roles r on r.oid = b.oid and not r.rolsuper
    join pg_catalog.pg_roles g on g.oid <> r.oid and pg_has_role(r.oid, g.oid, 'member')
    where not (b.name = 'fluxbase_service' and g.rolname = 'service_role')
      and (g.oid in (select beyond.oid from beyond)
           or b.name in ('fluxbase_service', 'fluxbase_server') and exists (select from pg_catalog.pg_auth_members m where m.member = b.oid and m.roleid = g.oid))
    group by b.oid, b.name
    union all
    select 'error', r.rolname, format('it owns %s', string_agg(c.name, ', ' order by c.name)), 'give these to a role that runs no requests'
    from pg_catalog.pg_roles r join auth.lint_relations c on c.relowner = r.oid
    where r.rolname = 'service_role' or r.oid in (select b.oid from bound b)
    group by r.oid, r.rolname
    union all
    select 'info', r.rolname, 'it may log in and has BYPASSRLS: whoever has its password sees all rows', format('alter role %I nobypassrls;', r.rolname)
    from pg_catalog.pg_roles r
    where r.rolcanlogin and r.rolbypassrls and not r.rolsuper and r.oid not in (select b.oid from bound b)) x;
revoke all on auth.lint_role_bypasses_rls from public;
grant select on auth.lint_role_bypasses_rls to fluxbase_admin;
comment on view auth.lint_role_bypasses_rls is 'Roles that run requests and that row security does not bind.';
