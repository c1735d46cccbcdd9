-- What every way of showing a second factor shares: whose session it is, how often it was tried, and the step up to aal2.
-- Tables: auth.users, auth.sessions, auth.refresh_tokens, auth.token_blacklist, auth.login_attempts.  Caller: the entry points of this folder.

-- The user's row is locked first, as everywhere, so that two sessions of one user cannot wait for each other.
create or replace function fluxbase.mfa_session()
returns auth.sessions language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_session auth.sessions;
begin
  perform from auth.users u where u.id = auth.current_user_id() for no key update;
  select s.* into v_session from auth.sessions s
  where s.id = auth.session_id() and s.user_id = auth.current_user_id() and s.revoked_at is null
  for no key update;
  return v_session;
end $$;
revoke all on function fluxbase.mfa_session() from public;
comment on function fluxbase.mfa_session() is 'The living session of the request, locked together with its user; its id is null without one.';

-- Both must say so: a token from before the step up is no proof, nor is one whose session was lowered since.
create or replace function fluxbase.has_aal2(p_session auth.sessions)
returns boolean language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(p_session.aal = 'aal2' and auth.aal() = 'aal2', false);
end $$;
revoke all on function fluxbase.has_aal2(auth.sessions) from public;
comment on function fluxbase.has_aal2(auth.sessions) is 'True when the session and the token of the request have both shown a second factor.';

-- One counter for every kind of code, so that changing the route, the factor or the session gains no attempt.
-- null: the attempt may be made, and is counted.  Otherwise how many seconds to wait.
create or replace function fluxbase.count_mfa_attempt(p_user_id uuid)
returns integer language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if fluxbase.count_attempt(p_scope => 'mfa', p_subject => p_user_id::text,
       p_threshold => auth.setting(p_key => 'mfa_failures_before_delay')::integer) then
    return null;
  end if;
  perform audit.record(p_action => 'mfa.verify', p_outcome => 'denied', p_subject_id => p_user_id,
                       p_details => jsonb_build_object('reason', 'slowed'));
  return (select greatest(1, ceil(extract(epoch from a.slowed_until - clock_timestamp())))::integer
          from auth.login_attempts a where a.scope = 'mfa' and a.subject = p_user_id::text);
end $$;
revoke all on function fluxbase.count_mfa_attempt(uuid) from public;
comment on function fluxbase.count_mfa_attempt(uuid) is
  'Counts one attempt to show a second factor and returns null; when the user is being slowed it counts nothing and returns the seconds to wait.';

-- The generation jumps by two: no refresh token from before is the parent of the new one, so none of them can be
-- exchanged for it, and whoever tries ends the session as a replay.  What the session owed, its access tokens from before
-- still owe: they end here, since the gate asks the session alone.
create or replace function fluxbase.step_up(
  p_session auth.sessions, p_method text, p_factor_id uuid, p_refresh_hash bytea, p_jti uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_session auth.sessions;
  v_user auth.users;
  v_longest constant interval := '1 day'; -- that access_token_lifetime can be
begin
  if p_session.mfa_pending then
    insert into auth.token_blacklist (jti, session_id, user_id, expires_at, reason)
    select r.jti, r.session_id, p_session.user_id, now() + v_longest, 'second_factor_shown'
    from auth.refresh_tokens r where r.session_id = p_session.id
    on conflict (jti) do nothing;
  end if;
  update auth.sessions s
  set aal = 'aal2', mfa_pending = false, mfa_factor_id = p_factor_id, generation = p_session.generation + 2,
      refreshed_at = now(), expires_at = fluxbase.session_expiry(p_created_at => s.created_at),
      amr = jsonb_build_array(jsonb_build_object('method', p_method, 'timestamp', extract(epoch from now())::bigint))
            || (select coalesce(jsonb_agg(e.entry order by e.ord), '[]')
                from jsonb_array_elements(s.amr) with ordinality e (entry, ord) where e.entry ->> 'method' <> p_method)
  where s.id = p_session.id returning s.* into v_session;
  insert into auth.refresh_tokens (session_id, generation, token_hash, jti)
  values (v_session.id, v_session.generation, p_refresh_hash, p_jti);
  delete from auth.login_attempts a where a.scope = 'mfa' and a.subject = v_session.user_id::text;
  select u.* into strict v_user from auth.users u where u.id = v_session.user_id;
  return jsonb_build_object('status', 'ok',
    'session', fluxbase.session_json(p_user => v_user, p_session => v_session, p_jti => p_jti));
end $$;
revoke all on function fluxbase.step_up(auth.sessions, text, uuid, bytea, uuid) from public;
comment on function fluxbase.step_up(auth.sessions, text, uuid, bytea, uuid) is
  'Raises a session that was locked to aal2: new tokens for the same session, failed attempts forgotten.';
