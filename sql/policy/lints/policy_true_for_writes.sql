-- using (true) or with check (true) for a write lets every caller of these roles write every row.
create or replace view auth.lint_policy_true_for_writes with (security_invoker = true) as
  select 'policy_true_for_writes'::text as code, 'error'::text as severity, p.object as object,
         format('%s is true for %s', case when p.command <> 'd' and coalesce(p.check_expression, p.using_expression) = 'true' then 'the rule for new rows' else 'the rule for old rows' end, case p.command when '*' then 'all commands' when 'a' then 'insert' when 'w' then 'update' else 'delete' end) as evidence,
         'compare a column with (select auth.current_user_id()) or (select auth.org_ids()), or limit the policy to select'::text as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/policy_true_for_writes.md'::text as doc
  from auth.lint_policies() p
  where p.permissive and p.command in ('*', 'a', 'w', 'd') and 'true' in (p.using_expression, p.check_expression)
    -- In the schema of a tenant true means: for every member.
    and not exists (select from auth.lint_policies() l where l.relation_id = p.relation_id and not l.permissive and l.command = '*'
                      and l.using_expression ~ 'require_tenant\(' and p.roles <@ l.roles)
    and (0 = any (p.roles) or exists (select from auth.lint_request_roles r where r.oid = any (p.roles)));
revoke all on auth.lint_policy_true_for_writes from public;
grant select on auth.lint_policy_true_for_writes to fluxbase_admin;
comment on view auth.lint_policy_true_for_writes is 'Policies that let requests write any row.';
