-- After a transaction that set it, a setting is the empty string and not null: a cast of it then fails, or compares with nobody's value.
create or replace view auth.lint_setting_without_nullif with (security_invoker = true) as
  select 'setting_without_nullif'::text as code, 'warning'::text as severity, p.object as object,
         'it reads ' || string_agg(distinct m.found[1], ', ') || ' without nullif(..., '''')' as evidence,
         'write nullif(current_setting(''...'', true), ''''), or use the helpers of schema auth'::text as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/setting_without_nullif.md'::text as doc
  from auth.lint_policies() p
  cross join lateral regexp_matches(concat_ws(' ', p.using_expression, p.check_expression),
    '(?<!NULLIF\()(?<!NULLIF\(\()(current_setting\(''[^'']*''::text(?:, (?:true|false))?\))', 'g') m (found)
  group by p.policy_id, p.object;
revoke all on auth.lint_setting_without_nullif from public;
grant select on auth.lint_setting_without_nullif to fluxbase_admin;
comment on view auth.lint_setting_without_nullif is 'Policies that take an empty setting for a value.';
