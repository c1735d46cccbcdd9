-- A policy that reads its own table, directly or through policies of other tables: 42P17 at the first query.
create or replace view auth.lint_policy_recursive with (security_invoker = true) as
  select 'policy_recursive'::text as code, 'error'::text as severity, x.object as object,
         format('it reads %s, whose policies come back to %s: as %s every query ends with 42P17', string_agg(distinct n.name, ', '), x.relation, string_agg(distinct x.role, ', ')) as evidence,
         'ask a definer function that returns the keys, or let the other table be readable by its own columns'::text as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/policy_recursive.md'::text as doc
  from (
    with recursive role as (
      select r.oid, r.name from auth.lint_request_roles r
      union select g.oid, g.rolname::text from pg_catalog.pg_roles g where g.rolname = 'service_role'),
    -- The relations that a policy reads are in its parsed form; printed text would not tell an alias from a table.
    reads as (
      select role.oid as role_id, role.name as role, p.policy_id, p.object, p.relation_id, p.relation, p.command, (m.found)[1]::oid as reads
      from role cross join auth.lint_policies() p join pg_catalog.pg_policy y on y.oid = p.policy_id
      join auth.lint_relations c on c.oid = p.relation_id and c.relrowsecurity
      cross join lateral regexp_matches(concat(y.polqual::text, y.polwithcheck::text), ':relid (\d+)', 'g') m (found)
      where 0 = any (p.roles) or exists (select from unnest(p.roles) u (oid) where u.oid <> 0 and pg_has_role(role.oid, u.oid, 'usage'))),
    -- Only a policy with a sub-select is expanded again; one that compares columns with constants ends the way.
    expanded as (
      select distinct role.oid as role_id, y.polrelid
      from role cross join pg_catalog.pg_policy y
      where y.polcmd in ('*', 'r') and y.polqual::text ~ 'SUBLINK'
        and (0 = any (y.polroles) or exists (select from unnest(y.polroles) u (oid) where u.oid <> 0 and pg_has_role(role.oid, u.oid, 'usage')))),
    way as (
      select r.role_id, r.role, r.policy_id, r.object, r.relation_id, r.relation, r.reads as first, r.reads as here from reads r
      union
      select w.role_id, w.role, w.policy_id, w.object, w.relation_id, w.relation, w.first, r.reads
      from way w join reads r on r.role_id = w.role_id and r.relation_id = w.here and r.command in ('*', 'r')
      where w.here <> w.relation_id)
    select w.* from way w join expanded e on e.role_id = w.role_id and e.polrelid = w.here
    where w.here = w.relation_id) x
  join auth.lint_relations n on n.oid = x.first
  group by x.policy_id, x.object, x.relation;
revoke all on auth.lint_policy_recursive from public;
grant select on auth.lint_policy_recursive to fluxbase_admin;
comment on view auth.lint_policy_recursive is 'Policies that end in a recursion.';
