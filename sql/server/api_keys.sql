-- API keys of the signed-in user and of organizations.  Tables: auth.api_keys.  Caller: fluxbase_server, after begin_entry.
-- A session makes keys, a key makes none.  Keys of an organization need org.keys.manage in it; others do not exist.

create or replace function fluxbase.key_json(p_key auth.api_keys)
returns jsonb language plpgsql stable security invoker set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
begin
  return jsonb_build_object('id', p_key.id, 'name', p_key.name, 'prefix', p_key.prefix, 'organization_id', p_key.org_id,
    'scopes', to_jsonb(p_key.scopes), 'created_at', p_key.created_at, 'expires_at', p_key.expires_at, 'last_used_at', p_key.last_used_at)
    || case when p_key.org_id is null then '{}'  -- who made it in psql is a login, and none of theirs
       else jsonb_build_object('created_by', case when p_key.created_by ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then p_key.created_by end) end;
end $$;
revoke all on function fluxbase.key_json(auth.api_keys) from public;
comment on function fluxbase.key_json(auth.api_keys) is 'An API key as HTTP shows it; the key itself is stored nowhere.';

-- Whose keys these are: the caller's own for null, else those of the organization.
create or replace function fluxbase.key_decide(p_org_id uuid)
returns text language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_org_id is null then
    return case when auth.session_id() is null then 'session_not_found' else 'ok' end;
  end if;
  return fluxbase.org_decide(p_org_id => p_org_id, p_permission => 'org.keys.manage');
end $$;
revoke all on function fluxbase.key_decide(uuid) from public;
comment on function fluxbase.key_decide(uuid) is 'Whether the signed-in user manages the keys of the organization, or the own for null; answers as fluxbase.org_decide().';

-- A key that the caller does not manage does not exist.
create or replace function fluxbase.my_key(p_id uuid)
returns boolean language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_key auth.api_keys;
begin
  select k.* into v_key from auth.api_keys k where k.id = p_id;
  return found and auth.session_id() is not null and case v_key.kind
    when 'user' then v_key.user_id = auth.current_user_id()
    when 'organization' then fluxbase.org_decide(p_org_id => v_key.org_id, p_permission => 'org.keys.manage') = 'ok'
    else false end;
end $$;
revoke all on function fluxbase.my_key(uuid) from public;
comment on function fluxbase.my_key(uuid) is 'True when the signed-in user manages this key.';

create or replace function fluxbase.keys(p_org_id uuid)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := fluxbase.key_decide(p_org_id => p_org_id);
begin
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  end if;
  return jsonb_build_object('status', 'ok', 'result', (
    select coalesce(jsonb_agg(fluxbase.key_json(p_key => k) order by k.created_at desc, k.id), '[]')
    from auth.api_keys k
    where case when p_org_id is null then k.user_id = auth.current_user_id() else k.org_id = p_org_id end
      and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())));
end $$;
revoke all on function fluxbase.keys(uuid) from public;
grant execute on function fluxbase.keys(uuid) to fluxbase_server;
comment on function fluxbase.keys(uuid) is 'Living keys of the signed-in user, or of an organization with org.keys.manage, newest first.';

create or replace function fluxbase.key_create(
  p_id uuid, p_org_id uuid, p_name text, p_scopes text[], p_expires_at timestamptz, p_prefix text, p_key_hash bytea)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_status text := case when p_org_id is null then case when fluxbase.lock_own_user() then 'ok' else 'session_not_found' end
                        else fluxbase.org_begin_change(p_org_id => p_org_id, p_permission => 'org.keys.manage') end;
  v_key auth.api_keys;
begin
  if v_status <> 'ok' then
    return jsonb_build_object('status', v_status);
  elsif fluxbase.lacks_second_factor() then
    return jsonb_build_object('status', 'insufficient_aal');
  elsif not fluxbase.is_key_name(p_name => p_name) or not fluxbase.are_key_scopes(p_scopes => p_scopes) or p_expires_at <= now() then
    return jsonb_build_object('status', 'validation_failed');
  end if;
  insert into auth.api_keys (id, kind, name, prefix, key_hash, user_id, org_id, scopes, expires_at, created_by)
  values (p_id, case when p_org_id is null then 'user' else 'organization' end, p_name, p_prefix, p_key_hash,
          case when p_org_id is null then auth.current_user_id() end, p_org_id, coalesce(p_scopes, '{}'), p_expires_at, auth.current_user_id()::text)
  returning * into v_key;
  perform audit.record(p_action => 'api_key.created', p_subject_id => v_key.user_id, p_details => jsonb_build_object(
    'id', p_id, 'kind', v_key.kind, 'name', p_name, 'prefix', p_prefix, 'org_id', p_org_id, 'scopes', v_key.scopes, 'expires_at', p_expires_at));
  return jsonb_build_object('status', 'ok', 'result', fluxbase.key_json(p_key => v_key));
end $$;
revoke all on function fluxbase.key_create(uuid, uuid, text, text[], timestamptz, text, bytea) from public;
grant execute on function fluxbase.key_create(uuid, uuid, text, text[], timestamptz, text, bytea) to fluxbase_server;
comment on function fluxbase.key_create(uuid, uuid, text, text[], timestamptz, text, bytea) is
  'Makes a key of the signed-in user, or of an organization with org.keys.manage; also validation_failed, insufficient_aal.';

create or replace function fluxbase.key_rotate(p_id uuid, p_new_id uuid, p_prefix text, p_key_hash bytea, p_overlap_seconds integer)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not fluxbase.lock_own_user() then
    return jsonb_build_object('status', 'session_not_found');
  elsif fluxbase.lacks_second_factor() then
    return jsonb_build_object('status', 'insufficient_aal');
  elsif not fluxbase.my_key(p_id => p_id) or not fluxbase.put_rotated_key(p_id => p_id, p_new_id => p_new_id, p_prefix => p_prefix,
       p_key_hash => p_key_hash, p_overlap => make_interval(secs => p_overlap_seconds)) then
    return jsonb_build_object('status', 'api_key_not_found');
  end if;
  return jsonb_build_object('status', 'ok', 'result', (select fluxbase.key_json(p_key => k) from auth.api_keys k where k.id = p_new_id));
end $$;
revoke all on function fluxbase.key_rotate(uuid, uuid, text, bytea, integer) from public;
grant execute on function fluxbase.key_rotate(uuid, uuid, text, bytea, integer) to fluxbase_server;
comment on function fluxbase.key_rotate(uuid, uuid, text, bytea, integer) is 'Makes the successor of a key; the old one ends after the overlap; also api_key_not_found, insufficient_aal.';

create or replace function fluxbase.key_revoke(p_id uuid)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if not fluxbase.my_key(p_id => p_id) or not auth.revoke_api_key(p_id => p_id, p_reason => 'user') then
    return jsonb_build_object('status', 'api_key_not_found');
  end if;
  return jsonb_build_object('status', 'ok');
end $$;
revoke all on function fluxbase.key_revoke(uuid) from public;
grant execute on function fluxbase.key_revoke(uuid) to fluxbase_server;
comment on function fluxbase.key_revoke(uuid) is 'Ends a key, from the next request on; also api_key_not_found.';
