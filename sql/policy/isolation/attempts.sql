-- What auth.test_isolation() tries, as text.  Tables: the catalog.  Caller: auth.test_isolation(); none is run here.

create or replace function auth.fresh_value(p_type oid, p_typmod integer)
returns text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_type record;
begin
  select coalesce(nullif(t.typbasetype, 0), t.oid) as base, t.typcategory, case when t.typbasetype <> 0 then t.typtypmod else p_typmod end as typmod
    into v_type from pg_type t where t.oid = p_type;
  return case
    when v_type.base = 'uuid'::regtype then gen_random_uuid()::text
    when v_type.base = 'smallint'::regtype then (floor(random() * 32767))::integer::text
    when v_type.base in ('integer'::regtype, 'bigint'::regtype, 'numeric'::regtype) then (1000000000 + floor(random() * 1000000000))::bigint::text
    when v_type.typcategory = 'S' then left(replace(gen_random_uuid()::text, '-', ''), case when v_type.typmod > 4 then v_type.typmod - 4 end)
  end;
end $$;
revoke all on function auth.fresh_value(oid, integer) from public;
grant execute on function auth.fresh_value(oid, integer) to fluxbase_admin;
comment on function auth.fresh_value(oid, integer) is 'A random value that is hardly in a unique column of this type yet, as text; null for types that have none.';

-- Unique columns get fresh values in a copy, unless PostgreSQL fills them, or the copy would leave its partition.
create or replace function auth.isolation_fresh(p_table regclass, p_tenant_column text)
returns jsonb language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return coalesce((
    select jsonb_object_agg(a.attname, auth.fresh_value(p_type => a.atttypid, p_typmod => a.atttypmod))
    from pg_attribute a
    where a.attrelid = p_table and a.attnum > 0 and a.attname <> p_tenant_column and not a.atthasdef and a.attidentity = ''
      and exists (select from pg_index i where i.indrelid = p_table and i.indisunique and a.attnum = any (i.indkey::smallint[]))
      and auth.fresh_value(p_type => a.atttypid, p_typmod => a.atttypmod) is not null
      and not exists (
        select from pg_partition_tree(p_table) l join pg_partitioned_table k on k.partrelid = l.relid and k.partstrat <> 'h'
        join pg_attribute c on c.attrelid = k.partrelid and c.attnum = any (k.partattrs::smallint[]) where c.attname = a.attname)), '{}');
end $$;
revoke all on function auth.isolation_fresh(regclass, text) from public;
grant execute on function auth.isolation_fresh(regclass, text) to fluxbase_admin;
comment on function auth.isolation_fresh(regclass, text) is 'Part of auth.test_isolation(): columns of unique keys that a copy of a row must not repeat, each with a value.';

-- "reads" says that the statement returns the tenant of each row.  Statements that may write many rows have in "blind" one that
-- reaches the same rows and ends where a WHERE may follow, and in "bound" the word by which a condition of their own follows.
create or replace function auth.isolation_attempts(p_table regclass, p_tenant_column text, p_row_a jsonb, p_row_b jsonb, p_role text)
returns table (action text, statement text, reads boolean, blind text, bound text)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_key text[] := array(select a.attname::text from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey::smallint[])
                        where i.indrelid = p_table and i.indisprimary);
  v_fresh jsonb := auth.isolation_fresh(p_table => p_table, p_tenant_column => p_tenant_column);
  v_tenant text := quote_ident(p_tenant_column);
  v_to_a text := format('%I = %L', p_tenant_column, p_row_a ->> p_tenant_column);
  v_to_b text := format('%I = %L', p_tenant_column, p_row_b ->> p_tenant_column);
  v_at_key text;
  v_at_own_key text;
  v_written text;
  v_set text;
  v_update text;
  v_delete text := format('delete from %s', p_table);
  v_renewed text;
  v_filled text[];
  v_copy jsonb;
  v_conflict jsonb;
  v_insert text;
  v_upsert text;
begin
  select ' where ' || string_agg(format('%I = %L', k, p_row_b ->> k), ' and '), ' where ' || string_agg(format('%I = %L', k, p_row_a ->> k), ' and ')
    into v_at_key, v_at_own_key from unnest(v_key) k;

  -- A column to write that is neither key nor tenant, with a value that reads nothing: "set c = c" would read c.
  select a.attname into v_written from pg_attribute a
  where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity <> 'a' and a.attname <> p_tenant_column
    and not a.attname = any (v_key) and has_column_privilege(p_role, p_table, a.attname, 'update')
    and not exists (select from pg_index i where i.indrelid = p_table and i.indisunique and a.attnum = any (i.indkey::smallint[]))
  order by a.attnum desc limit 1;
  v_set := format('%I = %L', coalesce(v_written, p_tenant_column), p_row_b ->> coalesce(v_written, p_tenant_column));
  v_update := format('update %s set %s', p_table, v_set);

  -- One row that moves to another tenant gets fresh values in unique keys, so that no duplicate hides the answer.
  select coalesce(string_agg(format(', %I = %L', f.key, f.value), ''), '') into v_renewed
  from jsonb_each_text(v_fresh) f where not f.key = any (v_key) and has_column_privilege(p_role, p_table, f.key, 'update');

  -- A copy of the own row for the tenant of b, with fresh keys.  An upsert stays with its own tenant and names the key of
  -- b's row: what conflicts is then the row of somebody else.
  v_filled := array(select a.attname::text from pg_attribute a where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped
                    and (a.attgenerated <> '' or a.attidentity <> '' or a.atthasdef and a.attname = any (v_key) and a.attname <> p_tenant_column));
  v_copy := (p_row_a || jsonb_build_object(p_tenant_column, p_row_b -> p_tenant_column) || v_fresh) - v_filled;
  v_conflict := (p_row_a || v_fresh) - v_filled || coalesce((select jsonb_object_agg(k, p_row_b -> k) from unnest(v_key) k), '{}');
  v_insert := format('insert into %s (%s) values (%s)', p_table,
    (select string_agg(quote_ident(k), ', ' order by k) from jsonb_object_keys(v_copy) k),
    (select string_agg(quote_nullable(v_copy ->> k), ', ' order by k) from jsonb_object_keys(v_copy) k));
  v_upsert := format('insert into %s (%s) overriding system value values (%s) on conflict (%s) do update set %s', p_table,
    (select string_agg(quote_ident(k), ', ' order by k) from jsonb_object_keys(v_conflict) k),
    (select string_agg(quote_nullable(v_conflict ->> k), ', ' order by k) from jsonb_object_keys(v_conflict) k),
    (select string_agg(quote_ident(k), ', ') from unnest(v_key) k), v_set);  -- null without a key

  -- Whatever returns the tenant or locks reads a column already: naming b in it changes no policy, and spares the other rows.
  return query
    select t.action, t.statement, t.reads, t.blind, t.bound
    from (values
      (1, 'select', format('select %s::text as tenant from %s', v_tenant, p_table), true, null, null),
      (2, 'select by tenant', format('select %s::text as tenant from %s where %s', v_tenant, p_table, v_to_b), true, null, null),
      (3, 'select by key', format('select %s::text as tenant from %s', v_tenant, p_table) || v_at_key, true, null, null),
      (4, 'select for update', format('select %s::text as tenant from %s where %s for update', v_tenant, p_table, v_to_b), true, null, null),
      (5, 'update', v_update, false, v_update, 'where'),
      (6, 'update by tenant', format('%s where %s', v_update, v_to_b), false, null, null),
      (7, 'update by key', v_update || v_at_key, false, null, null),
      (8, 'update returning', format('%s where %s returning %s::text as tenant', v_update, v_to_b, v_tenant), true, null, null),
      (9, 'take rows', format('update %s set %s', p_table, v_to_a), false, v_update, 'where'),
      (10, 'take a row by key', format('update %s set %s%s', p_table, v_to_a, v_renewed) || v_at_key, false, null, null),
      (11, 'give own rows', format('update %s set %s', p_table, v_to_b), false, v_update, 'where'),
      (12, 'give own rows by tenant', format('update %s set %s where %s', p_table, v_to_b, v_to_a), false, v_update, 'and'),
      (13, 'give a row by key', format('update %s set %s%s', p_table, v_to_b, v_renewed) || v_at_own_key, false, null, null),
      (14, 'delete', v_delete, false, v_delete, 'where'),
      (15, 'delete by tenant', format('%s where %s', v_delete, v_to_b), false, null, null),
      (16, 'delete by key', v_delete || v_at_key, false, null, null),
      (17, 'delete returning', format('%s where %s returning %s::text as tenant', v_delete, v_to_b, v_tenant), true, null, null),
      (18, 'insert', v_insert, false, null, null),
      (19, 'insert returning', format('%s returning %s::text as tenant', v_insert, v_tenant), true, null, null),
      (20, 'upsert', v_upsert, false, null, null),
      (21, 'insert or do nothing', v_insert || ' on conflict do nothing', false, null, null)) t (ord, action, statement, reads, blind, bound)
    where t.statement is not null
    order by t.ord;
end $$;
revoke all on function auth.isolation_attempts(regclass, text, jsonb, jsonb, text) from public;
grant execute on function auth.isolation_attempts(regclass, text, jsonb, jsonb, text) to fluxbase_admin;
comment on function auth.isolation_attempts(regclass, text, jsonb, jsonb, text) is
  'Part of auth.test_isolation(): every form of every command that may reach the row of b, or give it the one of a; for a role that holds its grants.';
