-- With plain helpers any SQL inside a request can set who is asking: an injection becomes an identity.
create or replace view auth.lint_context_not_verified with (security_invoker = true) as
  select 'context_not_verified'::text as code, 'error'::text as severity, 'function auth.verified_context_text()'::text as object,
         'it believes the settings of the session without checking their signature'::text as evidence,
         'fluxbase migrate --verified-context=on'::text as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/context_not_verified.md'::text as doc
  from pg_catalog.pg_proc p
  where p.oid = to_regprocedure('auth.verified_context_text()') and not p.prosecdef;
revoke all on auth.lint_context_not_verified from public;
grant select on auth.lint_context_not_verified to fluxbase_admin;
comment on view auth.lint_context_not_verified is 'Request context that is believed without its signature.';
