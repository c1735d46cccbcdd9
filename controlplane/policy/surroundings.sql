-- What lies beside policies, grants and flags: with shown, files may change it and a plan shows it; else they may not.
with application as materialized (
  select n.oid, quote_ident(n.nspname) as name, n.nspowner, n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase') as ours from pg_catalog.pg_namespace n
  where n.nspname not in ('information_schema') and n.nspname !~ '^pg_(catalog|toast|temp_|toast_temp_)'),
relation as materialized (
  select c.oid, s.name || '.' || quote_ident(c.relname) as name, c.relkind, c.relpersistence::text, c.relfilenode, c.relowner, c.reloptions, c.relreplident, s.ours
  from pg_catalog.pg_class c join application s on s.oid = c.relnamespace)
-- A function is all that it is made of: its body, but also defaults of arguments, volatility, cost.  Those that run as
-- their owner are in the lock, without the rest.
select true as shown, format('function %s.%I(%s): %sdefinition %s', s.name, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid),
         case when not p.prosecdef then format('security invoker, owner %s, ', p.proowner::regrole) end,
         encode(sha256(convert_to(pg_catalog.pg_get_functiondef(p.oid), 'UTF8')), 'hex')) as fact
from pg_catalog.pg_proc p join application s on s.oid = p.pronamespace and not s.ours where p.prokind in ('f', 'p', 'w')
union all
select false, format('function %s.%I(%s): owner %s, grants %s, definition %s', s.name, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid),
         p.proowner::regrole, p.proacl, md5(pg_catalog.pg_get_functiondef(p.oid)))
from pg_catalog.pg_proc p join application s on s.oid = p.pronamespace and s.ours where p.prokind in ('f', 'p', 'w')
union all
select true, format('comment on %s: %s', pg_catalog.pg_describe_object(d.classoid, d.objoid, d.objsubid), replace(d.description, E'\n', '\n'))
from pg_catalog.pg_description d where d.objoid >= 16384 or d.classoid = 'pg_catalog.pg_namespace'::regclass and d.objoid = pg_catalog.to_regnamespace('public')
union all
select true, format('%s %s: owner %s', case r.relkind when 'S' then 'sequence' else 'foreign table' end, r.name, r.relowner::regrole) from relation r where r.relkind in ('S', 'f') and not r.ours
union all
select true, format('schema %s: owner %s', s.name, s.nspowner::regrole) from application s where not s.ours
union all
select true, format('%s %s: options %s', case r.relkind when 'r' then 'table' when 'p' then 'table' else 'view' end, r.name, string_agg(o, ', ' order by o collate "C"))
from relation r cross join unnest(r.reloptions || case r.relreplident when 'd' then null when 'n' then null else 'replica identity ' || r.relreplident::text end) o
where r.relkind in ('r', 'p', 'v', 'm') and o not like 'security_invoker=%' group by r.name, r.relkind
union all
-- Our own schemas and the catalog are nobody's business: what is not in the lock must not change unseen.
select false, format('policy %I on %s.%I: %s', p.polname, s.name, c.relname,
         md5(concat_ws(' ', p.polcmd, p.polpermissive, p.polroles, pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))))
from pg_catalog.pg_policy p join pg_catalog.pg_class c on c.oid = p.polrelid join application s on s.oid = c.relnamespace and s.ours
union all
select false, format('%s: row security %s %s, owner %s, grants %s', c.oid::regclass, c.relrowsecurity, c.relforcerowsecurity, c.relowner::regrole, c.relacl)
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'S') and (n.nspname in ('pg_catalog', 'information_schema') and c.relacl is not null or n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase'))
union all
select false, format('schema %I: owner %s, grants %s', n.nspname, n.nspowner::regrole, n.nspacl)
from pg_catalog.pg_namespace n where n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase', 'pg_catalog', 'information_schema')
union all
select false, format('function %s: grants %s', p.oid::regprocedure, p.proacl)
from pg_catalog.pg_proc p where p.pronamespace = 'pg_catalog'::regnamespace and p.proacl is not null
union all
select true, format('column %s.%I: default %s', r.name, a.attname, pg_catalog.pg_get_expr(d.adbin, d.adrelid))
from pg_catalog.pg_attrdef d join relation r on r.oid = d.adrelid
join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum where a.attgenerated = ''
union all
select true, format('index %s: %s', r.name, pg_catalog.pg_get_indexdef(r.oid))
from relation r where r.relkind in ('i', 'I') and not exists (select from pg_catalog.pg_constraint k where k.conindid = r.oid)
union all
select false, format('%s %s%s', case r.relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'materialized view' when 'c' then 'type' when 'f' then 'foreign table' else 'table' end,
         r.name, case r.relkind when 'v' then ': ' || md5(pg_catalog.pg_get_viewdef(r.oid)) when 'r' then format(': %s, file %s', r.relpersistence, r.relfilenode) else '' end)
from relation r where r.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c')
union all
select false, format('column %s.%I: %s%s%s%s%s', r.name, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
         case when a.attnotnull then ' not null' else '' end, ' identity ' || nullif(a.attidentity::text, ''), ' generated ' || nullif(a.attgenerated::text, ''),
         ' settings ' || nullif(concat_ws(' ', nullif(a.attstattarget, -1), a.attoptions), ''))
from pg_catalog.pg_attribute a join relation r on r.oid = a.attrelid
where r.relkind in ('r', 'p', 'f') and a.attnum > 0 and not a.attisdropped
union all
select false, 'schema ' || s.name from application s
