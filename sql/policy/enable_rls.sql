-- Closing a table of the application.  Tables: the one that is named.  Caller: its owner.
-- Invoker and executable by everybody: it does only what its caller may do by hand, PostgreSQL checks the ownership
-- of the table at every step.  A grant to single roles would only keep owners of tables from the safe way.

create or replace function auth.require_application_table(p_table regclass)
returns void language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_class record;
begin
  select n.nspname, c.relkind, c.relispartition into v_class
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = p_table;
  if not found then
    raise exception using errcode = '42P01', message = 'table is null or does not exist';
  elsif v_class.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase', 'information_schema') or starts_with(v_class.nspname, 'pg_') then
    raise exception using errcode = '42501', message = format('%s is no table of the application', p_table),
      detail = format('schema %I belongs to Fluxbase or to PostgreSQL', v_class.nspname);
  elsif v_class.relkind not in ('r', 'p') then
    raise exception using errcode = '42809', message = format('%s is not a table', p_table),
      hint = case when v_class.relkind = 'v' then 'a view obeys the row security of its tables when it is made with (security_invoker = true)'
                  else 'PostgreSQL has row security for tables alone: grant requests a view with a WHERE, or a function, in its place' end;
  elsif v_class.relispartition then
    raise exception using errcode = '42809', message = format('%s is a partition', p_table),
      detail = 'who reads a partition directly passes by the policies of its parent',
      hint = 'enable row security on the parent; it reaches the partitions';
  end if;
end $$;
revoke all on function auth.require_application_table(regclass) from public;
grant execute on function auth.require_application_table(regclass) to public;
comment on function auth.require_application_table(regclass) is
  'Raises unless the relation is a table of the application: no view, no partition, not in a schema of Fluxbase or PostgreSQL.';

-- An application that was there before us reads the table with a login of its own: it would see no rows and no error.
create or replace function auth.notice_other_roles(p_table regclass)
returns void language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_roles text;
begin
  select string_agg(distinct quote_ident(r.rolname), ', ') into v_roles
  from pg_class c cross join lateral aclexplode(c.relacl) a join pg_roles r on r.oid = a.grantee
  where c.oid = p_table and a.privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE') and r.oid <> c.relowner
    and not r.rolsuper and not r.rolbypassrls and r.rolname not in ('anon', 'authenticated', 'service_role')
    and not exists (select from pg_policy p cross join lateral unnest(p.polroles) u (oid)
                    where p.polrelid = p_table and p.polpermissive and (u.oid = 0 or pg_has_role(r.oid, u.oid, 'usage')));
  if v_roles is not null then
    raise notice using message = format('roles with rights on %s see rows only where a policy lets them from now on: %s', p_table, v_roles),
      hint = 'write policies for them, or name them in p_maintenance_roles of auth.protect()';
  end if;
end $$;
revoke all on function auth.notice_other_roles(regclass) from public;
grant execute on function auth.notice_other_roles(regclass) to public;
comment on function auth.notice_other_roles(regclass) is
  'Names the roles, other than those of requests, that hold rights on a table and have no policy on it.';

create or replace function auth.enable_rls(p_table regclass)
returns void language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_relation record;
  v_child regclass;
  v_roles text;
begin
  perform auth.require_application_table(p_table => p_table);

  -- On partitions too: without a policy of their own they are closed to whoever names them directly.
  for v_relation in
    select c.oid, c.oid::regclass as name, c.relkind = 'f' as is_foreign, c.relrowsecurity, c.relforcerowsecurity
    from pg_class c
    where c.oid = p_table or c.oid in (select t.relid from pg_partition_tree(p_table) t)
      or c.relkind = 'f' and c.oid in (select i.inhrelid from pg_inherits i where i.inhparent = p_table)
    order by c.oid <> p_table, c.oid
  loop
    if not v_relation.is_foreign and not v_relation.relrowsecurity then
      execute format('alter table %s enable row level security', v_relation.name);
      if v_relation.oid = p_table then
        perform auth.notice_other_roles(p_table => p_table);
      end if;
    end if;
    if not v_relation.is_foreign and not v_relation.relforcerowsecurity then
      execute format('alter table %s force row level security', v_relation.name);
    end if;
    -- TRUNCATE knows no row security; TRIGGER runs code as whoever writes; REFERENCES tells which keys exist.  A foreign table
    -- has no row security at all.
    select string_agg(distinct case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end, ', ') into v_roles
    from pg_class c cross join lateral aclexplode(c.relacl) a
    where c.oid = v_relation.oid and (v_relation.is_foreign or a.privilege_type in ('TRUNCATE', 'TRIGGER', 'REFERENCES'))
      and (a.grantee = 0 or pg_get_userbyid(a.grantee) in ('anon', 'authenticated'));
    if v_roles is not null then
      execute format('revoke %s on table %s from %s', case when v_relation.is_foreign then 'all' else 'truncate, trigger, references' end, v_relation.name, v_roles);
    end if;
  end loop;

  -- A table that inherits from this one holds rows of it, and is a table by itself: it may have policies of its own.
  for v_child in
    select c.oid from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = p_table and c.relkind = 'r' and not c.relispartition order by c.oid
  loop
    perform auth.enable_rls(p_table => v_child);
  end loop;

  if not exists (
    select from pg_policy p
    where p.polrelid = p_table and p.polpermissive and p.polcmd = '*'
      and 'service_role'::regrole = any (p.polroles)
      and pg_get_expr(p.polqual, p.polrelid) = 'true'
      and coalesce(pg_get_expr(p.polwithcheck, p.polrelid), 'true') = 'true')
  then
    execute format('create policy service_role_all on %s for all to service_role using (true) with check (true)', p_table);
  end if;
end $$;
revoke all on function auth.enable_rls(regclass) from public;
grant execute on function auth.enable_rls(regclass) to public;
comment on function auth.enable_rls(regclass) is
  'Enables and forces row security on a table of yours, its partitions and the tables that inherit from it, lets service_role pass, and takes TRUNCATE, TRIGGER and REFERENCES from request roles.';
