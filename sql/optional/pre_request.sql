-- For PostgREST in front of the same database: its setting db-pre-request = "fluxbase.pre_request".
-- Not part of the package.  Install it as fluxbase_owner when you want it, then store the secret that signs the tokens:
--   PGOPTIONS='-c role=fluxbase_owner' psql -1 -v ON_ERROR_STOP=1 -f sql/optional/pre_request.sql
--   select auth.set_pre_request_secret('...');      -- as fluxbase_admin; the JWT secret of Fluxbase and of PostgREST
-- PostgREST has checked the signature, but its settings can be set by any SQL that runs in a request.  So the token itself
-- is verified here, from request.headers: whoever can present it may be whom it names, and nobody else.
-- Tables: fluxbase.pre_request_secrets, auth.sessions, auth.token_blacklist.  Caller: anon, authenticated, service_role.
do $$
begin
  if current_user <> 'fluxbase_owner' then
    raise exception using errcode = '42501', message = 'run this as fluxbase_owner',
      detail = 'add role=fluxbase_owner to the connection string';
  end if;
end $$;

create table if not exists fluxbase.pre_request_secrets (
  id boolean not null default true,
  inner_pad bytea not null,
  outer_pad bytea not null,
  issuer text not null,
  audience text not null,
  constraint pre_request_secrets_id_pk primary key (id),
  constraint pre_request_secrets_id_ck check (id),
  constraint pre_request_secrets_length_ck check (length(inner_pad) = 64 and length(outer_pad) = 64)
);
alter table fluxbase.pre_request_secrets enable row level security;
comment on table fluxbase.pre_request_secrets is 'Key of access tokens for fluxbase.pre_request(), padded as HMAC needs it; readable by its owner only.';

create or replace function auth.set_pre_request_secret(
  p_secret text, p_issuer text default 'fluxbase', p_audience text default 'authenticated')
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_key bytea := convert_to(p_secret, 'UTF8');
  v_inner bytea := decode(repeat('36', 64), 'hex');
  v_outer bytea := decode(repeat('5c', 64), 'hex');
begin
  if v_key is null or length(v_key) < 32 then
    raise exception using errcode = '22023', message = 'the secret is shorter than 32 bytes', hint = 'use the JWT secret of the server';
  elsif coalesce(p_issuer, '') = '' or coalesce(p_audience, '') = '' then
    raise exception using errcode = '22023', message = 'issuer and audience must be named', hint = 'auth.jwt_issuer and auth.jwt_audience of the server';
  end if;
  if length(v_key) > 64 then
    v_key := sha256(v_key);
  end if;
  for i in 0 .. length(v_key) - 1 loop
    v_inner := set_byte(v_inner, i, get_byte(v_key, i) # 54);
    v_outer := set_byte(v_outer, i, get_byte(v_key, i) # 92);
  end loop;
  insert into fluxbase.pre_request_secrets as s (inner_pad, outer_pad, issuer, audience) values (v_inner, v_outer, p_issuer, p_audience)
  on conflict (id) do update set inner_pad = excluded.inner_pad, outer_pad = excluded.outer_pad,
    issuer = excluded.issuer, audience = excluded.audience;
  perform audit.record(p_action => 'pre_request.secret_set',
    p_details => jsonb_build_object('issuer', p_issuer, 'audience', p_audience));
end $$;
revoke all on function auth.set_pre_request_secret(text, text, text) from public;
grant execute on function auth.set_pre_request_secret(text, text, text) to fluxbase_admin;
comment on function auth.set_pre_request_secret(text, text, text) is
  'Stores the HS256 secret, issuer and audience by which fluxbase.pre_request() verifies access tokens.';

-- Strict base64url (RFC 4648 section 5, without padding): null for anything that does not encode back to the same text.
create or replace function fluxbase.base64url_decode(p_text text)
returns bytea language plpgsql immutable parallel safe security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_bytes bytea;
begin
  if p_text !~ '^[A-Za-z0-9_-]+$' or length(p_text) % 4 = 1 then
    return null;
  end if;
  v_bytes := decode(translate(p_text, '-_', '+/') || repeat('=', (4 - length(p_text) % 4) % 4), 'base64');
  return case when translate(rtrim(replace(encode(v_bytes, 'base64'), E'\n', ''), '='), '+/', '-_') = p_text then v_bytes end;
end $$;
revoke all on function fluxbase.base64url_decode(text) from public;
comment on function fluxbase.base64url_decode(text) is 'Bytes of canonical base64url without padding, null for anything else.';

-- Payload of an HS256 token whose signature and claims hold (RFC 8725), else null.
create or replace function fluxbase.verify_token(p_token text)
returns text language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_secret fluxbase.pre_request_secrets;
  v_parts text[] := string_to_array(p_token, '.');
  v_header json;
  v_payload text;
  v_claims jsonb;
  v_now bigint := extract(epoch from clock_timestamp())::bigint;
  v_uuid constant text := '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';
begin
  select s.* into v_secret from fluxbase.pre_request_secrets s;
  if not found or length(p_token) > 8192 or cardinality(v_parts) is distinct from 3 then
    return null;
  end if;
  if sha256(v_secret.outer_pad || sha256(v_secret.inner_pad || convert_to(v_parts[1] || '.' || v_parts[2], 'UTF8')))
     is distinct from fluxbase.base64url_decode(p_text => v_parts[3]) then
    return null;
  end if;
  v_header := convert_from(fluxbase.base64url_decode(p_text => v_parts[1]), 'UTF8');
  v_payload := convert_from(fluxbase.base64url_decode(p_text => v_parts[2]), 'UTF8');
  v_claims := v_payload;
  if v_header ->> 'alg' is distinct from 'HS256' or v_header ->> 'typ' is distinct from 'JWT'
     or exists (select from json_object_keys(v_header) k where k not in ('alg', 'typ', 'kid'))
     or jsonb_typeof(v_claims) is distinct from 'object'
     or (select count(*) <> count(distinct lower(k)) from json_object_keys(v_payload::json) k)
     or v_claims ->> 'iss' is distinct from v_secret.issuer or v_claims -> 'aud' is distinct from to_jsonb(v_secret.audience)
     or coalesce(v_claims ->> 'sub', '') !~ v_uuid or coalesce(v_claims ->> 'session_id', '') !~ v_uuid
     or coalesce(v_claims ->> 'jti', '') !~ v_uuid or coalesce(v_claims ->> 'org_id', v_claims ->> 'sub') !~ v_uuid
     or jsonb_typeof(v_claims -> 'role') is distinct from 'string'
     or jsonb_typeof(v_claims -> 'iat') is distinct from 'number' or jsonb_typeof(v_claims -> 'nbf') is distinct from 'number'
     or jsonb_typeof(v_claims -> 'exp') is distinct from 'number'
     or (v_claims ->> 'exp')::numeric <= v_now or (v_claims ->> 'nbf')::numeric > v_now + 5 or (v_claims ->> 'iat')::numeric > v_now + 5
     or (v_claims ->> 'exp')::numeric - (v_claims ->> 'iat')::numeric > 86400 then
    return null;
  end if;
  return v_payload;
exception when data_exception then
  return null;
end $$;
revoke all on function fluxbase.verify_token(text) from public;
comment on function fluxbase.verify_token(text) is 'Payload of an access token that was signed with the stored secret and whose claims hold, else null.';

-- Definer: it reads the secret and the session.  It gives no role: PostgREST has set the one of the token before, and a
-- token for another one is refused.
create or replace function fluxbase.pre_request()
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_role text := current_setting('role', true);
  v_authorization text := nullif(current_setting('request.headers', true), '')::jsonb ->> 'authorization';
  v_payload text;
  v_claims jsonb;
  v_context text;
begin
  if v_authorization is not null then
    v_payload := fluxbase.verify_token(p_token => substring(v_authorization from '^[Bb][Ee][Aa][Rr][Ee][Rr] +([^ ]+)$'));
    v_claims := v_payload;
    if v_claims is null or v_claims ->> 'role' <> v_role then
      raise exception using errcode = 'PT401', message = 'invalid JWT', hint = 'log in again';
    end if;
  elsif v_role is distinct from 'anon' then
    raise exception using errcode = 'PT401', message = 'a token is missing',
      detail = format('the role of the request is %s', v_role), hint = 'only anon needs no token: db-anon-role = "anon"';
  end if;
  v_context := format('[1,%s,%s,%s,%s,%s,null,null,null,null,%s,%s]',
    coalesce(v_claims -> 'sub', 'null'), coalesce(v_claims -> 'session_id', 'null'), coalesce(v_claims -> 'org_id', 'null'),
    coalesce(v_claims -> 'aal', 'null'), to_jsonb(v_role), extract(epoch from now())::bigint,
    coalesce(to_jsonb(encode(sha256(convert_to(v_payload, 'UTF8')), 'hex')), 'null'));
  begin
    perform fluxbase.check_request(p_session_id => (v_claims ->> 'session_id')::uuid, p_jti => (v_claims ->> 'jti')::uuid,
      p_api_key_id => null, p_context => v_context);
  exception when sqlstate 'ZF401' then
    raise exception using errcode = 'PT401', message = 'session is not alive', hint = 'log in again';
  when sqlstate 'ZF405' then
    raise exception using errcode = 'PT403', message = 'session needs a second factor', hint = 'enrol or verify one first';
  end;
  perform set_config('fluxbase.context', v_context, true),
          set_config('fluxbase.context_mac', fluxbase.context_mac(p_context => v_context), true),
          set_config('request.jwt.claims', coalesce(v_payload, ''), true);
end $$;
revoke all on function fluxbase.pre_request() from public;
grant execute on function fluxbase.pre_request() to anon, authenticated, service_role;
-- The name must be reachable; every entry point of this schema still asks for its own EXECUTE.
grant usage on schema fluxbase to anon, authenticated, service_role;
comment on function fluxbase.pre_request() is
  'Pre-request function of PostgREST: verifies the token of the request and its session, then signs the context; PT401 otherwise.';
