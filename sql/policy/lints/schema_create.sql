-- Who may create objects in a schema of the application can put a function or an operator in the way of others.
create or replace view auth.lint_schema_create with (security_invoker = true) as
  select 'schema_create'::text as code, 'error'::text as severity, x.object as object,
         format('%s may create %s in it', string_agg(quote_ident(x.role), ', ' order by x.role), x.what) as evidence,
         format('revoke create on %s from public, %s;', x.object, string_agg(quote_ident(x.role), ', ' order by x.role)) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/schema_create.md'::text as doc
  from (
    select format('schema %I', n.nspname) as object, 'objects' as what, r.name as role
    from pg_catalog.pg_namespace n join auth.lint_request_roles r on has_schema_privilege(r.oid, n.oid, 'create')
    where n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
    union all
    select format('database %I', current_database()), 'schemas', r.name
    from auth.lint_request_roles r where has_database_privilege(r.oid, current_database(), 'create')) x
  group by x.object, x.what;
revoke all on auth.lint_schema_create from public;
grant select on auth.lint_schema_create to fluxbase_admin;
comment on view auth.lint_schema_create is 'Schemas, and the database, in which requests may create objects.';
