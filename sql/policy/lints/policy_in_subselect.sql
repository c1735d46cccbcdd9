-- Inside a policy, column in (select ...) never becomes a join or a condition of an index: every query reads the whole table.
create or replace view auth.lint_policy_in_subselect with (security_invoker = true) as
  select 'policy_in_subselect'::text as code, 'info'::text as severity, f.object as object,
         'it compares a column with in (select ...), which no index serves'::text as evidence,
         'write column = any (array(select ...))'::text as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/policy_in_subselect.md'::text as doc
  from auth.lint_policy_findings() f
  where f.finding = 'in_subselect' and f.permissive
  group by f.policy_id, f.object;
revoke all on auth.lint_policy_in_subselect from public;
grant select on auth.lint_policy_in_subselect to fluxbase_admin;
comment on view auth.lint_policy_in_subselect is 'Policies whose IN no index serves.';
