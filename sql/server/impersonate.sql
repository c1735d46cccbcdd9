-- Acting as a user, over HTTP.  Tables: auth.sessions, auth.users.  Caller: fluxbase_server, after begin_entry.
-- A person acts, never a program: a service key does not do.

create or replace function fluxbase.impersonation_decide(p_entry text)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return case when auth.session_id() is null then 'not_admin' else fluxbase.admin_decide(p_entry => p_entry) end;
end $$;
revoke all on function fluxbase.impersonation_decide(text) from public;
comment on function fluxbase.impersonation_decide(text) is 'As fluxbase.admin_decide(), for sessions alone.';

create or replace function fluxbase.impersonate(
  p_user_id uuid, p_seconds integer, p_reason text, p_read_only boolean, p_session_id uuid, p_user_agent text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.impersonation_decide(p_entry => 'impersonate');
begin
  if v_status = 'ok' then
    v_status := fluxbase.start_impersonation(p_actor_id => auth.current_user_id(), p_user_id => p_user_id, p_seconds => p_seconds,
      p_reason => p_reason, p_read_only => p_read_only, p_session_id => p_session_id, p_user_agent => p_user_agent) ->> 'status';
  end if;
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  end if;
  return fluxbase.impersonation_token(p_session_id => p_session_id);
end $$;

-- The token of a session that psql or fluxbase.impersonate() made, for the one who acts in it.
create or replace function fluxbase.impersonation_token(p_session_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.impersonation_decide(p_entry => 'impersonation_token');
  v_session auth.sessions;
  v_user auth.users;
begin
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  end if;
  select s.* into v_session from auth.sessions s
  where s.id = p_session_id and s.actor_id = auth.current_user_id() and s.revoked_at is null and s.expires_at > now();
  if not found then
    return jsonb_build_object('status', 'no_such_session');
  end if;
  select u.* into strict v_user from auth.users u where u.id = v_session.user_id;
  perform audit.record(p_action => 'impersonation.token', p_subject_id => v_user.id, p_record_key => jsonb_build_object('id', p_session_id));
  return jsonb_build_object('status', 'ok', 'seconds', floor(extract(epoch from v_session.expires_at - now()))::integer, 'read_only', v_session.read_only,
    'session', fluxbase.session_json(p_user => v_user, p_session => v_session, p_jti => gen_random_uuid()));
end $$;
revoke all on function fluxbase.impersonate(uuid, integer, text, boolean, uuid, text) from public;
grant execute on function fluxbase.impersonate(uuid, integer, text, boolean, uuid, text) to fluxbase_server;
comment on function fluxbase.impersonate(uuid, integer, text, boolean, uuid, text) is
  'Makes a session in which the signed-in administrator acts as the user; also not_admin, insufficient_aal, no_such_user, user_not_impersonable, validation_failed.';
revoke all on function fluxbase.impersonation_token(uuid) from public;
grant execute on function fluxbase.impersonation_token(uuid) to fluxbase_server;
comment on function fluxbase.impersonation_token(uuid) is
  'What the token of such a session says, and how long it may live; also not_admin, insufficient_aal, no_such_session.';
