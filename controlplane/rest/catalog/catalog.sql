-- The catalog of the data API as one JSON document.  $1 = exposed schemas, $2 = schemas that are searched, too (text[]):
-- of those, types and functions that take one row of an exposed relation.
-- Reads only what every role may read; types are named by schema and name, so that the
-- search path of the reading session does not matter.  Its estimate is above jit_above_cost; see WithoutJIT.
with exposed as (
  select n.oid, n.nspname
  from pg_catalog.pg_namespace n
  where n.nspname = any ($1::pg_catalog.text[])
    and n.nspname not in ('auth', 'audit', 'ratelimit', 'fluxbase', 'information_schema')
    and not pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_')
),
searched as (
  select e.oid, e.nspname, true as exposed
  from exposed e
  union all
  select n.oid, n.nspname, false
  from pg_catalog.pg_namespace n
  where n.nspname = any ($2::pg_catalog.text[]) and n.nspname <> all ($1::pg_catalog.text[])
),
types as not materialized (
  select t.oid, t.typname, t.typtype, t.typrelid,
         -- quote_ident quotes keywords, and what is one (json, since 16) depends on the version; behind a dot none is
         pg_catalog.quote_ident(n.nspname) || '.' || case when t.typname ~ '^[a-z_][a-z0-9_]*$' then t.typname
           else pg_catalog.quote_ident(t.typname) end as sql,
         n.nspname
  from pg_catalog.pg_type t
  join pg_catalog.pg_namespace n on n.oid = t.typnamespace
),
relations as (
  select c.oid, e.nspname, c.relname, c.relkind
  from pg_catalog.pg_class c
  join exposed e on e.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f')
    and not c.relispartition
),
functions as (
  select p.oid, e.nspname, p.proname, p.provolatile, p.proretset, p.prorettype,
         p.proargnames, p.proargmodes, p.pronargs, p.pronargdefaults, p.provariadic, p.prorows, r.sql as rettype,
         coalesce(p.proallargtypes, p.proargtypes::pg_catalog.oid[]) as argtypes,
         r.typtype as rettyptype, r.typrelid as rettyprelid,
         coalesce(p.proargmodes::pg_catalog.text[] && '{o,b,t}', false) as has_out
  from pg_catalog.pg_proc p
  join searched e on e.oid = p.pronamespace
  join types r on r.oid = p.prorettype
  where p.prokind = 'f'
    and (e.exposed or p.pronargs = 1 and p.proargtypes[0] in (
      select c.reltype from pg_catalog.pg_class c join relations l on l.oid = c.oid))
    -- of the pseudo-types only void and record can be returned to a client
    and (r.typtype <> 'p' or p.prorettype in ('pg_catalog.void'::pg_catalog.regtype, 'pg_catalog.record'::pg_catalog.regtype))
    and not p.proargtypes::pg_catalog.oid[] && array (select t.oid from pg_catalog.pg_type t where t.typtype = 'p')
)
select pg_catalog.json_build_object(
  'relations', (
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'schema', r.nspname,
      'name', r.relname,
      'sql', pg_catalog.quote_ident(r.nspname) || '.' || pg_catalog.quote_ident(r.relname),
      'ident', pg_catalog.quote_ident(r.relname),
      'kind', r.relkind,
      'events', pg_catalog.pg_relation_is_updatable(r.oid::pg_catalog.regclass, true),
      'columns', (
        select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
          'name', a.attname,
          'sql', pg_catalog.quote_ident(a.attname),
          'type', t.sql,
          'nullable', not a.attnotnull,
          'has_default', a.atthasdef or a.attidentity <> '',
          'generated', a.attgenerated <> '') order by a.attnum), '[]')
        from pg_catalog.pg_attribute a
        join types t on t.oid = a.atttypid
        where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped),
      'primary_key', (
        select coalesce(pg_catalog.json_agg(a.attname order by k.position), '[]')
        from pg_catalog.pg_constraint c
        cross join lateral pg_catalog.unnest(c.conkey) with ordinality k (attnum, position)
        join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum
        where c.conrelid = r.oid and c.contype = 'p'),
      'unique_keys', (
        select coalesce(pg_catalog.json_agg(u.columns order by u.columns::pg_catalog.text), '[]')
        from (
          select pg_catalog.json_agg(a.attname order by k.position) as columns
          from pg_catalog.pg_index i
          cross join lateral pg_catalog.unnest(i.indkey[:i.indnkeyatts - 1]) with ordinality k (attnum, position)
          join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
          where i.indrelid = r.oid and i.indisunique and i.indisvalid and not i.indisprimary
            and i.indpred is null and i.indexprs is null
          group by i.indexrelid) u),
      'foreign_keys', (
        select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
          'name', c.conname,
          'columns', (
            select pg_catalog.json_agg(a.attname order by k.position)
            from pg_catalog.unnest(c.conkey) with ordinality k (attnum, position)
            join pg_catalog.pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.attnum),
          'schema', n.nspname,
          'table', f.relname,
          'references', (
            select pg_catalog.json_agg(a.attname order by k.position)
            from pg_catalog.unnest(c.confkey) with ordinality k (attnum, position)
            join pg_catalog.pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.attnum)
          ) order by c.conname), '[]')
        from pg_catalog.pg_constraint c
        join pg_catalog.pg_class f on f.oid = c.confrelid
        join exposed n on n.oid = f.relnamespace
        where c.conrelid = r.oid and c.contype = 'f' and not f.relispartition)
      ) order by r.nspname, r.relname), '[]')
    from relations r),
  'functions', (
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'schema', f.nspname,
      'name', f.proname,
      'sql', pg_catalog.quote_ident(f.nspname) || '.' || pg_catalog.quote_ident(f.proname),
      'ident', pg_catalog.quote_ident(f.proname),
      'volatility', f.provolatile,
      'set', f.proretset,
      'one_row', f.proretset and f.prorows = 1,
      'type', f.rettype,
      'returns', case
        when f.prorettype = 'pg_catalog.void'::pg_catalog.regtype then 'void'
        when f.has_out or f.rettyptype = 'c' then 'composite'
        else 'scalar' end,
      -- the relation whose rows are returned, if it is one
      'relation', (
        select pg_catalog.json_build_array(r.nspname, r.relname)
        from pg_catalog.pg_class c join relations r on r.oid = c.oid
        where not f.has_out and c.oid = f.rettyprelid),
      'arguments', a.inputs,
      'columns', case
        when f.has_out then a.outputs
        when f.rettyptype = 'c' then (
          select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', a.attname, 'sql', pg_catalog.quote_ident(a.attname), 'type', t.sql) order by a.attnum), '[]')
          from pg_catalog.pg_attribute a
          join types t on t.oid = a.atttypid
          where a.attrelid = f.rettyprelid and a.attnum > 0 and not a.attisdropped)
        else '[]' end
      ) order by f.nspname, f.proname, f.argtypes::pg_catalog.text), '[]')
    from functions f
    cross join lateral (
      select
        coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
          'name', i.name,
          'sql', pg_catalog.quote_ident(i.name),
          'type', t.sql,
          'display', pg_catalog.format_type(i.type, -1),
          'has_default', i.nth > f.pronargs - f.pronargdefaults,
          'variadic', i.mode = 'v',
          -- the relation whose rows it takes, if it is one
          'relation', (
            select pg_catalog.json_build_array(r.nspname, r.relname)
            from relations r where r.oid = t.typrelid)) order by i.position) filter (where i.input), '[]') as inputs,
        coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
          'name', i.name, 'sql', pg_catalog.quote_ident(i.name), 'type', t.sql)
          order by i.position) filter (where i.mode in ('o', 'b', 't') and i.name <> ''), '[]') as outputs
      from (
        select m.*, pg_catalog.count(*) filter (where m.input) over (order by m.position) as nth
        from (
          select u.type, u.position, coalesce(f.proargnames[u.position], '') as name,
                 coalesce(f.proargmodes[u.position]::pg_catalog.text, 'i') as mode,
                 coalesce(f.proargmodes[u.position] in ('i', 'b', 'v'), true) as input
          from pg_catalog.unnest(f.argtypes) with ordinality u (type, position)) m) i
      join types t on t.oid = i.type) a),
  'timeouts', (
    -- of roles that have a statement_timeout of their own; what is said for this database goes before
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'role', r.rolname, 'timeout', pg_catalog.substr(c.setting, pg_catalog.length('statement_timeout=') + 1))
      order by s.setdatabase <> 0, r.rolname), '[]')
    from pg_catalog.pg_db_role_setting s
    join pg_catalog.pg_roles r on r.oid = s.setrole
    cross join lateral pg_catalog.unnest(s.setconfig) c (setting)
    where pg_catalog.starts_with(c.setting, 'statement_timeout=')
      and (s.setdatabase = 0 or s.setdatabase = (
        select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()))),
  'timezones', (
    select pg_catalog.json_agg(z.name order by z.name) from pg_catalog.pg_timezone_names z),
  'representations', (
    -- functions of casts between a domain and json or text; CREATE CAST says that casts of domains are ignored,
    -- so they are called by name
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'domain', case when source.typtype = 'd' then source.sql else target.sql end,
      'out', source.typtype = 'd',
      'format', case when source.typtype = 'd' then target.typname else source.typname end,
      'sql', pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname))
      order by source.sql, target.sql), '[]')
    from pg_catalog.pg_cast c
    join types source on source.oid = c.castsource
    join types target on target.oid = c.casttarget
    join pg_catalog.pg_proc p on p.oid = c.castfunc
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where c.castmethod = 'f' and c.castcontext = 'i'
      and (source.typtype = 'd' and c.casttarget in ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.text'::pg_catalog.regtype)
        or target.typtype = 'd' and c.castsource in ('pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.text'::pg_catalog.regtype))),
  'types', (
    -- what a column may be cast to; the reg* types are left out because their output names other objects
    select pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', t.typname, 'display', pg_catalog.format_type(t.oid, -1), 'sql', t.sql)
      order by (t.nspname = 'pg_catalog') desc, coalesce(e.exposed, false) desc, t.nspname, t.typname)
    from types t
    left join searched e on e.nspname = t.nspname
    where t.typtype in ('b', 'd', 'e', 'r', 'm')
      and not pg_catalog.starts_with(t.typname::pg_catalog.text, 'reg')
      and not pg_catalog.starts_with(t.typname::pg_catalog.text, '_reg')
      and (t.nspname = 'pg_catalog' or e.nspname is not null))
  )::pg_catalog.text
