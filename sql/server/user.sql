-- The signed-in user.  Tables: auth.users, auth.sessions.  Caller: fluxbase_server, after begin_entry.

create or replace function fluxbase.user()
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
begin
  select u.* into v_user from auth.users u where u.id = auth.current_user_id();
  if not found then
    return jsonb_build_object('status', 'user_not_found');
  end if;
  return jsonb_build_object('status', 'ok', 'user', fluxbase.user_json(
    p_user => v_user, p_identities => fluxbase.identities_json(p_user_id => v_user.id)));
end $$;
revoke all on function fluxbase.user() from public;
grant execute on function fluxbase.user() to fluxbase_server;
comment on function fluxbase.user() is 'The user of the request as HTTP shows it.';

-- A session that was stolen guesses no better than a stranger: the attempt counts as one to log in.
create or replace function fluxbase.user_password()
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_email text;
begin
  select u.email into v_email from auth.users u where u.id = auth.current_user_id();
  if v_email is null then
    return jsonb_build_object('status', 'unknown');
  end if;
  return fluxbase.login_begin(p_email => v_email);
end $$;
revoke all on function fluxbase.user_password() from public;
grant execute on function fluxbase.user_password() to fluxbase_server;
comment on function fluxbase.user_password() is
  'What the current password of the signed-in user is compared with; counts the attempt and answers as fluxbase.login_begin().';

-- A new password ends every other session: whoever knew the old one is out.
-- p_current_matched is null when no current password was given; p_current_hash is what it was compared with.
create or replace function fluxbase.user_update(
  p_email text, p_encrypted_password text, p_user_metadata jsonb, p_current_hash text, p_current_matched boolean)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_ended integer := 0;
begin
  select u.* into v_user from auth.users u where u.id = auth.current_user_id() for no key update;
  if not found then
    return jsonb_build_object('status', 'user_not_found');
  end if;
  -- Whoever has a second factor shows it first: a session that was stolen at aal1 cannot take the account over.
  if (p_encrypted_password is not null or lower(p_email) is distinct from v_user.email_normalized and p_email is not null)
     and exists (select from auth.mfa_factors f where f.user_id = v_user.id and f.status = 'verified')
     and not coalesce((select fluxbase.has_aal2(p_session => s) from auth.sessions s where s.id = auth.session_id()), false) then
    return jsonb_build_object('status', 'insufficient_aal');
  end if;
  -- The hash must still be the one that was compared, as in login_finish.
  if p_current_matched and p_current_hash = v_user.encrypted_password then
    perform fluxbase.login_succeeded(p_email => v_user.email);
  elsif p_current_matched is not null then
    perform audit.record(p_action => 'user.updated', p_outcome => 'denied', p_subject_id => v_user.id,
                         p_details => jsonb_build_object('reason', 'wrong current password'));
    return jsonb_build_object('status', 'invalid_credentials');
  elsif p_encrypted_password is not null and v_user.encrypted_password is not null
        and auth.setting(p_key => 'password_change_requires_current')::boolean then
    return jsonb_build_object('status', 'current_password_required');
  end if;
  if p_email is not null and lower(p_email) is distinct from v_user.email_normalized
     and not auth.setting(p_key => 'signup_autoconfirm')::boolean then
    return jsonb_build_object('status', 'email_provider_disabled');
  end if;
  begin
    update auth.users u
    set email = coalesce(p_email, u.email),
        encrypted_password = coalesce(p_encrypted_password, u.encrypted_password),
        password_changed_at = case when p_encrypted_password is null then u.password_changed_at else now() end,
        raw_user_meta_data = (select coalesce(jsonb_object_agg(m.key, m.value), '{}')
          from jsonb_each(u.raw_user_meta_data || coalesce(p_user_metadata, '{}')) m where m.value <> 'null')
    where u.id = v_user.id returning u.* into v_user;
  exception
    when unique_violation then return jsonb_build_object('status', 'email_exists');
    when check_violation then return jsonb_build_object('status', 'validation_failed');
  end;
  if p_encrypted_password is not null then
    v_ended := auth.end_sessions(p_user_id => v_user.id, p_except_session_id => auth.session_id(), p_reason => 'password_changed');
  end if;
  perform audit.record(p_action => 'user.updated', p_subject_id => v_user.id, p_details => jsonb_build_object(
    'changed', array_remove(array[case when p_email is not null then 'email' end,
                                  case when p_encrypted_password is not null then 'password' end,
                                  case when p_user_metadata is not null then 'user_metadata' end], null),
    'sessions_ended', v_ended));
  return jsonb_build_object('status', 'ok', 'user', fluxbase.user_json(
    p_user => v_user, p_identities => fluxbase.identities_json(p_user_id => v_user.id)));
end $$;
revoke all on function fluxbase.user_update(text, text, jsonb, text, boolean) from public;
grant execute on function fluxbase.user_update(text, text, jsonb, text, boolean) to fluxbase_server;
comment on function fluxbase.user_update(text, text, jsonb, text, boolean) is
  'Changes address, password or metadata (merged, null removes a key) of the signed-in user; a new password ends the other sessions; also invalid_credentials, current_password_required, insufficient_aal.';

create or replace function fluxbase.sessions()
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
begin
  return jsonb_build_object('status', 'ok', 'sessions', (
    select coalesce(jsonb_agg(jsonb_build_object(
        'id', s.id, 'created_at', s.created_at, 'refreshed_at', s.refreshed_at,
        'expires_at', s.expires_at, 'aal', s.aal, 'ip', host(s.ip), 'user_agent', s.user_agent,
        'current', s.id is not distinct from auth.session_id()) order by s.created_at desc, s.id), '[]')
    from auth.sessions s
    where s.user_id = auth.current_user_id() and s.revoked_at is null and s.expires_at > now()));
end $$;
revoke all on function fluxbase.sessions() from public;
grant execute on function fluxbase.sessions() to fluxbase_server;
comment on function fluxbase.sessions() is 'Living sessions of the signed-in user, newest first.';

create or replace function fluxbase.session_revoke(p_session_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user_id uuid := auth.current_user_id();
begin
  if v_user_id is null
     or auth.end_sessions(p_user_id => v_user_id, p_session_id => p_session_id, p_reason => 'user') = 0 then
    return jsonb_build_object('status', 'session_not_found');
  end if;
  perform audit.record(p_action => 'session.revoked', p_subject_id => v_user_id,
                       p_record_key => jsonb_build_object('id', p_session_id));
  return jsonb_build_object('status', 'ok');
end $$;
revoke all on function fluxbase.session_revoke(uuid) from public;
grant execute on function fluxbase.session_revoke(uuid) to fluxbase_server;
comment on function fluxbase.session_revoke(uuid) is 'Ends one of the signed-in user''s own sessions; session_not_found for anybody else''s.';
