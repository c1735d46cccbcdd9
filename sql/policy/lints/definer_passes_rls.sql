-- A definer function that requests may call and whose owner no policy binds: what it reads of a protected table, it reads for everybody.
create or replace view auth.lint_definer_passes_rls with (security_invoker = true) as
  select 'definer_passes_rls'::text as code,
         case when x.returns_rows and not x.asks then 'error' else 'warning' end as severity, format('%s %s', x.kind, x.name) as object,
         format('%s may execute it, and it %s %s as %s, whom no policy binds%s', x.roles, case when x.returns_rows then 'returns rows of' else 'reads' end, x.tables, x.proowner::regrole,
           case when not x.asks then '; it does not ask who is calling' end) as evidence,
         case when exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_policy'::regclass and d.refclassid = 'pg_catalog.pg_proc'::regclass and d.refobjid = x.oid)
              then 'ask auth.current_user_id() in it, and return keys: a policy calls it, which as invoker it would be bound by'
              else format('alter %s %s security invoker;', x.kind, x.name) end as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/definer_passes_rls.md'::text as doc
  from (
    with open_to as materialized (
      select p.relation_id, r.oid as role_id
      from auth.lint_policies() p join auth.lint_request_roles r on 0 = any (p.roles) or exists (select from unnest(p.roles) u (oid) where u.oid <> 0 and pg_has_role(r.oid, u.oid, 'usage'))
      where p.permissive and p.command in ('*', 'r') and p.using_expression = 'true'
        and not exists (select from pg_catalog.pg_policy n where n.polrelid = p.relation_id and not n.polpermissive and n.polcmd in ('*', 'r')))
    select f.oid, f.kind, f.name, f.proowner, f.oid in (select i.function_id from auth.lint_identity_functions() i) as asks,
           bool_or(c.oid = y.typrelid) as returns_rows, string_agg(distinct c.name, ', ') as tables,
           (select string_agg(quote_ident(r.name), ', ' order by r.name) from auth.lint_request_roles r
            where has_schema_privilege(r.oid, f.schema_id, 'usage') and has_function_privilege(r.oid, f.oid, 'execute')) as roles
    from auth.lint_functions f join pg_catalog.pg_type y on y.oid = f.prorettype join pg_catalog.pg_roles o on o.oid = f.proowner
    join auth.lint_relations c on c.relrowsecurity
      and (c.oid = y.typrelid or exists (select from auth.lint_function_reads r where r.function_id = f.oid and r.relation_id = c.oid))
      and (o.rolsuper or o.rolbypassrls or not c.relforcerowsecurity and pg_has_role(o.oid, c.relowner, 'usage'))
    where f.prosecdef and not f.is_trigger
      -- Of a table whose rows are everybody's, no policy is passed by.
      and exists (select from auth.lint_request_roles r
                  where has_function_privilege(r.oid, f.oid, 'execute') and not exists (select from open_to o where o.relation_id = c.oid and o.role_id = r.oid))
    group by f.oid, f.kind, f.name, f.proowner, f.schema_id) x
  where x.roles is not null and (x.returns_rows or not x.asks);
revoke all on auth.lint_definer_passes_rls from public;
grant select on auth.lint_definer_passes_rls to fluxbase_admin;
comment on view auth.lint_definer_passes_rls is 'Definer functions that read protected tables for requests.';
