package sqltest

import (
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestSignupRules(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	says := func(want string, emails ...string) {
		t.Helper()
		for _, email := range emails {
			if got := one[string](t, admin, `select auth.may_sign_up($1)`, email); got != want {
				t.Errorf("%s: %s, want %s", email, got, want)
			}
		}
	}
	anonymous := func() string {
		t.Helper()
		return one[string](t, admin, `select auth.may_sign_up(null, 'anonymous')`)
	}
	says("ok", "ann@example.com")
	if got := anonymous(); got != "ok" {
		t.Errorf("anonymous: %s", got)
	}

	exec(t, admin, `select auth.add_signup_rule('deny_domain', '*.Example.com')`)
	says("ok", "ann@example.com", "ann@badexample.com")
	says("email_address_not_authorized", "ann@mail.example.com", "ann@a.b.EXAMPLE.com")
	exec(t, admin, `select auth.add_signup_rule('allow_domain', 'acme.test')`)
	says("ok", "ann@ACME.test")
	says("email_address_not_authorized", "ann@example.com", "ann@notacme.test", "ann@sub.acme.test", "ann@acme.test.evil.example")
	if got := anonymous(); got != "email_address_not_authorized" {
		t.Errorf("whoever may be anybody is no member of a domain: %s", got)
	}

	exec(t, super, `insert into auth.organizations (slug, name) values ('acme', 'Acme')`)
	exec(t, admin, `select auth.invite_member('acme', 'bob@acme.test')`)
	exec(t, admin, `select auth.add_signup_rule('invitation_only')`)
	says("ok", "Bob@acme.test")
	says("signup_not_invited", "ann@acme.test")
	exec(t, super, `update auth.organization_invitations set expires_at = now() - interval '1 second'`)
	says("signup_not_invited", "bob@acme.test")

	closed := one[int](t, admin, `select auth.add_signup_rule('closed')`)
	says("signup_disabled", "bob@acme.test")
	// One function makes users: no rule binds administrators, everything else obeys.
	newUser(t, admin, "staff@example.org")
	if got := one[string](t, super, `select fluxbase.new_user(jsonb_populate_record(null::auth.users, '{"email": "eve@acme.test"}'), 'oauth') ->> 'status'`); got != "signup_disabled" {
		t.Errorf("a user in spite of the rules: %s", got)
	}
	if got := one[string](t, super, `select proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
		where n.nspname in ('auth', 'fluxbase') and p.prosrc ~* 'insert\s+into\s+auth\.users'`); got != "new_user" {
		t.Errorf("%s makes users, too", got)
	}
	if !one[bool](t, admin, `select auth.remove_signup_rule($1)`, closed) || one[bool](t, admin, `select auth.remove_signup_rule($1)`, closed) {
		t.Error("a rule is removed once")
	}
	says("signup_not_invited", "bob@acme.test")
	if n := one[int](t, admin, `select count(*)::int from auth.admin_signup_rules`); n != 3 {
		t.Errorf("%d rules", n)
	}
	for _, c := range [][2]string{{"22023", `'allow_domain'`}, {"22023", `'closed', 'example.com'`}, {"22023", `'allow_domain', 'example'`},
		{"22023", `'allow_domain', '*'`}, {"22023", `'open'`}, {"22023", `null`}, {"23505", `'invitation_only'`}} {
		refused(t, admin, c[0], nil, `select auth.add_signup_rule(`+c[1]+`)`)
	}
	if n := audited(t, super, "signup_rule.added"); n != 4 {
		t.Errorf("%d audit rows", n)
	}
}
