-- Mailed links and codes: what they are good for.  Tables: auth.one_time_tokens, auth.users.  Caller: fluxbase_server.

-- The first proof of an address makes the account its owner's.  Who made it before may be a stranger who waits there: with a
-- password, in a session, with an account at a provider, or with a key.  All of it ends, except what the provider ties to this very
-- address.  A second factor stays: a mailbox alone must not be a way round it.  Only the confirmation of that very sign-up keeps the
-- password, since its mail says that somebody signs up.
create or replace function fluxbase.prove_address(p_user auth.users, p_keep_password boolean)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not fluxbase.owns_address(p_user => p_user) then
    update auth.users u
    set email_confirmed_at = coalesce(u.email_confirmed_at, now()), email_proven_at = coalesce(u.email_proven_at, now()),
        encrypted_password = case when p_keep_password then u.encrypted_password end,
        email_change = case when p_keep_password then u.email_change end
    where u.id = p_user.id;
    if not p_keep_password then
      perform fluxbase.end_unproven_ways(p_user => p_user);
    end if;
  end if;
  perform fluxbase.void_tokens(p_user_id => p_user.id, p_purposes => array['confirmation', 'invite']);
end $$;
revoke all on function fluxbase.prove_address(auth.users, boolean) from public;
comment on function fluxbase.prove_address(auth.users, boolean) is
  'Confirms the address of a user who has shown to read its mail; the first time, whatever let somebody in before ends.';

create or replace function fluxbase.end_unproven_ways(p_user auth.users)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_identities integer;
  v_keys integer;
  v_sessions integer := auth.end_sessions(p_user_id => p_user.id, p_reason => 'address_proven');
begin
  -- lower() makes letters of other alphabets the same as ours: only what is an address here is the same address.
  delete from auth.identities i
  where i.user_id = p_user.id and i.provider <> 'email'
    and (i.identity_data -> 'email_verified' = 'true' and fluxbase.is_email(p_email => i.identity_data ->> 'email')
         and lower(i.identity_data ->> 'email') = p_user.email_normalized) is not true;
  get diagnostics v_identities = row_count;
  update auth.api_keys k set revoked_at = now() where k.user_id = p_user.id and k.revoked_at is null;
  get diagnostics v_keys = row_count;
  perform audit.record(p_action => 'user.address_proven', p_subject_id => p_user.id, p_details => jsonb_build_object(
    'password_ended', p_user.encrypted_password is not null, 'sessions_ended', v_sessions, 'identities_ended', v_identities, 'keys_ended', v_keys));
end $$;
revoke all on function fluxbase.end_unproven_ways(auth.users) from public;
comment on function fluxbase.end_unproven_ways(auth.users) is
  'Ends the sessions, keys and identities of a user whose address nobody had proven; an identity with this very address, verified, stays.';

-- The address changes when both have agreed.  A token that was used before it expired has agreed: one that was voided expired then.
create or replace function fluxbase.finish_email_change(p_user auth.users, p_token auth.one_time_tokens)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_both boolean := p_user.email is not null and auth.setting(p_key => 'email_change_requires_both')::boolean;
  v_agreed boolean;
begin
  if lower(p_user.email_change) is distinct from lower(p_token.relates_to) then
    return 'otp_expired';
  end if;
  select t.used_at < t.expires_at into v_agreed from auth.one_time_tokens t
  where t.user_id = p_token.user_id and lower(t.relates_to) = lower(p_token.relates_to)
    and t.purpose = case p_token.purpose when 'email_change_new' then 'email_change_current' else 'email_change_new' end
  order by t.created_at desc limit 1;
  if v_both and v_agreed is not true or not v_both and p_token.purpose <> 'email_change_new' then
    perform audit.record(p_action => 'user.email_change_agreed', p_subject_id => p_user.id, p_details => jsonb_build_object('purpose', p_token.purpose));
    return 'single_confirmation';
  end if;
  begin
    update auth.users u set email = p_token.relates_to, email_change = null, email_confirmed_at = now(), email_proven_at = now(), is_anonymous = false
    where u.id = p_user.id;
  exception when unique_violation then
    return 'email_exists';
  end;
  perform fluxbase.void_tokens(p_user_id => p_user.id),
          audit.record(p_action => 'user.email_changed', p_subject_id => p_user.id);
  if p_user.email is not null then
    perform fluxbase.put_mail(p_kind => 'email_changed', p_recipient => p_user.email, p_user_id => p_user.id,
      p_locale => fluxbase.mail_locale(p_data => p_user.raw_user_meta_data), p_variables => jsonb_build_object('new_email', p_token.relates_to));
  end if;
  return 'ok';
end $$;
revoke all on function fluxbase.finish_email_change(auth.users, auth.one_time_tokens) from public;
comment on function fluxbase.finish_email_change(auth.users, auth.one_time_tokens) is
  'Changes the address when the last token of the change was used: ok, single_confirmation while the other address has to agree, otp_expired or email_exists.';

-- What a token that was just used does for its user, whom it makes when the address has none.
create or replace function fluxbase.apply_token(p_token auth.one_time_tokens)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_result jsonb;
  v_status text := 'ok';
begin
  select u.* into v_user from auth.users u
  where case when p_token.user_id is not null then u.id = p_token.user_id else u.email_normalized = p_token.email_normalized end
  for no key update;
  if not found and p_token.data is null then -- the user has gone
    return jsonb_build_object('status', 'otp_expired');
  elsif not found then
    v_user.email := p_token.email;
    v_user.email_confirmed_at := now();
    v_user.email_proven_at := now();
    v_user.raw_user_meta_data := p_token.data;
    v_result := fluxbase.new_user(p_user => v_user, p_via => 'otp');
    if v_result ->> 'status' = 'ok' then
      perform audit.record(p_action => 'signup', p_subject_id => (v_result ->> 'user_id')::uuid, p_user_id => (v_result ->> 'user_id')::uuid,
                           p_details => jsonb_build_object('via', 'otp'));
    end if;
    return v_result;
  elsif p_token.purpose in ('email_change_current', 'email_change_new') then
    v_status := fluxbase.finish_email_change(p_user => v_user, p_token => p_token);
  elsif v_user.email_normalized is distinct from p_token.email_normalized then
    v_status := 'otp_expired';
  else
    perform fluxbase.prove_address(p_user => v_user, p_keep_password => p_token.purpose = 'confirmation' and v_user.email_confirmed_at is null);
  end if;
  return jsonb_build_object('status', v_status, 'user_id', v_user.id);
end $$;
revoke all on function fluxbase.apply_token(auth.one_time_tokens) from public;
comment on function fluxbase.apply_token(auth.one_time_tokens) is 'Does what a token stands for and says for whom: ok with user_id, or why not.';

-- p_token_hash is that of a link; without it p_email and p_code_hash.  p_auth_code_hash: a browser came, and a sign-in that began
-- with a code challenge ends in a code for the program that has the verifier.
create or replace function fluxbase.verify(
  p_type text, p_token_hash bytea, p_email text, p_code_hash bytea, p_auth_code_hash bytea,
  p_session_id uuid, p_refresh_hash bytea, p_jti uuid, p_user_agent text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_purposes text[] := case p_type when 'signup' then array['confirmation'] when 'magiclink' then array['magiclink']
    when 'email' then array['confirmation', 'magiclink'] when 'recovery' then array['recovery'] when 'invite' then array['invite']
    when 'email_change' then array['email_change_current', 'email_change_new'] end;
  v_account text := fluxbase.account_subject(p_email => p_email);
  v_token auth.one_time_tokens;
  v_method text;
  v_result jsonb;
  v_code boolean := false;
begin
  if v_purposes is null or (p_token_hash is null) = (p_code_hash is null) then
    return jsonb_build_object('status', 'verify_type_invalid');
  end if;
  -- Codes have six digits: the attempts of an account are counted, whoever makes them, over all its codes.
  if p_token_hash is null and not fluxbase.count_attempt(p_scope => 'code', p_subject => v_account,
       p_threshold => auth.setting(p_key => 'mail_code_failures_before_delay')::integer) then
    perform audit.record(p_action => 'verify', p_outcome => 'denied', p_details => jsonb_build_object('type', p_type, 'reason', 'slowed'));
    return jsonb_build_object('status', 'code_slowed', 'retry_after',
      (select greatest(1, ceil(extract(epoch from a.slowed_until - clock_timestamp())))::integer
       from auth.login_attempts a where a.scope = 'code' and a.subject = v_account));
  end if;
  select t.* into v_token from auth.one_time_tokens t
  where case when p_token_hash is not null then t.token_hash = p_token_hash
             else t.code_hash = p_code_hash and t.email_normalized = lower(p_email) and t.used_at is null end
    and t.purpose = any (v_purposes);
  -- The user's row first, as everywhere; then one statement decides that a token is used once.
  perform from auth.users u where u.id = v_token.user_id for no key update;
  update auth.one_time_tokens t set used_at = now()
  where t.id = v_token.id and t.used_at is null and t.expires_at > now() returning t.* into v_token;
  if not found then
    perform audit.record(p_action => 'verify', p_outcome => 'denied', p_subject_id => v_token.user_id,
                         p_details => jsonb_build_object('type', p_type, 'by', case when p_token_hash is null then 'code' else 'link' end));
    return jsonb_build_object('status', 'otp_expired');
  end if;
  if p_token_hash is null then
    delete from auth.login_attempts a where a.scope = 'code' and a.subject = v_account;
  end if;
  v_result := fluxbase.apply_token(p_token => v_token);
  v_method := case v_token.purpose when 'recovery' then 'recovery' when 'invite' then 'invite'
    when 'magiclink' then case when p_token_hash is null then 'otp' else 'magiclink' end
    when 'confirmation' then case when p_token_hash is null then 'otp' else 'email/signup' end else 'email_change' end;
  if v_result ->> 'status' = 'ok' and v_token.flow_id is not null and p_auth_code_hash is not null then
    v_code := true;
    if not fluxbase.flow_issue_code(p_flow_id => v_token.flow_id, p_user_id => (v_result ->> 'user_id')::uuid,
                                    p_method => v_method, p_code_hash => p_auth_code_hash) then
      v_result := jsonb_build_object('status', 'flow_state_expired');
    end if;
  elsif v_result ->> 'status' = 'ok' then
    v_result := v_result || auth.issue_session(p_user_id => (v_result ->> 'user_id')::uuid, p_method => v_method, p_session_id => p_session_id,
                                               p_refresh_hash => p_refresh_hash, p_jti => p_jti, p_user_agent => p_user_agent);
  end if;
  perform audit.record(p_action => 'verify', p_outcome => case when v_result ->> 'status' in ('ok', 'single_confirmation') then 'ok' else 'denied' end,
    p_subject_id => coalesce((v_result ->> 'user_id')::uuid, v_token.user_id), p_user_id => (v_result ->> 'user_id')::uuid,
    p_session_id => case when v_result ? 'session' then p_session_id end,
    p_details => jsonb_strip_nulls(jsonb_build_object('purpose', v_token.purpose, 'method', v_method,
      'reason', nullif(v_result ->> 'status', 'ok'), 'by', case when p_token_hash is null then 'code' else 'link' end)));
  return v_result || jsonb_build_object('code', v_code);
end $$;
revoke all on function fluxbase.verify(text, bytea, text, bytea, bytea, uuid, bytea, uuid, text) from public;
grant execute on function fluxbase.verify(text, bytea, text, bytea, bytea, uuid, bytea, uuid, text) to fluxbase_server;
comment on function fluxbase.verify(text, bytea, text, bytea, bytea, uuid, bytea, uuid, text) is
  'Uses a mailed link or code up, once, and does what it is for: ok with a session, or with code true when the flow got its code; single_confirmation, otp_expired, code_slowed, email_exists, flow_state_expired, verify_type_invalid, or why there is no session.';
