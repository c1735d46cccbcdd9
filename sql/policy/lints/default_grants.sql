-- Default privileges that give every future table to requests: a new table is open before its first policy.
create or replace view auth.lint_default_grants with (security_invoker = true) as
  select 'default_grants'::text as code, 'warning'::text as severity, format('default privileges of %I%s', d.defaclrole::regrole::text, case when d.defaclnamespace <> 0 then format(' in schema %I', n.nspname) else '' end) as object,
         format('every new table grants %s to %s', string_agg(distinct lower(a.privilege_type), ', '), string_agg(distinct case a.grantee when 0 then 'public' else a.grantee::regrole::text end, ', ')) as evidence,
         format('alter default privileges for role %s%s revoke all on tables from %s;', d.defaclrole::regrole, case when d.defaclnamespace <> 0 then format(' in schema %I', n.nspname) else '' end, string_agg(distinct case a.grantee when 0 then 'public' else a.grantee::regrole::text end, ', ')) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/default_grants.md'::text as doc
  from pg_catalog.pg_default_acl d left join pg_catalog.pg_namespace n on n.oid = d.defaclnamespace
  cross join lateral aclexplode(d.defaclacl) a
  where d.defaclobjtype = 'r' and (a.grantee = 0 or exists (select from auth.lint_request_roles r where r.oid = a.grantee))
  group by d.oid, d.defaclrole, d.defaclnamespace, n.nspname;
revoke all on auth.lint_default_grants from public;
grant select on auth.lint_default_grants to fluxbase_admin;
comment on view auth.lint_default_grants is 'Default privileges that open future tables to requests.';
