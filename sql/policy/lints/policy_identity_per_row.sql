-- Identity asked once per row where no index helps: several microseconds each, with a verified context.
create or replace view auth.lint_policy_identity_per_row with (security_invoker = true) as
  select 'policy_identity_per_row'::text as code, case when bool_or(f.finding = 'per_row') then 'error' else 'warning' end as severity, f.object as object,
         string_agg(distinct f.evidence, ', ' order by f.evidence) || ' is called for every row' as evidence,
         case when bool_or(f.finding = 'per_row') then 'write (select ...) around the call: it is then asked once per query'
              else 'let a function without arguments return the keys, and write column = any (array(select ...))' end as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/policy_identity_per_row.md'::text as doc
  from auth.lint_policy_findings() f
  where f.finding in ('per_row', 'per_row_argument')
  group by f.policy_id, f.object;
revoke all on auth.lint_policy_identity_per_row from public;
grant select on auth.lint_policy_identity_per_row to fluxbase_admin;
comment on view auth.lint_policy_identity_per_row is 'Policies that ask who is calling for every row.';
