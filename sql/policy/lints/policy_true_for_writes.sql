-- using (true) or with check (true) for a write lets every caller of these roles write every row.
create or replace view auth.lint_policy_true_for_writes with (security_invoker = true) as
  select 'policy_true_for_writes'::text as code, case when t.template is null then 'error' else 'info' end as severity, p.object as object,
         format('%s is %s for %s', case when p.command <> 'd' and a.new_rows is not null then 'the rule for new rows' else 'the rule for old rows' end,
           case when p.command <> 'd' then coalesce(a.new_rows, a.old_rows) else a.old_rows end, case p.command when '*' then 'all commands' when 'a' then 'insert' when 'w' then 'update' else 'delete' end) as evidence,
         case when t.template is null then 'compare a column with (select auth.current_user_id()) or (select auth.org_ids()), or limit the policy to select'
              else 'keep the template without rows: in the schemas of tenants true means every member' end as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/policy_true_for_writes.md'::text as doc
  from auth.lint_policies() p
  cross join lateral (
    select auth.lint_always_true(p_relation_id => p.relation_id, p_expression => p.using_expression) as old_rows,
           auth.lint_always_true(p_relation_id => p.relation_id, p_expression => coalesce(p.check_expression, p.using_expression)) as new_rows) a
  left join lateral (
    select n.nspname as template from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.oid = p.relation_id and exists (select from auth.tenant_schema_rows() j where j ->> 'template' = n.nspname)) t on true
  where p.permissive and p.command in ('*', 'a', 'w', 'd') and (a.old_rows is not null or a.new_rows is not null)
    -- In the schema of a tenant true means: for every member.
    and not exists (select from auth.lint_policies() l where l.relation_id = p.relation_id and not l.permissive and l.command = '*'
                      and l.using_expression ~ 'require_tenant\(' and p.roles <@ l.roles)
    and (0 = any (p.roles) or exists (select from auth.lint_request_roles r where r.oid = any (p.roles)));
revoke all on auth.lint_policy_true_for_writes from public;
grant select on auth.lint_policy_true_for_writes to fluxbase_admin;
comment on view auth.lint_policy_true_for_writes is 'Policies that let requests write any row.';
