-- A policy that reads its own table, directly or through policies of other tables, views and functions: 42P17 at the first query, or
-- 54001 where a function hides it from the planner.
create or replace view auth.lint_policy_recursive with (security_invoker = true) as
  select 'policy_recursive'::text as code, 'error'::text as severity, x.object as object,
         format('it %s, which comes back to %s: as %s every query ends with %s', string_agg(distinct x.first, ' and '), x.relation, string_agg(distinct x.role, ', '),
                case when bool_and(x.by_function) then '54001' else '42P17' end) collate pg_catalog."C" as evidence,
         'ask a definer function that returns the keys, or let the other table be readable by its own columns'::text as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/policy_recursive.md'::text as doc
  from (
    with recursive policy as materialized (
      -- The relations that a policy reads are in its parsed form; printed text would not tell an alias from a table.
      select p.policy_id, p.object, p.relation_id, p.relation, p.command, p.roles, m.reads, m.is_function, y.polqual::text ~ 'SUBLINK' as has_sublink
      from auth.lint_policies() p join pg_catalog.pg_policy y on y.oid = p.policy_id
      join auth.lint_relations c on c.oid = p.relation_id and c.relrowsecurity
      cross join lateral (
        select (r.found)[1]::oid as reads, false as is_function
        from regexp_matches(concat(y.polqual::text, y.polwithcheck::text), ':relid (\d+)', 'g') r (found)
        union
        select d.refobjid, true
        from pg_catalog.pg_depend d join auth.lint_functions f on f.oid = d.refobjid
        where d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = p.policy_id and d.refclassid = 'pg_catalog.pg_proc'::regclass) m),
    -- Whom the policies of a table hold for.
    bound as (
      select distinct p.policy_id, r.oid as role_id
      from policy p join auth.lint_relations c on c.oid = p.relation_id
      join pg_catalog.pg_roles r on not r.rolsuper and not r.rolbypassrls and (c.relforcerowsecurity or not pg_has_role(r.oid, c.relowner, 'usage'))
      where 0 = any (p.roles) or exists (select from unnest(p.roles) u (oid) where u.oid <> 0 and pg_has_role(r.oid, u.oid, 'usage'))),
    -- Who reads or calls what next: a view and a function as their caller or as their owner, a table through its policies for reading.  A
    -- function that a view calls runs as whoever uses the view.
    via_view as materialized (
      select c.oid as view_id, d.refobjid as reads, d.refclassid = 'pg_catalog.pg_proc'::regclass as is_function,
             case when d.refclassid = 'pg_catalog.pg_class'::regclass
                       and not coalesce((select o.option_value::boolean from pg_catalog.pg_options_to_table(c.reloptions) o where o.option_name = 'security_invoker'), false)
                  then c.relowner end as as_role
      from auth.lint_relations c join pg_catalog.pg_rewrite w on w.ev_class = c.oid
      join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid and d.refobjid <> c.oid
        and d.refclassid in ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass)
      where c.relkind = 'v'),
    via_function as materialized (
      select f.oid as function_id, n.reads, n.is_function, case when f.prosecdef then f.proowner end as as_role
      from (select r.function_id, r.relation_id as reads, false as is_function from auth.lint_function_reads r
            union all
            select k.function_id, k.called_id, true from auth.lint_function_calls k where k.is_sure) n
      join auth.lint_functions f on f.oid = n.function_id),
    way (policy_id, object, relation_id, relation, role, first, first_is_function, role_id, here, is_function, by_function) as (
      select p.policy_id, p.object, p.relation_id, p.relation, r.rolname::text, p.reads, p.is_function, r.oid, p.reads, p.is_function, false
      from policy p join bound b on b.policy_id = p.policy_id join pg_catalog.pg_roles r on r.oid = b.role_id
      where r.rolname = 'service_role' or r.oid in (select q.oid from auth.lint_request_roles q)
      union
      select w.policy_id, w.object, w.relation_id, w.relation, w.role, w.first, w.first_is_function, n.role_id, n.reads, n.is_function, w.by_function or w.is_function
      from way w cross join lateral (
        select coalesce(v.as_role, w.role_id) as role_id, v.reads, v.is_function from via_view v where v.view_id = w.here and not w.is_function
        union all
        select coalesce(f.as_role, w.role_id), f.reads, f.is_function from via_function f where f.function_id = w.here and w.is_function
        union all
        select w.role_id, p.reads, p.is_function
        from policy p join bound b on b.policy_id = p.policy_id and b.role_id = w.role_id
        where p.relation_id = w.here and not w.is_function and p.command in ('*', 'r') and w.here <> w.relation_id) n)
    select w.policy_id, w.object, w.relation, w.role, w.by_function, case when w.first_is_function then 'calls ' || f.name else 'reads ' || c.name end as first
    from way w
    left join auth.lint_relations c on c.oid = w.first and not w.first_is_function
    left join auth.lint_functions f on f.oid = w.first and w.first_is_function
    where w.here = w.relation_id and not w.is_function
      -- Only a policy with a sub-select is expanded again, and ends the way; behind a function the policy itself must be asked again.
      and exists (select from policy p join bound b on b.policy_id = p.policy_id and b.role_id = w.role_id
                  where p.relation_id = w.here and p.command in ('*', 'r') and case when w.by_function then p.policy_id = w.policy_id else p.has_sublink end)) x
  group by x.policy_id, x.object, x.relation;
revoke all on auth.lint_policy_recursive from public;
grant select on auth.lint_policy_recursive to fluxbase_admin;
comment on view auth.lint_policy_recursive is 'Policies that end in a recursion.';
