-- A schema for each tenant, cloned from a template schema.  Tables: auth.tenant_schemas.  Caller: the owner of the template.
-- Invoker: it makes what its caller may make by hand; the list of schemas is kept by small definer functions.

-- The lock of every cloned table, asked once a query.  It raises rather than hides: whoever is no member learns as much about
-- the schema as about one that does not exist.  Definer: request roles cannot read memberships.
create or replace function auth.require_tenant(p_org_id uuid)
returns boolean language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_context jsonb := auth.verified_context();
begin
  -- A key of an organization has no user; its organization is in the signed context.
  if exists (select from auth.memberships m where m.user_id = (v_context ->> 1)::uuid and m.org_id = p_org_id)
     or v_context ->> 1 is null and (v_context ->> 3)::uuid = p_org_id then
    return true;
  end if;
  raise exception using errcode = 'ZF410', message = 'the schema does not exist, or is that of another tenant';
end $$;
revoke all on function auth.require_tenant(uuid) from public;
grant execute on function auth.require_tenant(uuid) to public;
comment on function auth.require_tenant(uuid) is 'True for members of the organization and its keys; raises ZF410 for everybody else. In policies of tenant schemas: (select auth.require_tenant(...)).';

create or replace function auth.require_tenant_schema(p_schema text)
returns boolean language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
begin
  if auth.role() = 'service_role' then  -- service keys reach the schemas of all
    return true;
  end if;
  return (select auth.require_tenant(p_org_id => t.org_id) from auth.tenant_schemas t where t.schema_name = p_schema);
end $$;
revoke all on function auth.require_tenant_schema(text) from public;
grant execute on function auth.require_tenant_schema(text) to public;
comment on function auth.require_tenant_schema(text) is 'As auth.require_tenant(), for a schema by its name: true for service keys, too, null when it is the schema of no tenant.';

create or replace function auth.tenant_schema_rows()
returns setof jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select jsonb_build_object('schema_name', t.schema_name, 'org_id', t.org_id, 'slug', o.slug, 'template', t.template,
      'created_at', t.created_at, 'created_by', t.created_by)
    from auth.tenant_schemas t left join auth.organizations o on o.id = t.org_id order by t.schema_name;
end $$;
revoke all on function auth.tenant_schema_rows() from public;
grant execute on function auth.tenant_schema_rows() to fluxbase_admin;
comment on function auth.tenant_schema_rows() is 'Schemas of tenants as JSON; read them through auth.admin_tenant_schemas.';

create or replace view auth.admin_tenant_schemas with (security_invoker = true) as
  select j ->> 'schema_name' as schema_name, (j ->> 'org_id')::uuid as org_id, j ->> 'slug' as slug, j ->> 'template' as template,
         (j ->> 'created_at')::timestamptz as created_at, j ->> 'created_by' as created_by
  from auth.tenant_schema_rows() j;
revoke all on auth.admin_tenant_schemas from public;
grant select on auth.admin_tenant_schemas to fluxbase_admin;
comment on view auth.admin_tenant_schemas is 'Schemas of tenants, by name.';

create or replace function auth.save_tenant_schema(p_schema text, p_org text, p_template text)
returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_org uuid := auth.org_id_of(p_org => p_org);
begin
  insert into auth.tenant_schemas (schema_name, org_id, template) values (p_schema, v_org, p_template);
  perform audit.record(p_action => 'tenant_schema.created', p_details => jsonb_build_object('schema', p_schema, 'org_id', v_org, 'template', p_template));
  return v_org;
end $$;
revoke all on function auth.save_tenant_schema(text, text, text) from public;
grant execute on function auth.save_tenant_schema(text, text, text) to fluxbase_admin;
comment on function auth.save_tenant_schema(text, text, text) is 'Keeps which schema belongs to an organization, for auth.create_tenant_schema(); returns the id of the organization.';

create or replace function auth.forget_tenant_schema(p_schema text)
returns void language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
begin
  delete from auth.tenant_schemas t where t.schema_name = p_schema;
  if not found then
    raise exception using errcode = '3F000', message = format('%s is the schema of no tenant', quote_nullable(p_schema)),
      hint = 'auth.admin_tenant_schemas lists them';
  end if;
  perform audit.record(p_action => 'tenant_schema.dropped', p_details => jsonb_build_object('schema', p_schema));
end $$;
revoke all on function auth.forget_tenant_schema(text) from public;
grant execute on function auth.forget_tenant_schema(text) to fluxbase_admin;
comment on function auth.forget_tenant_schema(text) is 'Takes a schema off the list, for auth.drop_tenant_schema().';

-- The lock: row security on and forced, whatever was said before, and members alone, in whatever role a request may run.
create or replace function auth.lock_tenant_schema(p_schema text, p_org_id uuid)
returns void language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_table record;
  v_roles text := (select string_agg(quote_ident(r.name), ', ' order by r.name) from (
                     select 'anon' as name union select 'authenticated' union
                     select btrim(x) from unnest(string_to_array(auth.setting(p_key => 'request_roles'), ',')) x where btrim(x) <> '') r);
begin
  for v_table in
    select c.oid::regclass as name, c.relispartition as part, l.oid is not null as found,
           -- Somebody's policy of that name is no lock.
           coalesce(not l.polpermissive and l.polcmd = '*' and starts_with(pg_get_expr(l.polqual, l.polrelid), '( SELECT auth.require_tenant(' || quote_literal(p_org_id))
             and pg_get_expr(l.polqual, l.polrelid) = pg_get_expr(l.polwithcheck, l.polrelid), false) as locked,
           (select string_agg(quote_ident(o.rolname), ', ' order by o.rolname::text) from pg_roles o where o.oid = any (l.polroles)) as roles
    from pg_class c left join pg_policy l on l.polrelid = c.oid and l.polname = 'tenant_schema'
    where c.relnamespace = to_regnamespace(quote_ident(p_schema)) and c.relkind in ('r', 'p') order by c.relname
  loop
    if not v_table.part then -- partitions follow their parent
      perform auth.enable_rls(p_table => v_table.name);
    end if;
    if v_table.found and not v_table.locked then
      execute format('drop policy tenant_schema on %s', v_table.name);
    end if;
    if not v_table.locked then
      execute format('create policy tenant_schema on %s as restrictive for all to %s using ((select auth.require_tenant(%L))) with check ((select auth.require_tenant(%L)))',
                     v_table.name, v_roles, p_org_id, p_org_id);
    elsif v_table.roles is distinct from v_roles then
      execute format('alter policy tenant_schema on %s to %s', v_table.name, v_roles);
    end if;
  end loop;
  for v_table in -- views that a migration made run as whoever ran it
    select c.oid::regclass as name from pg_class c
    where c.relnamespace = to_regnamespace(quote_ident(p_schema)) and c.relkind = 'v'
      and not coalesce((select o.option_value::boolean from pg_options_to_table(c.reloptions) o where o.option_name = 'security_invoker'), false)
  loop
    execute format('alter view %s set (security_invoker = true)', v_table.name);
  end loop;
end $$;
revoke all on function auth.lock_tenant_schema(text, uuid) from public;
grant execute on function auth.lock_tenant_schema(text, uuid) to fluxbase_admin;
comment on function auth.lock_tenant_schema(text, uuid) is
  'Closes each table of the schema of a tenant to all but the members of the organization, and lets views run as their caller; what auth.create_tenant_schema() and auth.in_tenant_schemas() do. The caller owns the tables.';

-- PostgreSQL prints names of the schema that is in the search_path bare.  So definitions are read with the template in the
-- path and run with the new schema in its place; everything else stays qualified.
create or replace function auth.create_tenant_schema(p_org text, p_template text default 'tenant_template')
returns text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_template oid := to_regnamespace(quote_ident(p_template));
  v_slug text := (select o.slug from auth.admin_organizations o where p_org in (o.slug, o.id::text));
  v_schema text := 'tenant_' || v_slug;
  v_org uuid;
  v_item record;
  v_statements text[];
  v_statement text;
begin
  if v_template is null or p_template in ('auth', 'audit', 'ratelimit', 'fluxbase', 'pg_catalog', 'information_schema', 'public') then
    raise exception using errcode = '3F000', message = format('%s is no template schema', quote_nullable(p_template)),
      hint = 'make a schema with the tables, policies and grants that each tenant gets, and name it';
  elsif v_slug is null then
    raise exception using errcode = 'P0002', message = format('organization %s does not exist', quote_nullable(p_org)),
      hint = 'auth.admin_organizations lists them';
  elsif octet_length(v_schema) > 63 then
    raise exception using errcode = '22023', message = format('%s is too long for the name of a schema', v_schema);
  elsif to_regnamespace(quote_ident(v_schema)) is not null then
    raise exception using errcode = '42P06', message = format('schema %I exists already', v_schema);
  elsif exists (select from auth.admin_tenant_schemas t where t.schema_name = v_schema) then
    raise exception using errcode = '42P06', message = format('schema %I is on the list of tenants, and gone', v_schema),
      hint = format('select auth.drop_tenant_schema(%L), then make it anew', v_schema);
  end if;
  -- What a clone would lose, or share with the template, without saying so.
  for v_item in
    select c.relname as name, 'keep it in a schema of its own' as hint from pg_class c
    where c.relnamespace = v_template and (c.relkind not in ('r', 'v', 'S', 'i', 't') or c.relispartition)
    union all
    select c.relname, 'a table of a template inherits from none' from pg_inherits i join pg_class c on c.oid = i.inhrelid where c.relnamespace = v_template and c.relkind = 'r'
    union all
    select c.relname, 'its rewrite rules: a trigger does that' from pg_rewrite r join pg_class c on c.oid = r.ev_class where c.relnamespace = v_template and c.relkind = 'r'
    union all
    select c.relname, 'all tenants would share it: alter sequence ... owned by the column that it is for' from pg_class c
    where c.relnamespace = v_template and c.relkind = 'S'
      and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i'))
    union all
    select c.relname, format('a default or a check of it names %I, which all tenants would share', r.relname)
    from pg_depend d join pg_class r on r.oid = d.refobjid
    left join pg_attrdef f on d.classid = 'pg_attrdef'::regclass and f.oid = d.objid
    left join pg_constraint k on d.classid = 'pg_constraint'::regclass and k.oid = d.objid and k.contype = 'c'
    join pg_class c on c.oid = coalesce(f.adrelid, k.conrelid)
    where d.refclassid = 'pg_class'::regclass and r.relnamespace = v_template and c.relnamespace = v_template and c.relkind = 'r' and r.oid <> c.oid
      and not exists (select from pg_depend o where o.classid = 'pg_class'::regclass and o.objid = r.oid and o.refclassid = 'pg_class'::regclass
                      and o.refobjid = f.adrelid and o.refobjsubid = f.adnum and o.deptype = 'a')
    union all
    select p.proname, 'keep functions in a schema of their own' from pg_proc p where p.pronamespace = v_template
    union all
    select t.typname, 'keep types in a schema of their own' from pg_type t where t.typnamespace = v_template and t.typtype in ('d', 'e', 'r')
  loop
    raise exception using errcode = '0A000', message = format('%I.%I cannot be cloned', p_template, v_item.name),
      detail = 'a template holds tables, views, indexes, and the sequences of columns', hint = v_item.hint;
  end loop;

  execute format('create schema %I', v_schema);
  v_org := auth.save_tenant_schema(p_schema => v_schema, p_org => p_org, p_template => p_template);
  perform set_config('search_path', quote_ident(p_template), true);

  -- 1. Tables with defaults and checks; sequences that columns of type serial have.
  v_statements := array(
    select format('create table %I.%I (like %I.%I including all excluding indexes)', v_schema, c.relname, p_template, c.relname)
    from pg_catalog.pg_class c where c.relnamespace = v_template and c.relkind = 'r' order by c.relname);
  v_statements := v_statements || array(
    select unnest(array[
      format('create sequence %I.%I as %s increment %s minvalue %s maxvalue %s start %s cache %s%s owned by %I.%I.%I', v_schema, s.relname,
             format_type(q.seqtypid, null), q.seqincrement, q.seqmin, q.seqmax, q.seqstart, q.seqcache, case when q.seqcycle then ' cycle' else '' end,
             v_schema, t.relname, a.attname),
      format('alter table %I.%I alter column %I set default nextval(%L)', v_schema, t.relname, a.attname, format('%I.%I', v_schema, s.relname))])
    from pg_catalog.pg_class s join pg_catalog.pg_sequence q on q.seqrelid = s.oid
    join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_class'::regclass and d.objid = s.oid and d.deptype = 'a'
    join pg_catalog.pg_class t on t.oid = d.refobjid join pg_catalog.pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
    where s.relnamespace = v_template and s.relkind = 'S');
  -- 2. Keys, indexes, foreign keys, views, policies, triggers: by their definitions, so that they keep their names.
  v_statements := v_statements || array(
    select format('alter table %I.%I add constraint %I %s', v_schema, c.relname, k.conname, pg_get_constraintdef(k.oid))
    from pg_catalog.pg_constraint k join pg_catalog.pg_class c on c.oid = k.conrelid
    where c.relnamespace = v_template and k.contype in ('p', 'u', 'x', 'f') order by k.contype = 'f', c.relname, k.conname);
  v_statements := v_statements || array(
    select pg_get_indexdef(i.indexrelid, 0, true) from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indrelid
    where c.relnamespace = v_template and c.relkind = 'r' and not exists (select from pg_catalog.pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
    order by i.indexrelid::regclass::text);
  v_statements := v_statements || array(
    select format('create view %I.%I with (security_invoker = true%s) as %s', v_schema, c.relname,
      (select string_agg(', ' || o, '') from unnest(c.reloptions) o where o not like 'security_invoker=%'), pg_get_viewdef(c.oid))
    from pg_catalog.pg_class c where c.relnamespace = v_template and c.relkind = 'v' order by c.oid);
  v_statements := v_statements || array(
    select format('create policy %I on %I.%I as %s for %s to %s%s%s', p.polname, v_schema, c.relname, case when p.polpermissive then 'permissive' else 'restrictive' end,
      case p.polcmd when '*' then 'all' when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' else 'delete' end,
      (select string_agg(case r.oid when 0 then 'public' else r.oid::regrole::text end, ', ') from unnest(p.polroles) r (oid)),
      ' using (' || pg_get_expr(p.polqual, p.polrelid) || ')', ' with check (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
    from pg_catalog.pg_policy p join pg_catalog.pg_class c on c.oid = p.polrelid where c.relnamespace = v_template order by c.relname, p.polname);
  v_statements := v_statements || array(
    select pg_get_triggerdef(g.oid, true) from pg_catalog.pg_trigger g join pg_catalog.pg_class c on c.oid = g.tgrelid
    where c.relnamespace = v_template and not g.tgisinternal order by c.relname, g.tgname);
  v_statements := v_statements || array(
    select format('alter table %I.%I %s trigger %I', v_schema, c.relname, case g.tgenabled when 'D' then 'disable' when 'A' then 'enable always' else 'enable replica' end, g.tgname)
    from pg_catalog.pg_trigger g join pg_catalog.pg_class c on c.oid = g.tgrelid
    where c.relnamespace = v_template and not g.tgisinternal and g.tgenabled <> 'O');
  -- 3. Grants of schema, tables, columns and sequences.
  v_statements := v_statements || array(
    select format('grant %s%s on %s to %s%s', a.privilege_type, g.columns, g.object, case a.grantee when 0 then 'public' else a.grantee::regrole::text end,
             case when a.is_grantable then ' with grant option' else '' end)
    from (select format('schema %I', v_schema) as object, '' as columns, n.nspacl as acl, n.nspowner as owner from pg_catalog.pg_namespace n where n.oid = v_template
          union all
          select format('%s %I.%I', case c.relkind when 'S' then 'sequence' else 'table' end, v_schema, c.relname), '', c.relacl, c.relowner
          from pg_catalog.pg_class c where c.relnamespace = v_template and c.relkind in ('r', 'v', 'S')
          union all
          select format('table %I.%I', v_schema, c.relname), format(' (%I)', b.attname), b.attacl, c.relowner
          from pg_catalog.pg_class c join pg_catalog.pg_attribute b on b.attrelid = c.oid and not b.attisdropped where c.relnamespace = v_template) g
    cross join lateral aclexplode(g.acl) a where a.grantee <> g.owner);
  v_statements := v_statements || array(
    select format('comment on %s %I.%I is %L', case c.relkind when 'v' then 'view' else 'table' end, v_schema, c.relname, obj_description(c.oid, 'pg_class'))
    from pg_catalog.pg_class c where c.relnamespace = v_template and c.relkind in ('r', 'v') and obj_description(c.oid, 'pg_class') is not null);

  perform set_config('search_path', quote_ident(v_schema), true);
  foreach v_statement in array v_statements loop
    execute v_statement;
  end loop;
  perform auth.lock_tenant_schema(p_schema => v_schema, p_org_id => v_org);
  perform pg_notify('fluxbase_reload', '');
  return v_schema;
end $$;
revoke all on function auth.create_tenant_schema(text, text) from public;
grant execute on function auth.create_tenant_schema(text, text) to fluxbase_admin;
comment on function auth.create_tenant_schema(text, text) is
  'Makes schema tenant_<slug> for an organization: tables, views, keys, indexes, policies, triggers and grants of the template, closed to all but its members. Returns its name.';

create or replace function auth.drop_tenant_schema(p_schema text)
returns void language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  perform auth.forget_tenant_schema(p_schema => p_schema);
  execute format('drop schema if exists %I cascade', p_schema);  -- somebody may have dropped it by hand
  perform pg_notify('fluxbase_reload', '');
end $$;
revoke all on function auth.drop_tenant_schema(text) from public;
grant execute on function auth.drop_tenant_schema(text) to fluxbase_admin;
comment on function auth.drop_tenant_schema(text) is 'Drops the schema of a tenant with everything in it, and takes it off the list. The caller owns it.';

-- One transaction: either every tenant has the change or none.  Tables that the change makes are locked like the others.
create or replace function auth.in_tenant_schemas(p_sql text, p_template text default 'tenant_template')
returns setof text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_schema text;
  v_org uuid;
  v_detail text;
  v_hint text;
begin
  if p_template is null or to_regnamespace(quote_ident(p_template)) is null then
    raise exception using errcode = '3F000', message = format('%s is no template schema', quote_nullable(p_template)),
      hint = 'auth.admin_tenant_schemas lists the schemas of tenants with their templates';
  end if;
  for v_schema, v_org in
    select p_template, null
    union all
    (select t.schema_name, t.org_id from auth.admin_tenant_schemas t where t.template = p_template order by 1)
  loop
    if to_regnamespace(quote_ident(v_schema)) is null then
      raise exception using errcode = '3F000', message = format('schema %I is gone', v_schema),
        hint = format('no schema was changed; select auth.drop_tenant_schema(%L) takes it off the list', v_schema);
    end if;
    perform set_config('search_path', quote_ident(v_schema), true);
    begin
      execute p_sql;
      if v_schema <> p_template then
        perform auth.lock_tenant_schema(p_schema => v_schema, p_org_id => v_org);
      end if;
    exception when others then
      get stacked diagnostics v_detail = pg_exception_detail, v_hint = pg_exception_hint;
      raise exception using errcode = sqlstate, message = format('%s: %s', v_schema, sqlerrm),
        detail = coalesce(nullif(v_detail, ''), format('it was run in schema %I', v_schema)),
        hint = concat_ws('; ', nullif(v_hint, ''), 'no schema was changed');
    end;
    return next v_schema;
  end loop;
  perform pg_notify('fluxbase_reload', '');
end $$;
revoke all on function auth.in_tenant_schemas(text, text) from public;
grant execute on function auth.in_tenant_schemas(text, text) to fluxbase_admin;
comment on function auth.in_tenant_schemas(text, text) is
  'Runs SQL in the template and in each schema made from it, with that schema as search_path, in one transaction. Returns the schemas.';

create or replace function fluxbase.tenant_schemas()
returns jsonb language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
begin
  return (select coalesce(jsonb_agg(t.schema_name order by t.schema_name), '[]') from auth.tenant_schemas t
          where to_regnamespace(quote_ident(t.schema_name)) is not null);
end $$;
revoke all on function fluxbase.tenant_schemas() from public;
grant execute on function fluxbase.tenant_schemas() to fluxbase_server;
comment on function fluxbase.tenant_schemas() is 'Names of the schemas of tenants, which the data API exposes to their members.';
