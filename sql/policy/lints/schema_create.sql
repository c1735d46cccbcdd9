-- Who may create objects in a schema of the application can put a function or an operator in the way of others.
create or replace view auth.lint_schema_create with (security_invoker = true) as
  select 'schema_create'::text as code, 'error'::text as severity, x.object as object,
         format('%s may create %s in it', string_agg(quote_ident(x.role), ', ' order by x.role), x.what) as evidence,
         case when bool_or(pg_has_role(x.role_id, x.owner, 'usage')) then 'give it to an owner whom no role of requests is a member of'
              else auth.lint_revoke(p_object => x.object, p_owner => x.owner, p_privileges => array['CREATE'], p_grantees => array_agg(x.role_id) || 0::oid,
                     p_acl => case x.what when 'schemas' then (select d.datacl from pg_catalog.pg_database d where d.oid = x.id)
                                          else (select n.nspacl from pg_catalog.pg_namespace n where n.oid = x.id) end) end as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/schema_create.md'::text as doc
  from (
    select format('schema %I', n.nspname) as object, 'objects' as what, r.name as role, r.oid as role_id, n.nspowner as owner, n.oid as id
    from pg_catalog.pg_namespace n join auth.lint_request_roles r on has_schema_privilege(r.oid, n.oid, 'create')
    where n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
    union all
    select format('database %I', d.datname), 'schemas', r.name, r.oid, d.datdba, d.oid
    from auth.lint_request_roles r join pg_catalog.pg_database d on d.datname = current_database() and has_database_privilege(r.oid, d.oid, 'create')) x
  group by x.object, x.what, x.owner, x.id;
revoke all on auth.lint_schema_create from public;
grant select on auth.lint_schema_create to fluxbase_admin;
comment on view auth.lint_schema_create is 'Schemas, and the database, in which requests may create objects.';
