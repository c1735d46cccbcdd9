-- Mailed links and codes: asked for over HTTP.  Tables: auth.users, auth.one_time_tokens, auth.mail_outbox.  Caller: fluxbase_server.
-- Known and unknown addresses are answered alike, after the same work: for an unknown one a token and a mail are written,
-- too, of which nothing can come, and no row of a user is locked or referred to.  The token is the address's; whose it is, the server
-- that sends the mail adds, and the link asks again.

-- Whom the mail is for; the id of the user is null for an address that gets a user by its link, and the address, too, for one
-- that gets nothing.
create or replace function fluxbase.mail_target(p_kind text, p_email text, p_create_user boolean)
returns auth.users language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_nobody auth.users;
begin
  select u.* into v_user from auth.users u where u.email_normalized = lower(p_email);
  if found then
    return case when p_kind = 'confirmation' and v_user.email_confirmed_at is not null
                  or p_kind = 'email_change_new' and v_user.email_change is null then v_nobody else v_user end;
  end if;
  if p_kind = 'magiclink' and p_create_user and fluxbase.check_signup(p_email => p_email, p_via => 'otp') = 'ok' then
    v_nobody.email := p_email;
  end if;
  return v_nobody;
end $$;
revoke all on function fluxbase.mail_target(text, text, boolean) from public;
comment on function fluxbase.mail_target(text, text, boolean) is 'Whom a mail of this kind to this address is for: a user, an address that may become one, or nobody.';

create or replace function fluxbase.mail_request(
  p_kind text, p_email text, p_redirect_to text, p_create_user boolean, p_user_metadata jsonb,
  p_code_challenge text, p_code_challenge_method text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_wait integer;
  v_flow_id uuid;
  v_enough boolean := false;
begin
  if p_kind is null or p_kind not in ('recovery', 'magiclink', 'confirmation', 'email_change_new') or not fluxbase.is_email(p_email => p_email) then
    return jsonb_build_object('status', 'validation_failed');
  end if;
  v_wait := fluxbase.count_mail(p_kind => p_kind, p_email => p_email);
  if v_wait is not null then
    return jsonb_build_object('status', 'over_email_send_rate_limit', 'retry_after', v_wait);
  end if;
  -- The new address has a count of its own, whoever asks.  What it says is told to nobody who is not signed in.
  if p_kind = 'email_change_new' then
    v_enough := fluxbase.count_mail(p_kind => 'email_change_to', p_email => coalesce(
      (select u.email_change from auth.users u where u.email_normalized = lower(p_email)), p_email)) is not null;
  end if;
  if p_code_challenge is not null then
    v_flow_id := fluxbase.flow_begin(p_purpose => p_kind, p_code_challenge => p_code_challenge, p_code_challenge_method => p_code_challenge_method);
    if v_flow_id is null then
      return jsonb_build_object('status', 'code_challenge_invalid');
    end if;
  end if;
  v_user := fluxbase.mail_target(p_kind => p_kind, p_email => p_email, p_create_user => p_create_user);
  if v_enough then
    v_user := null;
  end if;
  if p_kind = 'email_change_new' and v_user.id is not null then
    select u.* into v_user from auth.users u where u.id = v_user.id for no key update;
    perform fluxbase.begin_email_change(p_user => v_user, p_email => v_user.email_change, p_redirect_to => p_redirect_to, p_flow_id => v_flow_id);
  else
    perform fluxbase.put_mail(p_kind => p_kind, p_recipient => v_user.email,
      p_token_id => fluxbase.put_token(p_purpose => p_kind, p_user_id => null, p_email => v_user.email, p_flow_id => v_flow_id,
        p_data => case when p_kind = 'magiclink' and p_create_user then coalesce(p_user_metadata, '{}') end),
      p_locale => fluxbase.mail_locale(p_data => coalesce(v_user.raw_user_meta_data, p_user_metadata)),
      p_variables => jsonb_strip_nulls(jsonb_build_object('email', v_user.email, 'redirect_to', p_redirect_to)));
  end if;
  perform audit.record(p_action => 'mail.requested', p_subject_id => v_user.id, p_details => jsonb_build_object('kind', p_kind));
  return jsonb_build_object('status', 'ok');
end $$;
revoke all on function fluxbase.mail_request(text, text, text, boolean, jsonb, text, text) from public;
grant execute on function fluxbase.mail_request(text, text, text, boolean, jsonb, text, text) to fluxbase_server;
comment on function fluxbase.mail_request(text, text, text, boolean, jsonb, text, text) is
  'Mails a link and a code: recovery, magiclink (p_create_user: also to an address that may sign up), confirmation or change of address again; ok whoever has the address, over_email_send_rate_limit, code_challenge_invalid or validation_failed.';

-- To the signed-in user: the code is what a change of the password may ask for.
create or replace function fluxbase.reauthenticate()
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_wait integer;
begin
  select u.* into v_user from auth.users u where u.id = auth.current_user_id();
  if auth.session_id() is null or v_user.id is null then
    return jsonb_build_object('status', 'session_not_found');
  elsif v_user.email is null or v_user.email_confirmed_at is null then
    return jsonb_build_object('status', 'address_not_confirmed');
  end if;
  v_wait := fluxbase.count_mail(p_kind => 'reauthentication', p_email => v_user.email);
  if v_wait is not null then
    return jsonb_build_object('status', 'over_email_send_rate_limit', 'retry_after', v_wait);
  end if;
  select u.* into v_user from auth.users u where u.id = v_user.id for no key update;
  perform fluxbase.mail_token(p_user => v_user, p_purpose => 'reauthentication'),
          audit.record(p_action => 'mail.requested', p_subject_id => v_user.id, p_details => jsonb_build_object('kind', 'reauthentication'));
  return jsonb_build_object('status', 'ok');
end $$;
revoke all on function fluxbase.reauthenticate() from public;
grant execute on function fluxbase.reauthenticate() to fluxbase_server;
comment on function fluxbase.reauthenticate() is 'Mails the signed-in user a code; ok, over_email_send_rate_limit, address_not_confirmed or session_not_found.';

create or replace function fluxbase.admin_invite(p_email text, p_user_metadata jsonb, p_redirect_to text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.admin_decide(p_entry => 'admin_invite');
  v_result jsonb;
  v_user auth.users;
begin
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  end if;
  v_result := fluxbase.invite(p_email => p_email, p_user_metadata => p_user_metadata);
  if v_result ->> 'status' <> 'ok' then
    return v_result;
  end if;
  select u.* into strict v_user from auth.users u where u.id = (v_result ->> 'user_id')::uuid;
  perform fluxbase.mail_token(p_user => v_user, p_purpose => 'invite', p_redirect_to => p_redirect_to),
          audit.record(p_action => 'user.invited', p_subject_id => v_user.id);
  return jsonb_build_object('status', 'ok', 'result', fluxbase.admin_user_json(p_user_id => v_user.id));
end $$;
revoke all on function fluxbase.admin_invite(text, jsonb, text) from public;
grant execute on function fluxbase.admin_invite(text, jsonb, text) to fluxbase_server;
comment on function fluxbase.admin_invite(text, jsonb, text) is 'Makes a user and mails the invitation, or mails it again; also email_exists, validation_failed.';

-- The link is for the administrator to hand on: nothing is mailed, and the server brings the hashes at once.
create or replace function fluxbase.admin_generate_link(
  p_type text, p_email text, p_new_email text, p_encrypted_password text, p_user_metadata jsonb, p_redirect_to text,
  p_token_id uuid, p_token_hash bytea, p_code_hash bytea)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.admin_decide(p_entry => 'admin_generate_link');
  v_purpose text := case p_type when 'signup' then 'confirmation' when 'invite' then 'invite' when 'magiclink' then 'magiclink'
    when 'recovery' then 'recovery' when 'email_change_current' then 'email_change_current' when 'email_change_new' then 'email_change_new' end;
  v_mark text := 'FLUXBASETOKEN' || replace(gen_random_uuid()::text, '-', ''); -- the server puts the token there
  v_user auth.users;
  v_result jsonb;
begin
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  elsif v_purpose is null or not fluxbase.is_email(p_email => p_email) then
    return jsonb_build_object('status', 'validation_failed');
  end if;
  select u.* into v_user from auth.users u where u.email_normalized = lower(p_email) for no key update;
  if v_purpose in ('confirmation', 'invite') and v_user.email_confirmed_at is not null then
    return jsonb_build_object('status', 'email_exists');
  elsif v_user.id is null and v_purpose in ('recovery', 'email_change_current', 'email_change_new') then
    return jsonb_build_object('status', 'no_such_user');
  elsif v_user.id is null then
    v_user.email := p_email;
    v_user.encrypted_password := case v_purpose when 'confirmation' then p_encrypted_password end;
    v_user.raw_user_meta_data := p_user_metadata;
    v_user.invited_at := case v_purpose when 'invite' then now() end;
    v_result := fluxbase.new_user(p_user => v_user, p_via => case v_purpose when 'invite' then 'invitation' else 'admin' end);
    if v_result ->> 'status' <> 'ok' then
      return v_result;
    end if;
    select u.* into strict v_user from auth.users u where u.id = (v_result ->> 'user_id')::uuid;
  end if;
  if v_purpose in ('email_change_current', 'email_change_new') then
    if not fluxbase.is_email(p_email => p_new_email) then
      return jsonb_build_object('status', 'validation_failed');
    elsif exists (select from auth.users u where u.email_normalized = lower(p_new_email)) then
      return jsonb_build_object('status', 'email_exists');
    elsif lower(v_user.email_change) is distinct from lower(p_new_email) then
      perform fluxbase.void_tokens(p_user_id => v_user.id, p_purposes => array['email_change_current', 'email_change_new']);
    end if;
    update auth.users u set email_change = p_new_email where u.id = v_user.id returning u.* into v_user;
  end if;
  perform fluxbase.put_token(p_purpose => v_purpose, p_user_id => v_user.id,
            p_email => case v_purpose when 'email_change_new' then p_new_email else v_user.email end,
            p_relates_to => case when v_purpose in ('email_change_current', 'email_change_new') then p_new_email end,
            p_id => p_token_id, p_token_hash => p_token_hash, p_code_hash => p_code_hash),
          audit.record(p_action => 'user.link_generated', p_subject_id => v_user.id, p_details => jsonb_build_object('purpose', v_purpose));
  v_result := fluxbase.mail_variables(p_kind => v_purpose, p_email => v_user.email, p_new_email => p_new_email,
                                      p_redirect_to => p_redirect_to, p_token => v_mark, p_code => '');
  return jsonb_build_object('status', 'ok', 'result', fluxbase.admin_user_json(p_user_id => v_user.id),
    'link', coalesce(v_result ->> 'ConfirmationURL', ''), 'token_mark', v_mark, 'redirect_to', coalesce(v_result ->> 'RedirectTo', ''));
end $$;
revoke all on function fluxbase.admin_generate_link(text, text, text, text, jsonb, text, uuid, bytea, bytea) from public;
grant execute on function fluxbase.admin_generate_link(text, text, text, text, jsonb, text, uuid, bytea, bytea) to fluxbase_server;
comment on function fluxbase.admin_generate_link(text, text, text, text, jsonb, text, uuid, bytea, bytea) is
  'Makes a token for an administrator to hand on instead of mailing it; also no_such_user, email_exists, validation_failed.';
