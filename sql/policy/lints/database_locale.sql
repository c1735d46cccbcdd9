-- Addresses are compared by lower(): in a Turkish or Azerbaijani locale, I and i are two letters.
create or replace view auth.lint_database_locale with (security_invoker = true) as
  select 'database_locale'::text as code, 'error'::text as severity, format('database %I', current_database()) as object,
         format('lower(%L) is %L here: one address in two spellings is two accounts', x.upper, x.lower) as evidence,
         'dump it, and restore it into one made with create database ... template template0 encoding ''UTF8'' locale_provider libc locale ''C.UTF-8'''::text as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/database_locale.md'::text as doc
  from (select string_agg(chr(u), '' order by u) as upper, string_agg(lower(chr(u) collate pg_catalog."default"), '' order by u) as lower
        from generate_series(65, 90) u
        where lower(chr(u) collate pg_catalog."default") collate pg_catalog."C" <> chr(u + 32)) x
  where x.upper is not null;
revoke all on auth.lint_database_locale from public;
grant select on auth.lint_database_locale to fluxbase_admin;
comment on view auth.lint_database_locale is 'A locale in which lower() is not that of ASCII.';
