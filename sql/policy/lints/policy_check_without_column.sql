-- A rule for old rows that compares the tenant or the user, and a rule for new rows that does not: whoever may write a row may give it to others.
create or replace view auth.lint_policy_check_without_column with (security_invoker = true) as
  select 'policy_check_without_column'::text as code, 'error'::text as severity, p.object as object,
         format('the rule for old rows compares %s, the rule for new rows does not', string_agg(distinct c.pattern, ', ')) as evidence,
         'leave out with check, and using holds for new rows, too; or compare the same columns in it'::text as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/policy_check_without_column.md'::text as doc
  from auth.lint_policies() p
  join (select distinct l.relation_id, l.object, l.attnum, quote_ident(l.column_name) as pattern from auth.lint_policy_columns() l where l.kind in ('tenant', 'user')) c
    on c.relation_id = p.relation_id and c.object = p.object
  where p.permissive and p.command in ('*', 'w') and p.check_expression is not null
    and not auth.lint_mentions(p_expression => p.check_expression, p_column => c.pattern)
    -- The column may be out of reach, or a restrictive policy may see to it.
    and exists (select from auth.lint_request_roles r
                where has_column_privilege(r.oid, p.relation_id, c.attnum, case p.command when '*' then 'insert, update' else 'update' end))
    and not exists (select from auth.lint_policies() l
                    where l.relation_id = p.relation_id and not l.permissive and l.command in ('*', 'w')
                      and auth.lint_mentions(p_expression => coalesce(l.check_expression, l.using_expression), p_column => c.pattern))
  group by p.policy_id, p.object;
revoke all on auth.lint_policy_check_without_column from public;
grant select on auth.lint_policy_check_without_column to fluxbase_admin;
comment on view auth.lint_policy_check_without_column is 'Policies that let a row be given to another tenant or user.';
