-- user_metadata is written by the user himself: a policy that trusts it trusts whatever he says of himself.
create or replace view auth.lint_policy_user_metadata with (security_invoker = true) as
  select 'policy_user_metadata'::text as code, 'error'::text as severity, p.object as object,
         'it reads user_metadata, which every user may write' as evidence,
         'keep what decides in app_metadata, in auth.user_roles or in a table of your own'::text as fix,
         'https://github.com/wayli-app/fluxbase/blob/main/docs/policies/policy_user_metadata.md'::text as doc
  from auth.lint_policies() p
  where concat(p.using_expression, p.check_expression) ~ '''(raw_)?user_meta_?data''';
revoke all on auth.lint_policy_user_metadata from public;
grant select on auth.lint_policy_user_metadata to fluxbase_admin;
comment on view auth.lint_policy_user_metadata is 'Policies that trust what users say of themselves.';
