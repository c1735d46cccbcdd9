-- An arm of OR that does not look at the row (an administrator's way in, or true) keeps PostgreSQL from using an index for the others.
create or replace view auth.lint_policy_constant_or with (security_invoker = true) as
  select 'policy_constant_or'::text as code, 'error'::text as severity, f.object as object,
         'OR with an arm that does not depend on the row: ' || string_agg(distinct f.evidence, '; ') as evidence,
         'give it a policy of its own, for a role of its own'::text as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/policy_constant_or.md'::text as doc
  from auth.lint_policy_findings() f
  where f.finding = 'constant_or' and f.permissive
  group by f.policy_id, f.object;
revoke all on auth.lint_policy_constant_or from public;
grant select on auth.lint_policy_constant_or to fluxbase_admin;
comment on view auth.lint_policy_constant_or is 'Policies with an arm of OR that does not depend on the row.';
