-- What is installed.  Tables: fluxbase.packages, fluxbase.schema_version.  Callers: the owner (record), the server (read).
create or replace function fluxbase.record_package(p_package text, p_checksum text)
returns void language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  insert into fluxbase.packages as p (name, checksum) values (p_package, p_checksum)
  on conflict (name) do update set checksum = excluded.checksum, installed_at = now(), installed_by = session_user;
end $$;
revoke all on function fluxbase.record_package(text, text) from public;
comment on function fluxbase.record_package(text, text) is 'Last step of a code package: records which one is installed.';

create or replace function fluxbase.installed()
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return jsonb_build_object(
    'schema_version', (select v.version from fluxbase.schema_version v),
    'packages', (select coalesce(jsonb_object_agg(p.name, p.checksum), '{}') from fluxbase.packages p));
end $$;
revoke all on function fluxbase.installed() from public;
grant execute on function fluxbase.installed() to fluxbase_server;
comment on function fluxbase.installed() is 'Schema version and package checksums, which the server compares with its own at start.';
