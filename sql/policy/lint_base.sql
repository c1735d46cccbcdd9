-- What the lints of auth.check() stand on.  Tables: the catalog and auth.settings.  Caller: fluxbase_admin.
-- Each lint is a view of its own in lints/, with the columns code, severity, object, evidence, fix, doc.

-- SQL of a request may also become what these roles are members of.  Roles whose rights have no end are role_bypasses_rls's affair.
create or replace view auth.lint_request_roles with (security_invoker = true) as
  with recursive reach (oid, name) as (
    select r.oid, r.rolname::text
    from pg_catalog.pg_roles r
    where r.rolname in ('anon', 'authenticated')
       or r.rolname = any (string_to_array(auth.setting(p_key => 'request_roles'), ','))
    union
    select g.oid, g.rolname::text
    from reach join pg_catalog.pg_auth_members m on m.member = reach.oid join pg_catalog.pg_roles g on g.oid = m.roleid
    where not (g.rolsuper or g.rolbypassrls or g.rolcreaterole or g.rolreplication or g.rolname = 'service_role' or g.rolname ~ '^(pg|fluxbase)_')
      and not exists (select from pg_catalog.pg_class c where c.relowner = g.oid))
  select reach.oid, reach.name from reach;
revoke all on auth.lint_request_roles from public;
grant select on auth.lint_request_roles to fluxbase_admin;
comment on view auth.lint_request_roles is 'Roles that a request without a service key may run as.';

-- Schemas of PostgreSQL, of Fluxbase and of sessions are nobody's application; objects of an extension are the extension's.
create or replace view auth.lint_relations with (security_invoker = true) as
  select c.oid, n.oid as schema_id, n.nspname::text as schema, format('%I.%I', n.nspname, c.relname) as name, c.relkind, c.relowner,
         c.relrowsecurity, c.relforcerowsecurity, c.relacl, c.reloptions,
         c.relispartition or exists (select from pg_catalog.pg_inherits i where i.inhrelid = c.oid) as is_child
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't'
    and n.nspname not in ('auth', 'audit', 'ratelimit', 'fluxbase', 'information_schema') and n.nspname !~ '^pg_'
    and not exists (select from pg_catalog.pg_depend d
                    where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e');
revoke all on auth.lint_relations from public;
grant select on auth.lint_relations to fluxbase_admin;
comment on view auth.lint_relations is 'Tables, partitions, views and foreign tables of the application.';

create or replace view auth.lint_exposed with (security_invoker = true) as
  select c.*, e.roles
  from auth.lint_relations c
  cross join lateral (
    select string_agg(quote_ident(r.name), ', ' order by r.name) as roles
    from auth.lint_request_roles r
    where has_schema_privilege(r.oid, c.schema_id, 'usage')
      and (has_table_privilege(r.oid, c.oid, 'select, insert, update, delete')
           or has_any_column_privilege(r.oid, c.oid, 'select, insert, update'))) e
  where e.roles is not null;
revoke all on auth.lint_exposed from public;
grant select on auth.lint_exposed to fluxbase_admin;
comment on view auth.lint_exposed is 'Relations of the application that a role of requests may read or write, with those roles.';

create or replace view auth.lint_logins with (security_invoker = true) as
  select r.oid, r.rolname::text as name, r.rolname not in ('fluxbase_service', 'fluxbase_server') as for_requests
  from pg_catalog.pg_roles r
  where r.rolname in ('fluxbase_api', 'fluxbase_service', 'fluxbase_server')
     or r.rolcanlogin and exists (
       select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace cross join lateral aclexplode(p.proacl) a
       where n.nspname = 'fluxbase' and p.proname = 'begin_request' and a.grantee = r.oid and a.privilege_type = 'EXECUTE');
revoke all on auth.lint_logins from public;
grant select on auth.lint_logins to fluxbase_admin;
comment on view auth.lint_logins is 'Logins of the server, and those that auth.allow_data_login() let in.';

-- body is without comments; of a function whose body is bound, as PostgreSQL prints it.  code is without texts in quotes, too, unless it
-- executes some of them.
create or replace view auth.lint_functions with (security_invoker = true) as
  select f.oid, f.schema_id, f.schema, f.bare_name, f.name, f.kind, f.prosecdef, f.proowner, f.proacl, f.proconfig, f.prorettype, f.is_bound, f.is_trigger, f.body,
         case when f.body ~* '\mexecute\M' then f.body else regexp_replace(f.body, '''([^'']|'''')*''', '''''', 'g') end as code
  from (
    select p.oid, n.oid as schema_id, n.nspname::text as schema, format('%I.%I', n.nspname, p.proname) as bare_name,
           -- Of an ordered-set aggregate the identity arguments are nothing that a statement takes.
           format('%I.%I(%s)', n.nspname, p.proname, case p.prokind when 'a' then oidvectortypes(p.proargtypes) else pg_get_function_identity_arguments(p.oid) end) as name,
           case p.prokind when 'p' then 'procedure' else 'function' end as kind,
           p.prosecdef, p.proowner, p.proacl, p.proconfig, p.prorettype, p.prosqlbody is not null as is_bound,
           p.prorettype in ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype) as is_trigger,
           regexp_replace(coalesce(pg_get_function_sqlbody(p.oid), p.prosrc), '(''(?:[^'']|'''')*'')|--[^\n]*|/\*(?:[^*]|\*+[^*/])*\*+/', '\1', 'g') as body
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname not in ('auth', 'audit', 'ratelimit', 'fluxbase', 'information_schema') and n.nspname !~ '^pg_'
      and not exists (select from pg_catalog.pg_depend d
                      where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')) f;
revoke all on auth.lint_functions from public;
grant select on auth.lint_functions to fluxbase_admin;
comment on view auth.lint_functions is 'Functions and procedures of the application.';

-- What the setting names, in its order: {pg_catalog,"$user",pg_temp}.  A list in one pair of quotes is one name, of no schema.
create or replace function auth.lint_search_path(p_setting text)
returns text[] language sql immutable parallel safe security invoker set search_path = pg_catalog, pg_temp
return array(
  select coalesce(replace(m.found[1], '""', '"'), lower(btrim(m.found[2])))
  from regexp_matches(p_setting, '(?:"((?:[^"]|"")*)"|([^",]+))\s*(?:,\s*|$)', 'g') with ordinality m (found, ord)
  order by m.ord);
revoke all on function auth.lint_search_path(text) from public;
grant execute on function auth.lint_search_path(text) to fluxbase_admin;
comment on function auth.lint_search_path(text) is 'The schemas that a value of search_path names, in its order.';

-- Rights go as they came: what another than the owner gave is revoked as that role, and what was handed on goes with it.
-- p_acl may be of columns, whose name p_column is; p_grantees null: everybody, and the roles of requests; p_privileges null: all.
create or replace function auth.lint_revoke(p_object text, p_acl aclitem[], p_owner oid, p_privileges text[] default null, p_column text default null,
                                            p_grantees oid[] default null, p_only_option boolean default false)
returns text language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return (
    select string_agg(
      format(case when g.grantor = p_owner then '%2$s' else 'set role %1$s; %2$s reset role;' end, g.grantor::regrole,
        format('revoke %s%s on %s from %s%s;', case when p_only_option then 'grant option for ' end,
          case when p_privileges is null then 'all' else g.privileges end, p_object, g.grantees, case when g.handed_on then ' cascade' end)),
      ' ' order by g.grantor = p_owner, g.grantees)
    from (
      select a.grantor, string_agg(distinct lower(a.privilege_type) || coalesce(' (' || quote_ident(p_column) || ')', ''), ', ') as privileges,
             string_agg(distinct case a.grantee when 0 then 'public' else a.grantee::regrole::text end, ', ') as grantees,
             bool_or(exists (select from aclexplode(p_acl) h where h.grantor = a.grantee and h.grantor <> p_owner)) as handed_on
      from aclexplode(p_acl) a
      where a.grantee = any (coalesce(p_grantees, array(select r.oid from auth.lint_request_roles r) || 0::oid))
        and (p_privileges is null or a.privilege_type = any (p_privileges)) and (a.is_grantable or not p_only_option)
      group by a.grantor) g);
end $$;
revoke all on function auth.lint_revoke(text, aclitem[], oid, text[], text, oid[], boolean) from public;
grant execute on function auth.lint_revoke(text, aclitem[], oid, text[], text, oid[], boolean) to fluxbase_admin;
comment on function auth.lint_revoke(text, aclitem[], oid, text[], text, oid[], boolean) is
  'Statements that take rights away which a list of them holds; null where it holds none.';

create or replace function auth.lint_relation_acl(p_relation_id oid)
returns aclitem[] language sql stable security invoker set search_path = pg_catalog, pg_temp
return (
  select array_agg(i.item)
  from (select unnest(c.relacl) as item from pg_class c where c.oid = p_relation_id
        union all
        select unnest(a.attacl) from pg_attribute a where a.attrelid = p_relation_id and not a.attisdropped) i);
revoke all on function auth.lint_relation_acl(oid) from public;
grant execute on function auth.lint_relation_acl(oid) to fluxbase_admin;
comment on function auth.lint_relation_acl(oid) is 'Rights on a relation and on its columns, which "revoke all" takes together.';

-- A function and not a view: under the pinned search_path an expression is printed with every name qualified.
-- code is both expressions with the text of literals taken out, so that a search finds what is called and nothing that is said.
create or replace function auth.lint_policies()
returns table (policy_id oid, relation_id oid, object text, relation text, command "char", permissive boolean, roles oid[],
               using_expression text, check_expression text, code text)
language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select p.oid, p.polrelid, format('policy %I on %s', p.polname, r.name), r.name, p.polcmd, p.polpermissive, p.polroles, e.u, e.c,
           regexp_replace(concat_ws(' ', e.u, e.c), '''([^'']|'''')*''', '''''', 'g')
    from pg_policy p join auth.lint_relations r on r.oid = p.polrelid
    cross join lateral (select pg_get_expr(p.polqual, p.polrelid) as u, pg_get_expr(p.polwithcheck, p.polrelid) as c) e;
end $$;
revoke all on function auth.lint_policies() from public;
grant execute on function auth.lint_policies() to fluxbase_admin;
comment on function auth.lint_policies() is 'Policies of the application with their expressions, every name qualified.';

create or replace function auth.lint_mentions(p_expression text, p_column text)
returns boolean language sql immutable parallel safe security invoker set search_path = pg_catalog, pg_temp
return regexp_replace(p_expression, '''([^'']|'''')*''', '''''', 'g')
  ~ ('(^|[^[:alnum:]_"])' || regexp_replace(p_column, '([^[:alnum:]_ ])', '\\\1', 'g') || '($|[^[:alnum:]_"(])');
revoke all on function auth.lint_mentions(text, text) from public;
grant execute on function auth.lint_mentions(text, text) to fluxbase_admin;
comment on function auth.lint_mentions(text, text) is 'Whether a printed expression names a column, which is given as it is printed.';

-- Columns that a policy compares with a value known before the first row: col = (select ...), (select ...) = col, col = any ((select ...)::t[]).
create or replace function auth.lint_policy_columns()
returns table (relation_id oid, attnum smallint, column_name text, object text, kind text)
language plpgsql stable security invoker set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select distinct p.relation_id, a.attnum, a.attname::text, p.object,
      case when m.found ~ 'auth\.(org_ids|org_ids_with_role|current_org_id)\(' then 'tenant'
           -- Compared with something of one's own: a key to organizations, or the usual names.
           when a.attname ~ '^(tenant|org|organi[sz]ation)(_?id)?$'
                or exists (select from pg_constraint k where k.conrelid = p.relation_id and k.contype = 'f' and k.confrelid = 'auth.organizations'::regclass and a.attnum = any (k.conkey)) then 'tenant'
           when m.found ~ 'auth\.(current_user_id|uid)\(' and m.found !~ 'ANY ' then 'user'
           else 'other' end
    from auth.lint_policies() p
    join pg_depend d on d.classid = 'pg_policy'::regclass and d.objid = p.policy_id and d.refclassid = 'pg_class'::regclass
      and d.refobjid = p.relation_id and d.refobjsubid > 0
    join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    cross join lateral (select regexp_replace(quote_ident(a.attname), '([^[:alnum:]_ ])', '\\\1', 'g') as pattern) n
    cross join lateral (
      select f.texts[1] as found
      from regexp_matches(p.code, '(?:^|[^[:alnum:]_".])(' || n.pattern || ' = (?:ANY )?(?:\(*ARRAY)?\(+ ?SELECT [a-z_]*[^ ]*)', 'g') f (texts)
      union all
      select substring(f.texts[1] from '.*(SELECT .*)$')
      from regexp_matches(p.code, '(\( ?SELECT (?:[^=<>]|->>?)*\)(?:::[a-z_]+)? = ' || n.pattern || ')(?:$|[^[:alnum:]_"(.])', 'g') f (texts)) m
    where p.permissive;
end $$;
revoke all on function auth.lint_policy_columns() from public;
grant execute on function auth.lint_policy_columns() to fluxbase_admin;
comment on function auth.lint_policy_columns() is 'Columns that policies compare with a value asked once per query: of the tenant, of the user, or other.';
