-- The plan that a user gets, beside the plan without row security.  Caller: fluxbase_admin.
-- Invoker; p_org as in auth.explain_access(); everything happens in a block that is always undone.  "Without" is service_role, whose policy is true.
create or replace function auth.explain_as(p_user text, p_query text, p_analyze boolean default false, p_aal text default 'aal1', p_org text default null)
returns setof text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_signed jsonb[] := array[auth.sign_context(p_user => p_user, p_aal => p_aal, p_role => null, p_org => p_org),
                            auth.sign_context(p_user => p_user, p_aal => p_aal, p_role => 'service_role', p_org => p_org)];
  v_path text := (select s.reset_val from pg_settings s where s.name = 'search_path');
  v_costs numeric[] := '{}';
  v_plan json;
  v_line text;
  v_lines text[];
begin
  for i in 1..2 loop
    v_lines := '{}';
    begin
      perform set_config('fluxbase.context', v_signed[i] ->> 'context', true),
              set_config('fluxbase.context_mac', v_signed[i] ->> 'mac', true),
              set_config('request.jwt.claims', coalesce(v_signed[i] ->> 'claims', ''), true),
              set_config('role', v_signed[i] ->> 'role', true),
              set_config('search_path', v_path, true);
      for v_line in execute 'explain (' || case when p_analyze then 'analyze, ' else '' end || 'costs on) ' || p_query loop
        v_lines := v_lines || v_line;
      end loop;
      execute 'explain (' || case when p_analyze then 'analyze, ' else '' end || 'format json) ' || p_query into v_plan;
      v_costs := v_costs || case when p_analyze then (v_plan -> 0 ->> 'Execution Time')::numeric else (v_plan -> 0 -> 'Plan' ->> 'Total Cost')::numeric end;
      raise exception using errcode = 'ZF999', message = 'undo';
    exception
      when sqlstate 'ZF999' then null;
      when insufficient_privilege then
        v_lines := array[format('%s (42501)', sqlerrm)];
      when syntax_error or invalid_cursor_definition or null_value_not_allowed or undefined_parameter then
        raise exception using errcode = sqlstate, message = format('the query has no plan: %s', sqlerrm),
          hint = 'give one SELECT, INSERT, UPDATE, DELETE, MERGE or VALUES, with values in place of $1';
    end;
    return next '-- as ' || case i when 1 then coalesce(p_user || ', ', '') || (v_signed[1] ->> 'role') else 'service_role, without row security' end;
    return query select unnest(v_lines);
  end loop;
  return next case when cardinality(v_costs) < 2 then '-- no factor: one of the two may not run it'
    else format('-- factor: %s', round(v_costs[1] / nullif(v_costs[2], 0), 2)) end;
end $$;
revoke all on function auth.explain_as(text, text, boolean, text, text) from public;
grant execute on function auth.explain_as(text, text, boolean, text, text) to fluxbase_admin;
comment on function auth.explain_as(text, text, boolean, text, text) is
  'Plan of a query as a user, the plan without row security, and the factor between their costs (times with p_analyze, which runs the query and undoes it).';
