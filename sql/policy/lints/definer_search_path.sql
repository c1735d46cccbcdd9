-- A definer function looks up names where its caller may put objects: the caller's code runs as the owner.
create or replace view auth.lint_definer_search_path with (security_invoker = true) as
  select 'definer_search_path'::text as code, 'error'::text as severity, format('function %s', x.name) as object,
         x.evidence as evidence,
         format('alter function %s set search_path = pg_catalog, pg_temp;', x.name) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/definer_search_path.md'::text as doc
  from (
    select f.name,
      case when f.path is null then 'it takes the search_path of its caller'
           when not f.temp_last then 'pg_temp is not last in its search_path: a temporary object of the caller wins'
           else (select format('%s may create objects in schema %I of its search_path',
                                string_agg(distinct case when has_schema_privilege('public', n.oid, 'create') then 'everybody' else w.name end, ', '), n.nspname)
                 from unnest(f.schemas) s (name) join pg_catalog.pg_namespace n on n.nspname = s.name
                 cross join auth.lint_request_roles w
                 where has_schema_privilege(w.oid, n.oid, 'create')
                 group by n.nspname limit 1) end as evidence
    from (
      select format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as name, c.path,
             array(select btrim(e, ' "') from regexp_split_to_table(c.path, ',') e) as schemas,
             c.path ~ '(^|,) *"?pg_temp"? *$' as temp_last
      from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
      left join lateral (select substring(s from '^search_path=(.*)$') as path from unnest(p.proconfig) s where s like 'search_path=%') c on true
      where p.prosecdef and p.prosqlbody is null
        and n.nspname not in ('auth', 'audit', 'ratelimit', 'fluxbase', 'information_schema') and n.nspname !~ '^pg_'
        and not exists (select from pg_catalog.pg_depend d where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')) f) x
  where x.evidence is not null;
revoke all on auth.lint_definer_search_path from public;
grant select on auth.lint_definer_search_path to fluxbase_admin;
comment on view auth.lint_definer_search_path is 'Definer functions whose names a caller can redirect.';
