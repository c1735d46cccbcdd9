-- Access rules from templates.  Tables: the one that is named; team and shared also the table of members or shares.
-- Caller: the owner of the table.  Invoker and executable by everybody, as auth.enable_rls(): PostgreSQL checks every step.
-- What is emitted is ordinary SQL: policies that name their roles and compare one indexed column with a value that is
-- asked once per query.  service_role and maintenance roles have policies of their own and are never OR-ed into a user's.
-- Policies named protect_... belong to these two functions; everything else on the table is left alone.

create or replace function auth.protect(
  p_table regclass, p_template text,
  p_user_column text default 'user_id', p_org_column text default 'org_id', p_team_column text default 'team_id',
  p_members regclass default null, p_shares text default null, p_expires_column text default null,
  p_roles text[] default array['authenticated'], p_read_roles text[] default null, p_write_org_roles text[] default null,
  p_published_column text default null, p_deleted_column text default null,
  p_aal text default null, p_scope text default null, p_maintenance_roles text[] default array[]::text[],
  p_defaults boolean default true, p_grants boolean default true, p_indexes boolean default true, p_views boolean default true,
  p_dry_run boolean default false, p_active_org boolean default false)
returns setof text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_table text := p_table::text;
  v_name text := (select quote_ident(c.relname) from pg_class c where c.oid = p_table);
  v_owned boolean := p_template in ('owner', 'public_read', 'shared');
  v_of_org boolean := p_template in ('tenant', 'members_write');
  v_public boolean := p_template in ('public_read', 'members_write');  -- reading is wider than writing
  v_column text := case when v_owned then p_user_column when v_of_org then p_org_column else p_team_column end;
  v_col text := quote_ident(v_column);
  v_published text;
  v_key record;
  v_shares regclass;
  v_shares_name text;
  v_member_user text;
  v_roles text;
  v_readers text;
  v_me constant text := '(select auth.current_user_id())';
  v_orgs text;
  v_rule text;
  v_alive text := '';
  v_problem record;
  v_item record;
  v_before text[] := array[]::text[];
  v_policies text[] := array[]::text[];
  v_after text[] := array[]::text[];
  v_statement text;
begin
  -- 1. Everything is looked at before anything is changed.
  perform auth.require_application_table(p_table => p_table);
  if v_column is null or p_template is null or p_template not in ('owner', 'tenant', 'team', 'public_read', 'members_write', 'shared') then
    raise exception using errcode = '22023', message = format('template %s does not exist', quote_nullable(p_template)),
      hint = 'owner, tenant, team, public_read, members_write or shared';
  end if;
  select d.option, d.hint into v_problem from (values
    (p_members is not null and p_template <> 'team', 'p_members', 'it belongs to the template team'),
    (p_members is null and p_template = 'team', 'p_members', 'the template team needs the table that says who is in which team'),
    (p_members = p_table, 'p_members', 'a policy that reads its own table recurses; keep members in a table of their own'),
    (not p_grants and p_template = 'shared', 'p_grants', 'the template shared is safe only with its grants: who is given a row must not update its owner'),
    (p_shares is not null and p_template <> 'shared', 'p_shares', 'it belongs to the template shared'),
    (p_expires_column is not null and p_template not in ('team', 'shared'), 'p_expires_column', 'only team and shared know memberships that expire'),
    (p_expires_column <> 'expires_at' and p_template = 'shared', 'p_expires_column', 'the table of shares calls it expires_at'),
    (p_read_roles is not null and not v_public, 'p_read_roles', 'it belongs to the templates public_read and members_write'),
    (p_published_column is not null and not v_public, 'p_published_column', 'it belongs to the templates public_read and members_write'),
    (p_write_org_roles is not null and not v_of_org, 'p_write_org_roles', 'it belongs to the templates tenant and members_write'),
    (p_active_org and not v_of_org, 'p_active_org', 'it belongs to the templates tenant and members_write'),
    (p_aal not in ('aal1', 'aal2', 'aal3'), 'p_aal', 'aal1, aal2 or aal3'),
    (p_scope !~ '^[a-z][a-z0-9_.-]*$', 'p_scope', 'the first part of the scopes, as documents for documents:read and documents:write'),
    (coalesce(cardinality(p_roles), 0) = 0, 'p_roles', 'a policy names its roles')
  ) d (wrong, option, hint) where d.wrong limit 1;
  if found then
    raise exception using errcode = '22023', message = format('%s does not fit', v_problem.option), hint = v_problem.hint;
  end if;

  select r.name into v_item from unnest(p_roles || coalesce(p_read_roles, array[]::text[]) || p_maintenance_roles) r (name)
  where r.name is null or not exists (select from pg_roles g where g.rolname = r.name) limit 1;
  if found then
    raise exception using errcode = '42704', message = format('role %s does not exist', quote_nullable(v_item.name)),
      hint = case when lower(v_item.name) = 'public' then 'a policy for everybody opens the table to roles that nobody thought of: name them' else 'create it first' end;
  end if;
  v_roles := (select string_agg(quote_ident(r), ', ') from unnest(p_roles) r);
  v_readers := (select string_agg(quote_ident(r), ', ')
                from unnest(coalesce(p_read_roles, case when p_template = 'public_read' then array['anon', 'authenticated'] else p_roles end)) r);

  if p_template = 'team' then
    v_member_user := (select a.attname from pg_attribute a where a.attrelid = p_members and a.attname = p_user_column and not a.attisdropped);
    if exists (select from pg_policy p where p.polrelid = p_members
               and concat(p.polqual::text, p.polwithcheck::text) ~ (':relid ' || p_table::oid || '\M')) then
      raise exception using errcode = '42P17', message = format('policies of %s read %s: they would recurse', p_members, p_table),
        hint = 'let the table of members be readable by what stands in its own rows';
    end if;
  end if;
  -- Columns that the template needs, with the types they must have.
  for v_item in
    select n.relation, n.name, n.types, format_type(a.atttypid, a.atttypmod) as type
    from (values
      (p_table, v_column, case when p_template <> 'team' then array['uuid'::regtype] end),
      (case when p_template = 'team' then p_members end, p_team_column, null),
      (case when p_template = 'team' then p_members end, p_user_column, array['uuid'::regtype]),
      (case when p_template = 'team' and p_expires_column is not null then p_members end, p_expires_column, array['timestamptz'::regtype]),
      (case when p_published_column is not null then p_table end, p_published_column, array['boolean'::regtype, 'timestamptz'::regtype]),
      (case when p_deleted_column is not null then p_table end, p_deleted_column, array['timestamptz'::regtype])
    ) n (relation, name, types)
    left join pg_attribute a on a.attrelid = n.relation and a.attname = n.name and a.attnum > 0 and not a.attisdropped
    left join pg_type t on t.oid = a.atttypid
    where n.relation is not null
      and (a.attname is null or not (n.types is null or a.atttypid = any (n.types) or n.types = array['uuid'::regtype] and t.typbasetype = 'uuid'::regtype))
  loop
    if v_item.type is null then
      raise exception using errcode = '42703', message = format('%s has no column %s', v_item.relation, quote_nullable(v_item.name)),
        hint = 'name your columns with p_user_column, p_org_column, p_team_column, p_published_column, p_deleted_column or p_expires_column';
    end if;
    raise exception using errcode = '42804',
      message = format('column %I of %s is of type %s, not %s', v_item.name, v_item.relation, v_item.type, array_to_string(v_item.types, ' or ')),
      hint = case when v_item.types = array['uuid'::regtype]
        then 'templates compare it with the id of a user or an organization; for keys of your own write a policy, and a function that finds them for who is asking: docs/policy-guide.md has one'
        else 'name another column, or change its type' end;
  end loop;

  -- 2. Defaults first: they are what makes "insert ... (title)" pass the policy.
  v_before := v_before || format('select auth.enable_rls(p_table => %L)', v_table);
  if p_defaults and p_template <> 'team' and not exists (
       select from pg_attribute a where a.attrelid = p_table and a.attname = v_column and (a.atthasdef or a.attidentity <> '' or a.attgenerated <> '')) then
    v_before := v_before || format('alter table %s alter column %I set default %s', v_table, v_column,
      case when v_owned then 'auth.current_user_id()' else 'auth.current_org_id()' end);
  end if;

  -- 3. The rule of each template.
  if p_template in ('owner', 'shared') then
    v_policies := v_policies || format('create policy protect_owner on %s for all to %s using (%s = %s) with check (%s = %s)',
      v_table, v_roles, v_col, v_me, v_col, v_me);

  elsif p_template = 'public_read' then
    foreach v_statement in array array['insert', 'update', 'delete'] loop
      v_policies := v_policies || format('create policy %I on %s for %s to %s%s%s', 'protect_owner_' || v_statement, v_table, v_statement, v_roles,
        case when v_statement <> 'insert' then format(' using (%s = %s)', v_col, v_me) else '' end,
        case when v_statement <> 'delete' then format(' with check (%s = %s)', v_col, v_me) else '' end);
    end loop;

  elsif p_template = 'team' then
    -- An array, not "in (select ...)": it is made once per query and the index on the column can look it up.
    if p_expires_column is not null then
      v_alive := format(' and (m.%1$I is null or m.%1$I > now())', p_expires_column);
    end if;
    v_rule := format('%s = any (array(select m.%I from %s m where m.%I = %s%s))',
      v_col, p_team_column, p_members, v_member_user, v_me, v_alive);
    v_policies := v_policies || format('create policy protect_team on %s for all to %s using (%s) with check (%s)', v_table, v_roles, v_rule, v_rule);
    -- Whoever may write the table of members may join any team: it is opened for reading the own rows, and no further.
    if not exists (select from pg_class c where c.oid = p_members and c.relrowsecurity) then
      v_after := v_after || format('select auth.enable_rls(p_table => %L)', p_members::text)
        || format('create policy protect_own_rows on %s for select to %s using (%I = %s)', p_members, v_roles, v_member_user, v_me);
    end if;
    if p_grants then
      v_after := v_after || format('grant select on table %s to %s', p_members, v_roles);
    end if;

  else  -- tenant, members_write
    -- One organization is a value, for which PostgreSQL plans as for a constant.  Several are an array, which it takes for ten;
    -- array(select ...) is kept as it is, where (select ...)::uuid[] would be unpacked again for every row that a filter sees.
    v_orgs := case when p_active_org then format('%s = (select auth.current_org_id())', v_col)
                   else format('%s = any (array(select unnest(auth.org_ids())))', v_col) end;
    v_rule := case when p_write_org_roles is null then v_orgs
                   when p_active_org then format('%s and (select auth.current_org_role()) = any (%L::text[])', v_orgs, p_write_org_roles)
                   else format('%s = any (array(select unnest(auth.org_ids_with_role(%L::text[]))))', v_col, p_write_org_roles) end;
    if p_template = 'tenant' and p_write_org_roles is null then
      v_policies := v_policies || format('create policy protect_members on %s for all to %s using (%s) with check (%s)', v_table, v_roles, v_orgs, v_orgs);
    else
      if p_template = 'tenant' then
        v_policies := v_policies || format('create policy protect_members_select on %s for select to %s using (%s)', v_table, v_roles, v_orgs);
      end if;
      foreach v_statement in array array['insert', 'update', 'delete'] loop
        v_policies := v_policies || format('create policy %I on %s for %s to %s%s%s', 'protect_members_' || v_statement, v_table, v_statement, v_roles,
          case when v_statement <> 'insert' then format(' using (%s)', v_rule) else '' end,
          case when v_statement <> 'delete' then format(' with check (%s)', v_rule) else '' end);
      end loop;
    end if;
  end if;

  if v_public then
    v_published := case (select a.atttypid from pg_attribute a where a.attrelid = p_table and a.attname = p_published_column and not a.attisdropped)
      when 'boolean'::regtype then format('%I', p_published_column)
      when 'timestamptz'::regtype then format('%I <= now()', p_published_column)
      else 'true' end;
    v_policies := v_policies || format('create policy protect_read on %s for select to %s using (%s)', v_table, v_readers, v_published);
    -- Who writes also sees what is not published yet.
    if p_published_column is not null then
      v_policies := v_policies || format('create policy protect_read_own on %s for select to %s using (%s)', v_table, v_roles,
        case when v_owned then format('%s = %s', v_col, v_me) else v_orgs end);
    end if;
  end if;

  if p_template = 'shared' then
    select a.attname, format_type(a.atttypid, a.atttypmod) as type into v_key
    from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = p_table and i.indisprimary and i.indnkeyatts = 1;
    if not found then
      raise exception using errcode = '42704', message = format('%s has no primary key of one column', p_table),
        hint = 'a share names the row by its key';
    end if;
    if p_shares is null then
      v_shares_name := (select format('%I.%I', n.nspname, c.relname || '_shares') from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = p_table);
    else
      v_shares_name := (select case cardinality(s.parts)
          when 1 then format('%I.%I', (select n.nspname from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = p_table), s.parts[1])
          when 2 then format('%I.%I', s.parts[1], s.parts[2]) end
        from (select parse_ident(p_shares) as parts) s);
      if v_shares_name is null then
        raise exception using errcode = '42602', message = format('%s is no name of a table', quote_literal(p_shares)), hint = 'table or schema.table';
      end if;
    end if;
    v_shares := to_regclass(v_shares_name);
    if v_shares is null then
      -- The share carries the owner, and the foreign key holds it to the owner of the row: nobody shares what is not his,
      -- and no policy of one table has to read the other, which would recurse.
      if not exists (
        select from pg_index i
        where i.indrelid = p_table and i.indisunique and i.indimmediate and i.indpred is null and i.indexprs is null and i.indnkeyatts = 2
          and (select array_agg(a.attname::text order by a.attname::text) from pg_attribute a where a.attrelid = p_table and a.attnum = any (i.indkey::smallint[]))
              = (select array_agg(x order by x) from unnest(array[v_key.attname::text, v_column]) x)) then
        v_before := v_before || format('alter table %s add unique (%I, %I)', v_table, v_key.attname, v_column);
      end if;
      v_before := v_before || format($create$create table %s (
  row_id %s not null,
  owner_id uuid not null default auth.current_user_id(),
  user_id uuid not null,
  can_write boolean not null default false,
  expires_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (row_id, user_id),
  foreign key (row_id, owner_id) references %s (%I, %I) on update cascade on delete cascade
)$create$, v_shares_name, v_key.type, v_table, v_key.attname, v_column)
        || format('create index on %s (user_id)', v_shares_name)
        || format('create index on %s (owner_id)', v_shares_name);
    else
      for v_item in select n.name from unnest(array['row_id', 'owner_id', 'user_id', 'can_write', 'expires_at']) n (name)
        where not exists (select from pg_attribute a where a.attrelid = v_shares and a.attname = n.name and not a.attisdropped)
      loop
        raise exception using errcode = '42703', message = format('%s has no column %I', v_shares_name, v_item.name),
          hint = 'let auth.protect() make the table, or name another one with p_shares';
      end loop;
    end if;
    v_before := v_before || format('select auth.enable_rls(p_table => %L)', v_shares_name);
    if v_shares is not null then
      v_before := v_before || array(select format('drop policy %I on %s', p.polname, v_shares_name)
        from pg_policy p where p.polrelid = v_shares and starts_with(p.polname, 'protect_') order by p.polname);
    end if;
    v_before := v_before
      || format('create policy protect_owner on %s for all to %s using (owner_id = %s) with check (owner_id = %s)', v_shares_name, v_roles, v_me, v_me)
      || format('create policy protect_grantee on %s for select to %s using (user_id = %s)', v_shares_name, v_roles, v_me);
    if p_grants then
      v_before := v_before || format('grant select, insert, update, delete on table %s to %s, service_role', v_shares_name, v_roles);
    end if;
    v_rule := format('%I = any (array(select s.row_id from %s s where s.user_id = %s and (s.expires_at is null or s.expires_at > now())',
      v_key.attname, v_shares_name, v_me);
    v_policies := v_policies
      || format('create policy protect_shared_select on %s for select to %s using (%s)))', v_table, v_roles, v_rule)
      || format('create policy protect_shared_update on %s for update to %s using (%s and s.can_write))) with check (%s and s.can_write)))',
           v_table, v_roles, v_rule, v_rule);
  end if;

  -- 4. What narrows, as restrictive policies: they are AND-ed and leave the index of the rule above usable.
  -- A row hidden in this transaction stays visible to it, because PostgreSQL wants the writer to see what he wrote.
  if p_deleted_column is not null then
    v_policies := v_policies || format('create policy protect_not_deleted on %s as restrictive for all to %s using (%I is null or %I >= now()) with check (true)',
      v_table, (select string_agg(distinct r, ', ') from regexp_split_to_table(v_roles || case when v_public then ', ' || v_readers else '' end, ', ') r),
      p_deleted_column, p_deleted_column);
  end if;
  -- Where everybody reads, a second factor and a scope are asked for writing.
  if p_aal is not null then
    foreach v_statement in array case when v_public then array['insert', 'update', 'delete'] else array['all'] end loop
      v_rule := format('(select auth.aal()) in (%s)', (select string_agg(quote_literal(a), ', ') from unnest(array['aal1', 'aal2', 'aal3']) a where a >= p_aal));
      v_policies := v_policies || format('create policy %I on %s as restrictive for %s to %s%s%s',
        'protect_aal' || case when v_public then '_' || v_statement else '' end, v_table, v_statement, v_roles,
        case when v_statement <> 'insert' then format(' using (%s)', v_rule) else '' end,
        case when v_statement <> 'delete' then format(' with check (%s)', v_rule) else '' end);
    end loop;
  end if;
  if p_scope is not null then
    foreach v_statement in array case when v_public then array['insert', 'update', 'delete'] else array['select', 'insert', 'update', 'delete'] end loop
      v_rule := format('(select auth.has_scope(%L))', p_scope || case v_statement when 'select' then ':read' else ':write' end);
      v_policies := v_policies || format('create policy %I on %s as restrictive for %s to %s%s%s', 'protect_scope_' || v_statement, v_table, v_statement, v_roles,
        case when v_statement <> 'insert' then format(' using (%s)', v_rule) else '' end,
        case when v_statement in ('insert', 'update') then format(' with check (%s)', v_rule) else '' end);
    end loop;
  end if;

  if cardinality(p_maintenance_roles) > 0 then
    v_policies := v_policies || format('create policy protect_maintenance on %s for all to %s using (true) with check (true)', v_table,
      (select string_agg(quote_ident(r), ', ') from unnest(p_maintenance_roles) r));
  end if;

  -- 5. Grants, sequences of serial columns, the index, views.
  if p_template = 'shared' then
    -- Checks of permissive policies are OR-ed and none can see the old row: a guest who may write could name himself the
    -- owner and pass the owner's check.  So nobody updates the owner or the key.
    v_after := v_after
      || format('revoke update on table %s from %s', v_table, v_roles)
      || format('grant select, insert, delete on table %s to %s', v_table, v_roles)
      || array(select format('grant update (%s) on table %s to %s', string_agg(quote_ident(a.attname), ', ' order by a.attnum), v_table, v_roles)
               from pg_attribute a
               where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
                 and a.attname not in (v_key.attname, v_column) having count(*) > 0)
      || format('grant select, insert, update, delete on table %s to service_role', v_table);
  elsif p_grants then
    v_after := v_after || format('grant select, insert, update, delete on table %s to %s, service_role', v_table, v_roles);
    if v_public then
      v_after := v_after || format('grant select on table %s to %s', v_table, v_readers);
    end if;
  end if;
  if p_grants then
    v_after := v_after || array(
      select format('grant usage on sequence %s to %s, service_role', d.objid::regclass, v_roles)
      from pg_depend d join pg_class s on s.oid = d.objid
      where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = p_table and d.deptype = 'a' and s.relkind = 'S'
      order by d.objid);
  end if;
  if p_indexes then
    v_after := v_after || array(
      select format('create index on %s (%I)', n.relation, n.name)
      from (values (1, p_table, v_column), (2, case when p_template = 'team' then p_members end, v_member_user)) n (ord, relation, name)
      where n.relation is not null and not exists (
        select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = n.relation and i.indisvalid and i.indpred is null and a.attname = n.name)
      order by n.ord);
  end if;
  if p_views then
    -- A view shows what its owner may see, unless it runs as its caller.
    v_after := v_after || array(
      select distinct format('alter view %s set (security_invoker = true)', v.oid::regclass)
      from pg_depend d join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid join pg_class v on v.oid = r.ev_class
      where d.refclassid = 'pg_class'::regclass and d.refobjid = p_table and v.relkind = 'v' and pg_has_role(v.relowner, 'usage')
        and not coalesce((select o.option_value::boolean from pg_options_to_table(v.reloptions) o where o.option_name = 'security_invoker'), false)
      order by 1);
  end if;

  -- 6. Print, or run and print.
  foreach v_statement in array
    v_before
    || array(select format('drop policy %I on %s', p.polname, v_table) from pg_policy p
             where p.polrelid = p_table and starts_with(p.polname, 'protect_') order by p.polname)
    || v_policies || v_after
  loop
    if not p_dry_run then
      execute v_statement;
    end if;
    return next v_statement || ';';
  end loop;
  -- A revoke takes nothing that the roles have by way of PUBLIC or of another role.
  if p_template = 'shared' and not p_dry_run then
    select r.name into v_item from unnest(p_roles) r (name), unnest(array[v_key.attname::text, v_column]) c (name)
    where has_column_privilege(r.name, p_table, c.name, 'update') limit 1;
    if found then
      raise exception using errcode = '42501', message = format('%I may still update the key or the owner of rows of %s', v_item.name, v_table),
        detail = 'whoever is given a row to write could make it the own one', hint = format('revoke update on table %s from public, or from the role that %I belongs to', v_table, v_item.name);
    end if;
  end if;
end $$;
revoke all on function auth.protect(
  regclass, text, text, text, text, regclass, text, text, text[], text[], text[], text, text, text, text, text[],
  boolean, boolean, boolean, boolean, boolean, boolean) from public;
grant execute on function auth.protect(
  regclass, text, text, text, text, regclass, text, text, text[], text[], text[], text, text, text, text, text[],
  boolean, boolean, boolean, boolean, boolean, boolean) to public;
comment on function auth.protect(
  regclass, text, text, text, text, regclass, text, text, text[], text[], text[], text, text, text, text, text[],
  boolean, boolean, boolean, boolean, boolean, boolean) is
  'Closes a table and opens it by a template: owner, tenant, team, public_read, members_write or shared. Returns the statements; p_dry_run only prints them.';

create or replace function auth.unprotect(p_table regclass, p_dry_run boolean default false)
returns setof text language plpgsql volatile security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_statement text;
begin
  perform auth.require_application_table(p_table => p_table);
  for v_statement in
    select format('drop policy %I on %s', p.polname, p_table) from pg_policy p
    where p.polrelid = p_table and starts_with(p.polname, 'protect_') order by p.polname
  loop
    if not p_dry_run then
      execute v_statement;
    end if;
    return next v_statement || ';';
  end loop;
end $$;
revoke all on function auth.unprotect(regclass, boolean) from public;
grant execute on function auth.unprotect(regclass, boolean) to public;
comment on function auth.unprotect(regclass, boolean) is
  'Drops the policies that auth.protect() made. Row security stays on, so the table is closed to all but service_role and what your own policies say.';
