-- Factors of the signed-in user.  Tables: auth.mfa_factors, auth.mfa_challenges.  Caller: fluxbase_server, after
-- begin_pending_entry.  The server seals and opens secrets and computes codes; what is decided is decided here.

create or replace function fluxbase.factor_json(p_factor auth.mfa_factors)
returns jsonb language plpgsql stable security invoker set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
begin
  return jsonb_strip_nulls(jsonb_build_object(
    'id', p_factor.id, 'friendly_name', p_factor.friendly_name, 'factor_type', p_factor.factor_type,
    'status', p_factor.status, 'created_at', p_factor.created_at, 'updated_at', p_factor.updated_at,
    'last_challenged_at', p_factor.last_challenged_at));
end $$;
revoke all on function fluxbase.factor_json(auth.mfa_factors) from public;
comment on function fluxbase.factor_json(auth.mfa_factors) is 'One factor as HTTP shows it; the secret never.';

create or replace function fluxbase.factors_json(p_user_id uuid)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return (select coalesce(jsonb_agg(fluxbase.factor_json(p_factor => f) order by f.created_at, f.id), '[]')
          from auth.mfa_factors f where f.user_id = p_user_id);
end $$;
revoke all on function fluxbase.factors_json(uuid) from public;
comment on function fluxbase.factors_json(uuid) is 'Factors of a user as HTTP shows them, oldest first.';

create or replace function fluxbase.factors()
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if auth.session_id() is null then
    return jsonb_build_object('status', 'session_not_found');
  end if;
  return jsonb_build_object('status', 'ok', 'factors', fluxbase.factors_json(p_user_id => auth.current_user_id()));
end $$;
revoke all on function fluxbase.factors() from public;
grant execute on function fluxbase.factors() to fluxbase_server;
comment on function fluxbase.factors() is 'Factors of the signed-in user, oldest first.';

-- Whoever has a factor must show it before enrolling another: a stolen password alone gains none.
create or replace function fluxbase.factor_enroll(p_factor_id uuid, p_factor_type text, p_friendly_name text, p_secret text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_session auth.sessions := fluxbase.mfa_session();
  v_maximum constant integer := 10;
  v_factor auth.mfa_factors;
  v_constraint text;
begin
  if v_session.id is null then
    return jsonb_build_object('status', 'session_not_found');
  elsif auth.setting(p_key => 'mfa_enforcement') = 'off' or p_factor_type <> 'totp' then
    return jsonb_build_object('status', 'mfa_enroll_not_enabled');
  elsif not fluxbase.has_aal2(p_session => v_session)
        and exists (select from auth.mfa_factors f where f.user_id = v_session.user_id and f.status = 'verified') then
    return jsonb_build_object('status', 'insufficient_aal');
  end if;
  -- What was begun and left does not stand in the way of a new beginning.
  delete from auth.mfa_factors f
  where f.user_id = v_session.user_id and f.status = 'unverified'
    and (f.friendly_name is not distinct from p_friendly_name or f.created_at < now() - interval '1 hour');
  if (select count(*) from auth.mfa_factors f where f.user_id = v_session.user_id) >= v_maximum then
    return jsonb_build_object('status', 'too_many_enrolled_mfa_factors');
  end if;
  begin
    insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, secret)
    values (p_factor_id, v_session.user_id, p_friendly_name, p_factor_type, p_secret)
    returning * into v_factor;
  exception
    when unique_violation then
      return jsonb_build_object('status', 'mfa_factor_name_conflict');
    when check_violation then
      get stacked diagnostics v_constraint = constraint_name;
      if v_constraint <> 'mfa_factors_friendly_name_ck' then
        raise;
      end if;
      return jsonb_build_object('status', 'mfa_friendly_name_invalid');
  end;
  perform audit.record(p_action => 'mfa.factor_enrolled', p_subject_id => v_session.user_id,
    p_record_key => jsonb_build_object('id', v_factor.id), p_details => jsonb_build_object('factor_type', p_factor_type));
  return jsonb_build_object('status', 'ok', 'factor', fluxbase.factor_json(p_factor => v_factor),
    'account', (select coalesce(u.email, u.id::text) from auth.users u where u.id = v_session.user_id));
end $$;
revoke all on function fluxbase.factor_enroll(uuid, text, text, text) from public;
grant execute on function fluxbase.factor_enroll(uuid, text, text, text) to fluxbase_server;
comment on function fluxbase.factor_enroll(uuid, text, text, text) is
  'Stores a new factor, unverified. Status ok, mfa_enroll_not_enabled, insufficient_aal, too_many_enrolled_mfa_factors, mfa_factor_name_conflict or mfa_friendly_name_invalid.';

create or replace function fluxbase.factor_challenge(p_factor_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_session auth.sessions := fluxbase.mfa_session();
  v_kept constant integer := 10; -- of one session for one factor
  v_factor_type text;
  v_challenge auth.mfa_challenges;
begin
  if v_session.id is null then
    return jsonb_build_object('status', 'session_not_found');
  end if;
  update auth.mfa_factors f set last_challenged_at = now()
  where f.id = p_factor_id and f.user_id = v_session.user_id returning f.factor_type into v_factor_type;
  if not found then
    return jsonb_build_object('status', 'mfa_factor_not_found');
  end if;
  delete from auth.mfa_challenges c where c.id in (
    select o.id from auth.mfa_challenges o where o.factor_id = p_factor_id and o.session_id = v_session.id
    order by o.created_at desc, o.id offset v_kept - 1);
  insert into auth.mfa_challenges (factor_id, session_id, expires_at, ip)
  values (p_factor_id, v_session.id, now() + auth.setting(p_key => 'mfa_challenge_lifetime')::interval,
          (auth.verified_context() ->> 7)::inet)
  returning * into v_challenge;
  return jsonb_build_object('status', 'ok', 'challenge', jsonb_build_object(
    'id', v_challenge.id, 'type', v_factor_type, 'expires_at', extract(epoch from v_challenge.expires_at)::bigint));
end $$;
revoke all on function fluxbase.factor_challenge(uuid) from public;
grant execute on function fluxbase.factor_challenge(uuid) to fluxbase_server;
comment on function fluxbase.factor_challenge(uuid) is 'Asks for a code of a factor; status ok or mfa_factor_not_found.';

-- The attempt is counted before the secret is handed out, and stays counted unless the code turns out right.
create or replace function fluxbase.factor_verify_begin(p_factor_id uuid, p_challenge_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_session auth.sessions := fluxbase.mfa_session();
  v_factor auth.mfa_factors;
  v_challenge auth.mfa_challenges;
  v_wait integer;
begin
  if v_session.id is null then
    return jsonb_build_object('status', 'session_not_found');
  end if;
  select f.* into v_factor from auth.mfa_factors f
  where f.id = p_factor_id and f.user_id = v_session.user_id and f.factor_type = 'totp';
  if not found then
    return jsonb_build_object('status', 'mfa_factor_not_found');
  end if;
  select c.* into v_challenge from auth.mfa_challenges c
  where c.id = p_challenge_id and c.factor_id = v_factor.id and c.session_id = v_session.id;
  if not found then
    return jsonb_build_object('status', 'mfa_challenge_not_found');
  elsif v_challenge.verified_at is not null or v_challenge.expires_at <= now() then
    return jsonb_build_object('status', 'mfa_challenge_expired');
  end if;
  v_wait := fluxbase.count_mfa_attempt(p_user_id => v_session.user_id);
  if v_wait is not null then
    return jsonb_build_object('status', 'mfa_slowed', 'retry_after', v_wait);
  end if;
  return jsonb_build_object('status', 'ok', 'secret', v_factor.secret, 'generation', v_session.generation);
end $$;
revoke all on function fluxbase.factor_verify_begin(uuid, uuid) from public;
grant execute on function fluxbase.factor_verify_begin(uuid, uuid) to fluxbase_server;
comment on function fluxbase.factor_verify_begin(uuid, uuid) is
  'First half of a verification: counts the attempt and returns the sealed secret; status ok, mfa_slowed, mfa_factor_not_found, mfa_challenge_not_found or mfa_challenge_expired.';

create or replace function fluxbase.factor_verify_finish(
  p_factor_id uuid, p_challenge_id uuid, p_step bigint, p_secret text, p_new_secret text,
  p_generation bigint, p_refresh_hash bytea, p_jti uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_session auth.sessions := fluxbase.mfa_session();
  v_first boolean;
  v_ended integer := 0;
  v_reason text;
begin
  if v_session.id is null then
    return jsonb_build_object('status', 'session_not_found');
  elsif p_step is not null and p_generation <> v_session.generation then
    -- Refreshed meanwhile: the hash belongs to another generation. Nothing is used up yet.
    return jsonb_build_object('status', 'generation_changed', 'generation', v_session.generation);
  end if;
  if p_step is null then
    v_reason := 'wrong code';
  else
    update auth.mfa_challenges c set verified_at = now()
    where c.id = p_challenge_id and c.factor_id = p_factor_id and c.session_id = v_session.id
      and c.verified_at is null and c.expires_at > now();
    if not found then
      return jsonb_build_object('status', 'mfa_challenge_expired');
    end if;
    select f.status = 'unverified' into v_first from auth.mfa_factors f where f.id = p_factor_id;
    -- One statement decides that a code is used once. The secret must still be the one that was checked.
    update auth.mfa_factors f set last_step = p_step, status = 'verified', secret = coalesce(p_new_secret, f.secret)
    where f.id = p_factor_id and f.user_id = v_session.user_id and f.secret = p_secret and f.last_step < p_step;
    if not found then
      v_reason := 'used code';
    end if;
  end if;
  if v_reason is not null then
    perform audit.record(p_action => 'mfa.verify', p_outcome => 'denied', p_subject_id => v_session.user_id,
      p_record_key => jsonb_build_object('id', p_factor_id), p_details => jsonb_build_object('reason', v_reason, 'method', 'totp'));
    return jsonb_build_object('status', 'mfa_verification_failed');
  end if;
  if v_first then
    -- From now on the account has two factors: sessions that have shown one do not live on, nor do other beginnings.
    update auth.sessions s set revoked_at = now(), revoked_reason = 'mfa_enrolled'
    where s.user_id = v_session.user_id and s.id <> v_session.id and s.revoked_at is null and s.aal = 'aal1';
    get diagnostics v_ended = row_count;
    update auth.users u set email_change = null where u.id = v_session.user_id and u.email_change is not null;
    delete from auth.mfa_factors f where f.user_id = v_session.user_id and f.status = 'unverified';
  end if;
  perform audit.record(p_action => case when v_first then 'mfa.factor_verified' else 'mfa.verify' end,
    p_subject_id => v_session.user_id, p_record_key => jsonb_build_object('id', p_factor_id),
    p_details => jsonb_build_object('method', 'totp', 'sessions_ended', v_ended));
  return fluxbase.step_up(p_session => v_session, p_method => 'totp', p_factor_id => p_factor_id,
                          p_refresh_hash => p_refresh_hash, p_jti => p_jti);
end $$;
revoke all on function fluxbase.factor_verify_finish(uuid, uuid, bigint, text, text, bigint, bytea, uuid) from public;
grant execute on function fluxbase.factor_verify_finish(uuid, uuid, bigint, text, text, bigint, bytea, uuid) to fluxbase_server;
comment on function fluxbase.factor_verify_finish(uuid, uuid, bigint, text, text, bigint, bytea, uuid) is
  'Second half: p_step is the time step of the code, null for a wrong one. Raises the session to aal2; status ok, mfa_verification_failed, mfa_challenge_expired or generation_changed.';

create or replace function fluxbase.factor_unenroll(p_factor_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_session auth.sessions := fluxbase.mfa_session();
  v_status text;
begin
  if v_session.id is null then
    return jsonb_build_object('status', 'session_not_found');
  end if;
  select f.status into v_status from auth.mfa_factors f
  where f.id = p_factor_id and f.user_id = v_session.user_id for update;
  if not found then
    return jsonb_build_object('status', 'mfa_factor_not_found');
  elsif v_status = 'verified' and not fluxbase.has_aal2(p_session => v_session) then
    return jsonb_build_object('status', 'insufficient_aal');
  end if;
  delete from auth.mfa_factors f where f.id = p_factor_id;
  perform audit.record(p_action => 'mfa.factor_unenrolled', p_subject_id => v_session.user_id,
    p_record_key => jsonb_build_object('id', p_factor_id), p_details => jsonb_build_object('status', v_status));
  return jsonb_build_object('status', 'ok');
end $$;
revoke all on function fluxbase.factor_unenroll(uuid) from public;
grant execute on function fluxbase.factor_unenroll(uuid) to fluxbase_server;
comment on function fluxbase.factor_unenroll(uuid) is
  'Removes a factor of the signed-in user, a verified one only at aal2; status ok, mfa_factor_not_found or insufficient_aal.';
