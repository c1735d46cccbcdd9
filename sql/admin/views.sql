-- What an administrator looks at in psql.  Tables: auth.users, auth.api_keys, auth.settings.  Caller: fluxbase_admin.
-- The administrator has no right on the tables: each view stands over a definer function.  The functions return JSON,
-- because the row type of a function can never change, while a view can grow at its end.  auth.admin_sessions is in
-- users/sessions.sql.

create or replace function auth.user_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select jsonb_build_object(
      'id', u.id, 'email', u.email, 'role', u.role, 'created_at', u.created_at, 'email_confirmed_at', u.email_confirmed_at,
      'last_sign_in_at', u.last_sign_in_at, 'banned_until', u.banned_until, 'has_password', u.encrypted_password is not null,
      'password_changed_at', u.password_changed_at, 'is_anonymous', u.is_anonymous,
      'user_metadata', u.raw_user_meta_data, 'app_metadata', u.raw_app_meta_data)
    from auth.users u order by u.created_at desc;
end $$;
revoke all on function auth.user_rows() from public;
grant execute on function auth.user_rows() to fluxbase_admin;
comment on function auth.user_rows() is 'Users as JSON, without the password; read them through auth.admin_users.';

create or replace view auth.admin_users with (security_invoker = true) as
  select (j ->> 'id')::uuid as id, j ->> 'email' as email, j ->> 'role' as role,
         (j ->> 'created_at')::timestamptz as created_at, (j ->> 'email_confirmed_at')::timestamptz as email_confirmed_at,
         (j ->> 'last_sign_in_at')::timestamptz as last_sign_in_at, (j ->> 'banned_until')::timestamptz as banned_until,
         (j ->> 'has_password')::boolean as has_password, (j ->> 'password_changed_at')::timestamptz as password_changed_at,
         (j ->> 'is_anonymous')::boolean as is_anonymous, j -> 'user_metadata' as user_metadata, j -> 'app_metadata' as app_metadata
  from auth.user_rows() j;
revoke all on auth.admin_users from public;
grant select on auth.admin_users to fluxbase_admin;
comment on view auth.admin_users is 'Every user, newest first.';

create or replace function auth.api_key_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select jsonb_build_object(
      'id', k.id, 'kind', k.kind, 'name', k.name, 'prefix', k.prefix, 'user_id', k.user_id, 'email', u.email, 'org_id', k.org_id,
      'scopes', k.scopes, 'created_at', k.created_at, 'created_by', k.created_by, 'expires_at', k.expires_at,
      'last_used_at', k.last_used_at, 'revoked_at', k.revoked_at,
      'alive', k.revoked_at is null and (k.expires_at is null or k.expires_at > now()))
    from auth.api_keys k left join auth.users u on u.id = k.user_id order by k.created_at desc;
end $$;
revoke all on function auth.api_key_rows() from public;
grant execute on function auth.api_key_rows() to fluxbase_admin;
comment on function auth.api_key_rows() is 'API keys as JSON, without their hash; read them through auth.admin_api_keys.';

create or replace view auth.admin_api_keys with (security_invoker = true) as
  select (j ->> 'id')::uuid as id, j ->> 'kind' as kind, j ->> 'name' as name, j ->> 'prefix' as prefix,
         (j ->> 'user_id')::uuid as user_id, j ->> 'email' as email, (j ->> 'org_id')::uuid as org_id,
         array(select jsonb_array_elements_text(j -> 'scopes')) as scopes, (j ->> 'created_at')::timestamptz as created_at,
         j ->> 'created_by' as created_by, (j ->> 'expires_at')::timestamptz as expires_at,
         (j ->> 'last_used_at')::timestamptz as last_used_at, (j ->> 'revoked_at')::timestamptz as revoked_at,
         (j ->> 'alive')::boolean as alive
  from auth.api_key_rows() j;
revoke all on auth.admin_api_keys from public;
grant select on auth.admin_api_keys to fluxbase_admin;
comment on view auth.admin_api_keys is 'Every API key, newest first; the keys themselves are stored nowhere.';

create or replace function auth.setting_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select jsonb_build_object(
      'key', s.key, 'value', coalesce(s.value, s.default_value), 'default_value', s.default_value, 'kind', s.kind,
      'minimum', s.minimum, 'maximum', s.maximum, 'description', s.description, 'source', s.source,
      'updated_at', s.updated_at, 'updated_by', s.updated_by)
    from auth.settings s order by s.key;
end $$;
revoke all on function auth.setting_rows() from public;
grant execute on function auth.setting_rows() to fluxbase_admin;
comment on function auth.setting_rows() is 'Settings as JSON; read them through auth.admin_settings.';

create or replace view auth.admin_settings with (security_invoker = true) as
  select j ->> 'key' as key, j ->> 'value' as value, j ->> 'default_value' as default_value, j ->> 'kind' as kind,
         (j ->> 'minimum')::numeric as minimum, (j ->> 'maximum')::numeric as maximum, j ->> 'description' as description,
         j ->> 'source' as source, (j ->> 'updated_at')::timestamptz as updated_at, j ->> 'updated_by' as updated_by
  from auth.setting_rows() j;
revoke all on auth.admin_settings from public;
grant select on auth.admin_settings to fluxbase_admin;
comment on view auth.admin_settings is 'Every setting with its effective value, bounds (intervals in seconds) and where the value came from.';

-- What was refused: logins, second factors, tokens used again.  Everything that happened is audit.log, for auditors.
create or replace function auth.denied_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select jsonb_build_object('occurred_at', l.occurred_at, 'action', l.action, 'user_id', coalesce(l.subject_id, l.user_id), 'email', u.email,
      'ip', l.ip, 'db_user', l.db_user, 'details', l.details)
    from audit.log l left join auth.users u on u.id = coalesce(l.subject_id, l.user_id)
    where l.occurred_at > now() - interval '7 days' and l.outcome = 'denied' order by l.id desc;
end $$;
revoke all on function auth.denied_rows() from public;
grant execute on function auth.denied_rows() to fluxbase_admin;
comment on function auth.denied_rows() is 'What was denied in the last seven days, as JSON; read it through auth.admin_denied.';

create or replace view auth.admin_denied with (security_invoker = true) as
  select (j ->> 'occurred_at')::timestamptz as occurred_at, j ->> 'action' as action, (j ->> 'user_id')::uuid as user_id, j ->> 'email' as email,
         (j ->> 'ip')::inet as ip, j ->> 'db_user' as db_user, j -> 'details' as details
  from auth.denied_rows() j;
revoke all on auth.admin_denied from public;
grant select on auth.admin_denied to fluxbase_admin;
comment on view auth.admin_denied is 'What was denied in the last seven days, newest first.';
