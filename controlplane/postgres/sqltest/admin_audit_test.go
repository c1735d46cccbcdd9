package sqltest

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// administration is one call of each function that a member of fluxbase_admin may call to change something, in an order
// in which they succeed. {name} stands for what a lookup finds when its call comes.
var administration = []string{
	`select auth.create_user('new@example.com', 'a long enough passphrase', p_confirmed => false)`,
	`select auth.confirm_user('new@example.com')`,
	`select auth.set_password('new@example.com', 'another long passphrase')`,
	`select auth.update_user('new@example.com', p_user_metadata => '{"name": "New"}')`,
	`select auth.ban_user('new@example.com', now() + interval '1 day', 'test')`,
	`select auth.unban_user('new@example.com')`,
	`select auth.unlock_user('new@example.com')`,
	`select auth.revoke_session('{session}')`,
	`select auth.revoke_user('bob@example.com')`,
	`select auth.create_organization('org', 'Org', 'ann@example.com')`,
	`select auth.update_organization('org', p_name => 'Other')`,
	`select auth.add_member('org', 'bob@example.com')`,
	`select auth.set_member_role('org', 'bob@example.com', 'admin')`,
	`select auth.transfer_ownership('org', 'ann@example.com', 'bob@example.com')`,
	`select auth.remove_member('org', 'ann@example.com')`,
	`select auth.invite_member('org', 'guest@example.com')`,
	`select auth.mail_invitation('{invitation}')`,
	`select auth.revoke_invitation('{invitation}')`,
	`select auth.create_role('editor', 'organization')`,
	`select auth.create_permission('pages.edit')`,
	`select auth.grant_permission('editor', 'pages.edit')`,
	`select auth.revoke_permission('editor', 'pages.edit')`,
	`select auth.drop_permission('pages.edit')`,
	`select auth.drop_role('editor')`,
	`select auth.grant_role('ann@example.com', 'system_admin')`,
	`select auth.impersonate('ann@example.com', 'cara@example.com', '1 hour', 'test')`,
	`select auth.revoke_role('ann@example.com', 'system_admin')`,
	`select auth.delete_organization('org')`,
	`select auth.create_api_key('anon', 'web')`,
	`select auth.rotate_api_key('{key}')`,
	`select auth.revoke_api_key('{key}')`,
	`select auth.set_setting('password_min_length', '14')`,
	`select auth.rotate_context_key()`,
	`select auth.rotate_signing_key(p_algorithm => 'ES256')`,
	`select auth.revoke_signing_key('{signing_key}')`,
	`select auth.disable_issuer('{issuer}', 'test')`,
	`select auth.enable_issuer('issuer')`,
	`select auth.allow_data_login('{data_login}')`,
	`select auth.end_flow('{flow}')`,
	`select auth.end_oauth_flow('{oauth_flow}')`,
	`select auth.set_setting('public_url', 'https://api.example.com')`,
	`select auth.begin_oauth('google', 'https://app.example.com')`,
	`select auth.link_identity('ann@example.com', 'google', '1', 'test')`,
	`select auth.unlink_identity('{identity}', 'test')`,
	`select auth.add_signup_rule('allow_domain', 'example.com')`,
	`select auth.remove_signup_rule({signup_rule})`,
	`select auth.generate_recovery_codes('cara@example.com', 'test')`,
	`select auth.cancel_mfa_challenges('cara@example.com')`,
	`select auth.remove_mfa_factor('{factor}', 'test')`,
	`select auth.reset_mfa('cara@example.com', 'test')`,
	`select auth.enforce_mfa()`,
	`select auth.sign_context('ann@example.com', 'aal1', null)`,
	`select auth.login_as('ann@example.com')`,
	`select auth.row_by_key('public.t', '{"id": 1}')`,
	`select auth.explain_access('ann@example.com', 'public.t', 'select', '{"id": 1}')`,
	`select auth.explain_as('ann@example.com', 'select 1')`,
	`select auth.who_can('public.t', 'select', '{"id": 1}')`,
	`select auth.test_isolation('public.t', 'user_id', 'ann@example.com', 'bob@example.com')`,
	`select auth.save_policy_set('default', '{}', '{}')`,
	`select auth.create_organization('tenant', 'Tenant', 'ann@example.com')`,
	`select auth.save_tenant_schema('tenant_tenant', 'tenant', 'tenant_template')`,
	`select auth.forget_tenant_schema('tenant_tenant')`,
	`select ratelimit.set_rule('r', 'ip', 10, '1 minute')`,
	`select ratelimit.drop_rule('r')`,
	`select ratelimit.reset(p_subject => 'ip:192.0.2.1')`,
	`select auth.send_mail('magiclink', 'ann@example.com')`,
	`select auth.retry_mail('{failed_mail}')`,
	`select auth.cancel_mail('{mail}')`,
	`select auth.end_mail_tokens('ann@example.com')`,
	`select auth.change_email('bob@example.com', 'robert@example.com')`,
	`select auth.invite_user('guest@example.com')`,
	`select auth.set_mail_template('magiclink', 'Subject', 'Text {{ .ConfirmationURL }}', '<p>{{ .ConfirmationURL }}</p>')`,
	`select auth.reset_mail_template('magiclink')`,
	`select auth.block_address('192.0.2.0/24')`,
	`select auth.allow_address('192.0.2.1')`,
	`select auth.forget_address('192.0.2.1')`,
	`select auth.delete_user('new@example.com')`,
}

// excused functions change nothing that anybody is answerable for.
var excused = map[string]string{
	"audit.drop_expired_partitions": "housekeeping: what the setting says; a dropped month is recorded when there is one",
	"audit.ensure_partitions":       "housekeeping: makes empty partitions",
	"auth.housekeeping":             "housekeeping, by servers all day long",
	"auth.fresh_value":              "makes up a value",
	"auth.isolation_fresh":          "makes up values",
	"auth.isolation_attempts":       "makes up statements",
	"auth.isolation_versions":       "undoes what it does",
	"auth.isolation_reach":          "undoes what it does",
	"auth.isolation_try":            "undoes what it does",
	"auth.access_report":            "looks with a context that auth.sign_context signed, which is recorded",
	"auth.policy_drift":             "looks at the catalog",
	"auth.policy_reparse":           "undoes what it does",
	"fluxbase.reload":               "tells servers to look again",
	"auth.test_run":                 "undoes what it does",
	"auth.create_tenant_schema":     "recorded by auth.save_tenant_schema",
	"auth.drop_tenant_schema":       "recorded by auth.forget_tenant_schema",
	"auth.in_tenant_schemas":        "runs what its caller may run by hand",
	"auth.lock_tenant_schema":       "closes tables as their owner may by hand",
}

// Whoever administers in psql leaves a row with the login that did it, whatever role the session has taken on.
func TestAdministrationIsRecorded(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	login := fmt.Sprintf("dba_%d", os.Getpid())
	exec(t, super, `create role `+login+` login noinherit password 'dba' in role fluxbase_admin`)
	t.Cleanup(func() {
		ctx := context.Background() // that of the test has ended
		if conn, err := pgx.Connect(ctx, db.URL("superuser")); err != nil {
			t.Error(err)
		} else if _, err := conn.Exec(ctx, `drop role `+login); err != nil {
			t.Error(err)
		} else {
			_ = conn.Close(ctx)
		}
	})
	config, err := pgx.ParseConfig(db.URL("installer"))
	if err != nil {
		t.Fatal(err)
	}
	config.User, config.Password = login, "dba"
	dba, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dba.Close(context.Background()) })
	exec(t, dba, `set role fluxbase_admin`)
	data := fmt.Sprintf("data_%d", os.Getpid())
	exec(t, super, `create role `+data+` login noinherit`)
	t.Cleanup(func() { _, _ = super.Exec(context.Background(), `drop owned by `+data+`; drop role `+data) })
	for _, timeout := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		exec(t, super, `alter role `+data+` set `+timeout+` = '5s'`)
	}

	for _, email := range []string{"ann@example.com", "bob@example.com", "cara@example.com"} {
		newUser(t, super, email)
	}
	exec(t, super, `create table public.t (id bigint primary key, user_id uuid); grant select on public.t to service_role, authenticated;
		insert into public.t values (1, null);
		insert into auth.mfa_factors (id, user_id, factor_type, status, secret)
		select gen_random_uuid(), id, 'totp', 'verified', 'v1.' || repeat('0', 16) || '.' || repeat('A', 54) from auth.users where email = 'cara@example.com'`)
	lookups := map[string]string{
		"session":     `insert into auth.sessions (user_id, expires_at) select id, now() + interval '1 day' from auth.users where email = 'bob@example.com' returning id::text`,
		"invitation":  `select id::text from auth.organization_invitations`,
		"key":         `select id::text from auth.api_keys where revoked_at is null and expires_at is null`,
		"signing_key": `select id::text from auth.signing_keys where published_at is null`,
		"issuer":      `insert into auth.trusted_issuers (name) values ('issuer') returning name`,
		"data_login":  `select '` + data + `'`,
		"flow":        `insert into auth.flow_states (purpose, code_challenge, expires_at) values ('test', repeat('a', 43), now() + interval '1 hour') returning id::text`,
		"oauth_flow": `insert into auth.oauth_flows (provider, redirect_to, state_hash, browser_hash, expires_at)
			values ('test', 'https://example.com', sha256('a'), sha256('b'), now() + interval '1 hour') returning id::text`,
		"identity":    `select id::text from auth.identities where provider = 'google'`,
		"failed_mail": `update auth.mail_outbox set status = 'failed' where id = (select id from auth.mail_outbox order by id limit 1) returning id::text`,
		"mail":        `select id::text from auth.mail_outbox order by id limit 1`,
		"signup_rule": `select max(id)::text from auth.signup_rules`,
		"factor":      `select id::text from auth.mfa_factors`,
	}
	called := map[string]bool{}
	placeholder := regexp.MustCompile(`\{([a-z_]+)\}`)
	for _, call := range administration {
		call = placeholder.ReplaceAllStringFunc(call, func(name string) string {
			return one[string](t, super, lookups[strings.Trim(name, "{}")])
		})
		before := one[int64](t, super, `select coalesce(max(id), 0) from audit.log`)
		if _, err := dba.Exec(t.Context(), `begin; `+call+`; commit`); err != nil {
			t.Errorf("%s: %v", call, err)
			exec(t, dba, `rollback`)
			continue
		}
		exec(t, dba, `set role fluxbase_admin`)
		called[strings.TrimPrefix(call[:strings.Index(call, "(")], "select ")] = true
		if by := lines(t, super, `select distinct db_user from audit.log where id > $1`, before); len(by) != 1 || by[0] != login {
			t.Errorf("%s: recorded by %v, want %s", call, by, login)
		}
	}
	for _, name := range lines(t, super, `
		select distinct p.oid::regproc::text from pg_proc p
		where p.pronamespace in ('auth'::regnamespace, 'audit'::regnamespace, 'ratelimit'::regnamespace, 'fluxbase'::regnamespace)
		  and p.provolatile = 'v' and has_function_privilege('fluxbase_admin', p.oid, 'execute')
		  and not has_function_privilege('anon', p.oid, 'execute') order by 1`) {
		if !called[name] && excused[name] == "" && !strings.HasPrefix(name, "auth.test_") {
			t.Errorf("%s is an administrator's, and nothing here shows that it is recorded", name)
		}
	}
}
