-- A code and its verifier for a session.  Tables: auth.flow_states.  Caller: fluxbase_server.
-- The verifier stays in the server; p_challenge is what it makes of it.  A wrong verifier leaves the code to whoever has the
-- right one: it cannot be guessed, and whoever saw the code alone shall not be able to spoil it.
create or replace function fluxbase.flow_exchange(
  p_code_hash bytea, p_challenge text, p_session_id uuid, p_refresh_hash bytea, p_jti uuid, p_user_agent text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_flow auth.flow_states;
  v_result jsonb;
  v_tokens text;
begin
  -- The user's row first, as everywhere; then one statement decides that a code is exchanged once.
  perform from auth.users u
  where u.id = (select f.user_id from auth.flow_states f where f.auth_code_hash = p_code_hash) for no key update;
  select f.provider_tokens into v_tokens from auth.flow_states f where f.auth_code_hash = p_code_hash;
  update auth.flow_states f set used_at = now(), provider_tokens = null
  where f.auth_code_hash = p_code_hash and f.code_challenge = p_challenge and f.used_at is null and f.auth_code_expires_at > now()
  returning f.* into v_flow;
  if not found then
    select f.* into v_flow from auth.flow_states f where f.auth_code_hash = p_code_hash;
    v_result := jsonb_build_object('status', case
      when not found or v_flow.used_at is not null then 'flow_state_not_found'
      when v_flow.auth_code_expires_at <= now() then 'flow_state_expired'
      else 'bad_code_verifier' end);
  elsif v_flow.purpose = 'oauth_link' then
    v_result := jsonb_build_object('status', fluxbase.oauth_link_complete(p_flow_state_id => v_flow.id));
  else
    v_result := jsonb_build_object('status', 'ok');
  end if;
  if v_result ->> 'status' = 'ok' then
    v_result := auth.issue_session(p_user_id => v_flow.user_id, p_method => v_flow.authentication_method, p_session_id => p_session_id,
                                   p_refresh_hash => p_refresh_hash, p_jti => p_jti, p_user_agent => p_user_agent);
  end if;
  if v_result ->> 'status' <> 'ok' then
    perform audit.record(p_action => 'login', p_outcome => 'denied', p_subject_id => v_flow.user_id,
                         p_details => jsonb_build_object('grant', 'pkce', 'reason', v_result ->> 'status'));
    return v_result;
  end if;
  perform audit.record(p_action => 'login', p_subject_id => v_flow.user_id, p_user_id => v_flow.user_id, p_session_id => p_session_id,
    p_details => jsonb_build_object('grant', 'pkce', 'method', v_flow.authentication_method, 'purpose', v_flow.purpose));
  return v_result || jsonb_build_object('flow_id', v_flow.id, 'provider_tokens',
    case when auth.setting(p_key => 'oauth_provider_tokens_enabled')::boolean then v_tokens end);
end $$;
revoke all on function fluxbase.flow_exchange(bytea, text, uuid, bytea, uuid, text) from public;
grant execute on function fluxbase.flow_exchange(bytea, text, uuid, bytea, uuid, text) to fluxbase_server;
comment on function fluxbase.flow_exchange(bytea, text, uuid, bytea, uuid, text) is
  'Exchanges the code of a flow for a session, and the sealed tokens of the provider if there are some, once; status ok, flow_state_not_found, flow_state_expired, bad_code_verifier, or what auth.issue_session() says.';
