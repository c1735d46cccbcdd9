-- Sign-ins at a provider, begun, seen and ended in psql.  Tables: auth.oauth_flows.  Caller: fluxbase_admin.

-- The address is for one browser: the server that it comes to has the key for the rest.  Where the browser may go in the end
-- is the server's to check, by its configuration.
create or replace function auth.begin_oauth(p_provider text, p_redirect_to text default null, p_code_challenge text default null)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_public text := nullif(auth.setting(p_key => 'public_url'), '');
  v_target text := coalesce(p_redirect_to, nullif(auth.setting(p_key => 'site_url'), ''));
  v_ticket text := rtrim(translate(encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'base64'), '+/', '-_'), '=');
  v_flow_state_id uuid;
  v_id uuid;
begin
  if p_provider is null or p_provider !~ '^[a-z][a-z0-9_-]{0,39}$' then
    raise exception using errcode = '22023', message = format('%s is no provider', quote_nullable(p_provider)),
      hint = 'auth.providers in the configuration of the server names them';
  elsif v_public is null or v_target is null then
    raise exception using errcode = '55000', message = 'nobody has said where the server and the application are',
      hint = 'set server.public_url and auth.site_url in the configuration of the server';
  end if;
  if p_code_challenge is not null then
    v_flow_state_id := fluxbase.flow_begin(p_purpose => 'oauth', p_code_challenge => p_code_challenge, p_code_challenge_method => 's256');
    if v_flow_state_id is null then
      raise exception using errcode = '22023', message = 'the code challenge is none', hint = 'it is the SHA-256 of a verifier in base64url: 43 characters';
    end if;
  elsif not auth.setting(p_key => 'oauth_implicit_enabled')::boolean then
    raise exception using errcode = '22023', message = 'a sign-in needs a code challenge', hint = 'the setting oauth_implicit_enabled is off';
  end if;
  insert into auth.oauth_flows (provider, ticket_hash, redirect_to, flow_state_id, expires_at)
  values (p_provider, sha256(convert_to(v_ticket, 'UTF8')), v_target, v_flow_state_id, now() + auth.setting(p_key => 'oauth_flow_lifetime')::interval)
  returning id into v_id;
  perform audit.record(p_action => 'oauth.flow_begun', p_record_key => jsonb_build_object('id', v_id),
                       p_details => jsonb_build_object('provider', p_provider));
  return v_public || '/auth/v1/authorize?provider=' || p_provider || '&ticket=' || v_ticket;
end $$;
revoke all on function auth.begin_oauth(text, text, text) from public;
grant execute on function auth.begin_oauth(text, text, text) to fluxbase_admin;
comment on function auth.begin_oauth(text, text, text) is
  'Begins a sign-in at a provider: returns the address to open, once, in a browser.';

create or replace function auth.oauth_flow_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select jsonb_build_object('id', f.id, 'provider', f.provider, 'redirect_to', f.redirect_to, 'links_to', u.email, 'user_id', f.user_id,
      'state', case when f.finished_at is not null then 'finished' when f.used_at is not null then 'came back'
                    when f.expires_at <= now() then 'expired' when f.state_hash is null then 'not begun' else 'away' end,
      'created_at', f.created_at, 'expires_at', f.expires_at, 'used_at', f.used_at, 'finished_at', f.finished_at)
    from auth.oauth_flows f left join auth.users u on u.id = f.user_id order by f.created_at desc, f.id;
end $$;
revoke all on function auth.oauth_flow_rows() from public;
grant execute on function auth.oauth_flow_rows() to fluxbase_admin;
comment on function auth.oauth_flow_rows() is 'Sign-ins at providers as JSON; read them through auth.admin_oauth_flows.';

create or replace view auth.admin_oauth_flows with (security_invoker = true) as
  select (j ->> 'id')::uuid as id, j ->> 'provider' as provider, j ->> 'state' as state, j ->> 'redirect_to' as redirect_to,
         (j ->> 'user_id')::uuid as user_id, j ->> 'links_to' as links_to, (j ->> 'created_at')::timestamptz as created_at,
         (j ->> 'expires_at')::timestamptz as expires_at, (j ->> 'used_at')::timestamptz as used_at,
         (j ->> 'finished_at')::timestamptz as finished_at
  from auth.oauth_flow_rows() j;
revoke all on auth.admin_oauth_flows from public;
grant select on auth.admin_oauth_flows to fluxbase_admin;
comment on view auth.admin_oauth_flows is 'Browsers that were sent to a provider, newest first: away, came back, finished or expired.';

create or replace function auth.end_oauth_flow(p_id uuid)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_flow auth.oauth_flows;
begin
  delete from auth.oauth_flows f where f.id = p_id and f.used_at is null returning f.* into v_flow;
  if not found then
    return false;
  end if;
  perform audit.record(p_action => 'oauth.flow_ended', p_subject_id => v_flow.user_id, p_record_key => jsonb_build_object('id', p_id),
                       p_details => jsonb_build_object('provider', v_flow.provider));
  return true;
end $$;
revoke all on function auth.end_oauth_flow(uuid) from public;
grant execute on function auth.end_oauth_flow(uuid) to fluxbase_admin;
comment on function auth.end_oauth_flow(uuid) is 'Ends a sign-in whose browser has not come back; false when it has, or there is none.';
