-- TRUNCATE ignores row security, TRIGGER runs code as whoever writes, REFERENCES tells which keys exist, and a grant option hands on the rest.
create or replace view auth.lint_grant_beyond_rows with (security_invoker = true) as
  select 'grant_beyond_rows'::text as code, 'error'::text as severity, c.name as object, x.evidence collate pg_catalog."default" as evidence,
         concat_ws(' ',
           auth.lint_revoke(p_object => 'table ' || c.name, p_acl => c.relacl, p_owner => c.relowner, p_privileges => k.beyond),
           auth.lint_revoke(p_object => 'table ' || c.name, p_acl => c.relacl, p_owner => c.relowner, p_privileges => k.within, p_only_option => true),
           (select string_agg(s.fix, ' ' order by t.attnum)
            from pg_catalog.pg_attribute t
            cross join lateral (
              select concat_ws(' ', auth.lint_revoke(p_object => 'table ' || c.name, p_acl => t.attacl, p_owner => c.relowner, p_privileges => k.beyond, p_column => t.attname::text),
                auth.lint_revoke(p_object => 'table ' || c.name, p_acl => t.attacl, p_owner => c.relowner, p_privileges => k.within, p_column => t.attname::text, p_only_option => true)) as fix) s
            where t.attrelid = c.oid and not t.attisdropped and t.attacl is not null and s.fix <> '')) collate pg_catalog."C" as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/grant_beyond_rows.md'::text as doc
  from auth.lint_relations c
  cross join lateral (
    select array(select p from unnest(r.all_rights) p where case c.relkind when 'm' then false when 'v' then p = 'TRIGGER' else p in ('TRUNCATE', 'TRIGGER', 'REFERENCES', 'MAINTAIN') end) as beyond,
           array(select p from unnest(r.all_rights) p where case c.relkind when 'm' then true when 'v' then p <> 'TRIGGER' else p not in ('TRUNCATE', 'TRIGGER', 'REFERENCES', 'MAINTAIN') end) as within
    from (select array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN']) r (all_rights)) k
  cross join lateral (
    select string_agg(distinct format('%s%s%s to %s', a.privilege_type, a.of_column, case when a.is_grantable then ' with grant option' end,
                                      case a.grantee when 0 then 'public' else a.grantee::regrole::text end), ', ') as evidence
    from (
      select g.privilege_type, '' as of_column, g.grantee, g.is_grantable from aclexplode(c.relacl) g
      union all
      select g.privilege_type, format(' (%I)', t.attname), g.grantee, g.is_grantable
      from pg_catalog.pg_attribute t cross join lateral aclexplode(t.attacl) g
      where t.attrelid = c.oid and not t.attisdropped and t.attacl is not null) a
    where (a.is_grantable or a.privilege_type = any (k.beyond))
      and (a.grantee = 0 or exists (select from auth.lint_request_roles r where r.oid = a.grantee))) x
  where x.evidence is not null;
revoke all on auth.lint_grant_beyond_rows from public;
grant select on auth.lint_grant_beyond_rows to fluxbase_admin;
comment on view auth.lint_grant_beyond_rows is 'Rights of requests that row security does not bound.';
