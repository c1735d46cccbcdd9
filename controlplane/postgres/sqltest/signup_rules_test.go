package sqltest

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

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

// signupFrom signs up from an address with a hash that ends in a letter, and returns the status.
func signupFrom(t *testing.T, super, server *pgx.Conn, email, ip, letter string) string {
	t.Helper()
	var status string
	anonymously(t, super, server, ip, func(tx pgx.Tx) error {
		return tx.QueryRow(t.Context(), `select fluxbase.signup(p_email => $1, p_encrypted_password => '$2a$10$' || repeat($2, 53), p_user_metadata => null,
			p_redirect_to => null, p_code_challenge => null, p_code_challenge_method => null, p_session_id => gen_random_uuid(),
			p_refresh_hash => sha256('x'), p_jti => gen_random_uuid(), p_user_agent => null) ->> 'status'`, email, letter).Scan(&status)
	})
	return status
}

// A stranger who signs up with somebody's address, before or after, has no password there when the owner confirms it.
func TestStrangersPasswordsDoNotWaitForTheOwner(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin, server := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin"), db.Conn(t, "fluxbase_server")
	const owner, stranger = "192.0.2.1", "198.51.100.7"
	type signup struct{ from, letter string }
	exec(t, admin, `select auth.invite_user('invited@example.com')`)
	for _, c := range []struct {
		name, interval string
		signups        []signup
		want           string // last letter of the hash
	}{
		{"alone", "1 minute", []signup{{owner, "a"}}, "a"},
		{"twice", "0", []signup{{owner, "a"}, {owner, "b"}}, "b"},
		{"twice at once", "1 minute", []signup{{owner, "a"}, {owner, "b"}}, "a"},
		{"after-a-stranger", "1 minute", []signup{{stranger, "x"}, {owner, "a"}}, ""},
		{"before-a-stranger", "0", []signup{{owner, "a"}, {stranger, "x"}}, ""},
		{"between", "0", []signup{{stranger, "x"}, {owner, "a"}, {stranger, "x"}, {stranger, "x"}}, ""},
		{"invited", "0", []signup{{stranger, "x"}}, ""},
	} {
		exec(t, admin, `select auth.set_setting('mail_resend_interval', $1)`, c.interval)
		email := strings.ReplaceAll(c.name, " ", "-") + "@example.com"
		for _, s := range c.signups {
			if got := signupFrom(t, super, server, email, s.from, s.letter); got != "ok" {
				t.Errorf("%s: %s", c.name, got)
			}
		}
		if got := one[string](t, super, `select coalesce(right(encrypted_password, 1), '') from auth.users where email = $1`, email); got != c.want {
			t.Errorf("%s: the password %q counts, want %q", c.name, got, c.want)
		}
	}
}
