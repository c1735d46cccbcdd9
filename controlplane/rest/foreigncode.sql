-- Which requests may run SQL text that application code builds at run time.  $1 = exposed schemas (text[]).
-- Only such text can replace a prepared statement of the connection (see package gateway), and only from a volatile
-- function in a procedural language.  Without one in the database nothing is listed; with one, every call is, and each
-- relation from which application code can be reached: by its policies and views when it is read, by its triggers,
-- defaults and constraints too when it is written.
with recursive
application_functions as (
  select p.oid, p.provolatile, p.prosrc, l.lanname
  from pg_catalog.pg_proc p
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  join pg_catalog.pg_language l on l.oid = p.prolang
  where n.nspname not in ('auth', 'audit', 'ratelimit', 'fluxbase', 'information_schema')
    and not pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_')
    and l.lanname not in ('internal', 'c')
),
dynamic as (
  select exists (
    select from application_functions f
    where f.provolatile = 'v' and f.lanname <> 'sql'
      and (f.lanname <> 'plpgsql' or f.prosrc ~* '\mexecute\M')) as found
),
relations as (
  select c.oid as root, n.nspname, c.relname, c.oid
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  cross join dynamic d
  where d.found and n.nspname = any ($1::pg_catalog.text[]) and c.relkind in ('r', 'p', 'v', 'm', 'f')
  union
  -- what a view reads
  select r.root, r.nspname, r.relname, d.refobjid
  from relations r
  join pg_catalog.pg_rewrite w on w.ev_class = r.oid
  join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = w.oid
   and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid <> r.oid
),
parts as (
  select r.root, w.oid as part, 'pg_catalog.pg_rewrite'::pg_catalog.regclass as class, true as on_read
  from relations r join pg_catalog.pg_rewrite w on w.ev_class = r.oid
  union all
  select r.root, p.oid, 'pg_catalog.pg_policy'::pg_catalog.regclass, true
  from relations r join pg_catalog.pg_policy p on p.polrelid = r.oid
  union all
  select r.root, t.oid, 'pg_catalog.pg_trigger'::pg_catalog.regclass, false
  from relations r join pg_catalog.pg_trigger t on t.tgrelid = r.oid and not t.tgisinternal
  union all
  select r.root, a.oid, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, false
  from relations r join pg_catalog.pg_attrdef a on a.adrelid = r.oid
  union all
  select r.root, c.oid, 'pg_catalog.pg_constraint'::pg_catalog.regclass, false
  from relations r join pg_catalog.pg_constraint c on c.conrelid = r.oid
),
reached as (
  select p.root, pg_catalog.bool_or(p.on_read) as on_read
  from parts p
  join pg_catalog.pg_depend d on d.classid = p.class and d.objid = p.part
  where d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.refobjid in (select f.oid from application_functions f)
     -- an operator stands for its function
     or d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass
        and d.refobjid in (select o.oid from pg_catalog.pg_operator o join application_functions f on f.oid = o.oprcode)
  group by p.root
)
select pg_catalog.json_build_object(
  'calls', (select d.found from dynamic d),
  'relations', (
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'schema', n.nspname, 'name', c.relname, 'read', x.on_read) order by n.nspname, c.relname), '[]')
    from reached x
    join pg_catalog.pg_class c on c.oid = x.root
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace))::pg_catalog.text
