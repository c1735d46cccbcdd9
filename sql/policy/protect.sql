-- Access rules from templates.  Tables: the one that is named; team and shared also the table of members or shares.
-- Caller: the owner of the table.  Invoker and executable by everybody, as auth.enable_rls(): PostgreSQL checks every step.
-- What is emitted is ordinary SQL: policies that name their roles and compare one indexed column with a value that is
-- asked once per query.  service_role and maintenance roles have policies of their own and are never OR-ed into a user's.
-- Policies named protect_... belong to these two functions; everything else on the table is left alone.
-- The statements are made by the functions in protect/, and run here.

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
  v_owned boolean := p_template in ('owner', 'public_read', 'shared');
  v_of_org boolean := p_template in ('tenant', 'members_write');
  v_public boolean := p_template in ('public_read', 'members_write');  -- reading is wider than writing
  v_column text := case when v_owned then p_user_column when v_of_org then p_org_column else p_team_column end;
  v_problem record;
  v_options jsonb;                    -- what the parts in protect/ share, made once
  v_before text[];
  v_policies text[];
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
  perform auth.protect_check_roles(p_roles => p_roles || coalesce(p_read_roles, array[]::text[]) || p_maintenance_roles);
  perform auth.protect_check_maintenance(p_maintenance_roles => p_maintenance_roles, p_roles => p_roles || coalesce(p_read_roles, array[]::text[]));
  if p_template = 'team' then
    perform auth.protect_check_members(p_table => p_table, p_members => p_members);
  end if;

  -- Lists of roles and of values are SQL, relations are oids, columns are names as they are.
  v_options := jsonb_build_object(
    'template', p_template, 'belongs_to', case when v_owned then 'user' when v_of_org then 'organization' else 'team' end, 'public', v_public,
    'column', v_column, 'user_column', p_user_column, 'team_column', p_team_column, 'members', p_members::oid, 'expires_column', p_expires_column,
    'roles', (select string_agg(quote_ident(r), ', ') from unnest(p_roles) r),
    'readers', (select string_agg(quote_ident(r), ', ')
                from unnest(coalesce(p_read_roles, case when p_template = 'public_read' then array['anon', 'authenticated'] else p_roles end)) r),
    'write_org_roles', p_write_org_roles::text, 'active_org', p_active_org,
    'published_column', p_published_column, 'deleted_column', p_deleted_column, 'aal', p_aal, 'scope', p_scope, 'grants', p_grants);
  perform auth.protect_check_columns(p_table => p_table, p_options => v_options);

  -- 2. Defaults first: they are what makes "insert ... (title)" pass the policy.
  v_before := array[format('select auth.enable_rls(p_table => %L)', p_table::text)];
  if p_defaults and p_template <> 'team' and not exists (
       select from pg_attribute a where a.attrelid = p_table and a.attname = v_column and (a.atthasdef or a.attidentity <> '' or a.attgenerated <> '')) then
    v_before := v_before || format('alter table %s alter column %I set default %s', p_table, v_column,
      case when v_owned then 'auth.current_user_id()' else 'auth.current_org_id()' end);
  end if;

  -- 3. Policies, and the tables that they read.
  v_policies := auth.protect_policies(p_table => p_table, p_options => v_options);
  if p_template = 'team' then
    v_after := auth.protect_members(p_options => v_options);
  elsif p_template = 'shared' then
    v_options := v_options || auth.protect_shares(p_table => p_table, p_shares => p_shares);
    v_before := v_before || auth.protect_shares_table(p_table => p_table, p_options => v_options);
    v_policies := v_policies || auth.protect_shares_policies(p_table => p_table, p_options => v_options);
  end if;
  v_policies := v_policies || auth.protect_narrowing(p_table => p_table, p_options => v_options);
  if cardinality(p_maintenance_roles) > 0 then
    v_policies := v_policies || auth.policy_statement(p_table => p_table::text, p_name => 'protect_maintenance', p_command => 'all',
      p_roles => (select string_agg(quote_ident(r), ', ') from unnest(p_maintenance_roles) r), p_rule => 'true');
  end if;

  -- 4. Grants, indexes, views.
  v_after := v_after || auth.protect_grants(p_table => p_table, p_options => v_options);
  if p_indexes then
    v_after := v_after || auth.protect_indexes(p_table => p_table, p_options => v_options);
  end if;
  if p_views then
    v_after := v_after || auth.protect_views(p_table => p_table);
  end if;

  -- 5. Print, or run and print.
  foreach v_statement in array
    v_before
    || array(select format('drop policy %I on %s', p.polname, p_table) from pg_policy p
             where p.polrelid = p_table and starts_with(p.polname, 'protect_') order by p.polname)
    || v_policies || v_after
  loop
    if not p_dry_run then
      execute v_statement;
    end if;
    return next v_statement || ';';
  end loop;
  if p_template = 'shared' and not p_dry_run then
    perform auth.protect_check_updates(p_table => p_table, p_roles => p_roles, p_columns => array[v_options ->> 'key', v_column]);
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
