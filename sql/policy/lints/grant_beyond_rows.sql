-- TRUNCATE ignores row security, TRIGGER runs code as whoever writes, REFERENCES tells which keys exist.
create or replace view auth.lint_grant_beyond_rows with (security_invoker = true) as
  select 'grant_beyond_rows'::text as code, 'error'::text as severity, c.name as object,
         string_agg(distinct format('%s to %s', a.privilege_type, case a.grantee when 0 then 'public' else a.grantee::regrole::text end), ', ') as evidence,
         format('revoke %s on table %s from %s;', string_agg(distinct lower(a.privilege_type), ', '), c.name, string_agg(distinct case a.grantee when 0 then 'public' else a.grantee::regrole::text end, ', ')) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/grant_beyond_rows.md'::text as doc
  from auth.lint_relations c cross join lateral aclexplode(c.relacl) a
  where c.relkind in ('r', 'p', 'f') and a.privilege_type in ('TRUNCATE', 'TRIGGER', 'REFERENCES', 'MAINTAIN')
    and (a.grantee = 0 or exists (select from auth.lint_request_roles r where r.oid = a.grantee))
  group by c.oid, c.name;
revoke all on auth.lint_grant_beyond_rows from public;
grant select on auth.lint_grant_beyond_rows to fluxbase_admin;
comment on view auth.lint_grant_beyond_rows is 'Rights of requests that row security does not bound.';
