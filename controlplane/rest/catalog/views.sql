-- What relates views: the definition of each view, all foreign keys and all primary keys.  $1 = exposed schemas (text[]).
-- Empty where no view is exposed.  Views and keys of other schemas count, too: an exposed view may show their columns.
with exposed as (
  select n.oid, n.nspname
  from pg_catalog.pg_namespace n
  where n.nspname = any ($1::pg_catalog.text[])
),
application as (
  select n.oid, n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase') as ours
  from pg_catalog.pg_namespace n
  where n.nspname <> 'information_schema' and not pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_')
    and exists (
      select from pg_catalog.pg_class c join exposed e on e.oid = c.relnamespace where c.relkind in ('v', 'm'))
)
select pg_catalog.json_build_object(
  'relations', (
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'schema', e.nspname, 'name', c.relname, 'oid', c.oid::pg_catalog.int8,
      'columns', (
        select pg_catalog.json_object_agg(a.attnum, a.attname order by a.attnum)
        from pg_catalog.pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
      ) order by e.nspname, c.relname), '[]')
    from pg_catalog.pg_class c
    join exposed e on e.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition and c.relnamespace in (select s.oid from application s)),
  'views', (
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'oid', c.oid::pg_catalog.int8, 'definition', w.ev_action::pg_catalog.text) order by c.oid), '[]')
    from pg_catalog.pg_class c
    join pg_catalog.pg_rewrite w on w.ev_class = c.oid and w.rulename = '_RETURN'
    where c.relkind in ('v', 'm') and c.relnamespace in (select s.oid from application s where not s.ours)
      -- a view whose definition is out of all proportion is not looked into
      and pg_catalog.length(w.ev_action::pg_catalog.text) < 1000000),
  'primary_keys', (
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'table', p.conrelid::pg_catalog.int8, 'columns', p.conkey) order by p.conrelid), '[]')
    from pg_catalog.pg_constraint p
    join pg_catalog.pg_class c on c.oid = p.conrelid
    where p.contype = 'p' and not c.relispartition
      and c.relnamespace in (select s.oid from application s where not s.ours)),
  'keys', (
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', k.conname,
      'table', k.conrelid::pg_catalog.int8, 'columns', k.conkey,
      'foreign_table', k.confrelid::pg_catalog.int8, 'references', k.confkey,
      -- at most one row of the table for each row of the foreign one
      'unique', exists (
        select from pg_catalog.pg_index i
        where i.indrelid = k.conrelid and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
          and (i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1] <@ k.conkey),
      'primary', exists (
        select from pg_catalog.pg_constraint p
        where p.conrelid = k.conrelid and p.contype = 'p' and k.conkey <@ p.conkey)
      ) order by k.conrelid, k.conname), '[]')
    from pg_catalog.pg_constraint k
    join pg_catalog.pg_class c on c.oid = k.conrelid
    join pg_catalog.pg_class f on f.oid = k.confrelid
    where k.contype = 'f' and k.conparentid = 0 and not c.relispartition and not f.relispartition
      and c.relnamespace in (select s.oid from application s))
  )::pg_catalog.text
