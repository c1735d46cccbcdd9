-- Acting as a user: a session of the user that says who acts, ends by itself, has no refresh token and, unless asked for,
-- reads only.  Tables: auth.users, auth.sessions, auth.refresh_tokens, auth.user_roles.  Callers: fluxbase_admin, the entry points.
-- The gate wants the actor's id in the context of each request, so every row of the audit log names both; and the actor must
-- still administer.  On the entry points such a session reads only, always: nobody changes the password of a user in the user's name.

create or replace function fluxbase.may_impersonate(p_actor_id uuid)
returns boolean language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return exists (select from auth.users u join auth.user_roles r on r.user_id = u.id join auth.role_permissions p on p.role = r.role
                 where u.id = p_actor_id and p.permission = 'system.admin' and (u.banned_until is null or u.banned_until <= now()));
end $$;
revoke all on function fluxbase.may_impersonate(uuid) from public;
comment on function fluxbase.may_impersonate(uuid) is 'True for a user who holds system.admin and is not banned.';

create or replace function fluxbase.start_impersonation(
  p_actor_id uuid, p_user_id uuid, p_seconds integer, p_reason text, p_read_only boolean, p_session_id uuid, p_user_agent text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_session auth.sessions;
  v_result jsonb;
begin
  select u.* into v_user from auth.users u where u.id = p_user_id for no key update;
  if not found then
    return jsonb_build_object('status', 'no_such_user');
  elsif p_actor_id = p_user_id or fluxbase.may_impersonate(p_actor_id => p_user_id) then
    return jsonb_build_object('status', 'user_not_impersonable');
  elsif p_reason is null or btrim(p_reason) = '' or length(p_reason) > 500
        or p_seconds is null or p_seconds not between 60 and extract(epoch from auth.setting(p_key => 'impersonation_maximum')::interval) then
    return jsonb_build_object('status', 'validation_failed');
  end if;
  v_result := auth.issue_session(p_user_id => p_user_id, p_method => 'impersonation', p_session_id => p_session_id,
    p_refresh_hash => sha256(uuid_send(gen_random_uuid())), p_jti => gen_random_uuid(), p_user_agent => p_user_agent);
  if v_result ->> 'status' <> 'ok' then
    return jsonb_build_object('status', 'user_not_impersonable');
  end if;
  -- It was no sign-in of the user's, and it cannot be continued.
  update auth.users u set last_sign_in_at = v_user.last_sign_in_at where u.id = p_user_id;
  delete from auth.refresh_tokens t where t.session_id = p_session_id;
  update auth.sessions s
  set actor_id = p_actor_id, read_only = p_read_only, mfa_pending = false, expires_at = now() + make_interval(secs => p_seconds)
  where s.id = p_session_id returning s.* into v_session;
  perform audit.record(p_action => 'impersonation.started', p_subject_id => p_user_id, p_record_key => jsonb_build_object('id', p_session_id),
    p_details => jsonb_build_object('actor_id', p_actor_id, 'reason', p_reason, 'read_only', p_read_only, 'expires_at', v_session.expires_at));
  return jsonb_build_object('status', 'ok');
end $$;
revoke all on function fluxbase.start_impersonation(uuid, uuid, integer, text, boolean, uuid, text) from public;
comment on function fluxbase.start_impersonation(uuid, uuid, integer, text, boolean, uuid, text) is
  'Makes the session in which the actor acts as the user; also no_such_user, user_not_impersonable, validation_failed.';

create or replace function auth.impersonate(
  p_admin text, p_user text, p_duration interval, p_reason text, p_read_only boolean default true)
returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_admin uuid := auth.user_id_of(p_user => p_admin);
  v_user uuid := auth.user_id_of(p_user => p_user);
  v_id uuid := gen_random_uuid();
  v_status text;
begin
  if not fluxbase.may_impersonate(p_actor_id => v_admin) then
    raise exception using errcode = '42501', message = format('%s is no administrator', p_admin),
      hint = 'auth.grant_role(user, ''system_admin'')';
  end if;
  v_status := fluxbase.start_impersonation(p_actor_id => v_admin, p_user_id => v_user, p_seconds => least(extract(epoch from p_duration), 2147483647)::integer,
    p_reason => p_reason, p_read_only => coalesce(p_read_only, true), p_session_id => v_id, p_user_agent => null) ->> 'status';
  if v_status = 'user_not_impersonable' then
    raise exception using errcode = '42501', message = format('nobody acts as %s', p_user),
      detail = 'the user is banned, not confirmed, an administrator, or the one who would act';
  elsif v_status <> 'ok' then
    raise exception using errcode = '22023', message = 'acting as a user needs a reason and an end',
      detail = format('from 1 minute to %s', auth.setting(p_key => 'impersonation_maximum')), hint = 'the setting impersonation_maximum is the longest time';
  end if;
  return v_id;
end $$;
revoke all on function auth.impersonate(text, text, interval, text, boolean) from public;
grant execute on function auth.impersonate(text, text, interval, text, boolean) to fluxbase_admin;
comment on function auth.impersonate(text, text, interval, text, boolean) is
  'Lets an administrator act as a user for a time and returns the id of the session; the administrator fetches its token over HTTP. auth.revoke_session() ends it.';
