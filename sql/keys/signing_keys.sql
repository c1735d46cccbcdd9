-- Signing keys, asked for and inspected in psql.  Tables: auth.signing_keys.  Caller: fluxbase_admin.
-- PostgreSQL makes no key pairs and has no key to seal one with: a rotation is a row that a server completes.
-- The row of the environment's secret is always there; whoever changes keys locks it first.

create or replace function auth.rotate_signing_key(p_overlap interval default '15 minutes', p_algorithm text default null)
returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_secret auth.signing_keys;
  v_signing auth.signing_keys;
  v_algorithm text := p_algorithm;
  v_id uuid;
begin
  if p_overlap is null or p_overlap < interval '0' then
    raise exception using errcode = '22023', message = 'the overlap is an interval from 0 on';
  end if;
  select k.* into strict v_secret from auth.signing_keys k where k.algorithm = 'HS256' for update;
  select k.id into v_id from auth.signing_keys k where k.published_at is null;
  if found then
    raise exception using errcode = '55000', message = 'a rotation is under way',
      detail = format('the request %s waits for a server that has auth.encryption_key', v_id),
      hint = format('select auth.revoke_signing_key(%L) takes it back', v_id);
  end if;
  select k.* into v_signing from auth.signing_keys k
  where k.verifies_until is null or k.verifies_until > now() order by k.signs_from desc limit 1;
  v_algorithm := coalesce(v_algorithm, nullif(v_signing.algorithm, 'HS256'), 'ES256');
  if v_algorithm not in ('HS256', 'ES256', 'EdDSA') then
    raise exception using errcode = '22023', message = format('algorithm %L is not known', v_algorithm),
      hint = 'ES256 or EdDSA make a new pair of keys, HS256 goes back to the secret in the environment of the servers';
  elsif v_algorithm = 'HS256' and v_signing.algorithm = 'HS256' then
    raise exception using errcode = '55000', message = 'the secret of the environment signs already',
      hint = 'it is changed in the configuration of the servers, which ends all sessions';
  end if;
  if p_overlap < auth.setting(p_key => 'access_token_lifetime')::interval then
    raise notice using message = 'the overlap is shorter than the lifetime of access tokens',
      detail = 'tokens that were signed before are refused before they expire';
  end if;
  if v_algorithm = 'HS256' then
    v_id := v_secret.id;
    update auth.signing_keys k
    set overlap = p_overlap, requested_at = now(), requested_by = session_user, verifies_until = null
    where k.id = v_id;
  else
    insert into auth.signing_keys (algorithm, overlap) values (v_algorithm, p_overlap) returning id into v_id;
  end if;
  perform audit.record(p_action => 'signing_key.requested', p_record_key => jsonb_build_object('id', v_id),
    p_details => jsonb_build_object('algorithm', v_algorithm, 'overlap', p_overlap));
  if v_algorithm = 'HS256' then
    perform fluxbase.start_signing_key(p_id => v_id);
  end if;
  perform pg_notify('fluxbase_settings', 'signing_keys');
  return v_id;
end $$;
revoke all on function auth.rotate_signing_key(interval, text) from public;
grant execute on function auth.rotate_signing_key(interval, text) to fluxbase_admin;
comment on function auth.rotate_signing_key(interval, text) is
  'Asks for a new signing key: a server makes it, all servers learn of it, then it signs; the key before verifies until the overlap ends. ES256, EdDSA or back to HS256.';

-- What is published signs when every server has had time to read it, and ends what signed before.
create or replace function fluxbase.start_signing_key(p_id uuid)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_signs_from timestamptz := now() + auth.setting(p_key => 'signing_key_lead_time')::interval;
  v_overlap interval;
begin
  update auth.signing_keys k set published_at = now(), signs_from = v_signs_from where k.id = p_id returning k.overlap into strict v_overlap;
  update auth.signing_keys k set verifies_until = least(k.verifies_until, v_signs_from + v_overlap)
  where k.id <> p_id and k.published_at is not null and (k.verifies_until is null or k.verifies_until > now());
  perform audit.record(p_action => 'signing_key.published', p_record_key => jsonb_build_object('id', p_id),
    p_details => jsonb_build_object('signs_from', v_signs_from, 'others_end', v_signs_from + v_overlap));
  perform pg_notify('fluxbase_settings', 'signing_keys');
end $$;
revoke all on function fluxbase.start_signing_key(uuid) from public;
comment on function fluxbase.start_signing_key(uuid) is 'Lets a complete key sign after the lead time and those before end after its overlap.';

create or replace function auth.revoke_signing_key(p_id uuid, p_reason text default 'admin')
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_key auth.signing_keys;
begin
  perform from auth.signing_keys k where k.algorithm = 'HS256' for update;
  select k.* into v_key from auth.signing_keys k where k.id = p_id;
  if not found then
    raise exception using errcode = 'P0002', message = format('signing key %s does not exist', coalesce(p_id::text, 'null')),
      hint = 'auth.admin_signing_keys lists them';
  elsif v_key.verifies_until <= now() then
    return false;
  elsif v_key.published_at is not null and not exists (
    select from auth.signing_keys k
    where k.id <> p_id and k.signs_from between v_key.signs_from and now() and (k.verifies_until is null or k.verifies_until > now()))
  then
    raise exception using errcode = '55000', message = 'the key signs, or is about to',
      detail = 'without it no token could be signed', hint = 'select auth.rotate_signing_key(''0'') puts another one in its place first';
  end if;
  if v_key.published_at is null then
    delete from auth.signing_keys k where k.id = p_id;
  else
    update auth.signing_keys k set verifies_until = now() where k.id = p_id;
  end if;
  perform audit.record(p_action => 'signing_key.revoked', p_record_key => jsonb_build_object('id', p_id),
    p_details => jsonb_build_object('algorithm', v_key.algorithm, 'reason', p_reason));
  perform pg_notify('fluxbase_settings', 'signing_keys');
  return true;
end $$;
revoke all on function auth.revoke_signing_key(uuid, text) from public;
grant execute on function auth.revoke_signing_key(uuid, text) to fluxbase_admin;
comment on function auth.revoke_signing_key(uuid, text) is
  'Ends a key that does not sign any more before its time: its tokens are refused within seconds; also takes back a request. False when it had ended before.';

create or replace function auth.signing_key_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select jsonb_build_object(
      'id', k.id, 'algorithm', k.algorithm, 'requested_at', k.requested_at, 'requested_by', k.requested_by,
      'published_at', k.published_at, 'signs_from', k.signs_from, 'verifies_until', k.verifies_until, 'public_jwk', k.public_jwk,
      'state', case when k.published_at is null then 'requested'
                    when k.verifies_until <= now() then 'over'
                    when k.signs_from > now() then 'published'
                    when k.signs_from = max(k.signs_from) filter (where k.signs_from <= now() and (k.verifies_until is null or k.verifies_until > now())) over ()
                    then 'signing' else 'verifying' end)
    from auth.signing_keys k order by k.signs_from desc nulls first;
end $$;
revoke all on function auth.signing_key_rows() from public;
grant execute on function auth.signing_key_rows() to fluxbase_admin;
comment on function auth.signing_key_rows() is 'Signing keys as JSON, without their private half; read them through auth.admin_signing_keys.';

create or replace view auth.admin_signing_keys with (security_invoker = true) as
  select (j ->> 'id')::uuid as id, j ->> 'algorithm' as algorithm, j ->> 'state' as state,
         (j ->> 'requested_at')::timestamptz as requested_at, j ->> 'requested_by' as requested_by,
         (j ->> 'published_at')::timestamptz as published_at, (j ->> 'signs_from')::timestamptz as signs_from,
         (j ->> 'verifies_until')::timestamptz as verifies_until, j -> 'public_jwk' as public_jwk
  from auth.signing_key_rows() j;
revoke all on auth.admin_signing_keys from public;
grant select on auth.admin_signing_keys to fluxbase_admin;
comment on view auth.admin_signing_keys is 'Every signing key, newest first: requested, published, signing, verifying or over.';
