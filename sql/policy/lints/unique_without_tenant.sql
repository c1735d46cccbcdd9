-- A unique key without the tenant tells, by its violation, what another tenant has.
create or replace view auth.lint_unique_without_tenant with (security_invoker = true) as
  select 'unique_without_tenant'::text as code, 'warning'::text as severity, format('index %I on %s', x.relname, c.name) as object,
         format('it is unique on (%s) over all tenants: a duplicate tells that another tenant has the value', k.columns) as evidence,
         format('make it unique on (%s, %s)', t.tenant, k.columns) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/unique_without_tenant.md'::text as doc
  from (select p.relation_id, string_agg(distinct quote_ident(p.column_name), ', ') as tenant, array_agg(distinct p.attnum) as attnums,
               '(' || string_agg(distinct regexp_replace(quote_ident(p.column_name), '([^[:alnum:]_])', '\\\1', 'g'), '|') || ')' as pattern
        from auth.lint_policy_columns() p where p.kind = 'tenant' group by p.relation_id) t
  join auth.lint_relations c on c.oid = t.relation_id
  join pg_catalog.pg_index i on i.indrelid = c.oid and (i.indisunique or i.indisexclusion)
  join pg_catalog.pg_class x on x.oid = i.indexrelid
  cross join lateral (
    select string_agg(coalesce(quote_ident(a.attname), pg_get_indexdef(i.indexrelid, u.ord::integer, true)), ', ' order by u.ord) as columns,
           bool_or(u.attnum = any (t.attnums) or u.attnum = 0 and pg_get_expr(i.indexprs, i.indrelid) ~ ('(^|[^[:alnum:]_])' || t.pattern || '($|[^[:alnum:]_])')) as has_tenant,
           bool_and(coalesce(a.attidentity <> '' or pg_get_expr(d.adbin, d.adrelid) ~ '(nextval|gen_random_uuid|uuidv7|uuidv4|uuid_generate_v[0-9a-z]+)\(', false)) as generated
    from unnest(i.indkey::smallint[]) with ordinality u (attnum, ord)
    left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = u.attnum and u.attnum > 0
    left join pg_catalog.pg_attrdef d on d.adrelid = c.oid and d.adnum = u.attnum
    where u.ord <= i.indnkeyatts) k
  where not k.has_tenant and not k.generated;
revoke all on auth.lint_unique_without_tenant from public;
grant select on auth.lint_unique_without_tenant to fluxbase_admin;
comment on view auth.lint_unique_without_tenant is 'Unique keys of tenants'' tables that span all tenants.';
