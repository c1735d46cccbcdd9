-- A foreign key between tables of tenants without the tenant tells which rows of others exist, and its cascade deletes rows that the deleter cannot see.
create or replace view auth.lint_foreign_key_without_tenant with (security_invoker = true) as
  select 'foreign_key_without_tenant'::text as code, 'warning'::text as severity, format('constraint %I on %s', k.conname, c.name) as object,
         format('it refers to %s without %s: a row of another tenant can be named', r.name, t.tenant) as evidence,
         format('add the tenant to the key: foreign key (%s, ...) references %s (%s, ...)', t.tenant, r.name, f.tenant) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/foreign_key_without_tenant.md'::text as doc
  from (select p.relation_id, string_agg(distinct quote_ident(p.column_name), ', ') as tenant, array_agg(distinct p.attnum) as attnums
        from auth.lint_policy_columns() p where p.kind = 'tenant' group by p.relation_id) t
  join auth.lint_relations c on c.oid = t.relation_id
  join pg_catalog.pg_constraint k on k.conrelid = c.oid and k.contype = 'f' and k.conparentid = 0
  join auth.lint_relations r on r.oid = k.confrelid
  join (select p.relation_id, string_agg(distinct quote_ident(p.column_name), ', ') as tenant
        from auth.lint_policy_columns() p where p.kind = 'tenant' group by p.relation_id) f on f.relation_id = r.oid
  where not k.conkey && t.attnums;
revoke all on auth.lint_foreign_key_without_tenant from public;
grant select on auth.lint_foreign_key_without_tenant to fluxbase_admin;
comment on view auth.lint_foreign_key_without_tenant is 'Foreign keys between tenants'' tables that leave out the tenant.';
