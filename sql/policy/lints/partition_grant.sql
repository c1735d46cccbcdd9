-- Whoever names a partition or a child table directly passes by the policies of its parent.
create or replace view auth.lint_partition_grant with (security_invoker = true) as
  select 'partition_grant'::text as code, 'error'::text as severity, c.name as object,
         format('%s may use this partition or child directly', c.roles) as evidence,
         format('revoke all on table %s from public, %s;', c.name, c.roles) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/partition_grant.md'::text as doc
  from auth.lint_exposed c
  where c.is_child;
revoke all on auth.lint_partition_grant from public;
grant select on auth.lint_partition_grant to fluxbase_admin;
comment on view auth.lint_partition_grant is 'Partitions and child tables that requests may name directly.';
