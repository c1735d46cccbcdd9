-- Signing keys as the servers use them.  Tables: auth.signing_keys.  Caller: fluxbase_server.

-- Times are told as seconds from now, so that the clocks of the servers do not matter.  Keys that have ended are left out.
create or replace function fluxbase.signing_keys()
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_build_object('status', 'ok',
    'requests', (select coalesce(jsonb_agg(jsonb_build_object('id', k.id, 'algorithm', k.algorithm)), '[]')
                 from auth.signing_keys k where k.published_at is null),
    'keys', (select coalesce(jsonb_agg(jsonb_build_object(
                'id', k.id, 'algorithm', k.algorithm, 'public_jwk', k.public_jwk, 'private_key', k.private_key,
                'signs_in', extract(epoch from k.signs_from - clock_timestamp()),
                'ends_in', extract(epoch from k.verifies_until - clock_timestamp())) order by k.signs_from desc), '[]')
             from auth.signing_keys k
             where k.published_at is not null and (k.verifies_until is null or k.verifies_until > clock_timestamp())));
end $$;
revoke all on function fluxbase.signing_keys() from public;
grant execute on function fluxbase.signing_keys() to fluxbase_server;
comment on function fluxbase.signing_keys() is 'Keys that verify now or sign soon, the newest first, with the private half sealed, and requests for new ones.';

-- Of several servers that made one, the first counts.
create or replace function fluxbase.signing_key_publish(p_id uuid, p_public_jwk jsonb, p_private_key text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform from auth.signing_keys k where k.algorithm = 'HS256' for update;
  perform from auth.signing_keys k where k.id = p_id and k.published_at is null;
  if not found then
    return jsonb_build_object('status', 'signing_key_not_found');
  elsif p_public_jwk ->> 'kid' is distinct from p_id::text then
    return jsonb_build_object('status', 'validation_failed');
  end if;
  update auth.signing_keys k
  set public_jwk = p_public_jwk, private_key = p_private_key, published_at = now(), signs_from = now()
  where k.id = p_id;
  perform fluxbase.start_signing_key(p_id => p_id);
  return jsonb_build_object('status', 'ok');
end $$;
revoke all on function fluxbase.signing_key_publish(uuid, jsonb, text) from public;
grant execute on function fluxbase.signing_key_publish(uuid, jsonb, text) to fluxbase_server;
comment on function fluxbase.signing_key_publish(uuid, jsonb, text) is
  'Completes a request with a pair of keys, the private half sealed; signing_key_not_found when another server was faster.';
