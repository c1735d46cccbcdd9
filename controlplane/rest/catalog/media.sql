-- What the application has for formats of its own.  $1 = exposed schemas (text[]).  One JSON document: domains that are
-- named like media types, aggregate functions that make values of them out of rows, and PostGIS's function for a row.
with domains as (
  select t.oid, t.typname, t.typbasetype,
         pg_catalog.quote_ident(n.nspname) || '.' || case when t.typname ~ '^[a-z_][a-z0-9_]*$' then t.typname
           else pg_catalog.quote_ident(t.typname) end as sql
  from pg_catalog.pg_type t
  join pg_catalog.pg_namespace n on n.oid = t.typnamespace
  where t.typtype = 'd'
    and (t.typname ~ '^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*$' or t.typname = '*/*')
)
select pg_catalog.json_build_object(
  'domains', (
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'type', d.sql, 'media', d.typname, 'binary', d.typbasetype = 'pg_catalog.bytea'::pg_catalog.regtype) order by d.sql), '[]')
    from domains d),
  'aggregates', (
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'sql', pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname),
      'type', d.sql,
      -- the relation whose rows it takes; none when it takes all
      'relation', (
        select pg_catalog.json_build_array(cn.nspname, c.relname)
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace cn on cn.oid = c.relnamespace
        where c.reltype = p.proargtypes[0])) order by n.nspname, p.proname, p.proargtypes::pg_catalog.text), '[]')
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    join pg_catalog.pg_aggregate a on a.aggfnoid = p.oid
    join domains d on d.oid = p.prorettype
    where n.nspname = any ($1::pg_catalog.text[])
      and p.prokind = 'a' and a.aggkind = 'n' and p.pronargs = 1 and p.provariadic = 0
      and (p.proargtypes[0] = 'pg_catalog.anyelement'::pg_catalog.regtype
        or exists (select from pg_catalog.pg_class c where c.reltype = p.proargtypes[0]))),
  'geojson', (
    select pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname)
    from pg_catalog.pg_extension e
    join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.refobjid = e.oid and d.deptype = 'e'
    join pg_catalog.pg_proc p on d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and p.oid = d.objid
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where e.extname = 'postgis' and p.proname = 'st_asgeojson' and p.proargtypes[0] = 'pg_catalog.record'::pg_catalog.regtype
    limit 1)
  )::pg_catalog.text
