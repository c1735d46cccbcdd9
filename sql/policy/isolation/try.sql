-- One attempt of auth.test_isolation(), and what tells how it ended.  Tables: the one that is named.  Caller: auth.test_isolation().
-- Invoker: they become the caller that is tried.  Everything happens in blocks that are always undone.

-- The rows of a tenant as service_role sees them.  A write makes a new version of a row in another place, so places say as
-- much as contents, and a hundred times as fast.
create or replace function auth.isolation_versions(p_service jsonb, p_table regclass, p_tenant_column text, p_tenant text)
returns text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_versions text;
begin
  begin
    perform set_config('fluxbase.context', p_service ->> 'context', true), set_config('fluxbase.context_mac', p_service ->> 'mac', true),
            set_config('role', p_service ->> 'role', true);
    execute format('select concat(count(*), '' '', sum(hashtidextended(t.ctid, t.tableoid::bigint))) from %s t where t.%I = %L', p_table, p_tenant_column, p_tenant)
      into v_versions;
    raise exception using errcode = 'ZF999', message = 'undo';
  exception
    when sqlstate 'ZF999' then
      return v_versions;
    when insufficient_privilege then
      raise exception using errcode = '42501', message = format('rows of the other tenant cannot be looked at: %s', sqlerrm),
        detail = 'they are looked at as service_role', hint = format('grant select on %s to service_role', p_table);
  end;
end $$;
revoke all on function auth.isolation_versions(jsonb, regclass, text, text) from public;
grant execute on function auth.isolation_versions(jsonb, regclass, text, text) to fluxbase_admin;
comment on function auth.isolation_versions(jsonb, regclass, text, text) is 'Part of auth.test_isolation(): a text that differs when a row of the tenant was written, added or removed.';

-- How many rows a statement without WHERE reaches, and how many when it may read and leaves out those of the tenant.  The
-- second are among the first: where there are as many, none of the tenant is reached, and nothing had to be written to know.
-- The condition lets no row through and counts those that the policies let through to it: PostgreSQL asks policies before
-- whatever might tell of a row, and this one reads no column, so the SELECT policies are not asked in the first.
create or replace function auth.isolation_reach(
  p_signed jsonb, p_statement text, p_tenant_column text, p_tenant text, p_rows integer, out reached bigint, out others bigint)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_count constant text :=
    $sql$pg_catalog.set_config('fluxbase.test_rows', (pg_catalog.current_setting('fluxbase.test_rows')::bigint + 1)::text, true) is null$sql$;
  v_path text := (select s.reset_val from pg_settings s where s.name = 'search_path');
begin
  begin
    perform set_config('fluxbase.context', p_signed ->> 'context', true), set_config('fluxbase.context_mac', p_signed ->> 'mac', true),
            set_config('request.jwt.claims', coalesce(p_signed ->> 'claims', ''), true), set_config('role', p_signed ->> 'role', true),
            set_config('search_path', v_path, true), set_config('fluxbase.test_rows', '0', true);
    execute format('%s where %s', p_statement, v_count);
    reached := current_setting('fluxbase.test_rows')::bigint;
    if reached > p_rows then
      perform set_config('fluxbase.test_rows', '0', true);
      execute format('%s where case when %I is distinct from %L then %s end', p_statement, p_tenant_column, p_tenant, v_count);
      others := current_setting('fluxbase.test_rows')::bigint;
    end if;
    raise exception using errcode = 'ZF999', message = 'undo';
  exception
    when others then null;  -- what was not counted is null, and is tried
  end;
end $$;
revoke all on function auth.isolation_reach(jsonb, text, text, text, integer) from public;
grant execute on function auth.isolation_reach(jsonb, text, text, text, integer) to fluxbase_admin;
comment on function auth.isolation_reach(jsonb, text, text, text, integer) is
  'Part of auth.test_isolation(): how many rows an UPDATE or DELETE without WHERE reaches and, when these are more than p_rows, how many that the caller sees and that are not of the tenant; null where it fails.';

create or replace function auth.isolation_try(
  p_signed jsonb, p_statement text, p_reads boolean, p_service jsonb, p_table regclass, p_tenant_column text, p_tenant text, inout p_versions text,
  out result text, out detail text)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_role text := current_setting('role');
  v_path text := (select s.reset_val from pg_settings s where s.name = 'search_path');
  v_seen bigint;
  v_ran boolean;
  v_written boolean := false;
  v_unclear boolean;
  v_after text;
  v_undone text;
  v_state text;
begin
  for i in 1..5 loop
    begin
      v_seen := 0;
      v_ran := false;
      v_after := null;
      v_state := null;
      v_unclear := false;
      detail := null;
      perform set_config('fluxbase.context', p_signed ->> 'context', true), set_config('fluxbase.context_mac', p_signed ->> 'mac', true),
              set_config('request.jwt.claims', coalesce(p_signed ->> 'claims', ''), true), set_config('role', p_signed ->> 'role', true),
              set_config('search_path', v_path, true);
      if p_reads then
        execute format('with x as (%s) select count(*) filter (where x.tenant = %L) from x', p_statement, p_tenant) into v_seen;
      else
        execute p_statement;
      end if;
      v_ran := true;
      perform set_config('role', v_role, true);
      v_after := auth.isolation_versions(p_service => p_service, p_table => p_table, p_tenant_column => p_tenant_column, p_tenant => p_tenant);
      raise exception using errcode = 'ZF999', message = 'undo';
    exception
      when sqlstate 'ZF999' then null;
      when others then  -- and undone
        v_state := sqlstate;
        detail := format('%s (%s)', sqlerrm, sqlstate);
    end;
    exit when v_after is null or v_after = p_versions;
    -- What is as it was before, now that the attempt is undone, was written by it.  What stays was written by somebody else; both
    -- at once cannot be told apart, and are tried again.
    v_undone := auth.isolation_versions(p_service => p_service, p_table => p_table, p_tenant_column => p_tenant_column, p_tenant => p_tenant);
    v_written := v_undone = p_versions;
    v_unclear := v_undone <> p_versions and v_undone <> v_after;
    p_versions := v_undone;
    exit when not v_unclear;
  end loop;
  if v_written or v_seen > 0 then
    result := 'LEAK';
    detail := case when v_written then 'rows of the other tenant were written' else format('returned %s rows of the other tenant', v_seen) end;
  elsif v_unclear then
    result := 'INCONCLUSIVE';
    detail := 'somebody else is writing rows of the other tenant';
  else
    result := case when v_state is null or v_state = '42501' and not v_ran then 'ok' else 'INCONCLUSIVE' end;
  end if;
end $$;
revoke all on function auth.isolation_try(jsonb, text, boolean, jsonb, regclass, text, text, text) from public;
grant execute on function auth.isolation_try(jsonb, text, boolean, jsonb, regclass, text, text, text) to fluxbase_admin;
comment on function auth.isolation_try(jsonb, text, boolean, jsonb, regclass, text, text, text) is
  'Part of auth.test_isolation(): runs a statement as a caller, undoes it, and says whether it returned or wrote rows of the tenant.';
