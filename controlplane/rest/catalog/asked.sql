-- Whether the application's SQL looks at the HTTP request: a function, policy, view or default that names one of the
-- settings request.method, request.path, request.headers and request.cookies.  $1 (exposed schemas, text[]) says nothing:
-- what the exposed schemas use may be anywhere.
with application as (
  select n.oid
  from pg_catalog.pg_namespace n
  where n.nspname not in ('auth', 'audit', 'ratelimit', 'fluxbase', 'information_schema')
    and not pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_')
),
texts as (
  select coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc) as sql
  from pg_catalog.pg_proc p join application a on a.oid = p.pronamespace
  union all
  select pg_catalog.concat(pg_catalog.pg_get_expr(y.polqual, y.polrelid), pg_catalog.pg_get_expr(y.polwithcheck, y.polrelid))
  from pg_catalog.pg_policy y
  join pg_catalog.pg_class c on c.oid = y.polrelid
  join application a on a.oid = c.relnamespace
  union all
  select pg_catalog.pg_get_viewdef(c.oid)
  from pg_catalog.pg_class c join application a on a.oid = c.relnamespace
  where c.relkind in ('v', 'm')
  union all
  select pg_catalog.pg_get_expr(d.adbin, d.adrelid)
  from pg_catalog.pg_attrdef d
  join pg_catalog.pg_class c on c.oid = d.adrelid
  join application a on a.oid = c.relnamespace
)
select pg_catalog.to_json($1::pg_catalog.text[] is not null and exists (
  select from texts t where t.sql ~ 'request\.(method|path|headers|cookies)'))::pg_catalog.text
