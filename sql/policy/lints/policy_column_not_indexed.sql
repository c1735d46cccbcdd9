-- A column that a policy compares, and no index starts with it: every query reads the whole table.
create or replace view auth.lint_policy_column_not_indexed with (security_invoker = true) as
  select 'policy_column_not_indexed'::text as code, 'warning'::text as severity, c.name as object,
         format('%s compares %I, and no index starts with it', string_agg(distinct p.object, ', '), p.column_name) as evidence,
         -- Concurrently is not for partitioned tables.
         format('create index %son %s (%I);', case c.relkind when 'p' then '' else 'concurrently ' end, c.name, p.column_name) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/policy_column_not_indexed.md'::text as doc
  from auth.lint_policy_columns() p join auth.lint_relations c on c.oid = p.relation_id
  where c.relkind in ('r', 'p') and c.relrowsecurity
    -- A rule for new rows looks for none.
    and exists (select from auth.lint_policies() l
                where l.relation_id = p.relation_id and l.object = p.object and auth.lint_mentions(p_expression => l.using_expression, p_column => quote_ident(p.column_name)))
    and not exists (select from pg_catalog.pg_index i
                    where i.indrelid = c.oid and i.indisvalid and i.indpred is null and i.indkey[0] = p.attnum)
  group by c.oid, c.name, c.relkind, p.column_name;
revoke all on auth.lint_policy_column_not_indexed from public;
grant select on auth.lint_policy_column_not_indexed to fluxbase_admin;
comment on view auth.lint_policy_column_not_indexed is 'Columns that policies compare without an index.';
