-- Another login for data requests, such as the authenticator of an installation of PostgREST.  Tables: catalogs.
-- Caller: fluxbase_admin.

-- Definer: the owner of the gate grants it.  The server checks at each start what else the login may do.
create or replace function auth.allow_data_login(p_login text)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_login pg_roles;
  v_missing text;
begin
  select r.* into v_login from pg_roles r where r.rolname = p_login;
  if not found or not v_login.rolcanlogin then
    raise exception using errcode = '22023', message = format('%s is no login', quote_nullable(p_login));
  elsif v_login.rolsuper or v_login.rolbypassrls or v_login.rolcreaterole or v_login.rolreplication or v_login.rolinherit
        or starts_with(p_login, 'fluxbase_') then
    raise exception using errcode = '22023', message = format('%I may not run data requests', p_login),
      hint = format('alter role %I noinherit nosuperuser nobypassrls nocreaterole noreplication', p_login);
  end if;
  -- A login's own defaults hold for every request; setting the role does not bring those of the role.
  select string_agg(format('alter role %I set %s = %L;', p_login, w.name, w.value), ' ') into v_missing
  from (values ('statement_timeout', '15s'), ('lock_timeout', '5s'), ('idle_in_transaction_session_timeout', '30s')) w (name, value)
  where not exists (select from pg_db_role_setting s, unnest(s.setconfig) c where s.setrole = v_login.oid and starts_with(c, w.name || '='));
  if v_missing is not null then
    raise exception using errcode = '55000', message = format('%I has no timeouts', p_login),
      detail = 'a request could run, wait or idle without end', hint = v_missing;
  end if;
  execute format('grant usage on schema fluxbase to %I', p_login);
  execute format('grant execute on function fluxbase.begin_request(text, uuid, uuid, uuid, text, text, text, boolean, integer),
    fluxbase.check_request(uuid, uuid, uuid, text), fluxbase.check_role(text),
    fluxbase.begin_issuer_request(text, uuid, text, text, text, boolean, integer), fluxbase.check_issuer(uuid, text, text) to %I', p_login);
  perform audit.record(p_action => 'data_login.allowed', p_details => jsonb_build_object('login', p_login));
end $$;
revoke all on function auth.allow_data_login(text) from public;
grant execute on function auth.allow_data_login(text) to fluxbase_admin;
comment on function auth.allow_data_login(text) is
  'Lets another login than fluxbase_api run data requests: it gets the gate, and must have timeouts and no privileges.';
