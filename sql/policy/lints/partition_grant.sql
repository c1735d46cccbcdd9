-- Whoever names a partition or a child table directly passes by the policies of its parent, and meets only its own.
create or replace view auth.lint_partition_grant with (security_invoker = true) as
  select 'partition_grant'::text as code, case when not c.relrowsecurity then 'error' when p.has_policy then 'warning' else 'info' end as severity, c.name as object,
         format('%s may use this %s of %s directly, %s', c.roles, case when k.relispartition then 'partition' else 'child' end, p.parents,
           case when not c.relrowsecurity then 'and row security is off'
                when p.has_policy then 'where its own policies hold and those above it do not'
                else 'where no policy lets them see a row' end) as evidence,
         coalesce(auth.lint_revoke(p_object => 'table ' || c.name, p_acl => auth.lint_relation_acl(p_relation_id => c.oid), p_owner => c.relowner),
           'no grant gives it: see the findings of role_bypasses_rls') as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/partition_grant.md'::text as doc
  from auth.lint_exposed c join pg_catalog.pg_class k on k.oid = c.oid
  cross join lateral (
    select (select string_agg(format('%I.%I', n.nspname, a.relname), ', ' order by i.inhseqno)
            from pg_catalog.pg_inherits i join pg_catalog.pg_class a on a.oid = i.inhparent join pg_catalog.pg_namespace n on n.oid = a.relnamespace
            where i.inhrelid = c.oid) as parents,
           exists (select from pg_catalog.pg_policy p
                   where p.polrelid = c.oid and p.polpermissive
                     and (0 = any (p.polroles) or exists (select from auth.lint_request_roles r, unnest(p.polroles) u (oid)
                                                          where u.oid <> 0 and pg_has_role(r.oid, u.oid, 'usage')))) as has_policy) p
  where c.is_child;
revoke all on auth.lint_partition_grant from public;
grant select on auth.lint_partition_grant to fluxbase_admin;
comment on view auth.lint_partition_grant is 'Partitions and child tables that requests may name directly.';
