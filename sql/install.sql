-- The code package: every function, trigger and view, in the order in which they need each other.  Safe to run again.
-- By tern: tern code install sql.  By psql, in one transaction: psql -1 -v ON_ERROR_STOP=1 -f sql/install.sql.
-- Either way as fluxbase_owner: whoever runs it owns the functions that run with their owner's rights.
do $$
begin
  if current_user <> 'fluxbase_owner' then
    raise exception using errcode = '42501', message = 'run this as fluxbase_owner',
      detail = 'add role=fluxbase_owner to the connection string';
  end if;
end $$;

-- What somebody made in public must not be bound into functions and views of ours, however well it fits.
set local search_path = pg_catalog, pg_temp;

-- Creating a trigger or replacing a view waits for whoever uses the table; nobody should wait behind it for long.
set local lock_timeout = '5s';

-- Retired signatures: "drop function if exists ..." of each form that a release replaced, exactly and never with cascade.
-- A server one release older still runs: a signature is listed here one release after its successor came.
-- Without "if exists", whose notices would be taken for trouble.
do $$
declare
  v_retired text;
begin
  if to_regprocedure('ratelimit.set_rule(text, text, integer, interval, text, text, text)') is not null then
    drop function ratelimit.set_rule(text, text, integer, interval, text, text, text); -- without a burst; was in no release
  end if;
  if to_regprocedure('ratelimit.take(integer, integer, integer, boolean, text, integer)') is not null then
    drop function ratelimit.take(integer, integer, integer, boolean, text, integer); -- of both kinds of rules; was in no release
  end if;
  if to_regprocedure('fluxbase.oauth_finish(uuid, text, text, text, boolean, jsonb, bytea, uuid, bytea, uuid, text)') is not null then
    drop function fluxbase.oauth_finish(uuid, text, text, text, boolean, jsonb, bytea, uuid, bytea, uuid, text); -- was in no release
  end if;
  if to_regprocedure('fluxbase.org_invite(uuid, uuid, text, text, bytea)') is not null then
    drop function fluxbase.org_invite(uuid, uuid, text, text, bytea); -- was in no release
  end if;
  if to_regprocedure('auth.protect(regclass, text, text, text, text, regclass, text, text, text[], text[], text[], text, text, text, text, text[], boolean, boolean, boolean, boolean, boolean)') is not null then
    drop function auth.protect(regclass, text, text, text, text, regclass, text, text, text[], text[], text[], text, text, text, text, text[],
      boolean, boolean, boolean, boolean, boolean); -- without p_active_org; was in no release
  end if;
  if to_regprocedure('auth.lint_expression(text)') is not null then
    drop view auth.lint_policy_constant_or, auth.lint_policy_identity_per_row; -- made anew below
    drop function auth.lint_expression(text); -- of printed text; was in no release
  end if;
  if to_regprocedure('auth.sign_context(text, text, text)') is not null then
    drop function auth.sign_context(text, text, text); -- without p_org; was in no release
  end if;
  if to_regprocedure('auth.sign_context(text, text, text, boolean)') is not null then
    drop function auth.sign_context(text, text, text, boolean); -- with p_only_org; was in no release
  end if;
  if to_regprocedure('auth.explain_access(text, regclass, text, jsonb, jsonb, boolean, boolean, text[], text, text)') is not null then
    drop function auth.explain_access(text, regclass, text, jsonb, jsonb, boolean, boolean, text[], text, text); -- without p_org; was in no release
  end if;
  if to_regprocedure('auth.explain_as(text, text, boolean, text)') is not null then
    drop function auth.explain_as(text, text, boolean, text); -- without p_org; was in no release
  end if;
  if to_regprocedure('auth.who_can(regclass, text, jsonb, jsonb, integer)') is not null then
    drop function auth.who_can(regclass, text, jsonb, jsonb, integer); -- without p_org; was in no release
  end if;
  foreach v_retired in array array[
    'auth.login_as(text, text, text)', 'auth.test_run(text, text, text)', 'auth.test_sees(text, text, bigint, text, text)',
    'auth.test_sees_nothing(text, text, text, text)', 'auth.test_sees_exactly(text, text, jsonb, text, text)',
    'auth.test_can(text, text, text, text)', 'auth.test_cannot(text, text, text, text)', 'auth.test_changes(text, text, bigint, text, text)',
    'auth.test_throws(text, text, text, text, text)', 'auth.test_isolated(regclass, text, text, text, text)',
    'auth.test_isolation(regclass, text, text, text)']  -- without p_org; were in no release
  loop
    if to_regprocedure(v_retired) is not null then
      execute format('drop function %s', v_retired);
    end if;
  end loop;
end $$;

--{{/*
\ir context/verified.sql
--*/}}
--{{"\n"}}{{ template "context/verified.sql" . }}
--{{/*
\ir context/helpers.sql
--*/}}
--{{"\n"}}{{ template "context/helpers.sql" . }}
--{{/*
\ir context/membership.sql
--*/}}
--{{"\n"}}{{ template "context/membership.sql" . }}
--{{/*
\ir audit/record.sql
--*/}}
--{{"\n"}}{{ template "audit/record.sql" . }}
--{{/*
\ir audit/append_only.sql
--*/}}
--{{"\n"}}{{ template "audit/append_only.sql" . }}
--{{/*
\ir audit/partitions.sql
--*/}}
--{{"\n"}}{{ template "audit/partitions.sql" . }}
--{{/*
\ir admin/settings.sql
--*/}}
--{{"\n"}}{{ template "admin/settings.sql" . }}
--{{/*
\ir admin/setting_definitions.sql
--*/}}
--{{"\n"}}{{ template "admin/setting_definitions.sql" . }}
--{{/*
\ir users/user_json.sql
--*/}}
--{{"\n"}}{{ template "users/user_json.sql" . }}
--{{/*
\ir users/triggers.sql
--*/}}
--{{"\n"}}{{ template "users/triggers.sql" . }}
--{{/*
\ir users/lookup.sql
--*/}}
--{{"\n"}}{{ template "users/lookup.sql" . }}
--{{/*
\ir users/passwords.sql
--*/}}
--{{"\n"}}{{ template "users/passwords.sql" . }}
--{{/*
\ir users/common_passwords.sql
--*/}}
--{{"\n"}}{{ template "users/common_passwords.sql" . }}
--{{/*
\ir mfa/enforcement.sql
--*/}}
--{{"\n"}}{{ template "mfa/enforcement.sql" . }}
--{{/*
\ir sessions/issue.sql
--*/}}
--{{"\n"}}{{ template "sessions/issue.sql" . }}
--{{/*
\ir sessions/custom_claims.sql
--*/}}
--{{"\n"}}{{ template "sessions/custom_claims.sql" . }}
--{{/*
\ir sessions/impersonate.sql
--*/}}
--{{"\n"}}{{ template "sessions/impersonate.sql" . }}
--{{/*
\ir sessions/flows.sql
--*/}}
--{{"\n"}}{{ template "sessions/flows.sql" . }}
--{{/*
\ir users/new.sql
--*/}}
--{{"\n"}}{{ template "users/new.sql" . }}
--{{/*
\ir users/create.sql
--*/}}
--{{"\n"}}{{ template "users/create.sql" . }}
--{{/*
\ir mail/render.sql
--*/}}
--{{"\n"}}{{ template "mail/render.sql" . }}
--{{/*
\ir mail/defaults.sql
--*/}}
--{{"\n"}}{{ template "mail/defaults.sql" . }}
--{{/*
\ir mail/templates.sql
--*/}}
--{{"\n"}}{{ template "mail/templates.sql" . }}
--{{/*
\ir mail/tokens.sql
--*/}}
--{{"\n"}}{{ template "mail/tokens.sql" . }}
--{{/*
\ir mail/outbox.sql
--*/}}
--{{"\n"}}{{ template "mail/outbox.sql" . }}
--{{/*
\ir mail/flows.sql
--*/}}
--{{"\n"}}{{ template "mail/flows.sql" . }}
--{{/*
\ir oauth/identities.sql
--*/}}
--{{"\n"}}{{ template "oauth/identities.sql" . }}
--{{/*
\ir oauth/flows.sql
--*/}}
--{{"\n"}}{{ template "oauth/flows.sql" . }}
--{{/*
\ir users/addresses.sql
--*/}}
--{{"\n"}}{{ template "users/addresses.sql" . }}
--{{/*
\ir users/bans.sql
--*/}}
--{{"\n"}}{{ template "users/bans.sql" . }}
--{{/*
\ir users/sessions.sql
--*/}}
--{{"\n"}}{{ template "users/sessions.sql" . }}
--{{/*
\ir orgs/lookup.sql
--*/}}
--{{"\n"}}{{ template "orgs/lookup.sql" . }}
--{{/*
\ir orgs/roles.sql
--*/}}
--{{"\n"}}{{ template "orgs/roles.sql" . }}
--{{/*
\ir orgs/triggers.sql
--*/}}
--{{"\n"}}{{ template "orgs/triggers.sql" . }}
--{{/*
\ir orgs/organizations.sql
--*/}}
--{{"\n"}}{{ template "orgs/organizations.sql" . }}
--{{/*
\ir orgs/members.sql
--*/}}
--{{"\n"}}{{ template "orgs/members.sql" . }}
--{{/*
\ir orgs/invitations.sql
--*/}}
--{{"\n"}}{{ template "orgs/invitations.sql" . }}
--{{/*
\ir orgs/active.sql
--*/}}
--{{"\n"}}{{ template "orgs/active.sql" . }}
--{{/*
\ir orgs/views.sql
--*/}}
--{{"\n"}}{{ template "orgs/views.sql" . }}
--{{/*
\ir mfa/triggers.sql
--*/}}
--{{"\n"}}{{ template "mfa/triggers.sql" . }}
--{{/*
\ir mfa/step_up.sql
--*/}}
--{{"\n"}}{{ template "mfa/step_up.sql" . }}
--{{/*
\ir mfa/recovery_codes.sql
--*/}}
--{{"\n"}}{{ template "mfa/recovery_codes.sql" . }}
--{{/*
\ir mfa/factors.sql
--*/}}
--{{"\n"}}{{ template "mfa/factors.sql" . }}
--{{/*
\ir mfa/admin.sql
--*/}}
--{{"\n"}}{{ template "mfa/admin.sql" . }}
--{{/*
\ir context/login_as.sql
--*/}}
--{{"\n"}}{{ template "context/login_as.sql" . }}
--{{/*
\ir keys/api_keys.sql
--*/}}
--{{"\n"}}{{ template "keys/api_keys.sql" . }}
--{{/*
\ir keys/rotate.sql
--*/}}
--{{"\n"}}{{ template "keys/rotate.sql" . }}
--{{/*
\ir keys/signing_keys.sql
--*/}}
--{{"\n"}}{{ template "keys/signing_keys.sql" . }}
--{{/*
\ir keys/trusted_issuers.sql
--*/}}
--{{"\n"}}{{ template "keys/trusted_issuers.sql" . }}
--{{/*
\ir policy/helpers.sql
--*/}}
--{{"\n"}}{{ template "policy/helpers.sql" . }}
--{{/*
\ir policy/enable_rls.sql
--*/}}
--{{"\n"}}{{ template "policy/enable_rls.sql" . }}
--{{/*
\ir policy/protect/check.sql
--*/}}
--{{"\n"}}{{ template "policy/protect/check.sql" . }}
--{{/*
\ir policy/protect/policies.sql
--*/}}
--{{"\n"}}{{ template "policy/protect/policies.sql" . }}
--{{/*
\ir policy/protect/members.sql
--*/}}
--{{"\n"}}{{ template "policy/protect/members.sql" . }}
--{{/*
\ir policy/protect/shares.sql
--*/}}
--{{"\n"}}{{ template "policy/protect/shares.sql" . }}
--{{/*
\ir policy/protect/grants.sql
--*/}}
--{{"\n"}}{{ template "policy/protect/grants.sql" . }}
--{{/*
\ir policy/protect.sql
--*/}}
--{{"\n"}}{{ template "policy/protect.sql" . }}
--{{/*
\ir policy/lint_base.sql
--*/}}
--{{"\n"}}{{ template "policy/lint_base.sql" . }}
--{{/*
\ir policy/lint_expressions.sql
--*/}}
--{{"\n"}}{{ template "policy/lint_expressions.sql" . }}
--{{/*
\ir policy/lints/context_not_verified.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/context_not_verified.sql" . }}
--{{/*
\ir policy/lints/database_locale.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/database_locale.sql" . }}
--{{/*
\ir policy/lints/default_grants.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/default_grants.sql" . }}
--{{/*
\ir policy/lints/definer_passes_rls.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/definer_passes_rls.sql" . }}
--{{/*
\ir policy/lints/definer_search_path.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/definer_search_path.sql" . }}
--{{/*
\ir policy/lints/foreign_key_without_tenant.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/foreign_key_without_tenant.sql" . }}
--{{/*
\ir policy/lints/function_for_public.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/function_for_public.sql" . }}
--{{/*
\ir policy/lints/grant_beyond_rows.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/grant_beyond_rows.sql" . }}
--{{/*
\ir policy/lints/login_settings.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/login_settings.sql" . }}
--{{/*
\ir policy/lints/own_schema_grant.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/own_schema_grant.sql" . }}
--{{/*
\ir policy/lints/partition_grant.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/partition_grant.sql" . }}
--{{/*
\ir policy/lints/policies_without_rls.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/policies_without_rls.sql" . }}
--{{/*
\ir policy/lints/policy_check_without_column.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/policy_check_without_column.sql" . }}
--{{/*
\ir policy/lints/policy_column_not_indexed.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/policy_column_not_indexed.sql" . }}
--{{/*
\ir policy/lints/policy_constant_or.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/policy_constant_or.sql" . }}
--{{/*
\ir policy/lints/policy_identity_per_row.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/policy_identity_per_row.sql" . }}
--{{/*
\ir policy/lints/policy_in_subselect.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/policy_in_subselect.sql" . }}
--{{/*
\ir policy/lints/policy_recursive.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/policy_recursive.sql" . }}
--{{/*
\ir policy/lints/policy_user_metadata.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/policy_user_metadata.sql" . }}
--{{/*
\ir policy/lints/policy_without_roles.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/policy_without_roles.sql" . }}
--{{/*
\ir policy/lints/relation_without_rls.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/relation_without_rls.sql" . }}
--{{/*
\ir policy/lints/rls_disabled.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/rls_disabled.sql" . }}
--{{/*
\ir policy/lints/rls_not_forced.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/rls_not_forced.sql" . }}
--{{/*
\ir policy/lints/rls_without_policy.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/rls_without_policy.sql" . }}
--{{/*
\ir policy/lints/role_bypasses_rls.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/role_bypasses_rls.sql" . }}
--{{/*
\ir policy/lints/schema_create.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/schema_create.sql" . }}
--{{/*
\ir policy/lints/sequence_grant.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/sequence_grant.sql" . }}
--{{/*
\ir policy/lints/setting_without_nullif.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/setting_without_nullif.sql" . }}
--{{/*
\ir policy/lints/temporary_for_public.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/temporary_for_public.sql" . }}
--{{/*
\ir policy/lints/unique_without_tenant.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/unique_without_tenant.sql" . }}
--{{/*
\ir policy/lints/user_reference_without_key.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/user_reference_without_key.sql" . }}
--{{/*
\ir policy/lints/view_not_invoker.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/view_not_invoker.sql" . }}
--{{/*
\ir policy/check.sql
--*/}}
--{{"\n"}}{{ template "policy/check.sql" . }}
--{{/*
\ir policy/row_by_key.sql
--*/}}
--{{"\n"}}{{ template "policy/row_by_key.sql" . }}
--{{/*
\ir policy/access_report.sql
--*/}}
--{{"\n"}}{{ template "policy/access_report.sql" . }}
--{{/*
\ir policy/explain_access.sql
--*/}}
--{{"\n"}}{{ template "policy/explain_access.sql" . }}
--{{/*
\ir policy/who_can.sql
--*/}}
--{{"\n"}}{{ template "policy/who_can.sql" . }}
--{{/*
\ir policy/explain_as.sql
--*/}}
--{{"\n"}}{{ template "policy/explain_as.sql" . }}
--{{/*
\ir policy/isolation/users.sql
--*/}}
--{{"\n"}}{{ template "policy/isolation/users.sql" . }}
--{{/*
\ir policy/isolation/attempts.sql
--*/}}
--{{"\n"}}{{ template "policy/isolation/attempts.sql" . }}
--{{/*
\ir policy/isolation/try.sql
--*/}}
--{{"\n"}}{{ template "policy/isolation/try.sql" . }}
--{{/*
\ir policy/test_isolation.sql
--*/}}
--{{"\n"}}{{ template "policy/test_isolation.sql" . }}
--{{/*
\ir policy/assertions.sql
--*/}}
--{{"\n"}}{{ template "policy/assertions.sql" . }}
--{{/*
\ir policy/policy_lock.sql
--*/}}
--{{"\n"}}{{ template "policy/policy_lock.sql" . }}
--{{/*
\ir policy/policy_sets.sql
--*/}}
--{{"\n"}}{{ template "policy/policy_sets.sql" . }}
--{{/*
\ir orgs/tenant_schemas.sql
--*/}}
--{{"\n"}}{{ template "orgs/tenant_schemas.sql" . }}
--{{/*
\ir policy/lints/policy_true_for_writes.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/policy_true_for_writes.sql" . }}
--{{/*
\ir policy/lints/tenant_table_open.sql
--*/}}
--{{"\n"}}{{ template "policy/lints/tenant_table_open.sql" . }}
--{{/*
\ir ratelimit/rules.sql
--*/}}
--{{"\n"}}{{ template "ratelimit/rules.sql" . }}
--{{/*
\ir ratelimit/take.sql
--*/}}
--{{"\n"}}{{ template "ratelimit/take.sql" . }}
--{{/*
\ir ratelimit/admin.sql
--*/}}
--{{"\n"}}{{ template "ratelimit/admin.sql" . }}
--{{/*
\ir admin/housekeeping.sql
--*/}}
--{{"\n"}}{{ template "admin/housekeeping.sql" . }}
--{{/*
\ir admin/ready.sql
--*/}}
--{{"\n"}}{{ template "admin/ready.sql" . }}
--{{/*
\ir admin/views.sql
--*/}}
--{{"\n"}}{{ template "admin/views.sql" . }}
--{{/*
\ir server/errors.sql
--*/}}
--{{"\n"}}{{ template "server/errors.sql" . }}
--{{/*
\ir server/gate.sql
--*/}}
--{{"\n"}}{{ template "server/gate.sql" . }}
--{{/*
\ir server/cost.sql
--*/}}
--{{"\n"}}{{ template "server/cost.sql" . }}
--{{/*
\ir server/login.sql
--*/}}
--{{"\n"}}{{ template "server/login.sql" . }}
--{{/*
\ir server/signup.sql
--*/}}
--{{"\n"}}{{ template "server/signup.sql" . }}
--{{/*
\ir server/flows.sql
--*/}}
--{{"\n"}}{{ template "server/flows.sql" . }}
--{{/*
\ir server/oauth.sql
--*/}}
--{{"\n"}}{{ template "server/oauth.sql" . }}
--{{/*
\ir server/refresh.sql
--*/}}
--{{"\n"}}{{ template "server/refresh.sql" . }}
--{{/*
\ir server/logout.sql
--*/}}
--{{"\n"}}{{ template "server/logout.sql" . }}
--{{/*
\ir server/user.sql
--*/}}
--{{"\n"}}{{ template "server/user.sql" . }}
--{{/*
\ir server/orgs.sql
--*/}}
--{{"\n"}}{{ template "server/orgs.sql" . }}
--{{/*
\ir server/org_members.sql
--*/}}
--{{"\n"}}{{ template "server/org_members.sql" . }}
--{{/*
\ir server/org_invitations.sql
--*/}}
--{{"\n"}}{{ template "server/org_invitations.sql" . }}
--{{/*
\ir server/second_factor.sql
--*/}}
--{{"\n"}}{{ template "server/second_factor.sql" . }}
--{{/*
\ir server/admin_users.sql
--*/}}
--{{"\n"}}{{ template "server/admin_users.sql" . }}
--{{/*
\ir server/admin_factors.sql
--*/}}
--{{"\n"}}{{ template "server/admin_factors.sql" . }}
--{{/*
\ir server/impersonate.sql
--*/}}
--{{"\n"}}{{ template "server/impersonate.sql" . }}
--{{/*
\ir server/mail_flows.sql
--*/}}
--{{"\n"}}{{ template "server/mail_flows.sql" . }}
--{{/*
\ir server/verify.sql
--*/}}
--{{"\n"}}{{ template "server/verify.sql" . }}
--{{/*
\ir server/api_keys.sql
--*/}}
--{{"\n"}}{{ template "server/api_keys.sql" . }}
--{{/*
\ir server/signing_keys.sql
--*/}}
--{{"\n"}}{{ template "server/signing_keys.sql" . }}
--{{/*
\ir server/trusted_issuers.sql
--*/}}
--{{"\n"}}{{ template "server/trusted_issuers.sql" . }}
--{{/*
\ir admin/data_login.sql
--*/}}
--{{"\n"}}{{ template "admin/data_login.sql" . }}
--{{/*
\ir server/install_state.sql
--*/}}
--{{"\n"}}{{ template "server/install_state.sql" . }}
--{{/*
\ir server/reload.sql
--*/}}
--{{"\n"}}{{ template "server/reload.sql" . }}
--{{/*
\ir checksum.sql
--*/}}
--{{"\n"}}{{ template "checksum.sql" . }}
