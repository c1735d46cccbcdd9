-- Sign-ins that are away at a provider, seen and ended in psql.  Tables: auth.oauth_flows.  Caller: fluxbase_admin.
-- One begins with a browser and needs the key of the server, so psql cannot begin it.

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
