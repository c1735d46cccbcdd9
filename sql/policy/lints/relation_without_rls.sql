-- Materialized views and foreign tables have no row security: whoever may read them reads everything.
create or replace view auth.lint_relation_without_rls with (security_invoker = true) as
  select 'relation_without_rls'::text as code, 'warning'::text as severity, c.name as object,
         format('%s may use this %s, which has no row security', c.roles, case c.relkind when 'm' then 'materialized view' else 'foreign table' end) as evidence,
         coalesce(auth.lint_revoke(p_object => 'table ' || c.name, p_acl => auth.lint_relation_acl(p_relation_id => c.oid), p_owner => c.relowner),
           'no grant gives it: see the findings of role_bypasses_rls') as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/relation_without_rls.md'::text as doc
  from auth.lint_exposed c
  where c.relkind in ('m', 'f');
revoke all on auth.lint_relation_without_rls from public;
grant select on auth.lint_relation_without_rls to fluxbase_admin;
comment on view auth.lint_relation_without_rls is 'Materialized views and foreign tables that requests reach.';
