-- All lints at once.  Tables: the catalog.  Caller: fluxbase_admin.
-- Invoker: it reads nothing but the catalog, which its caller may read.  To compile so long a query takes seconds, to run it does not.
create or replace function auth.check(p_severity text default 'warning')
returns table (code text, severity text, object text, evidence text, fix text, doc text)
language plpgsql stable security invoker set search_path = pg_catalog, pg_temp set jit = off
as $$
declare
  v_levels constant text[] := array['error', 'warning', 'info'];
begin
  if p_severity is null or not p_severity = any (v_levels) then
    raise exception using errcode = '22023', message = format('severity %s does not exist', quote_nullable(p_severity)),
      hint = 'error, warning or info; each includes those before it';
  end if;
  return query
    select f.code, f.severity, f.object, f.evidence, f.fix, f.doc
    from (
      select * from auth.lint_context_not_verified union all
      select * from auth.lint_database_locale union all
      select * from auth.lint_default_grants union all
      select * from auth.lint_definer_passes_rls union all
      select * from auth.lint_definer_search_path union all
      select * from auth.lint_foreign_key_without_tenant union all
      select * from auth.lint_function_for_public union all
      select * from auth.lint_grant_beyond_rows union all
      select * from auth.lint_login_settings union all
      select * from auth.lint_own_schema_grant union all
      select * from auth.lint_partition_grant union all
      select * from auth.lint_policies_without_rls union all
      select * from auth.lint_policy_check_without_column union all
      select * from auth.lint_policy_column_not_indexed union all
      select * from auth.lint_policy_constant_or union all
      select * from auth.lint_policy_identity_per_row union all
      select * from auth.lint_policy_in_subselect union all
      select * from auth.lint_policy_recursive union all
      select * from auth.lint_policy_true_for_writes union all
      select * from auth.lint_policy_user_metadata union all
      select * from auth.lint_policy_without_roles union all
      select * from auth.lint_relation_without_rls union all
      select * from auth.lint_rls_disabled union all
      select * from auth.lint_rls_not_forced union all
      select * from auth.lint_rls_without_policy union all
      select * from auth.lint_role_bypasses_rls union all
      select * from auth.lint_schema_create union all
      select * from auth.lint_sequence_grant union all
      select * from auth.lint_setting_without_nullif union all
      select * from auth.lint_temporary_for_public union all
      select * from auth.lint_tenant_table_open union all
      select * from auth.lint_unique_without_tenant union all
      select * from auth.lint_user_reference_without_key union all
      select * from auth.lint_view_not_invoker
    ) f
    where array_position(v_levels, f.severity) <= array_position(v_levels, p_severity)
    order by array_position(v_levels, f.severity), f.code, f.object collate "C", f.evidence collate "C";
end $$;
revoke all on function auth.check(text) from public;
grant execute on function auth.check(text) to fluxbase_admin;
comment on function auth.check(text) is
  'Findings about the access rules of the application, worst first; p_severity is the least severe kind that is wanted: error, warning or info.';
