-- What a table needs beside its policies.  Tables: the catalog.  Caller: auth.protect(), as its caller; statements, none is run, and a check of what they did.

create or replace function auth.protect_grants(p_table regclass, p_options jsonb)
returns text[] language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_roles text := p_options ->> 'roles';
  v_grants boolean := (p_options ->> 'grants')::boolean;
  v_statements text[] := array[]::text[];
begin
  if p_options ->> 'template' = 'shared' then
    -- Checks of permissive policies are OR-ed and none can see the old row: a guest who may write could name himself the
    -- owner and pass the owner's check.  So nobody updates the owner or the key.
    v_statements := v_statements
      || format('revoke update on table %s from %s', p_table, v_roles)
      || format('grant select, insert, delete on table %s to %s', p_table, v_roles)
      || array(select format('grant update (%s) on table %s to %s', string_agg(quote_ident(a.attname), ', ' order by a.attnum), p_table, v_roles)
               from pg_attribute a
               where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
                 and a.attname not in (p_options ->> 'key', p_options ->> 'column') having count(*) > 0)
      || format('grant select, insert, update, delete on table %s to service_role', p_table);
  elsif v_grants then
    v_statements := v_statements || format('grant select, insert, update, delete on table %s to %s, service_role', p_table, v_roles);
    if (p_options ->> 'public')::boolean then
      v_statements := v_statements || format('grant select on table %s to %s', p_table, p_options ->> 'readers');
    end if;
  end if;
  if v_grants then
    v_statements := v_statements || array(
      select format('grant usage on sequence %s to %s, service_role', d.objid::regclass, v_roles)
      from pg_depend d join pg_class s on s.oid = d.objid
      where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = p_table and d.deptype = 'a' and s.relkind = 'S'
      order by d.objid);
  end if;
  return v_statements;
end $$;
revoke all on function auth.protect_grants(regclass, jsonb) from public;
grant execute on function auth.protect_grants(regclass, jsonb) to public;
comment on function auth.protect_grants(regclass, jsonb) is 'Part of auth.protect(): statements that grant the table and the sequences of its serial columns.';

-- A revoke takes nothing that the roles have by way of PUBLIC or of another role.
create or replace function auth.protect_check_updates(p_table regclass, p_roles text[], p_columns text[])
returns void language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_role record;
begin
  select r.name into v_role from unnest(p_roles) r (name), unnest(p_columns) c (name)
  where has_column_privilege(r.name, p_table, c.name, 'update') limit 1;
  if found then
    raise exception using errcode = '42501', message = format('%I may still update the key or the owner of rows of %s', v_role.name, p_table),
      detail = 'whoever is given a row to write could make it the own one', hint = format('revoke update on table %s from public, or from the role that %I belongs to', p_table, v_role.name);
  end if;
end $$;
revoke all on function auth.protect_check_updates(regclass, text[], text[]) from public;
grant execute on function auth.protect_check_updates(regclass, text[], text[]) to public;
comment on function auth.protect_check_updates(regclass, text[], text[]) is 'Part of auth.protect(): raises when a role may update one of the columns after all grants.';

create or replace function auth.protect_indexes(p_table regclass, p_options jsonb)
returns text[] language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return array(
    select format('create index on %s (%I)', n.relation, n.name)
    from (values (1, p_table, p_options ->> 'column'), (2, (p_options ->> 'members')::oid::regclass, p_options ->> 'user_column')) n (ord, relation, name)
    where n.relation is not null and not exists (
      select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
      where i.indrelid = n.relation and i.indisvalid and i.indpred is null and a.attname = n.name)
    order by n.ord);
end $$;
revoke all on function auth.protect_indexes(regclass, jsonb) from public;
grant execute on function auth.protect_indexes(regclass, jsonb) to public;
comment on function auth.protect_indexes(regclass, jsonb) is 'Part of auth.protect(): statements that make the indexes of the columns that policies compare, where none is.';

-- A view shows what its owner may see, unless it runs as its caller.
create or replace function auth.protect_views(p_table regclass)
returns text[] language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return array(
    select distinct format('alter view %s set (security_invoker = true)', v.oid::regclass)
    from pg_depend d join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid join pg_class v on v.oid = r.ev_class
    where d.refclassid = 'pg_class'::regclass and d.refobjid = p_table and v.relkind = 'v' and pg_has_role(v.relowner, 'usage')
      and not coalesce((select o.option_value::boolean from pg_options_to_table(v.reloptions) o where o.option_name = 'security_invoker'), false)
    order by 1);
end $$;
revoke all on function auth.protect_views(regclass) from public;
grant execute on function auth.protect_views(regclass) to public;
comment on function auth.protect_views(regclass) is 'Part of auth.protect(): statements that make the caller''s views of the table run as their caller.';
