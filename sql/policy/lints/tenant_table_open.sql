-- A table that was made by hand in the schema of a tenant: auth.create_tenant_schema() and auth.in_tenant_schemas() lock theirs.
create or replace view auth.lint_tenant_table_open with (security_invoker = true) as
  select 'tenant_table_open'::text as code, 'error'::text as severity, c.name as object,
         format('it is in the schema of a tenant, and nothing asks %s whether they belong to it', string_agg(r.name, ', ' order by r.name)) as evidence,
         -- Of an organization that is gone: closed, and not dropped by whoever copies this.
         case when t.org_id is not null then format('select auth.lock_tenant_schema(%L, %L);', c.schema, t.org_id)
              else coalesce(auth.lint_revoke(p_object => format('schema %I', c.schema), p_acl => n.nspacl, p_owner => n.nspowner, p_privileges => array['USAGE']),
                            format('select auth.drop_tenant_schema(%L) drops it, with its data', c.schema)) end as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/tenant_table_open.md'::text as doc
  from (select j ->> 'schema_name' as schema_name, j ->> 'org_id' as org_id from auth.tenant_schema_rows() j) t
  join auth.lint_relations c on c.schema = t.schema_name and c.relkind in ('r', 'p') and not c.is_child
  join pg_catalog.pg_namespace n on n.oid = c.schema_id
  join auth.lint_request_roles r on has_schema_privilege(r.oid, c.schema_id, 'usage')
    and (has_table_privilege(r.oid, c.oid, 'select, insert, update, delete') or has_any_column_privilege(r.oid, c.oid, 'select, insert, update'))
  -- The policy stands on the function and names the organization; its text alone may say anything.
  where not (c.relrowsecurity and exists (
    select from pg_catalog.pg_policy p join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = p.oid
      and d.refclassid = 'pg_catalog.pg_proc'::regclass and d.refobjid = 'auth.require_tenant(uuid)'::regprocedure
    where p.polrelid = c.oid and not p.polpermissive and p.polcmd = '*' and p.polroles && array[0::oid, r.oid]
      and (t.org_id is null or position(t.org_id in pg_get_expr(p.polqual, p.polrelid)) > 0)))
  group by c.oid, c.name, c.schema, t.org_id, n.oid;
revoke all on auth.lint_tenant_table_open from public;
grant select on auth.lint_tenant_table_open to fluxbase_admin;
comment on view auth.lint_tenant_table_open is 'Tables in schemas of tenants that are open to others than the members.';
