-- A definer function looks up names where its caller may put objects: the caller's code runs as the owner.
create or replace view auth.lint_definer_search_path with (security_invoker = true) as
  select 'definer_search_path'::text as code, 'error'::text as severity, format('%s %s', x.kind, x.name) as object,
         x.evidence as evidence,
         format('alter %s %s set search_path = %s;', x.kind, x.name, x.sound_path) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/definer_search_path.md'::text as doc
  from (
    select f.kind, f.name,
      case when f.path is null then 'it takes the search_path of its caller'
           -- Without it, and before all others, PostgreSQL looks there first.
           when f.path[cardinality(f.path)] is distinct from 'pg_temp' or array_position(f.path, 'pg_temp') < cardinality(f.path)
             then 'pg_temp is not last in its search_path: a temporary object of the caller wins'
           else (select format(case when n.oid is null then '%s may create the schema %I of its search_path' else '%s may create objects in schema %I of its search_path' end,
                               string_agg(distinct case when has_schema_privilege('public', n.oid, 'create') then 'everybody' else w.name end, ', '), s.name)
                 -- "$user" is the schema named as who runs it, and that is its owner.
                 from unnest(array_replace(f.path, '$user', pg_get_userbyid(f.proowner)::text)) s (name)
                 left join pg_catalog.pg_namespace n on n.nspname = s.name
                 cross join auth.lint_request_roles w
                 where s.name not like 'pg\_%'
                   and case when n.oid is null then has_database_privilege(w.oid, current_database(), 'create') else has_schema_privilege(w.oid, n.oid, 'create') end
                 group by n.oid, s.name limit 1) end as evidence,
      -- What is sound stays, so that the body finds what it found.
      (select concat_ws(', ', case when not 'pg_catalog' = any (h.path) then 'pg_catalog' end, string_agg(quote_ident(s.name), ', ' order by s.ord), 'pg_temp')
       from (select coalesce(f.path, array[f.schema] || array_remove(array['public'], f.schema))) h (path)
       left join lateral unnest(h.path) with ordinality s (name, ord) on s.name <> 'pg_temp' and exists (
         select from pg_catalog.pg_namespace n
         where n.nspname = case s.name when '$user' then pg_get_userbyid(f.proowner)::text else s.name end
           and not exists (select from auth.lint_request_roles w where has_schema_privilege(w.oid, n.oid, 'create')))
       group by h.path) as sound_path
    from (
      select l.kind, l.name, l.schema, l.proowner,
             (select auth.lint_search_path(p_setting => substr(s, 13)) from unnest(l.proconfig) s where s like 'search\_path=%') as path
      from auth.lint_functions l
      where l.prosecdef and not l.is_bound) f) x
  where x.evidence is not null;
revoke all on auth.lint_definer_search_path from public;
grant select on auth.lint_definer_search_path to fluxbase_admin;
comment on view auth.lint_definer_search_path is 'Definer functions whose names a caller can redirect.';
