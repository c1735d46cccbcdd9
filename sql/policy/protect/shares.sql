-- The table of shares, one grant of one row to one user.  Tables: the catalog.  Caller: auth.protect(), as its caller; statements, none is run.

create or replace function auth.protect_shares(p_table regclass, p_shares text)
returns jsonb language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_table record;
  v_key record;
  v_parts text[];
begin
  select a.attname, format_type(a.atttypid, a.atttypmod) as type into v_key
  from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
  where i.indrelid = p_table and i.indisprimary and i.indnkeyatts = 1;
  if not found then
    raise exception using errcode = '42704', message = format('%s has no primary key of one column', p_table),
      hint = 'a share names the row by its key';
  end if;
  select n.nspname, c.relname into v_table from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = p_table;
  v_parts := case when p_shares is null then array[v_table.relname || '_shares'] else parse_ident(p_shares) end;
  if cardinality(v_parts) > 2 then
    raise exception using errcode = '42602', message = format('%s is no name of a table', quote_literal(p_shares)), hint = 'table or schema.table';
  end if;
  return jsonb_build_object('key', v_key.attname, 'key_type', v_key.type,
    'shares', case cardinality(v_parts) when 1 then format('%I.%I', v_table.nspname, v_parts[1]) else format('%I.%I', v_parts[1], v_parts[2]) end);
end $$;
revoke all on function auth.protect_shares(regclass, text) from public;
grant execute on function auth.protect_shares(regclass, text) to public;
comment on function auth.protect_shares(regclass, text) is 'Part of auth.protect(): the column that names a row, its type, and the SQL of the name of the table of shares.';

-- The share carries the owner, and the foreign key holds it to the owner of the row: nobody shares what is not his,
-- and no policy of one table has to read the other, which would recurse.
create or replace function auth.protect_shares_table(p_table regclass, p_options jsonb)
returns text[] language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_name text := p_options ->> 'shares';
  v_shares regclass := to_regclass(v_name);
  v_key text := p_options ->> 'key';
  v_column text := p_options ->> 'column';
  v_roles text := p_options ->> 'roles';
  v_generated text;
  v_missing record;
  v_statements text[] := array[]::text[];
begin
  -- Who may write what it is made of would choose the owner, without the right to update the column.
  select a.attname into v_generated from pg_attribute a
  where a.attrelid = p_table and a.attname in (v_key, v_column) and a.attgenerated <> '' limit 1;
  if found then
    raise exception using errcode = '42P17', message = format('column %I of %s is generated', v_generated, p_table),
      detail = 'whoever is given a row to write could make it the own one', hint = 'the template shared wants the key and the owner of a row as columns of their own';
  end if;
  if v_shares is null then
    if not exists (
      select from pg_index i
      where i.indrelid = p_table and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null and i.indnkeyatts = 2
        and (select array_agg(a.attname::text order by a.attname::text) from pg_attribute a where a.attrelid = p_table and a.attnum = any (i.indkey::smallint[]))
            = (select array_agg(x order by x) from unnest(array[v_key, v_column]) x)) then
      v_statements := v_statements || format('alter table %s add unique (%I, %I)', p_table, v_key, v_column);
    end if;
    v_statements := v_statements || format($create$create table %s (
  row_id %s not null,
  owner_id uuid not null default auth.current_user_id(),
  user_id uuid not null,
  can_write boolean not null default false,
  expires_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (row_id, owner_id, user_id),
  foreign key (row_id, owner_id) references %s (%I, %I) on update cascade on delete cascade
)$create$, v_name, p_options ->> 'key_type', p_table, v_key, v_column)
      || format('create index on %s (user_id)', v_name)
      || format('create index on %s (owner_id)', v_name);
  else
    for v_missing in select n.name from unnest(array['row_id', 'owner_id', 'user_id', 'can_write', 'expires_at']) n (name)
      where not exists (select from pg_attribute a where a.attrelid = v_shares and a.attname = n.name and not a.attisdropped)
    loop
      raise exception using errcode = '42703', message = format('%s has no column %I', v_name, v_missing.name),
        hint = 'let auth.protect() make the table, or name another one with p_shares';
    end loop;
    -- Without it anybody shares any row with himself; and a share that stays when its row has gone opens the next row of this key.
    if not exists (
      select from pg_constraint k
      where k.contype = 'f' and k.conrelid = v_shares and k.confrelid = p_table and k.convalidated and not k.condeferrable
        and k.confdeltype in ('a', 'r', 'c') and k.confupdtype in ('a', 'r', 'c')
        and (select array_agg(format('%s %s', c.attname, r.attname) order by c.attname) from unnest(k.conkey, k.confkey) u (c, r)
             join pg_attribute c on c.attrelid = v_shares and c.attnum = u.c join pg_attribute r on r.attrelid = p_table and r.attnum = u.r)
            = array['owner_id ' || v_column, 'row_id ' || v_key]) then
      raise exception using errcode = '42830', message = format('no foreign key holds shares in %s to the owner of the row', v_name),
        detail = 'anybody could share any row with himself',
        hint = format('alter table %s add foreign key (row_id, owner_id) references %s (%I, %I) on update cascade on delete cascade, where these two are unique', v_name, p_table, v_key, v_column);
    end if;
  end if;
  v_statements := v_statements || format('select auth.enable_rls(p_table => %L)', v_name)
    || array(select format('drop policy %I on %s', p.polname, v_name)
             from pg_policy p where p.polrelid = v_shares and starts_with(p.polname, 'protect_') order by p.polname)
    || auth.policy_statement(p_table => v_name, p_name => 'protect_owner', p_command => 'all', p_roles => v_roles, p_rule => 'owner_id = (select auth.current_user_id())')
    || auth.policy_statement(p_table => v_name, p_name => 'protect_grantee', p_command => 'select', p_roles => v_roles, p_rule => 'user_id = (select auth.current_user_id())')
    || auth.protect_conditions(p_table => v_name, p_options => p_options);  -- to share a row is to show it
  if (p_options ->> 'grants')::boolean then
    v_statements := v_statements || format('grant select, insert, update, delete on table %s to %s, service_role', v_name, v_roles);
  end if;
  return v_statements;
end $$;
revoke all on function auth.protect_shares_table(regclass, jsonb) from public;
grant execute on function auth.protect_shares_table(regclass, jsonb) to public;
comment on function auth.protect_shares_table(regclass, jsonb) is 'Part of auth.protect(): statements that make the table of shares, unless it is there, and its policies.';

create or replace function auth.protect_shares_policies(p_table regclass, p_options jsonb)
returns text[] language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_shared constant text := '%I = any (array(select s.row_id from %s s where s.user_id = (select auth.current_user_id()) and (s.expires_at is null or s.expires_at > now())%s))';
  v_key text := p_options ->> 'key';
  v_shares text := p_options ->> 'shares';
  v_roles text := p_options ->> 'roles';
  v_deleted text := p_options ->> 'deleted_column';
  v_writes text := format(v_shared, v_key, v_shares, ' and s.can_write');
begin
  return array[
    auth.policy_statement(p_table => p_table::text, p_name => 'protect_shared_select', p_command => 'select', p_roles => v_roles,
      p_rule => format(v_shared, v_key, v_shares, '')),
    auth.policy_statement(p_table => p_table::text, p_name => 'protect_shared_update', p_command => 'update', p_roles => v_roles,
      p_rule => v_writes,
      p_check => v_writes || case when v_deleted is not null then format(' and %I is null', v_deleted) else '' end)];  -- guests delete nothing, so they hide nothing
end $$;
revoke all on function auth.protect_shares_policies(regclass, jsonb) from public;
grant execute on function auth.protect_shares_policies(regclass, jsonb) to public;
comment on function auth.protect_shares_policies(regclass, jsonb) is 'Part of auth.protect(): statements of the policies that let guests reach what was shared with them.';
