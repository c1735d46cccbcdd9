-- Passwords set in psql.  Tables: auth.common_passwords, auth.settings.  Caller: the owner's functions.
-- The server hashes its own in Go and sends the hash; both read the same settings and the same list.

-- The same rule and codes as controlplane/password Policy, in the same order; testdata/password_policy.json holds both to
-- the same answers.  Case is ignored for A to Z alone (collate "C"), so that no locale changes the rule.
create or replace function auth.password_violations(p_password text, p_email text)
returns text[] language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_password text := coalesce(p_password, '');
  v_folded text := lower(v_password collate "C");
  v_email text := lower(p_email collate "C");
  v_local_part text := left(v_email, -position('@' in reverse(v_email)));
  v_settings jsonb := fluxbase.settings();
  v_broken text[] := '{}';
begin
  if char_length(v_password) < greatest(1, (v_settings ->> 'password_min_length')::integer) then
    v_broken := v_broken || 'length'::text;
  end if;
  if octet_length(v_password) > 72 then
    v_broken := v_broken || 'too_long'::text;
  end if;
  if (v_settings ->> 'password_require_uppercase')::boolean and v_password collate "C" !~ '[A-Z]'
     or (v_settings ->> 'password_require_lowercase')::boolean and v_password collate "C" !~ '[a-z]'
     or (v_settings ->> 'password_require_number')::boolean and v_password collate "C" !~ '[0-9]'
     or (v_settings ->> 'password_require_special')::boolean and v_password collate "C" !~ '[^A-Za-z0-9]' then
    v_broken := v_broken || 'characters'::text;
  end if;
  if v_email <> '' and (position(v_email in v_folded) > 0
     or position('@' in v_email) > 0 and char_length(v_local_part) >= 4 and position(v_local_part in v_folded) > 0) then
    v_broken := v_broken || 'email'::text;
  end if;
  if exists (select from auth.common_passwords c where c.password = v_folded) then
    v_broken := v_broken || 'common'::text;
  end if;
  return v_broken;
end $$;
revoke all on function auth.password_violations(text, text) from public;
grant execute on function auth.password_violations(text, text) to fluxbase_admin;
comment on function auth.password_violations(text, text) is
  'Rules that a password breaks (length, too_long, characters, email, common), none when it may be used.';

create or replace function fluxbase.common_passwords()
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return (select coalesce(jsonb_agg(c.password), '[]') from auth.common_passwords c);
end $$;
revoke all on function fluxbase.common_passwords() from public;
grant execute on function fluxbase.common_passwords() to fluxbase_server;
comment on function fluxbase.common_passwords() is 'The list of common passwords, for the server''s own check: passwords do not travel here.';

-- pgcrypto lives where an administrator put it; a schema that others may write to cannot shadow these exact signatures.
create or replace function auth.hash_password(p_password text)
returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_schema text;
  v_hash text;
begin
  if octet_length(p_password) > 72 then
    raise exception using errcode = '22023', message = 'password is too long',
      detail = 'bcrypt reads 72 bytes and would ignore the rest';
  end if;
  select n.nspname into v_schema
  from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pgcrypto';
  if not found then
    raise exception using errcode = '58P01', message = 'the extension pgcrypto is missing',
      hint = 'create extension pgcrypto with schema fluxbase';
  end if;
  execute format('select %1$I.crypt($1::text, %1$I.gen_salt(''bf''::text, $2::integer))', v_schema)
  into strict v_hash using p_password, auth.setting(p_key => 'password_bcrypt_cost')::integer;
  return v_hash;
end $$;
revoke all on function auth.hash_password(text) from public;
comment on function auth.hash_password(text) is 'bcrypt hash ($2a$) of a password, at the cost that is set.';

create or replace function auth.require_good_password(p_password text, p_email text)
returns void language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_violations text[] := auth.password_violations(p_password => p_password, p_email => p_email);
begin
  if cardinality(v_violations) > 0 then
    raise exception using errcode = '22023', message = 'password breaks the password policy',
      detail = array_to_string(v_violations, ', '),
      hint = 'select key, value from auth.admin_settings where key like ''password%'' shows the policy';
  end if;
end $$;
revoke all on function auth.require_good_password(text, text) from public;
comment on function auth.require_good_password(text, text) is 'Raises 22023 with the broken rules unless the password may be used.';
