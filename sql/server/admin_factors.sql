-- Second factors of users, for administrators over HTTP.  Tables: auth.mfa_factors.  Caller: fluxbase_server, after begin_entry.

create or replace function fluxbase.admin_user_factors(p_user_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
declare
  v_status text := fluxbase.admin_decide(p_entry => 'admin_user_factors');
begin
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  elsif not exists (select from auth.users u where u.id = p_user_id) then
    return jsonb_build_object('status', 'no_such_user');
  end if;
  perform audit.record(p_action => 'user.factors_viewed', p_subject_id => p_user_id);
  return jsonb_build_object('status', 'ok', 'result', (
    select coalesce(jsonb_agg(jsonb_build_object('id', f.id, 'friendly_name', coalesce(f.friendly_name, ''), 'factor_type', f.factor_type, 'status', f.status,
        'created_at', f.created_at, 'updated_at', f.updated_at, 'last_challenged_at', f.last_challenged_at) order by f.created_at, f.id), '[]')
    from auth.mfa_factors f where f.user_id = p_user_id));
end $$;
revoke all on function fluxbase.admin_user_factors(uuid) from public;
grant execute on function fluxbase.admin_user_factors(uuid) to fluxbase_server;
comment on function fluxbase.admin_user_factors(uuid) is 'Second factors of a user, without their secrets; also no_such_user.';

create or replace function fluxbase.admin_user_factor_delete(p_user_id uuid, p_factor_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.admin_decide(p_entry => 'admin_user_factor_delete');
begin
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  elsif not exists (select from auth.mfa_factors f where f.id = p_factor_id and f.user_id = p_user_id) then
    return jsonb_build_object('status', 'mfa_factor_not_found');
  end if;
  perform auth.remove_mfa_factor(p_factor_id => p_factor_id, p_reason => 'admin');
  return jsonb_build_object('status', 'ok', 'result', jsonb_build_object('id', p_factor_id));
end $$;
revoke all on function fluxbase.admin_user_factor_delete(uuid, uuid) from public;
grant execute on function fluxbase.admin_user_factor_delete(uuid, uuid) to fluxbase_server;
comment on function fluxbase.admin_user_factor_delete(uuid, uuid) is 'Removes a second factor of a user and ends the sessions that it had raised; also mfa_factor_not_found.';
