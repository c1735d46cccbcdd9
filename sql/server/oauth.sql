-- Sign-ins at identity providers.  Tables: auth.oauth_flows, auth.identities.  Caller: fluxbase_server, after begin_entry.
-- The server talks to providers; who somebody is to us is decided here.

-- Without a code challenge the tokens themselves go through the browser's address bar.
create or replace function fluxbase.oauth_begin(
  p_provider text, p_state_hash bytea, p_browser_hash bytea, p_sealed text, p_redirect_to text,
  p_code_challenge text, p_code_challenge_method text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_flow_state_id uuid;
  v_lifetime interval := auth.setting(p_key => 'oauth_flow_lifetime')::interval;
begin
  if p_code_challenge is not null then
    v_flow_state_id := fluxbase.flow_begin(p_purpose => 'oauth', p_code_challenge => p_code_challenge,
                                           p_code_challenge_method => p_code_challenge_method);
    if v_flow_state_id is null then
      return jsonb_build_object('status', 'bad_code_challenge');
    end if;
  elsif not auth.setting(p_key => 'oauth_implicit_enabled')::boolean then
    return jsonb_build_object('status', 'code_challenge_required');
  end if;
  insert into auth.oauth_flows (provider, state_hash, browser_hash, sealed, redirect_to, flow_state_id, expires_at)
  values (p_provider, p_state_hash, p_browser_hash, p_sealed, p_redirect_to, v_flow_state_id, now() + v_lifetime);
  return jsonb_build_object('status', 'ok', 'lifetime', extract(epoch from v_lifetime)::bigint);
end $$;
revoke all on function fluxbase.oauth_begin(text, bytea, bytea, text, text, text, text) from public;
grant execute on function fluxbase.oauth_begin(text, bytea, bytea, text, text, text, text) to fluxbase_server;
comment on function fluxbase.oauth_begin(text, bytea, bytea, text, text, text, text) is
  'A browser is sent to a provider; ok with the seconds until it must be back, bad_code_challenge or code_challenge_required.';

-- Linking always has a code challenge: what was begun in one session is completed by whoever holds its verifier, with a code
-- that only the browser has which came back.  Nobody can have another person's account at a provider linked to their own.
create or replace function fluxbase.oauth_link_begin(
  p_provider text, p_ticket_hash bytea, p_redirect_to text, p_code_challenge text, p_code_challenge_method text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_flow_state_id uuid;
begin
  if auth.session_id() is null then
    return jsonb_build_object('status', 'session_not_found');
  elsif fluxbase.lacks_second_factor() then
    return jsonb_build_object('status', 'insufficient_aal');
  elsif p_code_challenge is null then
    return jsonb_build_object('status', 'code_challenge_required');
  end if;
  v_flow_state_id := fluxbase.flow_begin(p_purpose => 'oauth_link', p_code_challenge => p_code_challenge,
                                         p_code_challenge_method => p_code_challenge_method);
  if v_flow_state_id is null then
    return jsonb_build_object('status', 'bad_code_challenge');
  end if;
  insert into auth.oauth_flows (provider, ticket_hash, redirect_to, flow_state_id, user_id, session_id, expires_at)
  values (p_provider, p_ticket_hash, p_redirect_to, v_flow_state_id, auth.current_user_id(), auth.session_id(),
          now() + auth.setting(p_key => 'oauth_flow_lifetime')::interval);
  return jsonb_build_object('status', 'ok');
end $$;
revoke all on function fluxbase.oauth_link_begin(text, bytea, text, text, text) from public;
grant execute on function fluxbase.oauth_link_begin(text, bytea, text, text, text) to fluxbase_server;
comment on function fluxbase.oauth_link_begin(text, bytea, text, text, text) is
  'The signed-in user wants to link an identity: the ticket is for the browser that will be sent to the provider.';

-- A ticket is of a link, or of a sign-in that psql has begun.
create or replace function fluxbase.oauth_link_bind(p_ticket_hash bytea, p_provider text, p_state_hash bytea, p_browser_hash bytea, p_sealed text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_expires_at timestamptz;
begin
  update auth.oauth_flows f
  set ticket_hash = null, state_hash = p_state_hash, browser_hash = p_browser_hash, sealed = p_sealed
  where f.ticket_hash = p_ticket_hash and f.provider = p_provider and f.expires_at > now()
  returning f.expires_at into v_expires_at;
  if not found then
    return jsonb_build_object('status', 'bad_oauth_state');
  end if;
  return jsonb_build_object('status', 'ok', 'lifetime', extract(epoch from v_expires_at - now())::bigint);
end $$;
revoke all on function fluxbase.oauth_link_bind(bytea, text, bytea, bytea, text) from public;
grant execute on function fluxbase.oauth_link_bind(bytea, text, bytea, bytea, text) to fluxbase_server;
comment on function fluxbase.oauth_link_bind(bytea, text, bytea, bytea, text) is
  'Exchanges a ticket, once, for a state that is bound to the browser which brought it.';

create or replace function fluxbase.oauth_consume(p_state_hash bytea, p_browser_hash bytea)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_flow auth.oauth_flows;
begin
  update auth.oauth_flows f set used_at = now()
  where f.state_hash = p_state_hash and f.browser_hash = p_browser_hash and f.used_at is null and f.expires_at > now()
  returning f.* into v_flow;
  if found then
    return jsonb_build_object('status', 'ok', 'flow', jsonb_build_object(
      'id', v_flow.id, 'provider', v_flow.provider, 'sealed', v_flow.sealed, 'redirect_to', v_flow.redirect_to));
  end if;
  select f.* into v_flow from auth.oauth_flows f where f.state_hash = p_state_hash;
  if found then
    perform audit.record(p_action => 'login', p_outcome => 'denied', p_details => jsonb_build_object(
      'method', 'oauth', 'provider', v_flow.provider, 'reason', case
        when v_flow.used_at is not null then 'state replayed'
        when v_flow.expires_at <= now() then 'state expired' else 'state from another browser' end));
  end if;
  return jsonb_build_object('status', 'bad_oauth_state');
end $$;
revoke all on function fluxbase.oauth_consume(bytea, bytea) from public;
grant execute on function fluxbase.oauth_consume(bytea, bytea) to fluxbase_server;
comment on function fluxbase.oauth_consume(bytea, bytea) is
  'A browser has come back: its flow, once, in time and to the browser that was sent; else bad_oauth_state.';

create or replace function fluxbase.oauth_fail(p_flow_id uuid, p_reason text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_flow auth.oauth_flows;
begin
  update auth.oauth_flows f set finished_at = now(), sealed = null
  where f.id = p_flow_id and f.used_at is not null and f.finished_at is null returning f.* into v_flow;
  if found then
    perform audit.record(p_action => case when v_flow.user_id is null then 'login' else 'identity.linked' end, p_outcome => 'denied',
      p_subject_id => v_flow.user_id,
      p_details => jsonb_build_object('method', 'oauth', 'provider', v_flow.provider, 'reason', left(p_reason, 200)));
  end if;
  return jsonb_build_object('status', 'ok');
end $$;
revoke all on function fluxbase.oauth_fail(uuid, text) from public;
grant execute on function fluxbase.oauth_fail(uuid, text) to fluxbase_server;
comment on function fluxbase.oauth_fail(uuid, text) is 'The provider has not said who somebody is.';

-- p_code_hash is used when the flow has a code challenge, the session otherwise.  p_provider_tokens are sealed, for whoever exchanges
-- the code; without a code the server hands over what it has, if the answer says so.
create or replace function fluxbase.oauth_finish(
  p_flow_id uuid, p_provider text, p_provider_id text, p_email text, p_email_verified boolean, p_data jsonb, p_code_hash bytea,
  p_provider_tokens text, p_session_id uuid, p_refresh_hash bytea, p_jti uuid, p_user_agent text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_flow auth.oauth_flows;
  v_result jsonb;
  v_user_id uuid;
  v_hand_over boolean := auth.setting(p_key => 'oauth_provider_tokens_enabled')::boolean;
begin
  update auth.oauth_flows f set finished_at = now(), sealed = null
  where f.id = p_flow_id and f.provider = p_provider and f.used_at is not null and f.finished_at is null returning f.* into v_flow;
  if not found then
    return jsonb_build_object('status', 'bad_oauth_state');
  end if;
  if v_flow.user_id is not null then
    v_user_id := v_flow.user_id;
    v_result := jsonb_build_object('status', case when exists (
        select from auth.identities i where i.provider = p_provider and i.provider_id = p_provider_id)
      then 'identity_already_exists' else 'ok' end);
    update auth.oauth_flows f set identity = jsonb_build_object('provider_id', p_provider_id, 'data', p_data) where f.id = v_flow.id;
  else
    v_result := fluxbase.oauth_user(p_provider => p_provider, p_provider_id => p_provider_id, p_email => p_email,
                                    p_email_verified => p_email_verified, p_data => p_data);
    v_user_id := (v_result ->> 'user_id')::uuid;
  end if;
  if v_result ->> 'status' = 'ok' and v_flow.flow_state_id is not null then
    if fluxbase.flow_issue_code(p_flow_id => v_flow.flow_state_id, p_user_id => v_user_id, p_method => 'oauth', p_code_hash => p_code_hash) then
      update auth.flow_states f set provider_tokens = p_provider_tokens where f.id = v_flow.flow_state_id and v_hand_over;
      return v_result; -- the rest follows when the code is exchanged
    end if;
    v_result := jsonb_build_object('status', 'flow_state_expired');
  end if;
  return fluxbase.oauth_session(p_result => v_result, p_provider => p_provider, p_user_id => v_user_id, p_session_id => p_session_id,
                                p_refresh_hash => p_refresh_hash, p_jti => p_jti, p_user_agent => p_user_agent)
         || jsonb_build_object('hand_over', v_hand_over);
end $$;
revoke all on function fluxbase.oauth_finish(uuid, text, text, text, boolean, jsonb, bytea, text, uuid, bytea, uuid, text) from public;
grant execute on function fluxbase.oauth_finish(uuid, text, text, text, boolean, jsonb, bytea, text, uuid, bytea, uuid, text) to fluxbase_server;
comment on function fluxbase.oauth_finish(uuid, text, text, text, boolean, jsonb, bytea, text, uuid, bytea, uuid, text) is
  'The provider has said who somebody is: a session, or, with a code challenge, the code that it will be exchanged for.';

create or replace function fluxbase.oauth_session(
  p_result jsonb, p_provider text, p_user_id uuid, p_session_id uuid, p_refresh_hash bytea, p_jti uuid, p_user_agent text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_result jsonb := p_result;
begin
  if v_result ->> 'status' = 'ok' then
    v_result := auth.issue_session(p_user_id => p_user_id, p_method => 'oauth', p_session_id => p_session_id,
                                   p_refresh_hash => p_refresh_hash, p_jti => p_jti, p_user_agent => p_user_agent);
  end if;
  if v_result ->> 'status' = 'ok' then
    perform audit.record(p_action => 'login', p_subject_id => p_user_id, p_user_id => p_user_id, p_session_id => p_session_id,
                         p_details => jsonb_build_object('method', 'oauth', 'provider', p_provider));
  else
    perform audit.record(p_action => 'login', p_outcome => 'denied', p_subject_id => p_user_id, p_details => jsonb_build_object(
      'method', 'oauth', 'provider', p_provider, 'reason', v_result ->> 'status'));
  end if;
  return v_result;
end $$;
revoke all on function fluxbase.oauth_session(jsonb, text, uuid, uuid, bytea, uuid, text) from public;
comment on function fluxbase.oauth_session(jsonb, text, uuid, uuid, bytea, uuid, text) is
  'Issues the session of whom an identity signs in, if the result so far is ok, and records how it ended.';

-- The session that began it must still live: who has logged out, or was, links nothing any more.
create or replace function fluxbase.oauth_link_complete(p_flow_state_id uuid)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_flow auth.oauth_flows;
begin
  select f.* into v_flow from auth.oauth_flows f
  join auth.sessions s on s.id = f.session_id and s.user_id = f.user_id
  where f.flow_state_id = p_flow_state_id and f.identity is not null
    and s.revoked_at is null and s.expires_at > now() and not s.mfa_pending and (s.blocked_until is null or s.blocked_until <= now());
  if not found then
    return 'session_not_found';
  end if;
  return fluxbase.add_identity(p_user_id => v_flow.user_id, p_provider => v_flow.provider,
    p_provider_id => v_flow.identity ->> 'provider_id', p_data => v_flow.identity -> 'data', p_how => 'user');
end $$;
revoke all on function fluxbase.oauth_link_complete(uuid) from public;
comment on function fluxbase.oauth_link_complete(uuid) is
  'Links the identity of a flow whose code is being exchanged; ok, session_not_found, or what fluxbase.add_identity() says.';

create or replace function fluxbase.oauth_id_token(
  p_provider text, p_provider_id text, p_email text, p_email_verified boolean, p_data jsonb, p_link boolean,
  p_session_id uuid, p_refresh_hash bytea, p_jti uuid, p_user_agent text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_result jsonb;
  v_user_id uuid;
begin
  if not p_link then
    v_result := fluxbase.oauth_user(p_provider => p_provider, p_provider_id => p_provider_id, p_email => p_email,
                                    p_email_verified => p_email_verified, p_data => p_data);
    v_user_id := (v_result ->> 'user_id')::uuid;
  elsif auth.session_id() is null then
    return jsonb_build_object('status', 'session_not_found');
  elsif fluxbase.lacks_second_factor() then
    return jsonb_build_object('status', 'insufficient_aal');
  else
    v_user_id := auth.current_user_id();
    if not fluxbase.lock_own_user() then
      return jsonb_build_object('status', 'session_not_found');
    end if;
    v_result := jsonb_build_object('status', fluxbase.add_identity(p_user_id => v_user_id, p_provider => p_provider,
      p_provider_id => p_provider_id, p_data => p_data, p_how => 'user'));
  end if;
  return fluxbase.oauth_session(p_result => v_result, p_provider => p_provider, p_user_id => v_user_id, p_session_id => p_session_id,
                                p_refresh_hash => p_refresh_hash, p_jti => p_jti, p_user_agent => p_user_agent);
end $$;
revoke all on function fluxbase.oauth_id_token(text, text, text, boolean, jsonb, boolean, uuid, bytea, uuid, text) from public;
grant execute on function fluxbase.oauth_id_token(text, text, text, boolean, jsonb, boolean, uuid, bytea, uuid, text) to fluxbase_server;
comment on function fluxbase.oauth_id_token(text, text, text, boolean, jsonb, boolean, uuid, bytea, uuid, text) is
  'A client has shown an ID token, which the server has verified: a session, or first a link to the signed-in user.';

create or replace function fluxbase.identities()
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_build_object('status', 'ok', 'result', jsonb_build_object(
    'identities', fluxbase.identities_json(p_user_id => auth.current_user_id())));
end $$;
revoke all on function fluxbase.identities() from public;
grant execute on function fluxbase.identities() to fluxbase_server;
comment on function fluxbase.identities() is 'Ways in of the signed-in user, oldest first.';

-- The other sessions end, as after a new password: whoever held the account at the provider is out.
create or replace function fluxbase.identity_unlink(p_identity_id uuid, p_enabled text[])
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_identity auth.identities;
  v_user_id uuid := auth.current_user_id();
  v_status text;
begin
  if auth.session_id() is null then
    return jsonb_build_object('status', 'session_not_found');
  elsif fluxbase.lacks_second_factor() then
    return jsonb_build_object('status', 'insufficient_aal');
  end if;
  select i.* into v_identity from auth.identities i where i.id = p_identity_id and i.user_id = v_user_id;
  v_status := fluxbase.remove_identity(p_user_id => v_user_id, p_identity_id => p_identity_id, p_enabled => coalesce(p_enabled, '{}'));
  if v_status = 'ok' then
    perform audit.record(p_action => 'identity.unlinked', p_subject_id => v_user_id, p_record_key => jsonb_build_object('id', p_identity_id),
      p_details => jsonb_build_object('provider', v_identity.provider, 'provider_id', v_identity.provider_id, 'sessions_ended',
        auth.end_sessions(p_user_id => v_user_id, p_reason => 'identity_unlinked', p_except_session_id => auth.session_id())));
  end if;
  return jsonb_build_object('status', v_status);
end $$;
revoke all on function fluxbase.identity_unlink(uuid, text[]) from public;
grant execute on function fluxbase.identity_unlink(uuid, text[]) to fluxbase_server;
comment on function fluxbase.identity_unlink(uuid, text[]) is
  'Takes a way in from the signed-in user, never the last one, and ends the other sessions; what fluxbase.remove_identity() says, or insufficient_aal.';
