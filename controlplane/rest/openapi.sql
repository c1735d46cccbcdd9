-- What a caller may use of one exposed schema, for its description.  $1 = schema, $2 = whether to leave out what the
-- caller has no rights on.  One JSON document; types are named as format_type names them, without length or precision.
with schema as (
  select n.oid
  from pg_catalog.pg_namespace n
  where n.nspname = $1::pg_catalog.text
    and n.nspname not in ('auth', 'audit', 'ratelimit', 'fluxbase', 'information_schema')
    and not pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_')
    and (not $2::pg_catalog.bool or pg_catalog.has_schema_privilege(n.oid, 'usage'))
),
relations as (
  select c.oid, c.relname,
         not $2 or pg_catalog.has_any_column_privilege(c.oid, 'select') as may_select,
         e.events & 8 <> 0 and (not $2 or pg_catalog.has_any_column_privilege(c.oid, 'insert')) as may_insert,
         e.events & 4 <> 0 and (not $2 or pg_catalog.has_any_column_privilege(c.oid, 'update')) as may_update,
         e.events & 16 <> 0 and (not $2 or pg_catalog.has_table_privilege(c.oid, 'delete')) as may_delete
  from pg_catalog.pg_class c
  join schema s on s.oid = c.relnamespace
  cross join lateral (select pg_catalog.pg_relation_is_updatable(c.oid::pg_catalog.regclass, true) as events) e
  where c.relkind in ('r', 'p', 'v', 'm', 'f')
    and not c.relispartition
),
functions as (
  select p.oid, p.proname, p.provolatile, p.proargnames, p.proargmodes, p.pronargs, p.pronargdefaults,
         coalesce(p.proallargtypes, p.proargtypes::pg_catalog.oid[]) as argtypes
  from pg_catalog.pg_proc p
  join schema s on s.oid = p.pronamespace
  join pg_catalog.pg_type r on r.oid = p.prorettype
  where p.prokind = 'f'
    and (r.typtype <> 'p' or p.prorettype in ('pg_catalog.void'::pg_catalog.regtype, 'pg_catalog.record'::pg_catalog.regtype))
    and not p.proargtypes::pg_catalog.oid[] && array (select t.oid from pg_catalog.pg_type t where t.typtype = 'p')
    and (not $2 or pg_catalog.has_function_privilege(p.oid, 'execute'))
)
select pg_catalog.json_build_object(
  'description', (select pg_catalog.obj_description(s.oid, 'pg_namespace') from schema s),
  'relations', (
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', r.relname,
      'description', pg_catalog.obj_description(r.oid, 'pg_class'),
      'select', r.may_select, 'insert', r.may_insert, 'update', r.may_update, 'delete', r.may_delete,
      'columns', (
        select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
          'name', a.attname,
          'description', pg_catalog.col_description(a.attrelid, a.attnum),
          'type', pg_catalog.format_type(a.atttypid, null),
          'base', pg_catalog.format_type(b.oid, null),
          'required', a.attnotnull and not a.atthasdef and a.attidentity = '',
          'default', case when a.attgenerated = '' then (
            select pg_catalog.pg_get_expr(d.adbin, d.adrelid) from pg_catalog.pg_attrdef d
            where d.adrelid = a.attrelid and d.adnum = a.attnum) end,
          'length', case when a.atttypid in ('pg_catalog.varchar'::pg_catalog.regtype, 'pg_catalog.bpchar'::pg_catalog.regtype)
            and a.atttypmod > 4 then a.atttypmod - 4 end,
          'labels', (
            select pg_catalog.json_agg(l.enumlabel order by l.enumsortorder)
            from pg_catalog.pg_enum l where l.enumtypid = b.oid)
          ) order by a.attnum), '[]')
        from pg_catalog.pg_attribute a
        join pg_catalog.pg_type t on t.oid = a.atttypid
        join pg_catalog.pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
        where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
          and (not $2 or pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'select')
            or pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'insert')
            or pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'update')))
      ) order by r.relname), '[]')
    from relations r
    where r.may_select or r.may_insert or r.may_update or r.may_delete),
  'functions', (
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', f.proname,
      'description', pg_catalog.obj_description(f.oid, 'pg_proc'),
      'reads', f.provolatile <> 'v',
      'arguments', (
        select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
          'name', i.name,
          'type', pg_catalog.format_type(i.type, null),
          'base', pg_catalog.format_type(case when t.typtype = 'd' then t.typbasetype else t.oid end, null),
          'required', i.nth <= f.pronargs - f.pronargdefaults and i.mode <> 'v') order by i.position), '[]')
        from (
          select u.type, u.position, coalesce(f.proargnames[u.position], '') as name,
                 coalesce(f.proargmodes[u.position]::pg_catalog.text, 'i') as mode,
                 pg_catalog.count(*) filter (where coalesce(f.proargmodes[u.position] in ('i', 'b', 'v'), true)) over (order by u.position) as nth
          from pg_catalog.unnest(f.argtypes) with ordinality u (type, position)) i
        join pg_catalog.pg_type t on t.oid = i.type
        where i.mode in ('i', 'b', 'v') and i.name <> '')
      ) order by f.proname, f.argtypes::pg_catalog.text), '[]')
    from functions f)
  )::pg_catalog.text
