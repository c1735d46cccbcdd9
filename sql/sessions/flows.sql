-- Sign-ins with a code challenge (RFC 7636).  Tables: auth.flow_states.  Callers: the entry points; fluxbase_admin in psql.
-- A flow begins with the challenge, gets one code when somebody has signed in, and the code is exchanged once.

-- The challenge is stored in one form: that of the method plain is the verifier itself, so its SHA-256 is kept.
create or replace function fluxbase.flow_begin(p_purpose text, p_code_challenge text, p_code_challenge_method text)
returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_id uuid;
  v_method text := lower(p_code_challenge_method);
begin
  if v_method = 's256' and p_code_challenge ~ '^[A-Za-z0-9_-]{43}$' or v_method = 'plain' and p_code_challenge ~ '^[A-Za-z0-9._~-]{43,128}$' then
    insert into auth.flow_states (purpose, code_challenge, expires_at)
    values (p_purpose, case v_method when 's256' then p_code_challenge else fluxbase.code_challenge(p_verifier => p_code_challenge) end,
            now() + auth.setting(p_key => 'flow_lifetime')::interval)
    returning id into v_id;
  end if;
  return v_id;
end $$;
revoke all on function fluxbase.flow_begin(text, text, text) from public;
comment on function fluxbase.flow_begin(text, text, text) is
  'Stores a code challenge (s256 or plain, in any case) and returns the id of the flow; null when it is none.';

create or replace function fluxbase.code_challenge(p_verifier text)
returns text language sql immutable parallel safe security invoker
return rtrim(translate(encode(sha256(convert_to(p_verifier, 'UTF8')), 'base64'), '+/', '-_'), '=');
revoke all on function fluxbase.code_challenge(text) from public;
comment on function fluxbase.code_challenge(text) is 'The challenge of a verifier by S256 (RFC 7636 section 4.2).';

-- One statement decides that a flow gets one code.
create or replace function fluxbase.flow_issue_code(p_flow_id uuid, p_user_id uuid, p_method text, p_code_hash bytea)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  update auth.flow_states f
  set user_id = p_user_id, authentication_method = p_method, auth_code_hash = p_code_hash,
      auth_code_expires_at = now() + auth.setting(p_key => 'auth_code_lifetime')::interval
  where f.id = p_flow_id and f.auth_code_hash is null and f.expires_at > now();
  return found;
end $$;
revoke all on function fluxbase.flow_issue_code(uuid, uuid, text, bytea) from public;
comment on function fluxbase.flow_issue_code(uuid, uuid, text, bytea) is
  'Gives a flow its code, hashed, for the user who signed in by this method; false when it has one or has expired.';

create or replace function auth.flow_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select jsonb_build_object('id', f.id, 'purpose', f.purpose, 'user_id', f.user_id, 'email', u.email,
      'authentication_method', f.authentication_method, 'created_at', f.created_at, 'expires_at', f.expires_at,
      'auth_code_expires_at', f.auth_code_expires_at, 'used_at', f.used_at)
    from auth.flow_states f left join auth.users u on u.id = f.user_id order by f.created_at desc, f.id;
end $$;
revoke all on function auth.flow_rows() from public;
grant execute on function auth.flow_rows() to fluxbase_admin;
comment on function auth.flow_rows() is 'Flows as JSON; read them through auth.admin_flows.';

create or replace view auth.admin_flows with (security_invoker = true) as
  select (j ->> 'id')::uuid as id, j ->> 'purpose' as purpose, (j ->> 'user_id')::uuid as user_id, j ->> 'email' as email,
         j ->> 'authentication_method' as authentication_method, (j ->> 'created_at')::timestamptz as created_at,
         (j ->> 'expires_at')::timestamptz as expires_at, (j ->> 'auth_code_expires_at')::timestamptz as auth_code_expires_at,
         (j ->> 'used_at')::timestamptz as used_at
  from auth.flow_rows() j;
revoke all on auth.admin_flows from public;
grant select on auth.admin_flows to fluxbase_admin;
comment on view auth.admin_flows is 'Sign-ins with a code challenge, newest first: begun, with a code, exchanged.';

create or replace function auth.end_flow(p_id uuid)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user_id uuid;
begin
  delete from auth.flow_states f where f.id = p_id and f.used_at is null returning f.user_id into v_user_id;
  if not found then
    return false;
  end if;
  perform audit.record(p_action => 'flow.ended', p_subject_id => v_user_id, p_record_key => jsonb_build_object('id', p_id));
  return true;
end $$;
revoke all on function auth.end_flow(uuid) from public;
grant execute on function auth.end_flow(uuid) to fluxbase_admin;
comment on function auth.end_flow(uuid) is 'Ends a sign-in that has not come back yet; its code is worth nothing. False when it was exchanged or does not exist.';
