-- Can one tenant reach another's rows?  Tables: the one that is named.  Caller: fluxbase_admin.
-- Invoker.  Everything is tried for real, as the user, in a block that is always undone; triggers do fire, sequences advance.
-- What happened is judged by looking at the rows of b afterwards, as service_role: a blind "delete from t" returns a number
-- of rows, and the number does not say whose they were.

-- Definer: memberships are readable by the owner alone.
create or replace function auth.tenants_of(p_user_id uuid)
returns uuid[] language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return array(select p_user_id union select m.org_id from auth.memberships m where m.user_id = p_user_id);
end $$;
revoke all on function auth.tenants_of(uuid) from public;
grant execute on function auth.tenants_of(uuid) to fluxbase_admin;
comment on function auth.tenants_of(uuid) is 'What a tenant column may hold for a user: the own id and the organizations.';

create or replace function auth.users_of_tenant(p_tenant uuid)
returns uuid[] language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return array(select u.id from auth.users u where u.id = p_tenant
               union select m.user_id from auth.memberships m where m.org_id = p_tenant order by 1 limit 100);
end $$;
revoke all on function auth.users_of_tenant(uuid) from public;
grant execute on function auth.users_of_tenant(uuid) to fluxbase_admin;
comment on function auth.users_of_tenant(uuid) is 'Users that belong to what a tenant column holds: the user, or up to 100 members of the organization.';

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

create or replace function auth.test_isolation(p_table regclass, p_tenant_column text, p_a text default null, p_b text default null)
returns table (result text, caller text, action text, detail text)
language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_service jsonb := auth.sign_context(p_user => null, p_aal => 'aal1', p_role => 'service_role');
  v_anon jsonb := auth.sign_context(p_user => null, p_aal => 'aal1', p_role => null);
  v_signed jsonb;
  v_a jsonb;
  v_b jsonb;
  v_a_id uuid;
  v_b_id uuid;
  v_uuid boolean;
  v_tenants text[];
  v_path text := (select s.reset_val from pg_settings s where s.name = 'search_path');
  v_key text[];
  v_fresh text[];
  v_tenant_a text;
  v_tenant_b text;
  v_row_a jsonb;
  v_row_b jsonb;
  v_row jsonb;
  v_foreign text[];
  v_candidate record;
  v_column record;
  v_try record;
  v_sql text;
  v_set text;
  v_renewed text;
  v_seen bigint;
  v_before text;
  v_after text;
  v_state text;
  v_message text;
  v_lines jsonb := '[]';
begin
  if p_table is null or not exists (select from pg_class c where c.oid = p_table and c.relkind in ('r', 'p')) then
    raise exception using errcode = '42P01', message = 'table is null, does not exist or is no table';
  end if;
  select a.atttypid = 'uuid'::regtype or t.typbasetype = 'uuid'::regtype into v_uuid
  from pg_attribute a join pg_type t on t.oid = a.atttypid where a.attrelid = p_table and a.attname = p_tenant_column and not a.attisdropped;
  if not found then
    raise exception using errcode = '42703', message = format('%s has no column %s', p_table, quote_nullable(p_tenant_column));
  end if;
  if (p_a is null or p_b is null) and not v_uuid then
    raise exception using errcode = '22023', message = 'name two users', hint = format('%I is no uuid: whose it is cannot be looked up', p_tenant_column);
  end if;
  if p_a is not null then
    v_a := auth.sign_context(p_user => p_a, p_aal => 'aal2', p_role => null);
    v_a_id := (v_a ->> 'context')::jsonb ->> 1;
  end if;
  if p_b is not null then
    v_b := auth.sign_context(p_user => p_b, p_aal => 'aal2', p_role => null);
    v_b_id := (v_b ->> 'context')::jsonb ->> 1;
  end if;
  v_key := array(select a.attname::text from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey::smallint[])
                 where i.indrelid = p_table and i.indisprimary);
  -- Columns of a copy that must differ: of unique keys, unless PostgreSQL fills them, or the copy would leave its partition.
  v_fresh := array(
    select distinct a.attname::text from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey::smallint[])
    where i.indrelid = p_table and i.indisunique and a.attname <> p_tenant_column and not a.atthasdef and a.attidentity = ''
      and auth.fresh_value(p_type => a.atttypid, p_typmod => a.atttypmod) is not null
      and not exists (
        select from pg_partition_tree(p_table) l join pg_partitioned_table k on k.partrelid = l.relid and k.partstrat <> 'h'
        join pg_attribute c on c.attrelid = k.partrelid and c.attnum = any (k.partattrs::smallint[]) where c.attname = a.attname));

  -- 1. Two users, of whom the second has a tenant that is not of the first; tenants come from the rows, read as service_role.
  if v_a_id is null or v_b_id is null then
    begin
      perform set_config('fluxbase.context', v_service ->> 'context', true), set_config('fluxbase.context_mac', v_service ->> 'mac', true),
              set_config('role', 'service_role', true);
      execute format('select array(select t.%1$I::text from %2$s t where t.%1$I is not null group by 1 order by 1 limit 20)', p_tenant_column, p_table) into v_tenants;
      raise exception using errcode = 'ZF999', message = 'undo';
    exception
      when sqlstate 'ZF999' then null;
      when insufficient_privilege then
        raise exception using errcode = '42501', message = format('rows of two tenants are not found: %s', sqlerrm),
          detail = 'they are looked for as service_role', hint = format('grant select on %s to service_role', p_table);
    end;
    with member as materialized (
      select t.tenant, u.id, auth.tenants_of(p_user_id => u.id) as tenants
      from unnest(v_tenants::uuid[]) t (tenant) cross join lateral unnest(auth.users_of_tenant(p_tenant => t.tenant)) with ordinality u (id, n)
      where u.n <= 3 or u.id in (v_a_id, v_b_id))
    select a.id, b.id into v_a_id, v_b_id
    from member a join member b on b.id <> a.id and not b.tenant = any (a.tenants)
    where (v_a_id is null or a.id = v_a_id) and (v_b_id is null or b.id = v_b_id)
    order by cardinality(a.tenants), a.id, b.id limit 1;
  end if;
  if v_a_id is null or v_b_id is null then
    return query select 'INCONCLUSIVE', null::text, 'find two tenants', format('%s has no rows of two tenants with users: put a row of each into it, or name them', p_table);
    return;
  end if;
  v_a := coalesce(v_a, auth.sign_context(p_user => v_a_id::text, p_aal => 'aal2', p_role => null));
  v_b := coalesce(v_b, auth.sign_context(p_user => v_b_id::text, p_aal => 'aal2', p_role => null));

  -- 2. The canary: each sees a row of his own, and b has one that is not of a.
  foreach v_signed in array array[v_a, v_b] loop
    begin
      v_sql := null;
      v_foreign := case when v_uuid then auth.tenants_of(p_user_id => case when v_signed = v_a then v_a_id else v_b_id end)::text[] end;
      if v_uuid and v_signed = v_b then
        v_foreign := array(select x from unnest(v_foreign) x where not x::uuid = any (auth.tenants_of(p_user_id => v_a_id)));
      end if;
      perform set_config('fluxbase.context', v_signed ->> 'context', true), set_config('fluxbase.context_mac', v_signed ->> 'mac', true),
              set_config('request.jwt.claims', coalesce(v_signed ->> 'claims', ''), true), set_config('role', v_signed ->> 'role', true), set_config('search_path', v_path, true);
      execute format('select pg_catalog.to_jsonb(t.*) from %s t where ($1 is null or t.%2$I::text = any ($1)) and t.%2$I is not null and ($2 is null or t.%2$I::text <> $2) limit 1', p_table, p_tenant_column)
        into v_row using v_foreign, case when v_signed = v_b and not v_uuid then v_tenant_a end;
      raise exception using errcode = 'ZF999', message = 'undo';
    exception
      when sqlstate 'ZF999' then null;
      when insufficient_privilege then v_row := null;
    end;
    if v_row is null then
      return query select 'INCONCLUSIVE', case when v_signed = v_a then 'a' else 'b' end, 'see a row of the own tenant', 'none is visible, so nothing can be concluded from seeing none of the other';
      return;
    elsif v_signed = v_a then
      v_row_a := v_row;
      v_tenant_a := v_row ->> p_tenant_column;
    else
      v_row_b := v_row;
      v_tenant_b := v_row ->> p_tenant_column;
    end if;
    v_row := null;
  end loop;
  v_lines := v_lines || jsonb_build_object('result', 'ok', 'caller', 'a, b', 'action', 'see a row of the own tenant');

  -- 3. A column to write that is neither key nor tenant, with a value that reads nothing: "set c = c" would read c, and
  -- PostgreSQL would then apply the SELECT policies, too.
  select a.attname into v_column from pg_attribute a
  where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and a.attidentity <> 'a' and a.attname <> p_tenant_column
    and not a.attname = any (v_key) and has_column_privilege(v_a ->> 'role', p_table, a.attname, 'update')
    and not exists (select from pg_index i where i.indrelid = p_table and i.indisunique and a.attnum = any (i.indkey::smallint[]))
  order by a.attnum desc limit 1;
  v_set := format('%I = %L', coalesce(v_column.attname, p_tenant_column), case when v_column.attname is null then v_tenant_b else v_row_b ->> v_column.attname end);

  -- One row that moves to another tenant gets fresh values in unique keys, so that no duplicate hides the answer.
  select coalesce(string_agg(format(', %I = %L', a.attname, auth.fresh_value(p_type => a.atttypid, p_typmod => a.atttypmod)), ''), '') into v_renewed
  from pg_attribute a where a.attrelid = p_table and a.attname = any (v_fresh) and not a.attname = any (v_key)
    and has_column_privilege(v_a ->> 'role', p_table, a.attname, 'update');

  for v_try in
    with caller (ord, name, signed, tenant, own) as (values (1, 'a', v_a, v_tenant_a, v_row_a), (2, 'anon', v_anon, null, null)),
    word as (select format(' where %I = %L', p_tenant_column, v_tenant_b) as of_b,
                    format(' where %I = %L', p_tenant_column, v_tenant_a) as of_a,
                    case when cardinality(v_key) > 0 then (select ' where ' || string_agg(format('%I = %L', k, v_row_b ->> k), ' and ') from unnest(v_key) k) end as at_key,
                    case when cardinality(v_key) > 0 then (select ' where ' || string_agg(format('%I = %L', k, v_row_a ->> k), ' and ') from unnest(v_key) k) end as at_own_key,
                    format('%I = %L', p_tenant_column, v_tenant_a) as to_a, format('%I = %L', p_tenant_column, v_tenant_b) as to_b)
    select c.name, c.signed, t.action, t.sql
    from caller c cross join word w
    cross join lateral (values
      (1, 'select', format('select %I::text as tenant from %s', p_tenant_column, p_table)),
      (2, 'select by tenant', format('select %I::text as tenant from %s%s', p_tenant_column, p_table, w.of_b)),
      (3, 'select by key', format('select %I::text as tenant from %s', p_tenant_column, p_table) || w.at_key),
      (4, 'select for update', format('select %I::text as tenant from %s for update', p_tenant_column, p_table)),
      (5, 'update', format('update %s set %s', p_table, v_set)),
      (6, 'update by tenant', format('update %s set %s%s', p_table, v_set, w.of_b)),
      (7, 'update by key', format('update %s set %s', p_table, v_set) || w.at_key),
      (8, 'update returning', format('update %s set %s returning %I::text as tenant', p_table, v_set, p_tenant_column)),
      (9, 'take rows', format('update %s set %s', p_table, w.to_a)),
      (10, 'take a row by key', format('update %s set %s%s', p_table, w.to_a, v_renewed) || w.at_key),
      (11, 'give own rows', format('update %s set %s', p_table, w.to_b)),
      (12, 'give own rows by tenant', format('update %s set %s%s', p_table, w.to_b, w.of_a)),
      (12, 'give a row by key', format('update %s set %s%s', p_table, w.to_b, v_renewed) || w.at_own_key),
      (13, 'delete', format('delete from %s', p_table)),
      (14, 'delete by tenant', format('delete from %s%s', p_table, w.of_b)),
      (15, 'delete by key', format('delete from %s', p_table) || w.at_key),
      (16, 'delete returning', format('delete from %s returning %I::text as tenant', p_table, p_tenant_column)),
      (17, 'insert', '@insert'), (18, 'insert returning', '@returning'),
      (19, 'upsert', case when cardinality(v_key) > 0 then '@upsert' end),
      (20, 'insert or do nothing', '@nothing')) t (ord, action, sql)
    where t.sql is not null
    order by c.ord, t.ord
  loop
    begin
      v_state := null;
      v_message := null;
      v_seen := 0;
      v_sql := v_try.sql;
      if v_sql like '@%' then
        -- A copy of the own row for the tenant of b, with fresh keys.  An upsert stays with its own tenant and names the key
        -- of b's row: what conflicts is then the row of somebody else.
        v_row := v_row_a || case when v_sql = '@upsert' then '{}' else jsonb_build_object(p_tenant_column, v_tenant_b) end;
        for v_column in
          select a.attname, a.atttypid, a.atttypmod, a.attgenerated <> '' or a.attidentity <> '' or a.atthasdef and a.attname = any (v_key) and a.attname <> p_tenant_column as filled
          from pg_attribute a where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped
        loop
          if v_sql = '@upsert' and v_column.attname = any (v_key) then
            v_row := v_row || jsonb_build_object(v_column.attname, v_row_b -> v_column.attname);
          elsif v_column.filled then
            v_row := v_row - v_column.attname;
          elsif v_column.attname = any (v_fresh) then
            v_row := v_row || jsonb_build_object(v_column.attname, auth.fresh_value(p_type => v_column.atttypid, p_typmod => v_column.atttypmod));
          end if;
        end loop;
        v_sql := format('insert into %s (%s)%s values (%s)%s', p_table,
          (select string_agg(quote_ident(k), ', ' order by k) from jsonb_object_keys(v_row) k),
          case when v_try.sql = '@upsert' then ' overriding system value' else '' end,
          (select string_agg(quote_nullable(v_row ->> k), ', ' order by k) from jsonb_object_keys(v_row) k),
          case v_try.sql when '@returning' then format(' returning %I::text as tenant', p_tenant_column)
            when '@upsert' then format(' on conflict (%s) do update set %s', (select string_agg(quote_ident(k), ', ') from unnest(v_key) k), v_set)
            when '@nothing' then ' on conflict do nothing' else '' end);
      end if;

      -- Rows of b before and after: any write moves them.
      for i in 1..2 loop
        perform set_config('role', 'none', true);
        perform set_config('fluxbase.context', v_service ->> 'context', true), set_config('fluxbase.context_mac', v_service ->> 'mac', true),
                set_config('role', 'service_role', true);
        execute format('select concat(count(*), '' '', md5(string_agg(concat(t.tableoid, t.ctid, t.xmin, t.*::text), '','' order by t.tableoid, t.ctid))) from %s t where t.%I::text = $1', p_table, p_tenant_column)
          into v_after using v_tenant_b;
        exit when i = 2;
        v_before := v_after;
        perform set_config('fluxbase.context', v_try.signed ->> 'context', true), set_config('fluxbase.context_mac', v_try.signed ->> 'mac', true),
                set_config('request.jwt.claims', coalesce(v_try.signed ->> 'claims', ''), true), set_config('role', v_try.signed ->> 'role', true),
                set_config('search_path', v_path, true);
        begin
          if v_sql ~ ' as tenant' and v_sql !~ '^select' then
            execute format('with x as (%s) select count(*) from x where x.tenant = %L', v_sql, v_tenant_b) into v_seen;
          elsif v_sql ~ '^select' then
            for v_candidate in execute v_sql loop
              v_seen := v_seen + (v_candidate.tenant = v_tenant_b)::integer;
            end loop;
          else
            execute v_sql;
          end if;
        exception when others then
          v_state := sqlstate;
          v_message := sqlerrm;
        end;
      end loop;
      raise exception using errcode = 'ZF999', message = 'undo';
    exception
      when sqlstate 'ZF999' then
        v_lines := v_lines || jsonb_build_object('caller', v_try.name, 'action', v_try.action, 'result',
          case when v_seen > 0 or v_after <> v_before then 'LEAK' when v_state is null or v_state = '42501' then 'ok' else 'INCONCLUSIVE' end,
          'detail', case when v_after <> v_before then 'rows of the other tenant were written' when v_seen > 0 then format('returned %s rows of the other tenant', v_seen)
                         when v_state is not null then format('%s (%s)', v_message, v_state) end);
      when others then
        v_lines := v_lines || jsonb_build_object('caller', v_try.name, 'action', v_try.action, 'result', 'INCONCLUSIVE', 'detail', format('%s (%s)', sqlerrm, sqlstate));
    end;
  end loop;
  return query select l ->> 'result', l ->> 'caller', l ->> 'action', l ->> 'detail' from jsonb_array_elements(v_lines) l;
end $$;
revoke all on function auth.test_isolation(regclass, text, text, text) from public;
grant execute on function auth.test_isolation(regclass, text, text, text) to fluxbase_admin;
comment on function auth.test_isolation(regclass, text, text, text) is
  'Tries to reach rows of another tenant, in every form of every command, as user a and without a token; ok, LEAK or INCONCLUSIVE each. Without users it finds two.';
