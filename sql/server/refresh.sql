-- Refresh: one statement for the server, decided under the lock of the session's row.
-- Tables: auth.sessions, auth.refresh_tokens, auth.users.  Caller: fluxbase_server.
-- The server has checked the token's own MAC; the number of the generation orders tokens, never the time (RFC 9700 4.14).
create or replace function fluxbase.refresh(
  p_session_id uuid, p_generation bigint, p_token_hash bytea, p_child_hash bytea, p_jti uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_session auth.sessions;
  v_user auth.users;
  v_jti uuid := p_jti;
begin
  select s.* into v_session from auth.sessions s where s.id = p_session_id for no key update;
  if not found or p_generation > v_session.generation then
    return jsonb_build_object('status', 'refresh_token_not_found');
  end if;
  -- An older token than the parent of the current one: it was stolen, or its thief was faster.
  if p_generation < v_session.generation - 1 then
    if auth.end_sessions(p_user_id => v_session.user_id, p_session_id => p_session_id, p_reason => 'refresh_token_reuse') > 0 then
      perform audit.record(p_action => 'refresh_token.reuse', p_outcome => 'denied', p_subject_id => v_session.user_id,
                           p_session_id => p_session_id,
                           p_details => jsonb_build_object('generation', p_generation, 'current', v_session.generation));
    end if;
    return jsonb_build_object('status', 'refresh_token_already_used');
  end if;
  if v_session.revoked_at is not null then
    return jsonb_build_object('status', 'session_not_found');
  elsif v_session.blocked_until > now() then
    return jsonb_build_object('status', 'user_banned');
  elsif v_session.expires_at <= now() then
    return jsonb_build_object('status', 'session_expired');
  end if;
  if p_generation = v_session.generation then
    update auth.refresh_tokens r set used_at = now()
    where r.session_id = p_session_id and r.generation = p_generation and r.token_hash = p_token_hash;
    if not found then
      return jsonb_build_object('status', 'refresh_token_not_found');
    end if;
    insert into auth.refresh_tokens (session_id, generation, token_hash, jti)
    values (p_session_id, p_generation + 1, p_child_hash, p_jti);
    update auth.sessions s
    set generation = p_generation + 1, refreshed_at = now(),
        expires_at = fluxbase.session_expiry(p_created_at => s.created_at),
        mfa_pending = s.aal = 'aal1' and fluxbase.mfa_required(p_user_id => s.user_id)
    where s.id = p_session_id returning s.* into v_session;
  else
    -- The child was never used, so its answer may have been lost: the same child again.
    select child.jti into v_jti
    from auth.refresh_tokens parent join auth.refresh_tokens child using (session_id)
    where parent.session_id = p_session_id and parent.generation = p_generation and parent.token_hash = p_token_hash
      and child.generation = v_session.generation;
    if not found then
      return jsonb_build_object('status', 'refresh_token_not_found');
    end if;
    update auth.sessions s
    set mfa_pending = s.aal = 'aal1' and fluxbase.mfa_required(p_user_id => s.user_id)
    where s.id = p_session_id returning s.* into v_session;
  end if;
  select u.* into strict v_user from auth.users u where u.id = v_session.user_id;
  return jsonb_build_object('status', 'ok',
    'session', fluxbase.session_json(p_user => v_user, p_session => v_session, p_jti => v_jti));
end $$;
revoke all on function fluxbase.refresh(uuid, bigint, bytea, bytea, uuid) from public;
grant execute on function fluxbase.refresh(uuid, bigint, bytea, bytea, uuid) to fluxbase_server;
comment on function fluxbase.refresh(uuid, bigint, bytea, bytea, uuid) is
  'Rotates a refresh token; the parent of an unused child gets that child again, anything older ends the session.';
