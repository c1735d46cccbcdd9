-- Roles, their memberships, and the schema that holds the version.
--
-- Roles belong to the whole cluster and not to one database, so this is not a migration. A DBA reads it and runs it;
-- `fluxbase migrate` runs the same text when it may. Running it again changes nothing.
--
--   psql -v ON_ERROR_STOP=1 -f schema/roles.sql                                      as the user who will install
--   psql -v ON_ERROR_STOP=1 -c "set fluxbase.installer = 'app'" -f schema/roles.sql  as a DBA, for the user app
--
-- The running user is a superuser, or has CREATEROLE and owns the database. What it may not do is collected and
-- reported as one list of statements. No passwords here: set them with \password, or with
-- `fluxbase migrate --login-passwords-from FILE`.

-- 1. Look first. Nothing has been changed when one of these stops.
do $$
declare
  v_installer text;
  v_found text;
begin
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  v_installer := coalesce(nullif(current_setting('fluxbase.installer', true), ''), session_user);

  if current_setting('server_version_num')::integer < 150000 then
    raise exception using errcode = '0A000',
      message = format('PostgreSQL %s is too old', current_setting('server_version')),
      detail = 'Fluxbase needs PostgreSQL 15 or later.';
  end if;

  if getdatabaseencoding() <> 'UTF8' then
    raise exception using errcode = '0A000',
      message = format('database %I has the encoding %s', current_database(), getdatabaseencoding()),
      detail = 'Fluxbase needs a database whose encoding is UTF8.';
  end if;

  if current_setting('standard_conforming_strings') = 'off' then
    raise exception using errcode = '0A000',
      message = 'standard_conforming_strings is off',
      detail = 'The patterns in constraints and functions of ours would lose their backslashes, when they are made and when they run.',
      hint = format('alter database %I set standard_conforming_strings = on, and off for the roles alone that need it', current_database());
  end if;

  if not exists (select from pg_roles r where r.rolname = v_installer) then
    raise exception using errcode = '42704',
      message = format('role %I does not exist', v_installer),
      detail = 'The setting fluxbase.installer names the user who will run the migrations.';
  end if;

  select string_agg(format('schema %I is owned by %I', n.nspname, r.rolname), ', ' order by n.nspname) into v_found
  from pg_namespace n join pg_roles r on r.oid = n.nspowner
  where n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase') and r.rolname <> 'fluxbase_owner';
  if v_found is not null then
    raise exception using errcode = '42P06',
      message = 'this database has a schema of our name that is not ours',
      detail = format('Found: %s. Ours are owned by fluxbase_owner.', v_found),
      hint = 'Install into another database, or rename that schema. Nothing was changed.';
  end if;

  select string_agg(format('%I.%I is owned by %I', n.nspname, c.relname, r.rolname), ', ') into v_found
  from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_roles r on r.oid = c.relowner
  where n.nspname = 'fluxbase' and c.relname = 'schema_version' and r.rolname <> 'fluxbase_owner';
  if v_found is not null then
    raise exception using errcode = '42P07',
      message = 'the version table is not ours',
      detail = format('Found: %s. A migration was run without role=fluxbase_owner.', v_found),
      hint = 'alter table fluxbase.schema_version owner to fluxbase_owner;';
  end if;

  select string_agg(quote_ident(r.rolname), ', ' order by r.rolname) into v_found
  from pg_roles r
  where (r.rolsuper or r.rolbypassrls or r.rolreplication or r.rolcreaterole)
    and r.rolname in ('fluxbase_owner', 'fluxbase_api', 'fluxbase_service', 'fluxbase_server',
                      'fluxbase_admin', 'fluxbase_auditor', 'fluxbase_author', 'anon', 'authenticated');
  if v_found is not null then
    raise exception using errcode = '42501',
      message = format('these roles have too many rights: %s', v_found),
      detail = 'None of them may be SUPERUSER, BYPASSRLS, REPLICATION or CREATEROLE.',
      hint = 'alter role NAME nosuperuser nobypassrls noreplication nocreaterole;';
  end if;
end $$;

-- 2. Roles, memberships, rights on the database, timeouts of the logins. Only what is missing is run.
do $$
declare
  v_installer text;
  v_set text := '';
  v_inherit text := '';
  v_step record;
  v_needed text[] := '{}';
  v_refused boolean := false;
begin
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  v_installer := coalesce(nullif(current_setting('fluxbase.installer', true), ''), session_user);
  -- From 16 on a membership carries its own options; on 15 a NOINHERIT member is all there is.
  if current_setting('server_version_num')::integer >= 160000 then
    v_set := ' with inherit false, set true';
    v_inherit := ' with inherit true, set true';
  end if;

  for v_step in
    with
    wanted_role (ord, name, attributes) as (values
      (1, 'fluxbase_owner',   'nologin noinherit'),
      (2, 'anon',             'nologin noinherit'),
      (3, 'authenticated',    'nologin noinherit'),
      (4, 'service_role',     'nologin noinherit'),
      (5, 'fluxbase_admin',   'nologin noinherit'),
      (6, 'fluxbase_auditor', 'nologin noinherit'),
      (7, 'fluxbase_author',  'nologin noinherit'),
      (8, 'fluxbase_api',     'login noinherit'),
      (9, 'fluxbase_service', 'login noinherit'),
      (10, 'fluxbase_server', 'login noinherit')),
    -- The logins become a request's role with SET ROLE and inherit nothing. fluxbase_admin becomes a user for
    -- auth.login_as. The installer acts as fluxbase_owner only when it says so, administers in psql, and its tables
    -- reference auth.users.
    wanted_member (ord, granted, member, inherits) as (values
      (1, 'anon',           'fluxbase_api',     false),
      (2, 'authenticated',  'fluxbase_api',     false),
      (3, 'service_role',   'fluxbase_service', false),
      (4, 'anon',           'fluxbase_admin',   false),
      (5, 'authenticated',  'fluxbase_admin',   false),
      (6, 'service_role',   'fluxbase_admin',   false),
      (7, 'fluxbase_owner', v_installer,        false),
      (8, 'fluxbase_admin', v_installer,        true),
      (9, 'fluxbase_author', v_installer,       true)),
    -- The options are read through jsonb because 15 has no such columns.
    held as (
      select r.rolname as granted, u.rolname as member,
             bool_or(coalesce((to_jsonb(m) ->> 'set_option')::boolean, true)) as may_set,
             bool_or(coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, true)) as inherits
      from pg_auth_members m join pg_roles r on r.oid = m.roleid join pg_roles u on u.oid = m.member
      group by 1, 2),
    wanted_setting (ord, name, value) as (values
      (1, 'statement_timeout', '15s'),
      (2, 'lock_timeout', '5s'),
      (3, 'idle_in_transaction_session_timeout', '30s'),
      -- Compiling a short query takes a thousand times as long as running it.
      (4, 'jit', 'off'),
      -- From 17 on this ends a batch that stalls in the middle; before, nothing in PostgreSQL does.
      (5, 'transaction_timeout', '60s'))
    select 1 as part, w.ord, true as required, format('create role %I %s', w.name, w.attributes) as statement
    from wanted_role w
    where not exists (select from pg_roles r where r.rolname = w.name)
    union all
    select 2, w.ord, true, format('alter role %I %s', w.name, w.attributes)
    from wanted_role w join pg_roles r on r.rolname = w.name
    where w.name like 'fluxbase\_%' and (r.rolinherit or r.rolcanlogin <> (w.attributes like 'login%'))
    union all
    select 3, w.ord, true,
           format('grant %I to %I%s', w.granted, w.member, case when w.inherits then v_inherit else v_set end)
    from wanted_member w
    where not exists (select from held h where h.granted = w.granted and h.member = w.member and h.may_set
                        and (h.inherits or not w.inherits))
    union all
    select 4, 1, true, format('grant create on database %I to fluxbase_owner', current_database())
    where not exists (select from pg_roles r where r.rolname = 'fluxbase_owner'
                        and has_database_privilege(r.oid, current_database(), 'create'))
    union all
    select 5, w.ord, true, format('grant connect on database %I to %I', current_database(), w.name)
    from wanted_role w
    where w.attributes like 'login%'
      and not coalesce((select has_database_privilege(r.oid, current_database(), 'connect') from pg_roles r where r.rolname = w.name),
                       has_database_privilege('public', current_database(), 'connect'))
    union all
    select 6, w.ord * 10 + s.ord, false, format('alter role %I set %s = %L', w.name, s.name, s.value)
    from wanted_role w cross join wanted_setting s
    where w.attributes like 'login%'
      and (s.name <> 'transaction_timeout' or current_setting('server_version_num')::integer >= 170000)
      and not exists (select from pg_db_role_setting g, pg_roles r, unnest(g.setconfig) c
                      where r.rolname = w.name and g.setrole = r.oid and c like s.name || '=%'
                        and (g.setdatabase = 0
                             or g.setdatabase = (select d.oid from pg_database d where d.datname = current_database())))
    order by 1, 2
  loop
    v_needed := v_needed || (v_step.statement || ';');
    begin
      execute v_step.statement;
    exception
      when duplicate_object or unique_violation then
        null;  -- another installation on this cluster was faster
      when insufficient_privilege or undefined_object then
        v_refused := v_refused or v_step.required;
    end;
  end loop;

  -- A GRANT on the database by somebody who may not is only a warning.
  v_refused := v_refused or exists (
    select from pg_roles r
    where (r.rolname = 'fluxbase_owner' and not has_database_privilege(r.oid, current_database(), 'create'))
       or (r.rolname in ('fluxbase_api', 'fluxbase_service', 'fluxbase_server')
           and not has_database_privilege(r.oid, current_database(), 'connect')));

  if v_refused then
    raise exception using errcode = '42501',
      message = format('%I may not make the roles of Fluxbase', current_user),
      detail = array_to_string(v_needed, E'\n'),
      hint = format('A superuser runs these statements in this database, or schema/roles.sql after '
                    'set fluxbase.installer = %L; then repeat. Nothing was changed.', v_installer);
  end if;
end $$;

-- 3. The schema fluxbase and the version table, made by their owner. tern counts in it; nothing else makes it.
do $$
declare
  v_role text := current_setting('role');
begin
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  if exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname = 'fluxbase' and c.relname = 'schema_version') then
    return;
  end if;
  begin
    perform set_config('role', 'fluxbase_owner', true);
  exception when insufficient_privilege then
    raise exception using errcode = '42501',
      message = format('%I may not become fluxbase_owner', session_user),
      detail = 'The roles are ready; the schema fluxbase is made when the installing user runs this file.';
  end;
  create schema if not exists fluxbase;
  create table fluxbase.schema_version (version integer not null);
  insert into fluxbase.schema_version (version) values (0);
  comment on schema fluxbase is 'Fluxbase: version, settings and entry points of the server''s logins.';
  comment on table fluxbase.schema_version is 'The last migration that was applied; written by tern.';
  perform set_config('role', v_role, true);
end $$;
