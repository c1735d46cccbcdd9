-- Users, for administrators over HTTP.  Tables: auth.users, auth.sessions, auth.api_keys.  Caller: fluxbase_server, after begin_entry.
-- Who administers is decided here: a service key, or a session whose user holds system.admin at this moment.  Everything is
-- audited, reading too: whoever looks at people leaves a trace.

create or replace function fluxbase.admin_decide(p_entry text)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_key uuid := (auth.verified_context() ->> 6)::uuid;
begin
  if exists (select from auth.api_keys k where k.id = v_key and k.kind = 'service') then
    return 'ok';
  elsif v_key is null and auth.session_id() is not null and auth.is_admin() then
    return case when fluxbase.lacks_second_factor() then 'insufficient_aal' else 'ok' end;
  elsif auth.current_user_id() is not null then
    perform audit.record(p_action => 'admin.refused', p_outcome => 'denied', p_details => jsonb_build_object('entry', p_entry));
  end if;
  return 'not_admin';
end $$;
revoke all on function fluxbase.admin_decide(text) from public;
comment on function fluxbase.admin_decide(text) is 'ok for a service key and for a session of a user with system.admin, insufficient_aal when that user''s second factor was not shown, else not_admin; a user''s attempt is audited.';

-- Before the server hashes a password: hashing for everybody would be an offer to keep its processors busy.
create or replace function fluxbase.admin_begin(p_user_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.admin_decide(p_entry => 'admin_begin');
  v_email text;
begin
  if v_status = 'ok' and p_user_id is not null then
    select u.email into v_email from auth.users u where u.id = p_user_id;
    if not found then
      v_status := 'no_such_user';
    end if;
  end if;
  return jsonb_build_object('status', v_status, 'result', case when v_status = 'ok' then coalesce(v_email, '') end);
end $$;
revoke all on function fluxbase.admin_begin(uuid) from public;
grant execute on function fluxbase.admin_begin(uuid) to fluxbase_server;
comment on function fluxbase.admin_begin(uuid) is 'Whether the caller administers users, and the address of the user who is named; also no_such_user.';

create or replace function fluxbase.admin_user_json(p_user_id uuid)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return (select fluxbase.user_json(p_user => u, p_identities => fluxbase.identities_json(p_user_id => u.id))
          from auth.users u where u.id = p_user_id);
end $$;
revoke all on function fluxbase.admin_user_json(uuid) from public;
comment on function fluxbase.admin_user_json(uuid) is 'A user as HTTP shows it, null when there is none.';

create or replace function fluxbase.admin_users(p_page bigint, p_per_page bigint, p_filter text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.admin_decide(p_entry => 'admin_users');
  v_filter text := lower(coalesce(p_filter, ''));
  v_users jsonb;
begin
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  end if;
  select coalesce(jsonb_agg(fluxbase.admin_user_json(p_user_id => u.id) order by u.created_at desc, u.id), '[]') into v_users
  from (select u.id, u.created_at from auth.users u
        where v_filter = '' or position(v_filter in coalesce(u.email_normalized, '')) > 0
        order by u.created_at desc, u.id limit p_per_page offset (p_page - 1) * p_per_page) u;
  perform audit.record(p_action => 'users.listed', p_details => jsonb_build_object(
    'page', p_page, 'per_page', p_per_page, 'filter', p_filter, 'users', jsonb_array_length(v_users)));
  return jsonb_build_object('status', 'ok', 'result', jsonb_build_object('users', v_users, 'aud', 'authenticated'), 'total', (
    select count(*) from auth.users u where v_filter = '' or position(v_filter in coalesce(u.email_normalized, '')) > 0));
end $$;
revoke all on function fluxbase.admin_users(bigint, bigint, text) from public;
grant execute on function fluxbase.admin_users(bigint, bigint, text) to fluxbase_server;
comment on function fluxbase.admin_users(bigint, bigint, text) is 'A page of users, newest first, whose address contains the filter, and how many there are in all.';

create or replace function fluxbase.admin_user(p_user_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.admin_decide(p_entry => 'admin_user');
  v_user jsonb;
begin
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  end if;
  v_user := fluxbase.admin_user_json(p_user_id => p_user_id);
  if v_user is null then
    return jsonb_build_object('status', 'no_such_user');
  end if;
  perform audit.record(p_action => 'user.viewed', p_subject_id => p_user_id);
  return jsonb_build_object('status', 'ok', 'result', v_user);
end $$;
revoke all on function fluxbase.admin_user(uuid) from public;
grant execute on function fluxbase.admin_user(uuid) to fluxbase_server;
comment on function fluxbase.admin_user(uuid) is 'One user; also no_such_user.';

create or replace function fluxbase.may_be_user_role(p_role text)
returns boolean language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return p_role = 'authenticated' or p_role = any (string_to_array(auth.setting(p_key => 'request_roles'), ','));
end $$;
revoke all on function fluxbase.may_be_user_role(text) from public;
comment on function fluxbase.may_be_user_role(text) is 'True for the roles that a user may have: authenticated and those in the setting request_roles.';

-- p_ban_seconds: null leaves a ban as it is, 0 ends it.
create or replace function fluxbase.admin_user_create(
  p_user_id uuid, p_email text, p_encrypted_password text, p_email_confirm boolean,
  p_user_metadata jsonb, p_app_metadata jsonb, p_role text, p_ban_seconds bigint)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.admin_decide(p_entry => 'admin_user_create');
  v_user auth.users;
begin
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  elsif p_email is null then
    return jsonb_build_object('status', 'validation_failed');
  elsif not fluxbase.may_be_user_role(p_role => coalesce(p_role, 'authenticated')) then
    return jsonb_build_object('status', 'user_role_not_permitted');
  elsif exists (select from auth.users u where u.id = p_user_id) then
    return jsonb_build_object('status', 'user_already_exists');
  end if;
  v_user.id := p_user_id;
  v_user.email := p_email;
  v_user.encrypted_password := p_encrypted_password;
  v_user.email_confirmed_at := case when p_email_confirm then now() end;
  v_user.email_proven_at := v_user.email_confirmed_at;
  v_user.raw_user_meta_data := p_user_metadata;
  v_user.raw_app_meta_data := p_app_metadata;
  v_user.role := p_role;
  v_user.banned_until := case when p_ban_seconds > 0 then now() + make_interval(secs => p_ban_seconds) end;
  v_status := fluxbase.new_user(p_user => v_user, p_via => 'admin') ->> 'status';
  if v_status <> 'ok' then
    return jsonb_build_object('status', case v_status when 'user_already_exists' then 'email_exists' else v_status end);
  end if;
  perform audit.record(p_action => 'user.created', p_subject_id => p_user_id, p_details => jsonb_build_object(
    'confirmed', coalesce(p_email_confirm, false), 'role', coalesce(p_role, 'authenticated'), 'password', p_encrypted_password is not null));
  return jsonb_build_object('status', 'ok', 'result', fluxbase.admin_user_json(p_user_id => p_user_id));
end $$;
revoke all on function fluxbase.admin_user_create(uuid, text, text, boolean, jsonb, jsonb, text, bigint) from public;
grant execute on function fluxbase.admin_user_create(uuid, text, text, boolean, jsonb, jsonb, text, bigint) to fluxbase_server;
comment on function fluxbase.admin_user_create(uuid, text, text, boolean, jsonb, jsonb, text, bigint) is
  'Makes a user, confirmed or not; also email_exists, user_already_exists, user_role_not_permitted, validation_failed.';

-- A new password, address or role ends every session, and a new password or address every mailed link: tokens say the old
-- role, and links went to the old address.
create or replace function fluxbase.admin_user_update(
  p_user_id uuid, p_email text, p_encrypted_password text, p_email_confirm boolean,
  p_user_metadata jsonb, p_app_metadata jsonb, p_role text, p_ban_seconds bigint)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.admin_decide(p_entry => 'admin_user_update');
begin
  if v_status = 'ok' then
    v_status := fluxbase.change_user(p_user_id => p_user_id, p_email => p_email, p_confirm => nullif(p_email_confirm, false),
      p_user_metadata => p_user_metadata, p_app_metadata => p_app_metadata, p_role => p_role,
      p_encrypted_password => p_encrypted_password, p_ban_seconds => p_ban_seconds) ->> 'status';
  end if;
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  end if;
  return jsonb_build_object('status', 'ok', 'result', fluxbase.admin_user_json(p_user_id => p_user_id));
end $$;
revoke all on function fluxbase.admin_user_update(uuid, text, text, boolean, jsonb, jsonb, text, bigint) from public;
grant execute on function fluxbase.admin_user_update(uuid, text, text, boolean, jsonb, jsonb, text, bigint) to fluxbase_server;
comment on function fluxbase.admin_user_update(uuid, text, text, boolean, jsonb, jsonb, text, bigint) is
  'Changes what is not null, metadata merged and null removing a key; also no_such_user, email_exists, user_role_not_permitted, validation_failed.';

create or replace function fluxbase.admin_user_delete(p_user_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.admin_decide(p_entry => 'admin_user_delete');
begin
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  end if;
  begin
    delete from auth.users u where u.id = p_user_id;
    if not found then
      return jsonb_build_object('status', 'no_such_user');
    end if;
  exception when foreign_key_violation then -- rows of the application that stay
    return jsonb_build_object('status', 'user_in_use');
  end;
  perform audit.record(p_action => 'user.deleted', p_subject_id => p_user_id);
  return jsonb_build_object('status', 'ok', 'result', '{}'::jsonb);
end $$;
revoke all on function fluxbase.admin_user_delete(uuid) from public;
grant execute on function fluxbase.admin_user_delete(uuid) to fluxbase_server;
comment on function fluxbase.admin_user_delete(uuid) is 'Deletes a user; also no_such_user, and user_in_use when a foreign key of the application forbids it.';

create or replace function fluxbase.admin_user_sessions(p_user_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
declare
  v_status text := fluxbase.admin_decide(p_entry => 'admin_user_sessions');
begin
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  elsif not exists (select from auth.users u where u.id = p_user_id) then
    return jsonb_build_object('status', 'no_such_user');
  end if;
  perform audit.record(p_action => 'user.sessions_viewed', p_subject_id => p_user_id);
  return jsonb_build_object('status', 'ok', 'result', (
    select coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'created_at', s.created_at, 'refreshed_at', s.refreshed_at,
        'expires_at', s.expires_at, 'aal', s.aal, 'ip', host(s.ip), 'user_agent', s.user_agent) order by s.created_at desc, s.id), '[]')
    from auth.sessions s where s.user_id = p_user_id and s.revoked_at is null and s.expires_at > now()));
end $$;
revoke all on function fluxbase.admin_user_sessions(uuid) from public;
grant execute on function fluxbase.admin_user_sessions(uuid) to fluxbase_server;
comment on function fluxbase.admin_user_sessions(uuid) is 'Living sessions of a user, newest first; also no_such_user.';

create or replace function fluxbase.admin_user_revoke(p_user_id uuid, p_session_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.admin_decide(p_entry => 'admin_user_revoke');
  v_ended integer;
begin
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  elsif not exists (select from auth.users u where u.id = p_user_id) then
    return jsonb_build_object('status', 'no_such_user');
  end if;
  v_ended := auth.end_sessions(p_user_id => p_user_id, p_reason => 'admin', p_session_id => p_session_id);
  if p_session_id is not null and v_ended = 0 then
    return jsonb_build_object('status', 'no_such_session');
  end if;
  perform audit.record(p_action => case when p_session_id is null then 'user.revoked' else 'session.revoked' end, p_subject_id => p_user_id,
    p_record_key => case when p_session_id is not null then jsonb_build_object('id', p_session_id) end,
    p_details => jsonb_build_object('sessions', v_ended));
  return jsonb_build_object('status', 'ok');
end $$;
revoke all on function fluxbase.admin_user_revoke(uuid, uuid) from public;
grant execute on function fluxbase.admin_user_revoke(uuid, uuid) to fluxbase_server;
comment on function fluxbase.admin_user_revoke(uuid, uuid) is 'Ends one session of a user, or all of them when it is null; also no_such_user, no_such_session.';
