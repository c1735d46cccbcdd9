-- The gate: first statement of every batch.  Tables: auth.sessions, auth.token_blacklist, auth.api_keys, auth.settings.
-- Callers: fluxbase_api and fluxbase_service (requests), fluxbase_server (entry points).

-- Definer: the data logins have no right on any table.  The row must be found and alive; no answer means no.
-- The context is compared with the row, so that a token signed by a thief of the key needs a live session of its victim.
-- What an earlier request may have left on the connection goes last: RESET overrides the function's own search_path, and an
-- operator that somebody made in public would run as the owner.  A function of its own for that would cost 2 us.
-- Every request comes through here: conditions without a sub-select and one SPI call count in microseconds.
-- A token keeps its level until it expires, the session may lose it.  No member before the actor contains a comma.
create or replace function fluxbase.check_request(p_session_id uuid, p_jti uuid, p_api_key_id uuid, p_context text)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_denied boolean;
  v_pending boolean;
  v_actor uuid;
  v_read_only boolean;
begin
  if p_context is null then
    raise exception using errcode = 'ZF400', message = 'request context is missing';
  end if;
  if p_session_id is not null then
    select s.actor_id, s.read_only, s.has_denied_tokens, s.mfa_pending or s.aal = 'aal1' and split_part(p_context, ',', 5) not in ('"aal1"', 'null')
    into v_actor, v_read_only, v_denied, v_pending
    from auth.sessions s
    where s.id = p_session_id
      and s.revoked_at is null
      and s.expires_at > now()
      and (s.blocked_until is null or s.blocked_until <= now())
      and starts_with(p_context, '[1,"' || s.user_id || '","' || s.id || '",')
      and split_part(p_context, ',', 10) = coalesce('"' || s.actor_id || '"', 'null');
    if not found or p_jti is null then
      raise exception using errcode = 'ZF401', message = 'session is not alive';
    end if;
    if v_denied then
      perform from auth.token_blacklist b where b.jti = p_jti;
      if found then
        raise exception using errcode = 'ZF401', message = 'token is denied';
      end if;
    end if;
    if v_actor is not null then
      if not fluxbase.may_impersonate(p_actor_id => v_actor) then
        raise exception using errcode = 'ZF401', message = 'session is not alive';
      end if;
      if v_read_only or session_user = 'fluxbase_server' then
        perform set_config('transaction_read_only', 'on', true);
      end if;
    end if;
    if v_pending then
      raise exception using errcode = 'ZF405', message = 'session needs a second factor';
    end if;
  elsif p_api_key_id is not null then
    perform from auth.api_keys k left join auth.users u on u.id = k.user_id
    where k.id = p_api_key_id
      and k.revoked_at is null
      and (k.expires_at is null or k.expires_at > now())
      and (u.banned_until is null or u.banned_until <= now())
      and starts_with(p_context, '[1,' || coalesce('"' || k.user_id || '"', 'null') || ',null,')
      and (k.kind <> 'user' or u.role is not distinct from p_context::jsonb ->> 5) -- the server remembers keys for a while
      and case k.kind when 'service' then session_user = 'fluxbase_service' or session_user = 'fluxbase_server'
                      else session_user <> 'fluxbase_service' end;
    if not found then
      raise exception using errcode = 'ZF402', message = 'API key is not alive';
    end if;
  elsif p_jti is not null or not starts_with(p_context, '[1,null,null,') then
    raise exception using errcode = 'ZF401', message = 'session is not alive';
  end if;
  if pg_my_temp_schema() <> 0 then -- asking costs nothing, discarding does
    discard temp;
  end if;
  discard sequences; -- lastval() and currval()
  reset all; -- search_path too, in here as well: nothing may be looked up behind it
  return true;
end $$;
revoke all on function fluxbase.check_request(uuid, uuid, uuid, text) from public;
grant execute on function fluxbase.check_request(uuid, uuid, uuid, text) to fluxbase_api, fluxbase_service, fluxbase_server;
comment on function fluxbase.check_request(uuid, uuid, uuid, text) is
  'Clears the connection of leftovers; true when the session or the API key of the request is alive, else ZF401, ZF402 or, for want of a second factor, ZF405.';

-- For the few entry points that a session may call which still owes its second factor.
create or replace function fluxbase.check_pending_request(p_session_id uuid, p_jti uuid, p_api_key_id uuid, p_context text)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return fluxbase.check_request(p_session_id => p_session_id, p_jti => p_jti, p_api_key_id => p_api_key_id, p_context => p_context);
exception when sqlstate 'ZF405' then -- everything else holds: it is asked last
  reset all; -- as there: nothing may be looked up behind it
  return true;
end $$;
revoke all on function fluxbase.check_pending_request(uuid, uuid, uuid, text) from public;
grant execute on function fluxbase.check_pending_request(uuid, uuid, uuid, text) to fluxbase_server;
comment on function fluxbase.check_pending_request(uuid, uuid, uuid, text) is
  'check_request() for a session that may still owe its second factor.';

-- anon and authenticated need no look-up; anything else must be the service login's own role or be listed.
create or replace function fluxbase.check_role(p_role text)
returns void language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if p_role = 'service_role' and session_user = 'fluxbase_service' then
    return;
  end if;
  if p_role is null or p_role in ('none', 'service_role')
     or not p_role = any (string_to_array(auth.setting(p_key => 'request_roles'), ','))
     or not pg_has_role(session_user, p_role, 'member') then
    raise exception using errcode = 'ZF403', message = 'role is not permitted',
      detail = format('role %s', p_role),
      hint = 'list it in the setting request_roles and grant it to fluxbase_api';
  end if;
exception when undefined_object then
  raise exception using errcode = 'ZF403', message = 'role is not permitted', detail = format('role %s does not exist', p_role);
end $$;
revoke all on function fluxbase.check_role(text) from public;
grant execute on function fluxbase.check_role(text) to fluxbase_api, fluxbase_service;
comment on function fluxbase.check_role(text) is 'Raises ZF403 unless a request may run as the role.';

-- Invoker: set_config('role') is refused inside a definer function.
-- One bound expression, which PostgreSQL inlines into the server's statement and evaluates from left to right: nothing is set
-- before the check has passed, and the role comes last.  The end of the expression is void, or it would not be inlined.
create or replace function fluxbase.begin_request(
  p_role text, p_session_id uuid, p_jti uuid, p_api_key_id uuid,
  p_context text, p_context_mac text, p_claims text,
  p_read_only boolean, p_statement_timeout integer)
returns void language sql volatile security invoker
return case
  when fluxbase.check_request(p_session_id => p_session_id, p_jti => p_jti, p_api_key_id => p_api_key_id,
                              p_context => case when p_context_mac is not null then p_context end)
   and (p_role in ('anon', 'authenticated') is true or fluxbase.check_role(p_role => p_role) is not null)
   and (p_statement_timeout is null or set_config('statement_timeout', p_statement_timeout::text, true) is not null)
   and set_config('fluxbase.context', p_context, true) is not null
   and set_config('fluxbase.context_mac', p_context_mac, true) is not null
   and set_config('request.jwt.claims', coalesce(p_claims, ''), true) is not null
   and set_config('transaction_read_only', case when p_read_only then 'on'
         when p_session_id is not null and split_part(p_context, ',', 10) <> 'null' then current_setting('transaction_read_only') -- check_request() decides
         else 'off' end, true) is not null
   and set_config('role', p_role, true) is not null
  then pg_advisory_unlock_all() end;
revoke all on function fluxbase.begin_request(text, uuid, uuid, uuid, text, text, text, boolean, integer) from public;
grant execute on function fluxbase.begin_request(text, uuid, uuid, uuid, text, text, text, boolean, integer) to fluxbase_api, fluxbase_service;
comment on function fluxbase.begin_request(text, uuid, uuid, uuid, text, text, text, boolean, integer) is
  'First statement of a data request: clears the connection, checks session or key, sets context, limits and role for this transaction.';

create or replace function fluxbase.begin_entry(
  p_session_id uuid, p_jti uuid, p_api_key_id uuid, p_context text, p_context_mac text, p_claims text)
returns void language sql volatile security invoker
return case
  when fluxbase.check_request(p_session_id => p_session_id, p_jti => p_jti, p_api_key_id => p_api_key_id,
                              p_context => case when p_context_mac is not null then p_context end)
   and set_config('fluxbase.context', p_context, true) is not null
   and set_config('fluxbase.context_mac', p_context_mac, true) is not null
   and set_config('request.jwt.claims', coalesce(p_claims, ''), true) is not null
   and set_config('search_path', 'pg_catalog, pg_temp', true) is not null -- nothing of the application's is for this login
  then pg_advisory_unlock_all() end;
revoke all on function fluxbase.begin_entry(uuid, uuid, uuid, text, text, text) from public;
grant execute on function fluxbase.begin_entry(uuid, uuid, uuid, text, text, text) to fluxbase_server;
comment on function fluxbase.begin_entry(uuid, uuid, uuid, text, text, text) is
  'First statement of a batch on the server login: the same checks and context as a request, no change of role.';

create or replace function fluxbase.begin_pending_entry(
  p_session_id uuid, p_jti uuid, p_api_key_id uuid, p_context text, p_context_mac text, p_claims text)
returns void language sql volatile security invoker
return case
  when fluxbase.check_pending_request(p_session_id => p_session_id, p_jti => p_jti, p_api_key_id => p_api_key_id,
                                      p_context => case when p_context_mac is not null then p_context end)
   and set_config('fluxbase.context', p_context, true) is not null
   and set_config('fluxbase.context_mac', p_context_mac, true) is not null
   and set_config('request.jwt.claims', coalesce(p_claims, ''), true) is not null
   -- What check_request() set for somebody who acts as the user, the end of a block with exceptions has undone.
   and set_config('transaction_read_only', case when p_session_id is null or split_part(p_context, ',', 10) = 'null' then 'off' else 'on' end, true) is not null
   and set_config('search_path', 'pg_catalog, pg_temp', true) is not null
  then pg_advisory_unlock_all() end;
revoke all on function fluxbase.begin_pending_entry(uuid, uuid, uuid, text, text, text) from public;
grant execute on function fluxbase.begin_pending_entry(uuid, uuid, uuid, text, text, text) to fluxbase_server;
comment on function fluxbase.begin_pending_entry(uuid, uuid, uuid, text, text, text) is
  'begin_entry() for the entry points that a session may call which still owes its second factor.';
