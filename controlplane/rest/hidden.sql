-- The first of some columns that the caller has no right on although it has some on others of the same relation.
-- $1, $2, $3 = schemas, relations and columns (text[], of equal length).  No row when there is none.
select u.position::pg_catalog.text
from rows from (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]), pg_catalog.unnest($3::pg_catalog.text[]))
  with ordinality u (nspname, relname, attname, position)
join pg_catalog.pg_namespace n on n.nspname = u.nspname
join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = u.relname
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = u.attname and a.attnum > 0 and not a.attisdropped
where pg_catalog.has_any_column_privilege(c.oid, 'select, insert, update')
  and not pg_catalog.has_column_privilege(c.oid, a.attnum, 'select, insert, update')
order by u.position
limit 1
