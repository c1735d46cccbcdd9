-- Whether this database can serve.  Tables: catalogs, fluxbase.context_keys, auth.settings.  Caller: fluxbase_server.
create or replace function fluxbase.ready()
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_problems text[] := '{}';
  v_hidden text;
  v_future integer;
begin
  if pg_is_in_recovery() then
    v_problems := v_problems || 'this server is a read-only standby'::text;
  end if;
  select count(*) into v_future from audit.partition_months() p where p.month > now();
  if v_future < 2 then
    v_problems := v_problems || format('audit.log has %s partitions ahead, fewer than 2: run auth.housekeeping()', v_future);
  end if;
  -- With FORCE, or under another owner, our own functions would see no rows and say nothing.
  select string_agg(c.oid::regclass::text, ', ' order by c.oid::regclass::text) into v_hidden
  from pg_class c
  where c.relnamespace in ('auth'::regnamespace, 'audit'::regnamespace, 'ratelimit'::regnamespace, 'fluxbase'::regnamespace)
    and c.relkind in ('r', 'p') and (row_security_active(c.oid) or not has_table_privilege(c.oid, 'select'));
  if v_hidden is not null then
    v_problems := v_problems || format('rows are hidden from the functions that guard them: %s', v_hidden);
  end if;
  if not exists (select from fluxbase.context_keys) or not exists (select from auth.settings s where s.key = 'request_roles') then
    v_problems := v_problems || 'the self-test rows cannot be read: install again with fluxbase migrate'::text;
  end if;
  return jsonb_build_object('ok', cardinality(v_problems) = 0, 'problems', to_jsonb(v_problems));
end $$;
revoke all on function fluxbase.ready() from public;
grant execute on function fluxbase.ready() to fluxbase_server;
comment on function fluxbase.ready() is 'Whether the database can serve requests, and what stands in the way.';
