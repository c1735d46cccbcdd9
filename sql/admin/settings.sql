-- Settings.  Tables: auth.settings.  Callers: fluxbase_admin in psql, fluxbase_server at start and when notified.
-- A value of null means that the default holds.  Every change is audited with the old and the new value.

-- Definer: nobody but the owner may read the table.
create or replace function auth.setting(p_key text)
returns text language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_value text;
begin
  select coalesce(s.value, s.default_value) into v_value from auth.settings s where s.key = p_key;
  if not found then
    raise exception using errcode = '22023', message = format('setting %s does not exist', quote_nullable(p_key)),
      hint = 'select key, value, description from auth.admin_settings lists them';
  end if;
  return v_value;
end $$;
revoke all on function auth.setting(text) from public;
grant execute on function auth.setting(text) to fluxbase_server, fluxbase_admin;
comment on function auth.setting(text) is 'Effective value of a setting as text; 22023 when there is no such setting.';

-- Requests may only ever run as roles that RLS holds back.
create or replace function fluxbase.check_request_roles(p_roles text[])
returns void language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_role text;
  v_reach text;
begin
  foreach v_role in array p_roles loop
    if not exists (select from pg_roles r where r.rolname = v_role) then
      raise exception using errcode = '22023', message = format('role %I does not exist', v_role),
        hint = 'create the role, grant it to fluxbase_api, then set request_roles';
    end if;
    select r.rolname into v_reach
    from pg_roles r
    where (r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolreplication
           or starts_with(r.rolname, 'fluxbase_') or starts_with(r.rolname, 'pg_') or r.rolname = 'service_role')
      and pg_has_role(v_role, r.oid, 'member')
    order by r.rolname <> v_role, r.rolname
    limit 1;
    if found then
      raise exception using errcode = '22023', message = format('role %I may not run requests', v_role),
        detail = case when v_reach = v_role then 'it is privileged or one of ours'
                      else format('it can become %I', v_reach) end,
        hint = 'a request role is no superuser, has no BYPASSRLS, CREATEROLE or REPLICATION, and is member of no such role';
    end if;
    if not pg_has_role('fluxbase_api', v_role, 'member') then
      raise notice using message = format('fluxbase_api is no member of %I: requests as this role are refused', v_role),
        hint = format('grant %I to fluxbase_api', v_role);
    end if;
  end loop;
end $$;
revoke all on function fluxbase.check_request_roles(text[]) from public;
comment on function fluxbase.check_request_roles(text[]) is 'Raises 22023 when one of the roles does not exist or could get round row security.';

create or replace function fluxbase.normalize_setting(p_setting auth.settings, p_value text)
returns text language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_value text := btrim(p_value);
  v_number numeric;
  v_list text[];
begin
  begin
    case p_setting.kind
      when 'boolean' then
        v_value := v_value::boolean::text;
      when 'integer' then
        v_number := v_value::bigint;
        v_value := v_number::text;
      when 'interval' then
        v_number := extract(epoch from v_value::interval);
      when 'list' then
        select coalesce(array_agg(e.item order by e.ord), '{}') into v_list
        from (select btrim(i.item) as item, min(i.ord) as ord
              from unnest(string_to_array(v_value, ',')) with ordinality i (item, ord)
              where btrim(i.item) <> '' group by 1) e;
        v_value := array_to_string(v_list, ',');
      else
        null;
    end case;
  exception when invalid_text_representation or invalid_datetime_format or datetime_field_overflow
              or interval_field_overflow or numeric_value_out_of_range then
    raise exception using errcode = '22023', message = format('setting %s: %L is no %s', p_setting.key, p_value, p_setting.kind),
      hint = case p_setting.kind when 'boolean' then 'write true or false'
                                 when 'integer' then 'write a whole number'
                                 else 'write an interval, for example 15 minutes or 90 days' end;
  end;
  if v_number < p_setting.minimum or v_number > p_setting.maximum then
    raise exception using errcode = '22023', message = format('setting %s: %s is out of range', p_setting.key, v_value),
      detail = format('it lies between %s and %s%s',
        coalesce(p_setting.minimum::text, 'any'), coalesce(p_setting.maximum::text, 'any'),
        case when p_setting.kind = 'interval' then ' seconds' else '' end);
  end if;
  if p_setting.key = 'custom_claims_function' and v_value <> '' and fluxbase.claims_function_problem(p_name => v_value) is not null then
    raise exception using errcode = '22023', message = format('setting custom_claims_function: %s cannot be it', v_value),
      detail = fluxbase.claims_function_problem(p_name => v_value),
      hint = 'a stable security definer function (user_id uuid, claims jsonb) returns jsonb in a schema of yours';
  end if;
  if p_setting.key = 'request_roles' then
    perform fluxbase.check_request_roles(p_roles => v_list);
  end if;
  if p_setting.key = 'mfa_enforcement' and v_value not in ('off', 'optional', 'required', 'required_for_roles') then
    raise exception using errcode = '22023', message = format('setting mfa_enforcement: %L is not known', p_value),
      hint = 'write off, optional, required or required_for_roles';
  elsif p_setting.key = 'mfa_issuer' and v_value !~ '^[^:[:cntrl:]]{1,64}$' then
    raise exception using errcode = '22023', message = format('setting mfa_issuer: %L cannot be shown by an app', p_value),
      hint = 'write 1 to 64 characters without a colon';
  elsif p_setting.key in ('site_url', 'public_url') and v_value !~ '^(https?://[^[:space:]"<>\\]+)?$' then
    raise exception using errcode = '22023', message = format('setting %s: %L is no URL', p_setting.key, p_value), hint = 'https://app.example.com is one';
  elsif p_setting.key = 'mail_locale' and v_value !~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$' then
    raise exception using errcode = '22023', message = format('setting mail_locale: %L is no language', p_value), hint = 'write en, de or pt-BR';
  end if;
  return v_value;
end $$;
revoke all on function fluxbase.normalize_setting(auth.settings, text) from public;
comment on function fluxbase.normalize_setting(auth.settings, text) is
  'The value as it is stored, after its kind and bounds were checked; 22023 when they do not hold.';

-- The one place that writes a value.  False when the effective value stays what it was.
create or replace function fluxbase.write_setting(p_key text, p_value text, p_source text)
returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_setting auth.settings;
  v_value text;
  v_source text;
begin
  select s.* into v_setting from auth.settings s where s.key = p_key for update;
  if not found then
    raise exception using errcode = '22023', message = format('setting %s does not exist', quote_nullable(p_key)),
      hint = 'select key, value, description from auth.admin_settings lists them';
  end if;
  if p_value is not null then
    v_value := fluxbase.normalize_setting(p_setting => v_setting, p_value => p_value);
  end if;
  v_source := case when v_value is null then 'default' else p_source end;
  if v_value is not distinct from v_setting.value and v_source = v_setting.source then
    return false;
  end if;
  update auth.settings s
  set value = v_value, source = v_source, updated_at = now(), updated_by = session_user
  where s.key = p_key;
  if coalesce(v_value, v_setting.default_value) = coalesce(v_setting.value, v_setting.default_value) then
    return false;
  end if;
  perform pg_notify('fluxbase_settings', p_key);
  perform audit.record(p_action => 'setting.changed', p_details => jsonb_build_object(
    'key', p_key, 'source', v_source,
    'old', coalesce(v_setting.value, v_setting.default_value), 'new', coalesce(v_value, v_setting.default_value)));
  return true;
end $$;
revoke all on function fluxbase.write_setting(text, text, text) from public;
comment on function fluxbase.write_setting(text, text, text) is 'Checks and stores one value; announces and audits it, and returns true, when the effective value changed.';

create or replace function auth.set_setting(p_key text, p_value text)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform fluxbase.write_setting(p_key => p_key, p_value => p_value, p_source => 'psql');
  return auth.setting(p_key => p_key);
end $$;
revoke all on function auth.set_setting(text, text) from public;
grant execute on function auth.set_setting(text, text) to fluxbase_admin;
comment on function auth.set_setting(text, text) is 'Sets a setting, null resets it to its default; returns the effective value. Servers follow within seconds.';

-- Booleans, integers and lists as JSON has them, intervals in seconds.
create or replace function fluxbase.settings()
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select coalesce(jsonb_object_agg(s.key, case s.kind
      when 'boolean' then to_jsonb(e.value::boolean)
      when 'integer' then to_jsonb(e.value::bigint)
      when 'interval' then to_jsonb(trunc(extract(epoch from e.value::interval))::bigint)
      when 'list' then to_jsonb(string_to_array(e.value, ','))
      else to_jsonb(e.value) end), '{}')
    from auth.settings s cross join lateral (select coalesce(s.value, s.default_value)) e (value));
end $$;
revoke all on function fluxbase.settings() from public;
grant execute on function fluxbase.settings() to fluxbase_server;
comment on function fluxbase.settings() is 'All effective settings: booleans, numbers and lists as JSON, intervals in seconds.';

-- All or nothing: one bad value leaves everything as it was.  Rows are locked in the order of their keys.
create or replace function fluxbase.apply_settings(p_settings jsonb)
returns jsonb language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_entry record;
  v_key text;
  v_changed text[] := '{}';
  v_message text;
  v_detail text;
  v_hint text;
begin
  if jsonb_typeof(p_settings) is distinct from 'object' then
    return jsonb_build_object('status', 'validation_failed', 'message', 'the settings are no JSON object');
  end if;
  begin
    for v_entry in
      select k.key,
             case when jsonb_typeof(p_settings -> k.key) = 'array'
                  then (select coalesce(string_agg(i, ','), '') from jsonb_array_elements_text(p_settings -> k.key) i)
                  else p_settings ->> k.key end as value
      from (select jsonb_object_keys(p_settings)
            union select s.key from auth.settings s where s.source = 'config') k (key)
      order by k.key
    loop
      v_key := v_entry.key;
      if fluxbase.write_setting(p_key => v_key, p_source => 'config',
           p_value => v_entry.value) then
        v_changed := v_changed || v_key;
      end if;
    end loop;
  exception when invalid_parameter_value then
    get stacked diagnostics v_message = message_text, v_detail = pg_exception_detail, v_hint = pg_exception_hint;
    return jsonb_build_object('status', 'validation_failed', 'key', v_key,
      'message', v_message, 'detail', v_detail, 'hint', v_hint);
  end;
  return jsonb_build_object('status', 'ok', 'changed', v_changed);
end $$;
revoke all on function fluxbase.apply_settings(jsonb) from public;
grant execute on function fluxbase.apply_settings(jsonb) to fluxbase_server;
comment on function fluxbase.apply_settings(jsonb) is
  'Stores what the configuration names and resets what it no longer names; a bad value changes nothing and is named in the answer.';
