-- API keys.  Tables: auth.api_keys.  Callers: fluxbase_admin in psql, fluxbase_server to look one up.
-- The table knows the SHA-256 of a key alone: 256 random bits need no slow hash.

-- A name is listed in terminals, where control characters could rewrite what stands there.
create or replace function fluxbase.is_key_name(p_name text)
returns boolean language plpgsql immutable security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(btrim(p_name) <> '' and length(p_name) <= 200
    and p_name !~ '[\u0001-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]', false);
end $$;
revoke all on function fluxbase.is_key_name(text) from public;
comment on function fluxbase.is_key_name(text) is 'Whether an API key or an organization may be named so: up to 200 characters on one line.';

create or replace function fluxbase.are_key_scopes(p_scopes text[])
returns boolean language plpgsql immutable security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce(cardinality(p_scopes), 0) <= 50
    and not exists (select from unnest(p_scopes) s where s is null or s !~ '^[a-z][a-z0-9_.:-]{0,99}$');
end $$;
revoke all on function fluxbase.are_key_scopes(text[]) from public;
comment on function fluxbase.are_key_scopes(text[]) is 'Whether an API key may have these scopes: at most 50, such as documents:read.';

create or replace function auth.create_api_key(
  p_kind text, p_name text, p_user text default null, p_org uuid default null,
  p_scopes text[] default '{}', p_expires_at timestamptz default null, p_test boolean default false)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_random bytea := sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
  v_key text := case when p_test then 'fb_test_' else 'fb_live_' end
             || rtrim(translate(encode(v_random, 'base64'), '+/', '-_'), '=');
  v_user_id uuid;
  v_id uuid;
begin
  if p_kind is null or p_kind not in ('anon', 'service', 'user', 'organization') then
    raise exception using errcode = '22023', message = format('kind %s does not exist', quote_nullable(p_kind)),
      hint = 'anon, service, user or organization';
  elsif not fluxbase.is_key_name(p_name => p_name) then
    raise exception using errcode = '22023', message = 'a key needs a name', detail = 'up to 200 characters on one line',
      hint = 'say which program uses it';
  elsif (p_kind = 'user') <> (p_user is not null) then
    raise exception using errcode = '22023', message = 'p_user belongs to keys of kind user, and to no other',
      hint = case when p_user is null then 'name the user by id or e-mail address' else 'leave p_user out' end;
  elsif (p_kind = 'organization') <> (p_org is not null) then
    raise exception using errcode = '22023', message = 'p_org belongs to keys of kind organization, and to no other',
      hint = case when p_org is null then 'give the id of the organization; auth.admin_organizations lists them' else 'leave p_org out' end;
  elsif not fluxbase.are_key_scopes(p_scopes => p_scopes) then
    raise exception using errcode = '22023', message = 'a scope is not valid', detail = format('p_scopes is %s', p_scopes),
      hint = 'documents:read is one: a-z first, then a-z, 0-9, _, ., : and -, up to 100 characters; a key has at most 50';
  elsif p_expires_at <= now() then
    raise exception using errcode = '22023', message = 'a key expires in the future', detail = format('p_expires_at is %s', p_expires_at);
  end if;
  if p_user is not null then
    v_user_id := auth.user_id_of(p_user => p_user);
  end if;
  if p_org is not null and not exists (select from auth.organizations o where o.id = p_org) then
    raise exception using errcode = 'P0002', message = format('organization %s does not exist', p_org);
  end if;
  insert into auth.api_keys (kind, name, prefix, key_hash, user_id, org_id, scopes, expires_at)
  values (p_kind, p_name, left(v_key, 12), sha256(convert_to(v_key, 'UTF8')), v_user_id, p_org, coalesce(p_scopes, '{}'), p_expires_at)
  returning id into v_id;
  perform audit.record(p_action => 'api_key.created', p_subject_id => v_user_id, p_details => jsonb_build_object(
    'id', v_id, 'kind', p_kind, 'name', p_name, 'prefix', left(v_key, 12), 'org_id', p_org, 'scopes', coalesce(p_scopes, '{}'),
    'expires_at', p_expires_at));
  return v_key;
end $$;
revoke all on function auth.create_api_key(text, text, text, uuid, text[], timestamptz, boolean) from public;
grant execute on function auth.create_api_key(text, text, text, uuid, text[], timestamptz, boolean) to fluxbase_admin;
comment on function auth.create_api_key(text, text, text, uuid, text[], timestamptz, boolean) is
  'Makes a key of kind anon, service, user or organization and returns it: the only time that it can be seen.';

create or replace function auth.revoke_api_key(p_id uuid, p_reason text default 'admin')
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_key auth.api_keys;
begin
  update auth.api_keys k set revoked_at = now() where k.id = p_id and k.revoked_at is null returning k.* into v_key;
  if not found then
    if not exists (select from auth.api_keys k where k.id = p_id) then
      raise exception using errcode = 'P0002', message = format('API key %s does not exist', coalesce(p_id::text, 'null')),
        hint = 'auth.admin_api_keys lists them';
    end if;
    return false;
  end if;
  perform audit.record(p_action => 'api_key.revoked', p_subject_id => v_key.user_id, p_details => jsonb_build_object(
    'id', p_id, 'prefix', v_key.prefix, 'reason', p_reason));
  return true;
end $$;
revoke all on function auth.revoke_api_key(uuid, text) from public;
grant execute on function auth.revoke_api_key(uuid, text) to fluxbase_admin;
comment on function auth.revoke_api_key(uuid, text) is 'Ends a key: it is refused from the next request on; false when it was revoked before.';

-- last_used_at is exact to the hour: a write at every use would cost more than the answer is worth.
create or replace function fluxbase.api_key(p_key_hash bytea)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_key auth.api_keys;
  v_user auth.users;
  v_role text;
  v_claims jsonb;
begin
  select k.* into v_key from auth.api_keys k
  where k.key_hash = p_key_hash and k.revoked_at is null and (k.expires_at is null or k.expires_at > now());
  if not found then
    return null;
  end if;
  v_role := case v_key.kind when 'anon' then 'anon' when 'service' then 'service_role' else 'authenticated' end;
  if v_key.kind = 'user' then
    select u.* into strict v_user from auth.users u where u.id = v_key.user_id;
    if v_user.banned_until > now() then
      return null;
    end if;
    v_role := v_user.role;
    v_claims := fluxbase.claims_json(p_user => v_user, p_aal => 'aal1');
  end if;
  update auth.api_keys k set last_used_at = now()
  where k.id = v_key.id and (k.last_used_at is null or k.last_used_at < now() - interval '1 hour');
  return jsonb_build_object('id', v_key.id, 'kind', v_key.kind, 'user_id', v_key.user_id, 'org_id', v_key.org_id,
    'role', v_role, 'scopes', v_key.scopes, 'expires_at', extract(epoch from v_key.expires_at)::bigint, 'claims', v_claims);
end $$;
revoke all on function fluxbase.api_key(bytea) from public;
grant execute on function fluxbase.api_key(bytea) to fluxbase_server;
comment on function fluxbase.api_key(bytea) is 'What a request with this key may be, null when the key is unknown, revoked, expired or its user banned.';
