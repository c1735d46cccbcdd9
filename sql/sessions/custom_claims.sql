-- Claims of the application in our tokens.  Tables: auth.settings, auth.users.  Callers: where tokens get their claims; fluxbase_admin.
-- The application's function lives in a schema of its own and is named by the setting custom_claims_function, so no upgrade
-- of ours replaces it.  It must be SECURITY DEFINER: without that it would run with the rights of fluxbase_owner, which
-- calls it.  It must not be volatile: it is asked on the connection of the entry points, and has nothing to change there.

-- Null when the function may be called, else what is wrong with it.
create or replace function fluxbase.claims_function_problem(p_name text)
returns text language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_name text[];
  v_proc pg_proc;
begin
  begin
    v_name := parse_ident(p_name);
  exception when invalid_parameter_value then
    return 'it is no name of a function';
  end;
  if cardinality(v_name) <> 2 then
    return 'it is named without its schema';
  elsif v_name[1] in ('auth', 'audit', 'ratelimit', 'fluxbase', 'pg_catalog', 'information_schema') then
    return 'it is no function of the application';
  end if;
  select p.* into v_proc from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname = v_name[1] and p.proname = v_name[2] and p.proargtypes::text = concat('uuid'::regtype::oid, ' ', 'jsonb'::regtype::oid);
  return case
    when not found then format('function %s(uuid, jsonb) does not exist', p_name)
    when v_proc.prorettype <> 'jsonb'::regtype or v_proc.proretset then 'it does not return jsonb'
    when not v_proc.prosecdef then 'it is not security definer'
    when v_proc.provolatile = 'v' then 'it is volatile'
    when not has_schema_privilege(v_proc.pronamespace, 'usage') then
      format('fluxbase_owner may not look into its schema: grant usage on schema %I to fluxbase_owner', v_name[1])
    when not has_function_privilege(v_proc.oid, 'execute') then
      format('fluxbase_owner may not call it: grant execute on function %I.%I(uuid, jsonb) to fluxbase_owner', v_name[1], v_name[2])
  end;
end $$;
revoke all on function fluxbase.claims_function_problem(text) from public;
comment on function fluxbase.claims_function_problem(text) is 'Why the setting custom_claims_function may not name this function; null when it may.';

-- The claims with those of the application.  Whatever goes wrong denies the token: a policy may rest on a claim that
-- would be missing.  The server records the refusal from the error's detail, after the rest was rolled back.
create or replace function fluxbase.with_custom_claims(p_user_id uuid, p_claims jsonb)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_name text := auth.setting(p_key => 'custom_claims_function');
  v_problem text;
  v_state text;
  v_added jsonb;
  v_reserved constant text[] := array['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'role', 'session_id', 'aal', 'amr', 'email', 'phone',
    'is_anonymous', 'app_metadata', 'user_metadata', 'org_id', 'act', 'client_id', 'scope', 'cnf'];
begin
  if v_name = '' then
    return p_claims;
  end if;
  v_problem := fluxbase.claims_function_problem(p_name => v_name);
  if v_problem is null then
    begin
      execute format('select %I.%I($1, $2)', variadic parse_ident(v_name)) into v_added using p_user_id, p_claims;
    exception when others or query_canceled or assert_failure then
      get stacked diagnostics v_state = returned_sqlstate, v_problem = message_text;
    end;
  end if;
  -- What is returned as it was given is not added: so a function may also return all claims.
  if v_problem is null and jsonb_typeof(v_added) = 'object' then
    select coalesce(jsonb_object_agg(a.key, a.value), '{}') into v_added
    from jsonb_each(v_added) a where p_claims -> a.key is distinct from a.value;
  end if;
  v_problem := coalesce(v_problem, case
    when v_added is null or jsonb_typeof(v_added) <> 'object' then 'it did not return a JSON object'
    when exists (select from jsonb_object_keys(v_added) k where lower(k) = any (v_reserved) or p_claims ? k) then
      (select format('it must not set the claim %s', k) from jsonb_object_keys(v_added) k where lower(k) = any (v_reserved) or p_claims ? k order by k limit 1)
    when exists (select from jsonb_object_keys(v_added) k where k = '' or octet_length(k) > 200)
         or (select count(*) <> count(distinct lower(k)) or count(*) > 32 from jsonb_object_keys(v_added) k) then
      'it returned more than 32 claims, or names that are empty, too long or differ in case only'
    when octet_length(v_added::text) > 2048 then format('its claims take %s bytes; at most 2048 are possible', octet_length(v_added::text))
    when jsonb_path_exists(v_added, '$.**{16}') or v_added::text ~ '[0-9.]{250}' then 'its claims are nested too deeply, or have numbers that are too long' end);
  if v_problem is not null then
    raise exception using errcode = 'ZF406', message = 'the claims of the token could not be made',
      detail = jsonb_build_object('user_id', p_user_id, 'function', v_name, 'problem', left(v_problem, 500), 'sqlstate', v_state)::text,
      hint = 'select auth.custom_claims(''ann@example.com'') shows it in psql';
  end if;
  return p_claims || v_added;
end $$;
revoke all on function fluxbase.with_custom_claims(uuid, jsonb) from public;
comment on function fluxbase.with_custom_claims(uuid, jsonb) is
  'Claims with those that the application''s function adds, at most 2 kB and never one of ours; ZF406 when that fails, which denies the token.';

create or replace function auth.custom_claims(p_user text)
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_user auth.users;
begin
  select u.* into strict v_user from auth.users u where u.id = auth.user_id_of(p_user => p_user);
  return fluxbase.claims_json(p_user => v_user, p_aal => 'aal1');
end $$;
revoke all on function auth.custom_claims(text) from public;
grant execute on function auth.custom_claims(text) to fluxbase_admin;
comment on function auth.custom_claims(text) is 'Claims that a token of the user would have, with those of the application''s function; ZF406 when they cannot be made.';

create or replace function fluxbase.token_denied(p_detail text)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_detail jsonb := p_detail;
begin
  perform audit.record(p_action => 'token.denied', p_outcome => 'error', p_subject_id => (v_detail ->> 'user_id')::uuid,
    p_details => v_detail - 'user_id');
  return jsonb_build_object('status', 'ok');
end $$;
revoke all on function fluxbase.token_denied(text) from public;
grant execute on function fluxbase.token_denied(text) to fluxbase_server;
comment on function fluxbase.token_denied(text) is 'Records that a token was denied for its claims; p_detail is the detail of ZF406.';
