-- Who may create objects in a schema of the application can put a function or an operator in the way of others.
create or replace view auth.lint_schema_create with (security_invoker = true) as
  select 'schema_create'::text as code, 'error'::text as severity, format('schema %I', n.nspname) as object,
         string_agg(quote_ident(r.name), ', ' order by r.name) || ' may create objects in it' as evidence,
         format('revoke create on schema %I from public, %s;', n.nspname, string_agg(quote_ident(r.name), ', ' order by r.name)) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/schema_create.md'::text as doc
  from pg_catalog.pg_namespace n join auth.lint_request_roles r on has_schema_privilege(r.oid, n.oid, 'create')
  where n.nspname not in ('auth', 'audit', 'ratelimit', 'fluxbase', 'information_schema') and n.nspname !~ '^pg_'
  group by n.oid, n.nspname;
revoke all on auth.lint_schema_create from public;
grant select on auth.lint_schema_create to fluxbase_admin;
comment on view auth.lint_schema_create is 'Schemas in which requests may create objects.';
