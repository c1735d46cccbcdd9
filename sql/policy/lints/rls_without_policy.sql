-- Granted, closed, and no policy opens it: requests get no rows and no error, which looks like missing data.
create or replace view auth.lint_rls_without_policy with (security_invoker = true) as
  select 'rls_without_policy'::text as code, 'info'::text as severity, c.name as object,
         format('%s may use it, and no policy lets them see a row', c.roles) as evidence,
         'write a policy, or take the grant away' || coalesce((
           select format('; what a template would do: select auth.protect(%L, %L, p_dry_run => true)', c.name, case a.attname when 'user_id' then 'owner' else 'tenant' end)
           from pg_catalog.pg_attribute a
           where a.attrelid = c.oid and a.attname in ('user_id', 'org_id') and a.atttypid = 'pg_catalog.uuid'::regtype
           order by a.attname desc limit 1), '') as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/rls_without_policy.md'::text as doc
  from auth.lint_exposed c
  where c.relkind in ('r', 'p') and c.relrowsecurity and not c.is_child
    and not exists (
      select from pg_catalog.pg_policy p
      where p.polrelid = c.oid and p.polpermissive
        and (0 = any (p.polroles) or exists (select from auth.lint_request_roles r, unnest(p.polroles) u (oid)
                                             where u.oid <> 0 and pg_has_role(r.oid, u.oid, 'usage'))));
revoke all on auth.lint_rls_without_policy from public;
grant select on auth.lint_rls_without_policy to fluxbase_admin;
comment on view auth.lint_rls_without_policy is 'Tables that requests may use and that no policy opens.';
