-- Everybody may make temporary objects: what a careless definer function looks up can be put before it.
create or replace view auth.lint_temporary_for_public with (security_invoker = true) as
  select 'temporary_for_public'::text as code, 'info'::text as severity, format('database %I', d.datname) as object,
         'everybody may create temporary objects in it'::text as evidence,
         format('revoke temporary on database %I from public;', d.datname) as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/temporary_for_public.md'::text as doc
  from pg_catalog.pg_database d
  where d.datname = current_database() and has_database_privilege('public', d.oid, 'temporary');
revoke all on auth.lint_temporary_for_public from public;
grant select on auth.lint_temporary_for_public to fluxbase_admin;
comment on view auth.lint_temporary_for_public is 'Temporary objects for everybody.';
