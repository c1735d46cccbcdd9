-- Where every session is born and every access token gets its claims.
-- Tables: auth.users, auth.sessions, auth.refresh_tokens.  Caller: the owner's functions.

create or replace function fluxbase.session_expiry(p_created_at timestamptz)
returns timestamptz language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_lifetime interval;
  v_inactivity interval;
begin
  -- One query for both instead of two calls of auth.setting: every refresh comes through here.
  select max(coalesce(s.value, s.default_value)) filter (where s.key = 'session_lifetime'),
         max(coalesce(s.value, s.default_value)) filter (where s.key = 'session_inactivity')
  into strict v_lifetime, v_inactivity
  from auth.settings s where s.key in ('session_lifetime', 'session_inactivity');
  return least(p_created_at + v_lifetime, now() + v_inactivity);
end $$;
revoke all on function fluxbase.session_expiry(timestamptz) from public;
comment on function fluxbase.session_expiry(timestamptz) is 'When a session used now ends: its whole lifetime or its inactivity, whichever is first.';

-- What the server signs; iss, aud, iat, nbf, exp and jti are its own.
create or replace function fluxbase.session_json(p_user auth.users, p_session auth.sessions, p_jti uuid)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user jsonb := fluxbase.user_json(p_user => p_user, p_identities => fluxbase.identities_json(p_user_id => p_user.id));
begin
  return jsonb_build_object(
    'session_id', p_session.id,
    'generation', p_session.generation,
    'jti', p_jti,
    'user', v_user,
    'claims', fluxbase.with_custom_claims(p_user_id => p_user.id, p_claims => jsonb_build_object(
      'sub', p_user.id, 'role', p_user.role, 'email', coalesce(p_user.email, ''), 'phone', coalesce(p_user.phone, ''),
      'session_id', p_session.id, 'aal', p_session.aal, 'amr', p_session.amr, 'is_anonymous', p_user.is_anonymous,
      'app_metadata', v_user -> 'app_metadata', 'user_metadata', v_user -> 'user_metadata')
      || case when p_session.org_id is null then '{}' else jsonb_build_object('org_id', p_session.org_id) end
      || case when p_session.actor_id is null then '{}' else jsonb_build_object('act', jsonb_build_object('sub', p_session.actor_id)) end));
end $$;
revoke all on function fluxbase.session_json(auth.users, auth.sessions, uuid) from public;
comment on function fluxbase.session_json(auth.users, auth.sessions, uuid) is 'What a client gets for a session: its ids, claims for the access token and the user.';

-- The row lock makes ban, deletion and change of password wait for, or be seen by, this decision.
create or replace function auth.issue_session(
  p_user_id uuid, p_method text, p_session_id uuid, p_refresh_hash bytea, p_jti uuid,
  p_user_agent text default null, p_aal text default 'aal1')
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
  v_session auth.sessions;
  v_context jsonb := auth.verified_context();
begin
  select u.* into v_user from auth.users u where u.id = p_user_id for no key update;
  if not found then
    return jsonb_build_object('status', 'user_not_found');
  elsif v_user.banned_until > now() then
    return jsonb_build_object('status', 'user_banned');
  elsif v_user.email is not null and v_user.email_confirmed_at is null and not v_user.is_anonymous then
    return jsonb_build_object('status', 'email_not_confirmed');
  end if;
  update auth.users u set last_sign_in_at = now() where u.id = p_user_id returning u.* into v_user;
  insert into auth.sessions (id, user_id, aal, mfa_pending, amr, expires_at, ip, user_agent)
  values (p_session_id, p_user_id, p_aal, p_aal = 'aal1' and fluxbase.mfa_required(p_user_id => p_user_id),
          jsonb_build_array(jsonb_build_object('method', p_method, 'timestamp', extract(epoch from now())::bigint)),
          fluxbase.session_expiry(p_created_at => now()), (v_context ->> 7)::inet, left(p_user_agent, 500))
  returning * into v_session;
  insert into auth.refresh_tokens (session_id, generation, token_hash, jti)
  values (p_session_id, v_session.generation, p_refresh_hash, p_jti);
  return jsonb_build_object('status', 'ok',
    'session', fluxbase.session_json(p_user => v_user, p_session => v_session, p_jti => p_jti));
end $$;
revoke all on function auth.issue_session(uuid, text, uuid, bytea, uuid, text, text) from public;
comment on function auth.issue_session(uuid, text, uuid, bytea, uuid, text, text) is
  'The only place where sessions are made: checks ban, confirmation and second factors at that moment, then stores session and first refresh token.';

-- Ends sessions of one user, and those in which the user acts as somebody else.  Sets what is left of their access tokens to nothing: the gate wants a session that is alive.
-- A code that waits to be exchanged is a session about to be: unless one session alone is meant, it goes along.
create or replace function auth.end_sessions(
  p_user_id uuid, p_reason text, p_session_id uuid default null, p_except_session_id uuid default null)
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_count integer;
begin
  update auth.sessions s set revoked_at = now(), revoked_reason = p_reason
  where (s.user_id = p_user_id or s.actor_id = p_user_id) and s.revoked_at is null
    and (p_session_id is null or s.id = p_session_id)
    and (p_except_session_id is null or s.id <> p_except_session_id);
  get diagnostics v_count = row_count;
  if p_session_id is null then
    delete from auth.flow_states f where f.user_id = p_user_id and f.used_at is null;
  end if;
  return v_count;
end $$;
revoke all on function auth.end_sessions(uuid, text, uuid, uuid) from public;
comment on function auth.end_sessions(uuid, text, uuid, uuid) is 'Revokes sessions of a user, and those in which the user acts as somebody else: one, all but one, or all, the latter two with the codes that could still be exchanged for one; returns how many were alive.';
