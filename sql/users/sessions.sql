-- Sessions of users, seen and ended in psql.  Tables: auth.sessions.  Caller: fluxbase_admin.
-- Definer: the administrator has no right on the table.

-- JSON, because the row type of a function can never change and a view can grow (auth.admin_sessions).
create or replace function auth.session_rows(p_user_id uuid default null)
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select jsonb_build_object(
      'id', s.id, 'user_id', s.user_id, 'email', u.email, 'created_at', s.created_at, 'refreshed_at', s.refreshed_at,
      'expires_at', s.expires_at, 'aal', s.aal, 'org_id', s.org_id, 'ip', s.ip, 'user_agent', s.user_agent,
      'alive', s.revoked_at is null and s.expires_at > now() and (s.blocked_until is null or s.blocked_until <= now()),
      'revoked_at', s.revoked_at, 'revoked_reason', s.revoked_reason, 'blocked_until', s.blocked_until, 'mfa_pending', s.mfa_pending,
      'actor_id', s.actor_id, 'read_only', s.read_only)
    from auth.sessions s join auth.users u on u.id = s.user_id
    where p_user_id is null or s.user_id = p_user_id
    order by s.created_at desc;
end $$;
revoke all on function auth.session_rows(uuid) from public;
grant execute on function auth.session_rows(uuid) to fluxbase_admin;
comment on function auth.session_rows(uuid) is 'Sessions as JSON, of one user or of everybody; read them through auth.admin_sessions or auth.sessions_of().';

create or replace view auth.admin_sessions with (security_invoker = true) as
  select (j ->> 'id')::uuid as id, (j ->> 'user_id')::uuid as user_id, j ->> 'email' as email,
         (j ->> 'created_at')::timestamptz as created_at, (j ->> 'refreshed_at')::timestamptz as refreshed_at,
         (j ->> 'expires_at')::timestamptz as expires_at, j ->> 'aal' as aal, (j ->> 'org_id')::uuid as org_id,
         (j ->> 'ip')::inet as ip, j ->> 'user_agent' as user_agent, (j ->> 'alive')::boolean as alive,
         (j ->> 'revoked_at')::timestamptz as revoked_at, j ->> 'revoked_reason' as revoked_reason,
         (j ->> 'blocked_until')::timestamptz as blocked_until, (j ->> 'mfa_pending')::boolean as mfa_pending,
         (j ->> 'actor_id')::uuid as actor_id, (j ->> 'read_only')::boolean as read_only
  from auth.session_rows() j;
revoke all on auth.admin_sessions from public;
grant select on auth.admin_sessions to fluxbase_admin;
comment on view auth.admin_sessions is 'Every session, newest first; actor_id is the administrator who acts as the user in it.';

create or replace function auth.sessions_of(p_user text)
returns setof auth.admin_sessions language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select r.* from auth.session_rows(p_user_id => auth.user_id_of(p_user => p_user)) j
    cross join lateral jsonb_populate_record(null::auth.admin_sessions, j) r;
end $$;
revoke all on function auth.sessions_of(text) from public;
grant execute on function auth.sessions_of(text) to fluxbase_admin;
comment on function auth.sessions_of(text) is 'Sessions of a user, given by id or e-mail address, newest first.';

create or replace function auth.revoke_session(p_session_id uuid, p_reason text default 'admin')
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user_id uuid;
  v_ended boolean;
begin
  select s.user_id into v_user_id from auth.sessions s where s.id = p_session_id;
  if not found then
    raise exception using errcode = 'P0002', message = format('session %s does not exist', coalesce(p_session_id::text, 'null')),
      hint = 'auth.sessions_of(''ann@example.com'') lists the sessions of a user';
  end if;
  v_ended := auth.end_sessions(p_user_id => v_user_id, p_reason => coalesce(p_reason, 'admin'), p_session_id => p_session_id) > 0;
  if v_ended then
    perform audit.record(p_action => 'session.revoked', p_subject_id => v_user_id, p_details => jsonb_build_object(
      'session_id', p_session_id, 'reason', coalesce(p_reason, 'admin')));
  end if;
  return v_ended;
end $$;
revoke all on function auth.revoke_session(uuid, text) from public;
grant execute on function auth.revoke_session(uuid, text) to fluxbase_admin;
comment on function auth.revoke_session(uuid, text) is 'Ends one session: its access token is refused from the next request on; false when it had ended before.';

create or replace function auth.revoke_user(p_user text, p_reason text default 'admin')
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid := auth.user_id_of(p_user => p_user);
  v_ended integer := auth.end_sessions(p_user_id => v_id, p_reason => coalesce(p_reason, 'admin'));
begin
  update auth.users u set email_change = null where u.id = v_id and u.email_change is not null; -- it may be a thief's wish
  perform audit.record(p_action => 'user.revoked', p_subject_id => v_id, p_details => jsonb_build_object(
    'sessions_ended', v_ended, 'reason', coalesce(p_reason, 'admin')));
  return v_ended;
end $$;
revoke all on function auth.revoke_user(text, text) from public;
grant execute on function auth.revoke_user(text, text) to fluxbase_admin;
comment on function auth.revoke_user(text, text) is 'Ends every session of a user, given by id or e-mail address, and a change of the address that waits; returns how many sessions were alive.';
