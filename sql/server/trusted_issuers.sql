-- The gate for tokens of trusted issuers.  Tables: auth.trusted_issuers, auth.users.  Caller: fluxbase_api.
-- Such a token has no session here.  In the place of the session's row the issuer's is asked, and it says nothing else of
-- us: no session, organization, key, level or actor.

-- Definer: the data logins have no right on any table.  It clears the connection as check_request() does, and last as there.
create or replace function fluxbase.check_issuer(p_issuer_id uuid, p_role text, p_context text)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_context jsonb := p_context;
  v_issuer auth.trusted_issuers;
begin
  if p_issuer_id is null or p_context is null then
    raise exception using errcode = 'ZF400', message = 'request context is missing';
  end if;
  select i.* into v_issuer from auth.trusted_issuers i where i.id = p_issuer_id and i.disabled_at is null;
  if not found then
    raise exception using errcode = 'ZF401', message = 'issuer is not trusted';
  elsif p_role is distinct from v_context ->> 5
     or v_issuer.allowed_roles <> '{}' and not p_role = any (v_issuer.allowed_roles) then
    raise exception using errcode = 'ZF403', message = 'role is not permitted', detail = format('role %s', p_role),
      hint = 'allowed_roles of the issuer in auth.trusted_issuers';
  elsif num_nonnulls(v_context ->> 2, v_context ->> 3, v_context ->> 4, v_context ->> 6, v_context ->> 9) > 0
     or v_context ->> 11 is null
     or v_context ->> 1 is not null and (not v_issuer.subject_is_user
          or not exists (select from auth.users u
                         where u.id = (v_context ->> 1)::uuid and (u.banned_until is null or u.banned_until <= now()))) then
    raise exception using errcode = 'ZF401', message = 'session is not alive';
  end if;
  if pg_my_temp_schema() <> 0 then
    discard temp;
  end if;
  discard sequences;
  reset all; -- nothing may be looked up behind it
end $$;
revoke all on function fluxbase.check_issuer(uuid, text, text) from public;
grant execute on function fluxbase.check_issuer(uuid, text, text) to fluxbase_api;
comment on function fluxbase.check_issuer(uuid, text, text) is
  'Clears the connection of leftovers; raises ZF401 or ZF403 unless the issuer is trusted, with this role, and the context claims nothing else.';

-- Invoker, and the same steps as fluxbase.begin_request.
create or replace function fluxbase.begin_issuer_request(
  p_role text, p_issuer_id uuid, p_context text, p_context_mac text, p_claims text, p_read_only boolean, p_statement_timeout integer)
returns void language sql volatile security invoker
return case
  when fluxbase.check_issuer(p_issuer_id => p_issuer_id, p_role => p_role,
                             p_context => case when p_context_mac is not null then p_context end) is not null
   and (p_role in ('anon', 'authenticated') is true or fluxbase.check_role(p_role => p_role) is not null)
   and (p_statement_timeout is null or set_config('statement_timeout', p_statement_timeout::text, true) is not null)
   and set_config('fluxbase.context', p_context, true) is not null
   and set_config('fluxbase.context_mac', p_context_mac, true) is not null
   and set_config('request.jwt.claims', coalesce(p_claims, ''), true) is not null
   and set_config('transaction_read_only', case when p_read_only then 'on' else 'off' end, true) is not null
   and set_config('role', p_role, true) is not null
  then pg_advisory_unlock_all() end;
revoke all on function fluxbase.begin_issuer_request(text, uuid, text, text, text, boolean, integer) from public;
grant execute on function fluxbase.begin_issuer_request(text, uuid, text, text, text, boolean, integer) to fluxbase_api;
comment on function fluxbase.begin_issuer_request(text, uuid, text, text, text, boolean, integer) is
  'begin_request() for a token of a trusted issuer: asks for the issuer instead of a session.';

create or replace function fluxbase.apply_trusted_issuers(p_issuers jsonb)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_before jsonb;
  v_after jsonb;
begin
  perform pg_advisory_xact_lock(hashtextextended('auth.trusted_issuers', 0)); -- servers that start together
  select coalesce(jsonb_object_agg(i.name, to_jsonb(i) - 'updated_at'), '{}') into v_before from auth.trusted_issuers i;
  delete from auth.trusted_issuers i
  where not exists (select from jsonb_array_elements(p_issuers) e where e ->> 'name' = i.name and e ->> 'issuer' is not distinct from i.issuer);
  insert into auth.trusted_issuers as i (name, issuer, allowed_roles, subject_is_user)
  select e ->> 'name', e ->> 'issuer', array(select jsonb_array_elements_text(e -> 'allowed_roles')), (e ->> 'subject_is_user')::boolean
  from jsonb_array_elements(p_issuers) e
  on conflict (name) do update
    set allowed_roles = excluded.allowed_roles, subject_is_user = excluded.subject_is_user, updated_at = now()
    where (i.allowed_roles, i.subject_is_user) is distinct from (excluded.allowed_roles, excluded.subject_is_user);
  select coalesce(jsonb_object_agg(i.name, to_jsonb(i) - 'updated_at'), '{}') into v_after from auth.trusted_issuers i;
  if v_after <> v_before then
    perform audit.record(p_action => 'issuers.changed', p_details => jsonb_build_object('before', v_before, 'after', v_after));
  end if;
  return jsonb_build_object('status', 'ok', 'ids', (select coalesce(jsonb_object_agg(i.name, i.id), '{}') from auth.trusted_issuers i));
end $$;
revoke all on function fluxbase.apply_trusted_issuers(jsonb) from public;
grant execute on function fluxbase.apply_trusted_issuers(jsonb) to fluxbase_server;
comment on function fluxbase.apply_trusted_issuers(jsonb) is
  'Makes the trusted issuers those of the configuration, and returns the id of each by its name; one that is disabled stays so.';
