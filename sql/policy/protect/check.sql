-- What auth.protect() looks at before it changes anything.  Tables: the catalog.  Caller: auth.protect(), as its caller.
-- Invoker and executable by everybody, like the rest of protect/: they read the catalog, which everybody may, and change nothing.
-- p_options is what auth.protect() made of its arguments.

create or replace function auth.protect_check_roles(p_roles text[])
returns void language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_role record;
begin
  select r.name into v_role from unnest(p_roles) r (name)
  where r.name is null or not exists (select from pg_roles g where g.rolname = r.name) limit 1;
  if found then
    raise exception using errcode = '42704', message = format('role %s does not exist', quote_nullable(v_role.name)),
      hint = case when lower(v_role.name) = 'public' then 'a policy for everybody opens the table to roles that nobody thought of: name them' else 'create it first' end;
  end if;
end $$;
revoke all on function auth.protect_check_roles(text[]) from public;
grant execute on function auth.protect_check_roles(text[]) to public;
comment on function auth.protect_check_roles(text[]) is 'Part of auth.protect(): raises unless every role exists; a policy names its roles.';

-- A policy applies to everybody who has the rights of its role.
create or replace function auth.protect_check_maintenance(p_maintenance_roles text[], p_roles text[])
returns void language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_open record;
begin
  select m.name as maintenance, r.name into v_open
  from unnest(p_maintenance_roles) m (name), unnest(p_roles || array['anon', 'authenticated']) r (name)
  where pg_has_role(r.name, m.name, 'usage') limit 1;
  if found then
    raise exception using errcode = '22023', message = 'p_maintenance_roles does not fit',
      detail = format('%I has the rights of %I: every row would be open to it', v_open.name, v_open.maintenance),
      hint = 'name roles that requests do not run as';
  end if;
end $$;
revoke all on function auth.protect_check_maintenance(text[], text[]) from public;
grant execute on function auth.protect_check_maintenance(text[], text[]) to public;
comment on function auth.protect_check_maintenance(text[], text[]) is 'Part of auth.protect(): raises when a role of requests has the rights of a maintenance role.';

create or replace function auth.protect_check_members(p_table regclass, p_members regclass)
returns void language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from pg_policy p where p.polrelid = p_members
             and concat(p.polqual::text, p.polwithcheck::text) ~ (':relid ' || p_table::oid || '\M')) then
    raise exception using errcode = '42P17', message = format('policies of %s read %s: they would recurse', p_members, p_table),
      hint = 'let the table of members be readable by what stands in its own rows';
  end if;
end $$;
revoke all on function auth.protect_check_members(regclass, regclass) from public;
grant execute on function auth.protect_check_members(regclass, regclass) to public;
comment on function auth.protect_check_members(regclass, regclass) is 'Part of auth.protect(): raises when a policy of the table of members reads the table.';

-- Columns that the template needs, with the types they must have.
create or replace function auth.protect_check_columns(p_table regclass, p_options jsonb)
returns void language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_members regclass := (p_options ->> 'members')::oid;  -- of the template team alone
  v_wrong record;
begin
  for v_wrong in
    select n.relation, n.name, n.types, format_type(a.atttypid, a.atttypmod) as type
    from (values
      (p_table, p_options ->> 'column', case when v_members is null then array['uuid'::regtype] end),
      (v_members, p_options ->> 'team_column', null),
      (v_members, p_options ->> 'user_column', array['uuid'::regtype]),
      (case when p_options ->> 'expires_column' is not null then v_members end, p_options ->> 'expires_column', array['timestamptz'::regtype]),
      (case when p_options ->> 'published_column' is not null then p_table end, p_options ->> 'published_column', array['boolean'::regtype, 'timestamptz'::regtype]),
      (case when p_options ->> 'deleted_column' is not null then p_table end, p_options ->> 'deleted_column', array['timestamptz'::regtype])
    ) n (relation, name, types)
    left join pg_attribute a on a.attrelid = n.relation and a.attname = n.name and a.attnum > 0 and not a.attisdropped
    left join pg_type t on t.oid = a.atttypid
    where n.relation is not null
      and (a.attname is null or not (n.types is null or a.atttypid = any (n.types) or n.types = array['uuid'::regtype] and t.typbasetype = 'uuid'::regtype))
  loop
    if v_wrong.type is null then
      raise exception using errcode = '42703', message = format('%s has no column %s', v_wrong.relation, quote_nullable(v_wrong.name)),
        hint = 'name your columns with p_user_column, p_org_column, p_team_column, p_published_column, p_deleted_column or p_expires_column';
    end if;
    raise exception using errcode = '42804',
      message = format('column %I of %s is of type %s, not %s', v_wrong.name, v_wrong.relation, v_wrong.type, array_to_string(v_wrong.types, ' or ')),
      hint = case when v_wrong.types = array['uuid'::regtype]
        then 'templates compare it with the id of a user or an organization; for keys of your own write a policy, and a function that finds them for who is asking: docs/policy-guide.md has one'
        else 'name another column, or change its type' end;
  end loop;
end $$;
revoke all on function auth.protect_check_columns(regclass, jsonb) from public;
grant execute on function auth.protect_check_columns(regclass, jsonb) to public;
comment on function auth.protect_check_columns(regclass, jsonb) is 'Part of auth.protect(): raises unless the columns of the template are there and of their types.';
