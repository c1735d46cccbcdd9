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

-- Sessions that began with a mailed link for exactly this purpose: whoever has lost the password cannot give it.
create or replace function fluxbase.is_recovery(p_session auth.sessions)
returns boolean language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(p_session.amr @> '[{"method": "recovery"}]' and p_session.created_at > now() - interval '1 hour', false);
end $$;
revoke all on function fluxbase.is_recovery(auth.sessions) from public;
comment on function fluxbase.is_recovery(auth.sessions) is 'True for a session that a recovery mail has opened within the last hour.';

-- What a new password asks for beside the session: ok, or what is missing or wrong.
-- p_current_matched is null when no current password was given, p_nonce_hash when no mailed code was; the caller has counted the code.
create or replace function fluxbase.check_password_change(
  p_user auth.users, p_current_hash text, p_current_matched boolean, p_nonce_hash bytea)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_session auth.sessions;
begin
  select s.* into v_session from auth.sessions s where s.id = auth.session_id();
  if p_nonce_hash is not null then
    update auth.one_time_tokens t set used_at = now()
    where t.user_id = p_user.id and t.purpose = 'reauthentication' and t.code_hash = p_nonce_hash and t.used_at is null and t.expires_at > now();
    if not found then
      return 'reauthentication_not_valid';
    end if;
    delete from auth.login_attempts a where a.scope = 'code' and a.subject = fluxbase.account_subject(p_email => p_user.email);
    return 'ok';
  elsif fluxbase.is_recovery(p_session => v_session) then
    return 'ok';
  elsif auth.setting(p_key => 'password_change_requires_reauthentication')::boolean and p_user.email_confirmed_at is not null
        and (v_session.id is null or v_session.created_at < now() - interval '1 day') then
    return 'reauthentication_needed';
  elsif p_current_matched is null and p_user.encrypted_password is not null
        and auth.setting(p_key => 'password_change_requires_current')::boolean then
    return 'current_password_required';
  end if;
  return 'ok';
end $$;
revoke all on function fluxbase.check_password_change(auth.users, text, boolean, bytea) from public;
comment on function fluxbase.check_password_change(auth.users, text, boolean, bytea) is
  'Whether the signed-in user may set a new password: ok, reauthentication_needed, reauthentication_not_valid or current_password_required.';

-- A new password ends every other session: whoever knew the old one is out.  A new address waits until it was proven,
-- unless sign-ups need no proof either; whether somebody else has it is told by nothing here.
-- p_current_hash is what the current password was compared with.
create or replace function fluxbase.user_update(
  p_email text, p_encrypted_password text, p_user_metadata jsonb, p_current_hash text, p_current_matched boolean,
  p_nonce_hash bytea, p_redirect_to text, p_code_challenge text, p_code_challenge_method text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_before auth.users;
  v_ended integer := 0;
  v_status text;
  v_wait integer;
  v_new_email boolean;
  v_at_once boolean := auth.setting(p_key => 'signup_autoconfirm')::boolean;
  v_flow_id uuid;
  v_slowed boolean := false;
begin
  if p_email is not null and not fluxbase.is_email(p_email => p_email) then
    return jsonb_build_object('status', 'validation_failed');
  end if;
  select u.* into v_user from auth.users u where u.id = auth.current_user_id();
  v_new_email := p_email is not null and lower(p_email) is distinct from v_user.email_normalized;
  -- Counted before the user is locked, as everywhere: with the other order this and fluxbase.verify() would wait for each other.
  if v_new_email and not v_at_once then
    v_wait := coalesce(fluxbase.count_mail(p_kind => 'email_change_new', p_email => coalesce(v_user.email, v_user.id::text)),
                       fluxbase.count_mail(p_kind => 'email_change_to', p_email => p_email)); -- whoever asks
  end if;
  if p_encrypted_password is not null and p_nonce_hash is not null and v_user.id is not null then
    v_slowed := not fluxbase.count_attempt(p_scope => 'code', p_subject => fluxbase.account_subject(p_email => coalesce(v_user.email, v_user.id::text)),
      p_threshold => auth.setting(p_key => 'mail_code_failures_before_delay')::integer);
  end if;
  if not fluxbase.lock_own_user() then
    return jsonb_build_object('status', 'session_not_found');
  end if;
  select u.* into v_user from auth.users u where u.id = auth.current_user_id();
  v_before := v_user;
  -- Whoever has a second factor shows it first: a session that was stolen at aal1 cannot take the account over.
  if (p_encrypted_password is not null or v_new_email)
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
  end if;
  if p_encrypted_password is not null then
    v_status := case when v_user.is_anonymous and not (v_new_email and v_at_once) then 'anonymous_password'
      when v_slowed then 'reauthentication_not_valid'
      else fluxbase.check_password_change(p_user => v_user, p_current_hash => p_current_hash, p_current_matched => p_current_matched, p_nonce_hash => p_nonce_hash) end;
    if v_status <> 'ok' then
      perform audit.record(p_action => 'user.updated', p_outcome => 'denied', p_subject_id => v_user.id, p_details => jsonb_build_object('reason', v_status));
      return jsonb_build_object('status', v_status);
    end if;
  end if;
  if v_new_email and v_user.is_anonymous then
    v_status := fluxbase.check_signup(p_email => p_email, p_via => 'signup');
    if v_status <> 'ok' then
      return jsonb_build_object('status', v_status);
    end if;
  end if;
  if v_wait is not null then
    return jsonb_build_object('status', 'over_email_send_rate_limit', 'retry_after', v_wait);
  elsif v_new_email and not v_at_once and p_code_challenge is not null then
    v_flow_id := fluxbase.flow_begin(p_purpose => 'email_change', p_code_challenge => p_code_challenge, p_code_challenge_method => p_code_challenge_method);
    if v_flow_id is null then
      return jsonb_build_object('status', 'code_challenge_invalid');
    end if;
  end if;
  begin
    update auth.users u
    set email = case when v_at_once then coalesce(p_email, u.email) else u.email end,
        email_confirmed_at = case when v_at_once and v_new_email then coalesce(u.email_confirmed_at, now()) else u.email_confirmed_at end,
        is_anonymous = u.is_anonymous and not (v_at_once and v_new_email),
        encrypted_password = coalesce(p_encrypted_password, u.encrypted_password),
        password_changed_at = case when p_encrypted_password is null then u.password_changed_at else now() end,
        raw_user_meta_data = (select coalesce(jsonb_object_agg(m.key, m.value), '{}')
          from jsonb_each(u.raw_user_meta_data || coalesce(p_user_metadata, '{}')) m where m.value <> 'null')
    where u.id = v_user.id returning u.* into v_user;
  exception
    when unique_violation then return jsonb_build_object('status', 'email_exists');
    when check_violation then return jsonb_build_object('status', 'validation_failed');
  end;
  if v_new_email and not v_at_once then
    perform fluxbase.begin_email_change(p_user => v_user, p_email => p_email, p_redirect_to => p_redirect_to, p_flow_id => v_flow_id);
    v_user.email_change := p_email;
  end if;
  if p_encrypted_password is not null then
    v_ended := auth.end_sessions(p_user_id => v_user.id, p_except_session_id => auth.session_id(), p_reason => 'password_changed');
    perform fluxbase.void_tokens(p_user_id => v_user.id, p_purposes => array['recovery', 'magiclink', 'reauthentication']);
  end if;
  perform fluxbase.mail_notices(p_before => v_before, p_after => v_user);
  perform audit.record(p_action => 'user.updated', p_subject_id => v_user.id, p_details => jsonb_build_object(
    'changed', array_remove(array[case when v_new_email and v_at_once then 'email' end,
                                  case when v_new_email and not v_at_once then 'email_change' end,
                                  case when p_encrypted_password is not null then 'password' end,
                                  case when p_user_metadata is not null then 'user_metadata' end], null),
    'sessions_ended', v_ended));
  return jsonb_build_object('status', 'ok', 'user', fluxbase.user_json(
    p_user => v_user, p_identities => fluxbase.identities_json(p_user_id => v_user.id)));
end $$;
revoke all on function fluxbase.user_update(text, text, jsonb, text, boolean, bytea, text, text, text) from public;
grant execute on function fluxbase.user_update(text, text, jsonb, text, boolean, bytea, text, text, text) to fluxbase_server;
comment on function fluxbase.user_update(text, text, jsonb, text, boolean, bytea, text, text, text) is
  'Changes password or metadata (merged, null removes a key) of the signed-in user, and asks the addresses whether the address shall change; a new password ends the other sessions. Also invalid_credentials, insufficient_aal, over_email_send_rate_limit, what check_password_change() says, and more.';

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
