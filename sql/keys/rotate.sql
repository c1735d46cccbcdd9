-- Rotation of API keys.  Tables: auth.api_keys.  Callers: fluxbase_admin in psql, the entry points.

-- The new key has the same owner, name, scopes and end; the old one lives on for the overlap, never longer than before.
create or replace function fluxbase.put_rotated_key(p_id uuid, p_new_id uuid, p_prefix text, p_key_hash bytea, p_overlap interval)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_old auth.api_keys;
begin
  select k.* into v_old from auth.api_keys k
  where k.id = p_id and k.revoked_at is null and (k.expires_at is null or k.expires_at > now()) for no key update;
  if not found then
    return false;
  end if;
  insert into auth.api_keys (id, kind, name, prefix, key_hash, user_id, org_id, scopes, expires_at, created_by)
  values (p_new_id, v_old.kind, v_old.name, p_prefix, p_key_hash, v_old.user_id, v_old.org_id, v_old.scopes, v_old.expires_at,
          coalesce(auth.current_user_id()::text, session_user));
  update auth.api_keys k set expires_at = least(k.expires_at, now() + p_overlap) where k.id = p_id;
  perform audit.record(p_action => 'api_key.rotated', p_subject_id => v_old.user_id, p_details => jsonb_build_object(
    'id', p_id, 'new_id', p_new_id, 'prefix', p_prefix, 'org_id', v_old.org_id, 'old_expires_at', least(v_old.expires_at, now() + p_overlap)));
  return true;
end $$;
revoke all on function fluxbase.put_rotated_key(uuid, uuid, text, bytea, interval) from public;
comment on function fluxbase.put_rotated_key(uuid, uuid, text, bytea, interval) is
  'Stores the successor of a living key and lets the old one end after the overlap; false when there is no such key.';

create or replace function auth.rotate_api_key(p_id uuid, p_overlap interval default '1 day')
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_random bytea := sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
  v_prefix text;
  v_key text;
begin
  if p_overlap is null or p_overlap < interval '0' then
    raise exception using errcode = '22023', message = 'the overlap is an interval from 0 on';
  end if;
  select left(k.prefix, 8) into v_prefix from auth.api_keys k where k.id = p_id;
  v_key := coalesce(v_prefix, 'fb_live_') || rtrim(translate(encode(v_random, 'base64'), '+/', '-_'), '=');
  if not fluxbase.put_rotated_key(p_id => p_id, p_new_id => gen_random_uuid(), p_prefix => left(v_key, 12),
       p_key_hash => sha256(convert_to(v_key, 'UTF8')), p_overlap => p_overlap) then
    raise exception using errcode = 'P0002', message = format('there is no living API key %s', coalesce(p_id::text, 'null')),
      hint = 'auth.admin_api_keys lists them';
  end if;
  return v_key;
end $$;
revoke all on function auth.rotate_api_key(uuid, interval) from public;
grant execute on function auth.rotate_api_key(uuid, interval) to fluxbase_admin;
comment on function auth.rotate_api_key(uuid, interval) is
  'Makes the successor of a key and returns it, the only time that it can be seen; the old key ends after the overlap.';
