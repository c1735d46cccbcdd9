-- The policies of a template.  Tables: the catalog.  Caller: auth.protect(), as its caller; they return statements and run none.

create or replace function auth.policy_statement(
  p_table text, p_name text, p_command text, p_roles text, p_rule text, p_check text default null, p_restrictive boolean default false)
returns text language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return format('create policy %I on %s%s for %s to %s%s%s', p_name, p_table, case when p_restrictive then ' as restrictive' else '' end, p_command, p_roles,
    case when p_command <> 'insert' then format(' using (%s)', p_rule) else '' end,
    case when p_command in ('all', 'insert', 'update') then format(' with check (%s)', coalesce(p_check, p_rule)) else '' end);
end $$;
revoke all on function auth.policy_statement(text, text, text, text, text, text, boolean) from public;
grant execute on function auth.policy_statement(text, text, text, text, text, text, boolean) to public;
comment on function auth.policy_statement(text, text, text, text, text, text, boolean) is
  'Part of auth.protect(): "create policy" with the clauses that its command has; the check is the rule unless it is given.';

-- Compares one indexed column with a value that is asked once per query.
create or replace function auth.protect_rule(p_options jsonb, p_write boolean)
returns text language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_column text := p_options ->> 'column';
  v_expires text := p_options ->> 'expires_column';
  v_org_roles text := case when p_write then p_options ->> 'write_org_roles' end;
begin
  case p_options ->> 'belongs_to'
  when 'user' then
    return format('%I = (select auth.current_user_id())', v_column);

  when 'team' then
    -- An array, not "in (select ...)": it is made once per query and the index on the column can look it up.
    return format('%I = any (array(select m.%I from %s m where m.%I = (select auth.current_user_id())%s))',
      v_column, p_options ->> 'team_column', (p_options ->> 'members')::oid::regclass, p_options ->> 'user_column',
      case when v_expires is not null then format(' and (m.%1$I is null or m.%1$I > now())', v_expires) else '' end);

  when 'organization' then
    -- One organization is a value, for which PostgreSQL plans as for a constant.  Several are an array, which it takes for ten;
    -- array(select ...) is kept as it is, where (select ...)::uuid[] would be unpacked again for every row that a filter sees.
    if (p_options ->> 'active_org')::boolean then
      return format('%I = (select auth.current_org_id())', v_column)
        || case when v_org_roles is not null then format(' and (select auth.current_org_role()) = any (%L::text[])', v_org_roles) else '' end;
    elsif v_org_roles is not null then
      return format('%I = any (array(select unnest(auth.org_ids_with_role(%L::text[]))))', v_column, v_org_roles);
    else
      return format('%I = any (array(select unnest(auth.org_ids())))', v_column);
    end if;
  end case;
end $$;
revoke all on function auth.protect_rule(jsonb, boolean) from public;
grant execute on function auth.protect_rule(jsonb, boolean) to public;
comment on function auth.protect_rule(jsonb, boolean) is 'Part of auth.protect(): the condition by which a row is the caller''s, to read or to write.';

create or replace function auth.protect_policies(p_table regclass, p_options jsonb)
returns text[] language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_table text := p_table::text;
  v_name text := case p_options ->> 'belongs_to' when 'user' then 'protect_owner' when 'team' then 'protect_team' else 'protect_members' end;
  v_roles text := p_options ->> 'roles';
  v_public boolean := (p_options ->> 'public')::boolean;
  v_published text := p_options ->> 'published_column';
  v_reads text := auth.protect_rule(p_options => p_options, p_write => false);
  v_writes text := auth.protect_rule(p_options => p_options, p_write => true);
  v_command text;
  v_policies text[] := array[]::text[];
begin
  if not v_public and v_reads = v_writes then
    return v_policies || auth.policy_statement(p_table => v_table, p_name => v_name, p_command => 'all', p_roles => v_roles, p_rule => v_reads);
  end if;

  if not v_public then
    v_policies := v_policies || auth.policy_statement(p_table => v_table, p_name => v_name || '_select', p_command => 'select', p_roles => v_roles, p_rule => v_reads);
  end if;
  foreach v_command in array array['insert', 'update', 'delete'] loop
    v_policies := v_policies || auth.policy_statement(p_table => v_table, p_name => v_name || '_' || v_command, p_command => v_command, p_roles => v_roles, p_rule => v_writes);
  end loop;
  if v_public then
    v_policies := v_policies || auth.policy_statement(p_table => v_table, p_name => 'protect_read', p_command => 'select', p_roles => p_options ->> 'readers',
      p_rule => case (select a.atttypid from pg_attribute a where a.attrelid = p_table and a.attname = v_published and not a.attisdropped)
                  when 'boolean'::regtype then format('%I', v_published)
                  when 'timestamptz'::regtype then format('%I <= now()', v_published)
                  else 'true' end);
    -- Who writes also sees what is not published yet.  Not everybody does, so here reading has the conditions, too.
    if v_published is not null then
      v_policies := v_policies || auth.policy_statement(p_table => v_table, p_name => 'protect_read_own', p_command => 'select', p_roles => v_roles,
        p_rule => v_reads
          || case when p_options ->> 'aal' is not null then format(' and %s', auth.protect_aal_rule(p_aal => p_options ->> 'aal')) else '' end
          || case when p_options ->> 'scope' is not null then format(' and (select auth.has_scope(%L))', (p_options ->> 'scope') || ':read') else '' end);
    end if;
  end if;
  return v_policies;
end $$;
revoke all on function auth.protect_policies(regclass, jsonb) from public;
grant execute on function auth.protect_policies(regclass, jsonb) to public;
comment on function auth.protect_policies(regclass, jsonb) is 'Part of auth.protect(): statements of the policies that let callers reach their rows.';

create or replace function auth.protect_aal_rule(p_aal text)
returns text language plpgsql immutable security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return format('(select auth.aal()) in (%s)', (select string_agg(quote_literal(a), ', ') from unnest(array['aal1', 'aal2', 'aal3']) a where a >= p_aal));
end $$;
revoke all on function auth.protect_aal_rule(text) from public;
grant execute on function auth.protect_aal_rule(text) to public;
comment on function auth.protect_aal_rule(text) is 'Part of auth.protect(): the condition that a request has at least this assurance level.';

-- What a request must bring along, as restrictive policies of the table and, for the template shared, of the table of shares.
-- Where everybody reads, a second factor and a scope are asked for writing.
create or replace function auth.protect_conditions(p_table text, p_options jsonb)
returns text[] language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_roles text := p_options ->> 'roles';
  v_public boolean := (p_options ->> 'public')::boolean;
  v_aal text := p_options ->> 'aal';
  v_scope text := p_options ->> 'scope';
  v_command text;
  v_policies text[] := array[]::text[];
begin
  if v_aal is not null then
    foreach v_command in array case when v_public then array['insert', 'update', 'delete'] else array['all'] end loop
      v_policies := v_policies || auth.policy_statement(p_table => p_table, p_name => 'protect_aal' || case when v_public then '_' || v_command else '' end,
        p_command => v_command, p_roles => v_roles, p_restrictive => true,
        p_rule => auth.protect_aal_rule(p_aal => v_aal));
    end loop;
  end if;
  if v_scope is not null then
    foreach v_command in array case when v_public then array['insert', 'update', 'delete'] else array['select', 'insert', 'update', 'delete'] end loop
      v_policies := v_policies || auth.policy_statement(p_table => p_table, p_name => 'protect_scope_' || v_command,
        p_command => v_command, p_roles => v_roles, p_restrictive => true,
        p_rule => format('(select auth.has_scope(%L))', v_scope || case v_command when 'select' then ':read' else ':write' end));
    end loop;
  end if;
  return v_policies;
end $$;
revoke all on function auth.protect_conditions(text, jsonb) from public;
grant execute on function auth.protect_conditions(text, jsonb) to public;
comment on function auth.protect_conditions(text, jsonb) is 'Part of auth.protect(): statements of the restrictive policies for assurance level and scope.';

-- What narrows, as restrictive policies: they are AND-ed and leave the index of the rule usable.
create or replace function auth.protect_narrowing(p_table regclass, p_options jsonb)
returns text[] language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
declare
  v_table text := p_table::text;
  v_roles text := p_options ->> 'roles';
  v_public boolean := (p_options ->> 'public')::boolean;
  v_deleted text := p_options ->> 'deleted_column';
  v_policies text[] := array[]::text[];
begin
  -- A row hidden in this transaction stays visible to it, because PostgreSQL wants the writer to see what he wrote.
  if v_deleted is not null then
    v_policies := v_policies || auth.policy_statement(p_table => v_table, p_name => 'protect_not_deleted', p_command => 'all',
      p_roles => (select string_agg(distinct r, ', ')
                  from regexp_split_to_table(v_roles || case when v_public then ', ' || (p_options ->> 'readers') else '' end, ', ') r),
      p_rule => format('%1$I is null or %1$I >= now()', v_deleted), p_check => 'true', p_restrictive => true);
  end if;
  return v_policies || auth.protect_conditions(p_table => v_table, p_options => p_options);
end $$;
revoke all on function auth.protect_narrowing(regclass, jsonb) from public;
grant execute on function auth.protect_narrowing(regclass, jsonb) to public;
comment on function auth.protect_narrowing(regclass, jsonb) is 'Part of auth.protect(): statements of the restrictive policies for soft delete, assurance level and scope.';
