-- Default privileges that give every future object to requests: a new table is open before its first policy.
create or replace view auth.lint_default_grants with (security_invoker = true) as
  select 'default_grants'::text as code, 'warning'::text as severity,
         format('default privileges of %s%s', d.defaclrole::regrole, case when d.defaclnamespace <> 0 then format(' in schema %I', n.nspname) else '' end) as object,
         format('every new %s grants %s to %s', k.kind, string_agg(distinct lower(a.privilege_type), ', '), string_agg(distinct g.grantee, ', ')) as evidence,
         format('alter default privileges for role %s%s revoke %s on %ss from %s;', d.defaclrole::regrole,
           case when d.defaclnamespace <> 0 then format(' in schema %I', n.nspname) else '' end, string_agg(distinct lower(a.privilege_type), ', '), k.kind, string_agg(distinct g.grantee, ', ')) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/default_grants.md'::text as doc
  from pg_catalog.pg_default_acl d left join pg_catalog.pg_namespace n on n.oid = d.defaclnamespace
  join (values ('r', 'table'), ('f', 'function'), ('S', 'sequence'), ('n', 'schema')) k (objtype, kind) on k.objtype = d.defaclobjtype::text
  cross join lateral aclexplode(d.defaclacl) a
  cross join lateral (select case a.grantee when 0 then 'public' else a.grantee::regrole::text end as grantee) g
  where (a.grantee = 0 or exists (select from auth.lint_request_roles r where r.oid = a.grantee))
    -- PostgreSQL's own default, which is there again as soon as a role has any default for functions.
    and not (d.defaclobjtype = 'f' and d.defaclnamespace = 0 and a.grantee = 0)
    -- A sequence by itself tells nothing; what may set it or read it does.
    and not (d.defaclobjtype = 'S' and a.privilege_type = 'USAGE')
  group by d.oid, d.defaclrole, d.defaclnamespace, n.nspname, k.kind;
revoke all on auth.lint_default_grants from public;
grant select on auth.lint_default_grants to fluxbase_admin;
comment on view auth.lint_default_grants is 'Default privileges that open future objects to requests.';
