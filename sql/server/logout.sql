-- Logout.  Tables: auth.sessions, auth.token_blacklist.  Caller: fluxbase_server, after begin_entry.
create or replace function fluxbase.logout(p_scope text, p_token_expires_at timestamptz)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user_id uuid := auth.current_user_id();
  v_session_id uuid := auth.session_id();
  v_jti uuid := (auth.jwt() ->> 'jti')::uuid;
  v_ended integer;
begin
  if v_user_id is null or v_session_id is null then
    return jsonb_build_object('status', 'session_not_found');
  elsif p_scope is null or p_scope not in ('local', 'others', 'global') then
    return jsonb_build_object('status', 'validation_failed');
  end if;
  v_ended := auth.end_sessions(p_user_id => v_user_id, p_reason => 'logout',
    p_session_id => case when p_scope = 'local' then v_session_id end,
    p_except_session_id => case when p_scope = 'others' then v_session_id end);
  if p_scope <> 'others' then
    insert into auth.token_blacklist (jti, session_id, user_id, expires_at, reason)
    values (v_jti, v_session_id, v_user_id, p_token_expires_at, 'logout')
    on conflict (jti) do nothing;
  end if;
  if v_ended > 0 or p_scope = 'others' then
    perform audit.record(p_action => 'logout', p_subject_id => v_user_id,
                         p_details => jsonb_build_object('scope', p_scope, 'sessions', v_ended));
  end if;
  return jsonb_build_object('status', 'ok');
end $$;
revoke all on function fluxbase.logout(text, timestamptz) from public;
grant execute on function fluxbase.logout(text, timestamptz) to fluxbase_server;
comment on function fluxbase.logout(text, timestamptz) is
  'Ends the session of the request (local), all others, or all (global), and denies the access token until it expires.';
