-- TRUNCATE ignores row security, TRIGGER runs code as whoever writes, REFERENCES tells which keys exist, and a grant option hands on the rest.
create or replace view auth.lint_grant_beyond_rows with (security_invoker = true) as
  select 'grant_beyond_rows'::text as code, 'error'::text as severity, c.name as object,
         string_agg(distinct format('%s%s to %s', g.privilege, case when g.is_grantable then ' with grant option' end, g.grantee), ', ') collate pg_catalog."default" as evidence,
         string_agg(distinct format('revoke %s%s on table %s from %s;', case when g.is_grantable and not g.beyond then 'grant option for ' end, lower(g.privilege), c.name, g.grantee), ' ') collate pg_catalog."C" as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/grant_beyond_rows.md'::text as doc
  from auth.lint_relations c
  cross join lateral (
    select a.privilege_type as privilege, a.grantee as oid, a.is_grantable from aclexplode(c.relacl) a
    union all
    select format('%s (%I)', a.privilege_type, t.attname), a.grantee, a.is_grantable
    from pg_catalog.pg_attribute t cross join lateral aclexplode(t.attacl) a
    where t.attrelid = c.oid and not t.attisdropped and t.attacl is not null) a
  cross join lateral (
    select a.privilege, a.is_grantable, case a.oid when 0 then 'public' else a.oid::regrole::text end as grantee,
           case c.relkind when 'm' then false when 'v' then a.privilege = 'TRIGGER' else a.privilege ~ '^(TRUNCATE|TRIGGER|REFERENCES|MAINTAIN)' end as beyond) g
  where (g.beyond or g.is_grantable)
    and (a.oid = 0 or exists (select from auth.lint_request_roles r where r.oid = a.oid))
  group by c.oid, c.name;
revoke all on auth.lint_grant_beyond_rows from public;
grant select on auth.lint_grant_beyond_rows to fluxbase_admin;
comment on view auth.lint_grant_beyond_rows is 'Rights of requests that row security does not bound.';
