-- Identity asked once per row where no index helps: several microseconds each, with a verified context.
create or replace view auth.lint_policy_identity_per_row with (security_invoker = true) as
  select 'policy_identity_per_row'::text as code, 'error'::text as severity, p.object as object,
         string_agg(distinct f.evidence, ', ') || ' is called for every row' as evidence,
         'write (select ...) around the call: it is then asked once per query'::text as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/policy_identity_per_row.md'::text as doc
  from auth.lint_policies() p cross join lateral auth.lint_expression(p_code => p.code) f
  where f.finding = 'per_row'
  group by p.policy_id, p.object;
revoke all on auth.lint_policy_identity_per_row from public;
grant select on auth.lint_policy_identity_per_row to fluxbase_admin;
comment on view auth.lint_policy_identity_per_row is 'Policies that ask who is calling for every row.';
