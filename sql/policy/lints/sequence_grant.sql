-- A sequence has no rows to guard: SELECT tells how many rows all tenants made, UPDATE sets it back, so that the next insert fails for everybody.
create or replace view auth.lint_sequence_grant with (security_invoker = true) as
  select 'sequence_grant'::text as code, 'warning'::text as severity, format('sequence %I.%I', n.nspname, c.relname) as object,
         string_agg(distinct format('%s to %s', a.privilege_type, g.grantee), ', ') as evidence,
         auth.lint_revoke(p_object => format('sequence %I.%I', n.nspname, c.relname), p_acl => c.relacl, p_owner => c.relowner, p_privileges => array['SELECT', 'UPDATE']) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/sequence_grant.md'::text as doc
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  cross join lateral aclexplode(c.relacl) a
  cross join lateral (select case a.grantee when 0 then 'public' else a.grantee::regrole::text end as grantee) g
  where c.relkind = 'S' and c.relpersistence <> 't' and a.privilege_type in ('SELECT', 'UPDATE')
    and n.nspname not in ('auth', 'audit', 'ratelimit', 'fluxbase', 'information_schema') and n.nspname !~ '^pg_'
    and exists (select from auth.lint_request_roles r where (r.oid = a.grantee or a.grantee = 0) and has_schema_privilege(r.oid, n.oid, 'usage'))
    and not exists (select from pg_catalog.pg_depend d
                    where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  group by c.oid, n.oid;
revoke all on auth.lint_sequence_grant from public;
grant select on auth.lint_sequence_grant to fluxbase_admin;
comment on view auth.lint_sequence_grant is 'Sequences that requests may read or set.';
