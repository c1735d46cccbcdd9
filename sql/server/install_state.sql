-- What is installed, and which installation it is.  Tables: fluxbase.packages, fluxbase.schema_version.  Callers: the owner (record), the server (read).
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

-- The same for all servers of a database and after a failover, hence in a copy of the cluster's files, too; another one in a restored dump.
create or replace function fluxbase.installation_id()
returns text language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_cluster text := '';
begin
  begin
    select s.system_identifier::text into v_cluster from pg_control_system() s;
  exception when insufficient_privilege then
    null; -- then the name of the database alone
  end;
  return left(encode(sha256(convert_to(v_cluster || '/' || current_database(), 'UTF8')), 'hex'), 16);
end $$;
revoke all on function fluxbase.installation_id() from public;
grant execute on function fluxbase.installation_id() to fluxbase_server;
comment on function fluxbase.installation_id() is 'Tells this installation from others that share a store beside the database, such as Redis: 16 hexadecimal digits.';
