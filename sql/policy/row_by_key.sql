-- A row by its primary key, for what explains access.  Tables: the one that is named.  Caller: fluxbase_admin.
-- Invoker: it becomes service_role in a block that is always undone, and in a definer function PostgreSQL refuses to set the role.

-- The whole row where only its key is given, and a table that has more than its key; what is given otherwise.
create or replace function auth.row_by_key(p_table regclass, p_row jsonb)
returns jsonb language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_key text[] := array(select a.attname::text from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey::smallint[])
                        where i.indrelid = p_table and i.indisprimary order by 1);
  v_signed jsonb;
  v_row jsonb;
begin
  if p_row is null or cardinality(v_key) = 0 or array(select k from jsonb_object_keys(p_row) k order by 1) <> v_key
     or not exists (select from pg_attribute a where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped and not a.attname = any (v_key)) then
    return p_row;
  end if;
  v_signed := auth.sign_context(p_user => null, p_aal => 'aal1', p_role => 'service_role');  -- audited
  begin
    perform set_config('fluxbase.context', v_signed ->> 'context', true), set_config('fluxbase.context_mac', v_signed ->> 'mac', true),
            set_config('role', 'service_role', true);
    -- The key alone is made a record: other columns may be of domains that have no null.
    execute format('select to_jsonb(t.*) from %s t join jsonb_to_record($1) k (%s) on (%s) = (%s)', p_table,
      (select string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ') from pg_attribute a
       where a.attrelid = p_table and a.attname = any (v_key)),
      (select string_agg(format('t.%I', k), ', ') from unnest(v_key) k), (select string_agg(format('k.%I', k), ', ') from unnest(v_key) k))
      into v_row using p_row;
    raise exception using errcode = 'ZF999', message = 'undo';
  exception
    when sqlstate 'ZF999' then null;
    when insufficient_privilege then
      raise exception using errcode = '42501', message = format('the row is not found by its key: %s', sqlerrm),
        detail = 'it was looked for as service_role', hint = 'give the whole row, to_jsonb(t.*), or grant select to service_role';
  end;
  if v_row is null then
    raise exception using errcode = 'P0002', message = format('%s has no row with this key', p_table),
      detail = 'it was looked for as service_role', hint = 'give the whole row, to_jsonb(t.*), when service_role does not see it';
  end if;
  return v_row;
end $$;
revoke all on function auth.row_by_key(regclass, jsonb) from public;
grant execute on function auth.row_by_key(regclass, jsonb) to fluxbase_admin;
comment on function auth.row_by_key(regclass, jsonb) is 'A row as JSON: read as service_role, audited, when just its primary key is given.';
