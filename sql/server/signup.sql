-- Sign-up.  Tables: auth.users.  Caller: fluxbase_server.
-- While addresses must be confirmed, a known and an unknown address get the same answer (SECURITY: equal answers).
create or replace function fluxbase.signup(
  p_email text, p_encrypted_password text, p_user_metadata jsonb,
  p_session_id uuid, p_refresh_hash bytea, p_jti uuid, p_user_agent text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_autoconfirm boolean := auth.setting(p_key => 'signup_autoconfirm')::boolean;
  v_user auth.users;
  v_identity auth.identities;
begin
  if not auth.setting(p_key => 'signup_enabled')::boolean then
    return jsonb_build_object('status', 'signup_disabled');
  end if;
  begin
    insert into auth.users (email, encrypted_password, raw_user_meta_data, email_confirmed_at, confirmation_sent_at, password_changed_at)
    values (p_email, p_encrypted_password, coalesce(p_user_metadata, '{}'),
            case when v_autoconfirm then now() end, case when not v_autoconfirm then now() end, now())
    returning * into v_user;
  exception
    when check_violation then
      return jsonb_build_object('status', 'validation_failed');
    when unique_violation then
      perform audit.record(p_action => 'signup', p_outcome => 'denied', p_subject_id =>
        (select u.id from auth.users u where u.email_normalized = lower(p_email)),
        p_details => jsonb_build_object('reason', 'user_already_exists'));
      if v_autoconfirm then
        return jsonb_build_object('status', 'user_already_exists');
      end if;
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
      return jsonb_build_object('status', 'ok', 'session', null, 'user', fluxbase.user_json(
        p_user => v_user, p_identities => jsonb_build_array(fluxbase.identity_json(p_identity => v_identity))));
  end;
  perform audit.record(p_action => 'signup', p_subject_id => v_user.id, p_user_id => v_user.id);
  if v_autoconfirm then
    return auth.issue_session(p_user_id => v_user.id, p_method => 'password', p_session_id => p_session_id,
                              p_refresh_hash => p_refresh_hash, p_jti => p_jti, p_user_agent => p_user_agent);
  end if;
  return jsonb_build_object('status', 'ok', 'session', null, 'user', fluxbase.user_json(
    p_user => v_user, p_identities => fluxbase.identities_json(p_user_id => v_user.id)));
end $$;
revoke all on function fluxbase.signup(text, text, jsonb, uuid, bytea, uuid, text) from public;
grant execute on function fluxbase.signup(text, text, jsonb, uuid, bytea, uuid, text) to fluxbase_server;
comment on function fluxbase.signup(text, text, jsonb, uuid, bytea, uuid, text) is
  'Makes a user; with automatic confirmation also the first session. Status ok, signup_disabled, validation_failed or user_already_exists.';
