-- Sign-up.  Tables: auth.users.  Caller: fluxbase_server.
-- While addresses must be confirmed, a known and an unknown address get the same answer (SECURITY: equal answers).
create or replace function fluxbase.pretended_user_json(p_email text, p_user_metadata jsonb)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_identity auth.identities;
begin
  v_user.id := gen_random_uuid();
  v_user.aud := 'authenticated';
  v_user.role := 'authenticated';
  v_user.email := p_email;
  v_user.confirmation_sent_at := now();
  v_user.raw_app_meta_data := '{}';
  v_user.raw_user_meta_data := coalesce(p_user_metadata, '{}');
  v_user.is_anonymous := false;
  v_user.created_at := now();
  v_user.updated_at := now();
  v_identity.id := gen_random_uuid();
  v_identity.user_id := v_user.id;
  v_identity.provider := 'email';
  v_identity.provider_id := v_user.id::text;
  v_identity.identity_data := fluxbase.email_identity_data(p_user => v_user);
  v_identity.email := lower(p_email);
  v_identity.created_at := now();
  v_identity.updated_at := now();
  return fluxbase.user_json(p_user => v_user, p_identities => jsonb_build_array(fluxbase.identity_json(p_identity => v_identity)));
end $$;
revoke all on function fluxbase.pretended_user_json(text, jsonb) from public;
comment on function fluxbase.pretended_user_json(text, jsonb) is 'What a sign-up with this address would have made, for an address that has a user already.';

-- An address that nobody has confirmed yet may sign up again: the last password counts, since the last mail is the one that
-- confirms it.  But of two who sign up with it from two places one may be a stranger, who waits for the owner to confirm:
-- then no password counts, nor one beside an invitation, and whoever confirms is in by the link and sets one.
create or replace function fluxbase.signup(
  p_email text, p_encrypted_password text, p_user_metadata jsonb, p_redirect_to text, p_code_challenge text, p_code_challenge_method text,
  p_session_id uuid, p_refresh_hash bytea, p_jti uuid, p_user_agent text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_autoconfirm boolean := auth.setting(p_key => 'signup_autoconfirm')::boolean;
  v_user auth.users;
  v_result jsonb;
  v_again boolean;
  v_disputed boolean;
  v_flow_id uuid;
  v_wait integer;
begin
  v_user.email := p_email;
  v_user.encrypted_password := p_encrypted_password;
  v_user.raw_user_meta_data := p_user_metadata;
  v_user.email_confirmed_at := case when v_autoconfirm then now() end;
  v_user.confirmation_sent_at := case when not v_autoconfirm then now() end;
  if p_code_challenge is not null and not v_autoconfirm then
    v_flow_id := fluxbase.flow_begin(p_purpose => 'confirmation', p_code_challenge => p_code_challenge, p_code_challenge_method => p_code_challenge_method);
    if v_flow_id is null then
      return jsonb_build_object('status', 'code_challenge_invalid');
    end if;
  end if;
  v_result := fluxbase.new_user(p_user => v_user, p_via => 'signup');
  v_again := v_result ->> 'status' = 'user_already_exists';
  if v_again and v_autoconfirm then
    perform audit.record(p_action => 'signup', p_outcome => 'denied', p_subject_id =>
      (select u.id from auth.users u where u.email_normalized = lower(p_email)), p_details => jsonb_build_object('reason', 'user_already_exists'));
    return v_result;
  elsif not v_again and v_result ->> 'status' <> 'ok' then
    return v_result;
  elsif v_autoconfirm then
    perform audit.record(p_action => 'signup', p_subject_id => (v_result ->> 'user_id')::uuid, p_user_id => (v_result ->> 'user_id')::uuid);
    return auth.issue_session(p_user_id => (v_result ->> 'user_id')::uuid, p_method => 'password', p_session_id => p_session_id,
                              p_refresh_hash => p_refresh_hash, p_jti => p_jti, p_user_agent => p_user_agent);
  end if;
  v_wait := fluxbase.count_mail(p_kind => 'confirmation', p_email => p_email);
  v_user := fluxbase.mail_target(p_kind => 'confirmation', p_email => p_email, p_create_user => false);
  perform from auth.users u where u.id = v_user.id for no key update;
  if v_again and v_user.id is not null then
    v_disputed := v_user.encrypted_password is null or fluxbase.client_address() <> (
      select t.data ->> 'signup_from' from auth.one_time_tokens t
      where t.user_id = v_user.id and t.purpose = 'confirmation' and t.data ? 'signup_from' order by t.created_at desc limit 1) is true;
    if v_disputed or v_wait is null then
      update auth.users u
      set encrypted_password = case when not v_disputed then p_encrypted_password end, password_changed_at = now(),
          raw_user_meta_data = coalesce(p_user_metadata, '{}')
      where u.id = v_user.id returning u.* into v_user;
    end if;
  end if;
  if v_wait is null then
    perform fluxbase.put_mail(p_kind => 'confirmation', p_recipient => v_user.email, p_user_id => v_user.id,
      p_token_id => fluxbase.put_token(p_purpose => 'confirmation', p_user_id => v_user.id, p_email => v_user.email, p_flow_id => v_flow_id,
        p_data => jsonb_build_object('signup_from', fluxbase.client_address())),
      p_locale => fluxbase.mail_locale(p_data => coalesce(v_user.raw_user_meta_data, p_user_metadata)),
      p_variables => jsonb_strip_nulls(jsonb_build_object('email', v_user.email, 'redirect_to', p_redirect_to)));
  end if;
  if v_again then
    perform audit.record(p_action => 'signup', p_outcome => 'denied', p_subject_id =>
      (select u.id from auth.users u where u.email_normalized = lower(p_email)),
      p_details => jsonb_build_object('reason', 'user_already_exists', 'confirmation_mailed', v_user.id is not null and v_wait is null));
    return jsonb_build_object('status', 'ok', 'session', null, 'user', fluxbase.pretended_user_json(
      p_email => p_email, p_user_metadata => p_user_metadata));
  end if;
  perform audit.record(p_action => 'signup', p_subject_id => v_user.id, p_user_id => v_user.id);
  return jsonb_build_object('status', 'ok', 'session', null, 'user', fluxbase.user_json(
    p_user => v_user, p_identities => fluxbase.identities_json(p_user_id => v_user.id)));
end $$;
revoke all on function fluxbase.signup(text, text, jsonb, text, text, text, uuid, bytea, uuid, text) from public;
grant execute on function fluxbase.signup(text, text, jsonb, text, text, text, uuid, bytea, uuid, text) to fluxbase_server;
comment on function fluxbase.signup(text, text, jsonb, text, text, text, uuid, bytea, uuid, text) is
  'Makes a user; with automatic confirmation also the first session, else a mail that confirms the address. Status ok, validation_failed, user_already_exists, code_challenge_invalid, or what fluxbase.check_signup() says.';

create or replace function fluxbase.signup_anonymous(p_user_metadata jsonb, p_session_id uuid, p_refresh_hash bytea, p_jti uuid, p_user_agent text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_result jsonb;
begin
  if not auth.setting(p_key => 'anonymous_users_enabled')::boolean then
    return jsonb_build_object('status', 'anonymous_provider_disabled');
  end if;
  v_user.is_anonymous := true;
  v_user.raw_user_meta_data := p_user_metadata;
  v_result := fluxbase.new_user(p_user => v_user, p_via => 'anonymous');
  if v_result ->> 'status' <> 'ok' then
    return v_result;
  end if;
  perform audit.record(p_action => 'signup', p_subject_id => (v_result ->> 'user_id')::uuid, p_user_id => (v_result ->> 'user_id')::uuid,
                       p_details => jsonb_build_object('via', 'anonymous'));
  return auth.issue_session(p_user_id => (v_result ->> 'user_id')::uuid, p_method => 'anonymous', p_session_id => p_session_id,
                            p_refresh_hash => p_refresh_hash, p_jti => p_jti, p_user_agent => p_user_agent);
end $$;
revoke all on function fluxbase.signup_anonymous(jsonb, uuid, bytea, uuid, text) from public;
grant execute on function fluxbase.signup_anonymous(jsonb, uuid, bytea, uuid, text) to fluxbase_server;
comment on function fluxbase.signup_anonymous(jsonb, uuid, bytea, uuid, text) is
  'Makes a user without an address, who can get one later, and the first session; also anonymous_provider_disabled, or what fluxbase.check_signup() says.';
