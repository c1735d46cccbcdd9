-- Recovery codes of the signed-in user.  Tables: auth.recovery_codes.  Caller: fluxbase_server, after begin_pending_entry.
-- A code has 80 random bits, so its plain SHA-256 cannot be searched; the server or auth.generate_recovery_codes() makes it.

create or replace function fluxbase.recovery_codes_json(p_user_id uuid)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
begin
  return (select jsonb_build_object('total', count(*), 'remaining', count(*) filter (where r.used_at is null),
                                    'created_at', max(r.created_at))
          from auth.recovery_codes r where r.user_id = p_user_id);
end $$;
revoke all on function fluxbase.recovery_codes_json(uuid) from public;
comment on function fluxbase.recovery_codes_json(uuid) is 'How many recovery codes a user has and how many are left.';

create or replace function fluxbase.recovery_codes()
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if auth.session_id() is null then
    return jsonb_build_object('status', 'session_not_found');
  end if;
  return jsonb_build_object('status', 'ok', 'recovery_codes', fluxbase.recovery_codes_json(p_user_id => auth.current_user_id()));
end $$;
revoke all on function fluxbase.recovery_codes() from public;
grant execute on function fluxbase.recovery_codes() to fluxbase_server;
comment on function fluxbase.recovery_codes() is 'How many recovery codes the signed-in user has and how many are left.';

create or replace function fluxbase.recovery_codes_replace(p_code_hashes bytea[])
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_session auth.sessions := fluxbase.mfa_session();
begin
  if v_session.id is null then
    return jsonb_build_object('status', 'session_not_found');
  elsif not exists (select from auth.mfa_factors f where f.user_id = v_session.user_id and f.status = 'verified') then
    return jsonb_build_object('status', 'mfa_factor_not_found');
  elsif not fluxbase.has_aal2(p_session => v_session) then
    return jsonb_build_object('status', 'insufficient_aal');
  end if;
  delete from auth.recovery_codes r where r.user_id = v_session.user_id;
  insert into auth.recovery_codes (user_id, code_hash) select v_session.user_id, h from unnest(p_code_hashes) h;
  perform audit.record(p_action => 'mfa.recovery_codes_replaced', p_subject_id => v_session.user_id,
                       p_details => jsonb_build_object('codes', cardinality(p_code_hashes)));
  return jsonb_build_object('status', 'ok', 'recovery_codes', fluxbase.recovery_codes_json(p_user_id => v_session.user_id));
end $$;
revoke all on function fluxbase.recovery_codes_replace(bytea[]) from public;
grant execute on function fluxbase.recovery_codes_replace(bytea[]) to fluxbase_server;
comment on function fluxbase.recovery_codes_replace(bytea[]) is
  'Stores new recovery codes, hashed, in place of all older ones; status ok, mfa_factor_not_found without a verified factor, or insufficient_aal.';

create or replace function fluxbase.recovery_verify_begin()
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_session auth.sessions := fluxbase.mfa_session();
  v_wait integer;
begin
  if v_session.id is null then
    return jsonb_build_object('status', 'session_not_found');
  end if;
  v_wait := fluxbase.count_mfa_attempt(p_user_id => v_session.user_id);
  if v_wait is not null then
    return jsonb_build_object('status', 'mfa_slowed', 'retry_after', v_wait);
  end if;
  return jsonb_build_object('status', 'ok', 'generation', v_session.generation);
end $$;
revoke all on function fluxbase.recovery_verify_begin() from public;
grant execute on function fluxbase.recovery_verify_begin() to fluxbase_server;
comment on function fluxbase.recovery_verify_begin() is 'First half of showing a recovery code: counts the attempt; status ok or mfa_slowed.';

create or replace function fluxbase.recovery_verify_finish(p_code_hash bytea, p_generation bigint, p_refresh_hash bytea, p_jti uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_session auth.sessions := fluxbase.mfa_session();
begin
  if v_session.id is null then
    return jsonb_build_object('status', 'session_not_found');
  elsif p_generation <> v_session.generation then
    return jsonb_build_object('status', 'generation_changed', 'generation', v_session.generation);
  end if;
  -- One statement decides that a code is used once.
  update auth.recovery_codes r set used_at = now()
  where r.user_id = v_session.user_id and r.code_hash = p_code_hash and r.used_at is null;
  if not found then
    perform audit.record(p_action => 'mfa.verify', p_outcome => 'denied', p_subject_id => v_session.user_id,
                         p_details => jsonb_build_object('reason', 'wrong or used code', 'method', 'recovery_code'));
    return jsonb_build_object('status', 'mfa_verification_failed');
  end if;
  perform audit.record(p_action => 'mfa.verify', p_subject_id => v_session.user_id, p_details => jsonb_build_object(
    'method', 'recovery_code',
    'remaining', fluxbase.recovery_codes_json(p_user_id => v_session.user_id) -> 'remaining'));
  return fluxbase.step_up(p_session => v_session, p_method => 'recovery_code', p_factor_id => null,
                          p_refresh_hash => p_refresh_hash, p_jti => p_jti);
end $$;
revoke all on function fluxbase.recovery_verify_finish(bytea, bigint, bytea, uuid) from public;
grant execute on function fluxbase.recovery_verify_finish(bytea, bigint, bytea, uuid) to fluxbase_server;
comment on function fluxbase.recovery_verify_finish(bytea, bigint, bytea, uuid) is
  'Second half: uses the code up and raises the session to aal2; status ok, mfa_verification_failed or generation_changed.';
