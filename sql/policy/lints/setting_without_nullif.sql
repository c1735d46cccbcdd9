-- After a transaction that set it, a setting is the empty string and not null: a cast of it then fails, or compares with nobody's value.
-- In a session that never set it, it fails unless it is asked for with missing_ok.
create or replace view auth.lint_setting_without_nullif with (security_invoker = true) as
  select 'setting_without_nullif'::text as code, 'warning'::text as severity, x.object collate pg_catalog."default" as object,
         'it reads ' || string_agg(distinct format('current_setting(%s)%s%s', s.arguments,
           case when not s.guarded then ' without nullif(..., '''')' end,
           case when not s.missing_ok then case when s.guarded then ' without missing_ok' else ' and missing_ok' end end), ', ') collate pg_catalog."default" as evidence,
         'write nullif(current_setting(''...'', true), ''''), or use the helpers of schema auth'::text as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/setting_without_nullif.md'::text as doc
  from (
    select p.object, concat_ws(' ', p.using_expression, p.check_expression) as text from auth.lint_policies() p
    union all
    select format('%s %s', f.kind, f.name), f.body
    from auth.lint_functions f
    where exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_policy'::regclass
                    and d.refclassid = 'pg_catalog.pg_proc'::regclass and d.refobjid = f.oid)) x
  cross join lateral regexp_matches(x.text, '(nullif\s*\((?:[a-z_.]*\()*)?current_setting\s*\(((?:[^()]|\([^()]*\))*)\)(\s*=\s*''[^''])?', 'gi') m (found)
  -- A comparison with a text that is not empty is as good as nullif.
  cross join lateral (select m.found[2] as arguments, m.found[1] is not null or m.found[3] is not null as guarded, m.found[2] ~* ',\s*true\s*$' as missing_ok) s
  where not (s.guarded and s.missing_ok)
    -- A setting of PostgreSQL itself has no dot in its name, and always a value.
    and s.arguments !~ '^\s*''[^''.]*'''
  group by x.object;
revoke all on auth.lint_setting_without_nullif from public;
grant select on auth.lint_setting_without_nullif to fluxbase_admin;
comment on view auth.lint_setting_without_nullif is 'Policies, and functions that they call, that take an empty setting for a value.';
