-- Making, changing and deleting users in psql.  Tables: auth.users, auth.one_time_tokens.  Caller: fluxbase_admin.
-- Definer: the administrator has no right on the tables, so every change is one of these functions and is audited.

create or replace function auth.create_user(
  p_email text, p_password text default null, p_confirmed boolean default true,
  p_user_metadata jsonb default '{}', p_app_metadata jsonb default '{}', p_role text default 'authenticated')
returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
  v_hash text;
  v_user auth.users;
  v_result jsonb;
  v_constraint text;
begin
  if p_email is null or p_email = '' then
    raise exception using errcode = '22023', message = 'a user needs an e-mail address';
  end if;
  if p_role is null
     or p_role <> 'authenticated' and not p_role = any (string_to_array(auth.setting(p_key => 'request_roles'), ',')) then
    raise exception using errcode = '22023', message = format('role %s may not run requests', quote_nullable(p_role)),
      hint = 'list it in the setting request_roles first';
  end if;
  if p_password is not null then
    perform auth.require_good_password(p_password => p_password, p_email => p_email);
    v_hash := auth.hash_password(p_password => p_password);
  end if;
  v_user.email := p_email;
  v_user.encrypted_password := v_hash;
  v_user.email_confirmed_at := case when p_confirmed then now() end;
  v_user.email_proven_at := v_user.email_confirmed_at;
  v_user.raw_user_meta_data := p_user_metadata;
  v_user.raw_app_meta_data := p_app_metadata;
  v_user.role := p_role;
  v_result := fluxbase.new_user(p_user => v_user, p_via => 'admin');
  v_constraint := v_result ->> 'constraint';
  if v_result ->> 'status' = 'user_already_exists' then
    raise exception using errcode = '23505', message = format('user %L exists already', p_email),
      hint = 'auth.set_password() changes a password, auth.confirm_user() confirms an address';
  elsif v_result ->> 'status' <> 'ok' then
    raise exception using errcode = '22023', constraint = v_constraint,
      message = case v_constraint
        when 'users_email_ck' then format('%L is no e-mail address', p_email)
        when 'users_app_meta_data_ck' then 'app metadata must be a JSON object'
        when 'users_user_meta_data_ck' then 'user metadata must be a JSON object'
        when 'users_role_ck' then format('%L is no role of a user: those are for people, and named with a-z first, then a-z, 0-9 and _', p_role)
        else format('the table auth.users refuses this user: %s', v_constraint) end;
  end if;
  v_id := (v_result ->> 'user_id')::uuid;
  perform audit.record(p_action => 'user.created', p_subject_id => v_id, p_details => jsonb_build_object(
    'confirmed', coalesce(p_confirmed, false), 'role', p_role, 'password', v_hash is not null));
  return v_id;
end $$;
revoke all on function auth.create_user(text, text, boolean, jsonb, jsonb, text) from public;
grant execute on function auth.create_user(text, text, boolean, jsonb, jsonb, text) to fluxbase_admin;
comment on function auth.create_user(text, text, boolean, jsonb, jsonb, text) is
  'Makes a user who can log in at once unless p_confirmed is false; returns the id.';

create or replace function auth.set_password(p_user text, p_password text, p_keep_sessions boolean default false)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := auth.user_id_of(p_user => p_user);
  v_before auth.users;
  v_after auth.users;
  v_hash text;
  v_ended integer := 0;
begin
  if p_password is null then
    raise exception using errcode = '22023', message = 'password is null';
  end if;
  perform auth.require_good_password(p_password => p_password,
    p_email => (select u.email from auth.users u where u.id = v_id));
  v_hash := auth.hash_password(p_password => p_password);
  select u.* into v_before from auth.users u where u.id = v_id for no key update;
  update auth.users u set encrypted_password = v_hash, password_changed_at = now() where u.id = v_id returning u.* into v_after;
  perform fluxbase.mail_notices(p_before => v_before, p_after => v_after);
  perform fluxbase.void_tokens(p_user_id => v_id, p_purposes => array['recovery', 'magiclink', 'reauthentication']);
  if not coalesce(p_keep_sessions, false) then
    v_ended := auth.end_sessions(p_user_id => v_id, p_reason => 'password_changed');
  end if;
  perform audit.record(p_action => 'user.password_set', p_subject_id => v_id,
    p_details => jsonb_build_object('sessions_ended', v_ended));
end $$;
revoke all on function auth.set_password(text, text, boolean) from public;
grant execute on function auth.set_password(text, text, boolean) to fluxbase_admin;
comment on function auth.set_password(text, text, boolean) is
  'Sets the password of a user, given by id or e-mail address, ends the sessions unless told to keep them, voids mailed links, and tells the user by mail.';

-- What is null stays.  An administrator vouches for a new address as for that of a new user.  Tokens say the old address and role,
-- so the sessions end.
-- What an administrator may change of a user, over HTTP as in psql: what is null stays, metadata is merged and null removes a key.
-- p_confirm: the administrator vouches for the address, or (false) a new one is still to be proven.
create or replace function fluxbase.change_user(
  p_user_id uuid, p_email text, p_confirm boolean, p_user_metadata jsonb, p_app_metadata jsonb, p_role text,
  p_encrypted_password text default null, p_ban_seconds bigint default null)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_before auth.users;
  v_after auth.users;
  v_new_email boolean;
  v_ended integer := 0;
  v_constraint text;
begin
  if p_role is not null and not fluxbase.may_be_user_role(p_role => p_role) then
    return jsonb_build_object('status', 'user_role_not_permitted');
  end if;
  select u.* into v_before from auth.users u where u.id = p_user_id for no key update;
  if not found then
    return jsonb_build_object('status', 'no_such_user');
  end if;
  v_new_email := p_email is not null and lower(p_email) is distinct from v_before.email_normalized;
  begin
    update auth.users u
    set email = coalesce(p_email, u.email),
        email_confirmed_at = case when p_confirm then coalesce(u.email_confirmed_at, now())
                                  when p_confirm is null or not v_new_email then u.email_confirmed_at end,
        email_proven_at = case when p_confirm then now() when p_confirm is null or not v_new_email then u.email_proven_at end,
        is_anonymous = u.is_anonymous and not v_new_email,
        encrypted_password = coalesce(p_encrypted_password, u.encrypted_password),
        password_changed_at = case when p_encrypted_password is null then u.password_changed_at else now() end,
        role = coalesce(p_role, u.role),
        banned_until = case when p_ban_seconds is null then u.banned_until
                            when p_ban_seconds > 0 then now() + make_interval(secs => p_ban_seconds) end,
        raw_user_meta_data = (select coalesce(jsonb_object_agg(m.key, m.value), '{}')
          from jsonb_each(u.raw_user_meta_data || coalesce(p_user_metadata, '{}')) m where m.value <> 'null'),
        raw_app_meta_data = (select coalesce(jsonb_object_agg(m.key, m.value), '{}')
          from jsonb_each(u.raw_app_meta_data || coalesce(p_app_metadata, '{}')) m where m.value <> 'null')
    where u.id = p_user_id returning u.* into v_after;
  exception
    when unique_violation then return jsonb_build_object('status', 'email_exists');
    when check_violation or invalid_parameter_value then
      get stacked diagnostics v_constraint = constraint_name;
      return jsonb_build_object('status', 'validation_failed', 'constraint', v_constraint);
  end;
  if p_encrypted_password is not null or v_new_email then
    perform fluxbase.void_tokens(p_user_id => p_user_id);
  end if;
  if p_encrypted_password is not null or v_new_email or v_after.role <> v_before.role then
    v_ended := auth.end_sessions(p_user_id => p_user_id, p_reason => 'admin');
  end if;
  perform audit.record(p_action => 'user.updated', p_subject_id => p_user_id, p_details => jsonb_build_object(
    'changed', array_remove(array[case when p_email is not null then 'email' end,
                                  case when p_confirm then 'email_confirmed_at' end,
                                  case when p_encrypted_password is not null then 'password' end,
                                  case when p_role is not null then 'role' end,
                                  case when p_user_metadata is not null then 'user_metadata' end,
                                  case when p_app_metadata is not null then 'app_metadata' end], null),
    'role', p_role, 'sessions_ended', v_ended));
  perform fluxbase.mail_notices(p_before => v_before, p_after => v_after);
  if v_after.banned_until is distinct from v_before.banned_until then
    perform audit.record(p_action => case when v_after.banned_until is null then 'user.unbanned' else 'user.banned' end,
      p_subject_id => p_user_id, p_details => jsonb_build_object('until', v_after.banned_until));
  end if;
  return jsonb_build_object('status', 'ok');
end $$;
revoke all on function fluxbase.change_user(uuid, text, boolean, jsonb, jsonb, text, text, bigint) from public;
comment on function fluxbase.change_user(uuid, text, boolean, jsonb, jsonb, text, text, bigint) is
  'Changes what is not null of a user, for an administrator; also no_such_user, email_exists, user_role_not_permitted, validation_failed with the constraint.';

create or replace function auth.update_user(
  p_user text, p_email text default null, p_user_metadata jsonb default null, p_app_metadata jsonb default null,
  p_role text default null, p_confirmed boolean default true)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_result jsonb;
begin
  select u.* into v_user from auth.users u where u.id = auth.user_id_of(p_user => p_user) for no key update;
  v_result := fluxbase.change_user(p_user_id => v_user.id, p_email => p_email,
    p_confirm => case when lower(p_email) <> coalesce(v_user.email_normalized, '') then p_confirmed end,
    p_user_metadata => p_user_metadata, p_app_metadata => p_app_metadata, p_role => p_role);
  case v_result ->> 'status'
    when 'ok' then
      return;
    when 'user_role_not_permitted' then
      raise exception using errcode = '22023', message = format('role %s may not run requests', quote_literal(p_role)),
        hint = 'list it in the setting request_roles first';
    when 'email_exists' then
      raise exception using errcode = '23505', message = format('user %L exists already', p_email);
    else
      raise exception using errcode = '22023', constraint = coalesce(v_result ->> 'constraint', ''), message = case v_result ->> 'constraint'
        when 'users_email_ck' then format('%L is no e-mail address', p_email)
        when 'users_role_ck' then format('%L is no role of a user: those are for people, and named with a-z first, then a-z, 0-9 and _', p_role) else 'metadata must be a JSON object' end;
  end case;
end $$;
revoke all on function auth.update_user(text, text, jsonb, jsonb, text, boolean) from public;
grant execute on function auth.update_user(text, text, jsonb, jsonb, text, boolean) to fluxbase_admin;
comment on function auth.update_user(text, text, jsonb, jsonb, text, boolean) is
  'Changes what is given of a user: address (vouched for unless p_confirmed is false), metadata (merged, null removes a key), role. A new address or role ends the sessions; the old address is told.';

create or replace function auth.confirm_user(p_user text)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := auth.user_id_of(p_user => p_user);
begin
  update auth.users u set email_confirmed_at = coalesce(u.email_confirmed_at, now()), email_proven_at = now()
  where u.id = v_id and (u.email_confirmed_at is null or u.email_proven_at is null);
  if not found then
    return;
  end if;
  perform fluxbase.void_tokens(p_user_id => v_id, p_purposes => array['confirmation', 'invite']);
  perform audit.record(p_action => 'user.confirmed', p_subject_id => v_id);
end $$;
revoke all on function auth.confirm_user(text) from public;
grant execute on function auth.confirm_user(text) to fluxbase_admin;
comment on function auth.confirm_user(text) is 'Confirms the e-mail address of a user and vouches for it; nothing happens when both were done before.';

-- Sessions, identities, tokens, memberships and keys go with the row (on delete cascade); a foreign key of the
-- application's own decides for its table.
create or replace function auth.delete_user(p_user text)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := auth.user_id_of(p_user => p_user);
begin
  delete from auth.users u where u.id = v_id;
  perform audit.record(p_action => 'user.deleted', p_subject_id => v_id);
end $$;
revoke all on function auth.delete_user(text) from public;
grant execute on function auth.delete_user(text) to fluxbase_admin;
comment on function auth.delete_user(text) is 'Deletes a user with sessions, tokens and keys; the next request with an old token is refused.';
