package authn_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

func (m mailed) put(t testing.TB, k servertest.Tokens, body any) servertest.Answer {
	t.Helper()
	return m.Do(t, "PUT", "/auth/v1/user", body, k.Bearer())
}

// payload is what an access token says.
func payload(t testing.TB, k servertest.Tokens) (claims map[string]any) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(k.Access, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestEmailChange(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	id := m.CreateUser(t, ann)
	m.CreateUser(t, bob)
	k := m.Login(t, ann)
	address := func() string {
		t.Helper()
		return m.Value(t, `select concat_ws(' ', email, email_change) from auth.users where id = $1::uuid`, id)
	}

	// Both addresses agree, in whatever order.
	for i, next := range []string{"ann.b@example.com", "ann.c@example.com"} {
		current := m.Value(t, `select email from auth.users where id = $1::uuid`, id)
		a := m.put(t, k, map[string]string{"email": next})
		expect(t, a, 200, "")
		if a.Text("new_email") != next || a.Text("email") != current {
			t.Errorf("%s", a.Body)
		}
		first, second := m.next(t, current), m.next(t, next)
		if i == 1 {
			first, second = second, first
		}
		_, told := m.press(t, first)
		if !strings.Contains(told.Get("message"), "other email") || told.Get("access_token") != "" || address() != current+" "+next {
			t.Fatalf("one of two: %v, %s", told, address())
		}
		expect(t, m.byLink(t, "email_change", first.token), 403, "otp_expired")
		a = m.byCode(t, "email_change", map[bool]string{true: current, false: next}[i == 1], second.code)
		expect(t, a, 200, "")
		if address() != next || a.Text("access_token") == "" {
			t.Fatalf("both of two: %s", address())
		}
		if notice := m.inbox.Next(t, current); !strings.Contains(notice.Text, next) || !strings.Contains(notice.Subject, "has changed") {
			t.Errorf("%+v", notice)
		}
	}
	if got := m.Value(t, `select concat_ws(' ', email_proven_at > now() - interval '1 minute', (select identity_data ->> 'email' from auth.identities i where i.user_id = u.id)) from auth.users u where id = $1::uuid`, id); got != "t ann.c@example.com" {
		t.Errorf("%s", got)
	}

	// Another change voids the one before; what was agreed to was that one.
	expect(t, m.put(t, k, map[string]string{"email": "first@example.com"}), 200, "")
	agreed, old := m.next(t, "ann.c@example.com"), m.next(t, "first@example.com")
	expect(t, m.byLink(t, "email_change", agreed.token), 200, "200")
	expect(t, m.put(t, k, map[string]string{"email": "second@example.com"}), 200, "")
	m.next(t, "ann.c@example.com")
	second := m.next(t, "second@example.com")
	expect(t, m.byLink(t, "email_change", old.token), 403, "otp_expired")
	expect(t, m.byLink(t, "email_change", second.token), 200, "200")
	if address() != "ann.c@example.com second@example.com" {
		t.Errorf("an agreement to something else counts: %s", address())
	}
	// What an administrator has ended is no agreement.
	expect(t, m.put(t, k, map[string]string{"email": "third@example.com"}), 200, "")
	m.next(t, "ann.c@example.com")
	m.next(t, "third@example.com")
	m.Exec(t, `select auth.end_mail_tokens('ann.c@example.com')`)
	expect(t, m.ask(t, "resend", map[string]string{"type": "email_change", "email": "ann.c@example.com"}), 200, "")
	m.Exec(t, `select auth.end_mail_tokens('ann.c@example.com', 'email_change_current')`)
	third := m.next(t, "third@example.com")
	expect(t, m.byLink(t, "email_change", third.token), 200, "200")
	if address() != "ann.c@example.com third@example.com" {
		t.Errorf("a voided link agrees: %s", address())
	}

	// Whether somebody has the address is told when its owner was asked, not before.
	a, b := m.put(t, k, map[string]string{"email": "free@example.com"}), m.put(t, k, map[string]string{"email": bob})
	if shape(t, a) != shape(t, b) || a.Status != 200 || b.Status != 200 {
		t.Errorf("%s\n%s", a.Body, b.Body)
	}
	m.next(t, bob)
	expect(t, m.put(t, k, map[string]string{"email": "not an address"}), 400, "validation_failed")

	settle(t, m.Server, "email_change_requires_both", "false", func() bool { return true })
	expect(t, m.put(t, k, map[string]string{"email": "alone@example.com"}), 200, "")
	a = m.byLink(t, "email_change", m.next(t, "alone@example.com").token)
	expect(t, a, 200, "")
	if address() != "alone@example.com" {
		t.Errorf("%s", address())
	}
	m.Exec(t, `select auth.set_setting('mail_resend_interval', '1 minute')`)
	expect(t, m.put(t, a.Tokens(), map[string]string{"email": "x@example.com"}), 200, "")
	expect(t, m.put(t, a.Tokens(), map[string]string{"email": "y@example.com"}), 429, "over_email_send_rate_limit")
}

// Who had the session begins a change of the address; its owner sets a new password, or throws everybody out in another way.
// That ends the change, also its renewal.
func TestPasswordsEndChangesOfTheAddress(t *testing.T) {
	t.Parallel()
	m := startMailed(t, sealKey)
	id := m.CreateUser(t, ann)
	m.Exec(t, `select auth.set_setting('email_change_requires_both', 'false')`)
	key := "apikey: " + m.Value(t, `auth.create_api_key(p_kind => 'service', p_name => 'test')`)
	for how, change := range map[string]func(){
		"the user": func() {
			expect(t, m.put(t, m.Login(t, ann), map[string]string{"password": "another good password"}), 200, "")
		},
		"psql":             func() { m.Exec(t, `select auth.set_password($1, $2)`, ann, servertest.Password) },
		"all sessions end": func() { m.Exec(t, `select auth.revoke_user($1)`, ann) },
		"a second factor": func() {
			k := m.Login(t, ann)
			f := enroll(t, m.Server, k, "phone")
			stepUp(t, m.Server, k, f)
			m.Exec(t, `select auth.remove_mfa_factor($1, 'test')`, f.ID)
		},
		"an administrator": func() {
			expect(t, m.Do(t, "PUT", "/auth/v1/admin/users/"+id, map[string]string{"password": servertest.Password}, key), 200, "")
		},
	} {
		expect(t, m.put(t, m.Login(t, ann), map[string]string{"email": "thief@example.com"}), 200, "")
		k := m.next(t, "thief@example.com")
		change()
		expect(t, m.byLink(t, "email_change", k.token), 403, "otp_expired")
		expect(t, m.ask(t, "resend", map[string]string{"type": "email_change", "email": ann}), 200, "")
		if got := m.Value(t, `select concat_ws(' ', email, email_change, (select count(*) from auth.mail_outbox where recipient = 'thief@example.com' and status <> 'sent'))
			from auth.users where id = $1`, id); got != ann+" 0" {
			t.Errorf("%s: %s", how, got)
		}
		m.Exec(t, `select auth.set_password($1, $2)`, ann, servertest.Password)
	}
	// Both at once is one wish.
	expect(t, m.put(t, m.Login(t, ann), map[string]string{"email": "ann.b@example.com", "password": "another good password"}), 200, "")
	expect(t, m.byLink(t, "email_change", m.next(t, "ann.b@example.com").token), 200, "")
}

// However many users ask, an address gets no more mails than one could have sent it.
func TestManyUsersCannotMailOneAddress(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	m.Exec(t, `select auth.set_setting('anonymous_users_enabled', 'true'), auth.set_setting('mail_resend_interval', '1 minute')`)
	var users []servertest.Tokens
	for range 2 {
		users = append(users, m.ask(t, "signup", `{}`).Tokens())
	}
	expect(t, m.put(t, users[0], map[string]string{"email": bob}), 200, "")
	expect(t, m.put(t, users[1], map[string]string{"email": bob}), 429, "over_email_send_rate_limit")
	for _, name := range []string{"x1@example.com", "x2@example.com"} {
		m.CreateUser(t, name)
		m.Exec(t, `update auth.users set email_change = 'carl@example.com' where email = $1`, name)
		expect(t, m.ask(t, "resend", map[string]string{"type": "email_change", "email": name}), 200, "")
	}
	if got := m.Value(t, `select concat_ws(' ', count(*) filter (where recipient = $1), count(*) filter (where recipient = 'carl@example.com')) from auth.mail_outbox`, bob); got != "1 1" {
		t.Errorf("mails: %s", got)
	}
}

func TestReauthentication(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	m.CreateUser(t, ann)
	k := m.Login(t, ann)
	expect(t, m.Do(t, "GET", "/auth/v1/reauthenticate", nil), 401, "no_authorization")
	m.Exec(t, `select auth.set_setting('password_change_requires_reauthentication', 'true')`)
	expect(t, m.put(t, k, map[string]string{"password": "another good password"}), 200, "")
	m.Exec(t, `update auth.sessions set created_at = now() - interval '25 hours'`)
	expect(t, m.put(t, k, map[string]string{"password": "a third good password"}), 400, "reauthentication_needed")
	expect(t, m.put(t, k, map[string]string{"data": ""}), 400, "bad_json")
	expect(t, m.Do(t, "GET", "/auth/v1/reauthenticate", nil, k.Bearer()), 200, "")
	m.inbox.Next(t, ann) // of the change
	nonce := m.next(t, ann).code
	expect(t, m.put(t, k, map[string]string{"password": "a third good password", "nonce": "000000x"}), 422, "reauthentication_not_valid")
	expect(t, m.byCode(t, "email", ann, nonce), 403, "otp_expired")
	m.Exec(t, `delete from auth.login_attempts`)
	expect(t, m.put(t, k, map[string]string{"password": "a third good password", "nonce": nonce}), 200, "")
	expect(t, m.put(t, k, map[string]string{"password": "a fourth good password", "nonce": nonce}), 422, "reauthentication_not_valid")
	expect(t, login(t, m.Server, ann, "a third good password"), 200, "")
}

// A new password ends the other sessions. Keys and accounts at providers stay, and the mail that tells of the password says so.
func TestNewPasswordsLeaveKeysAndIdentities(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	m.CreateUser(t, ann)
	k, other := m.Login(t, ann), m.Login(t, ann)
	expect(t, m.put(t, k, map[string]string{"password": "another good password"}), 200, "")
	if text := m.inbox.Next(t, ann).Text; !strings.Contains(text, "(in use: 0)") || !strings.Contains(text, "(-)") {
		t.Errorf("with nothing else: %s", text)
	}
	expect(t, user(t, m.Server, other), 401, "session_not_found")
	made := m.Do(t, "POST", "/api/v1/auth/api-keys", map[string]any{"name": "nightly http://evil.example"}, k.Bearer())
	expect(t, made, 201, "")
	m.Exec(t, `select auth.link_identity('ann@example.com', 'google', '1', 'test'), auth.link_identity('ann@example.com', 'github', '2', 'test')`)
	expect(t, m.put(t, k, map[string]string{"password": "a third good password"}), 200, "")
	if text := m.inbox.Next(t, ann).Text; !strings.Contains(text, "(in use: 1)") || !strings.Contains(text, "(github, google)") || strings.Contains(text, "evil") {
		t.Errorf("with a key and two providers: %s", text)
	}
	expect(t, m.Do(t, "GET", "/rest/v1/", nil, "Authorization: Bearer "+made.Text("key")), 200, "")
	if got := m.Value(t, `select count(*) from auth.identities`); got != "3" {
		t.Errorf("%s identities", got)
	}
}

// Where an address changes without a proof, whoever read its mail is told: it may be a thief's session that changes it.
func TestOldAddressesAreToldOfChangesAtOnce(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	autoconfirm(t, m.Server)
	m.CreateUser(t, ann)
	k := m.Login(t, ann)
	expect(t, m.put(t, k, map[string]string{"email": bob}), 200, "")
	if got := m.Value(t, `select string_agg(kind || ' ' || recipient, ', ') from auth.outbox`); got != "email_changed "+ann {
		t.Errorf("mails: %s", got)
	}
}

func TestAnonymousUsers(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	enter := func() servertest.Answer {
		t.Helper()
		return m.ask(t, "signup", `{"data":{"color":"red"}}`)
	}
	expect(t, enter(), 422, "anonymous_provider_disabled")
	m.Exec(t, `select auth.set_setting('anonymous_users_enabled', 'true')`)
	m.Exec(t, `select auth.add_signup_rule('allow_domain', 'example.com')`)
	expect(t, enter(), 400, "email_address_not_authorized")
	m.Exec(t, `select auth.remove_signup_rule(id) from auth.admin_signup_rules`)
	a := enter()
	expect(t, a, 200, "")
	k := a.Tokens()
	var body struct {
		User struct {
			ID          string
			Email       string
			IsAnonymous bool `json:"is_anonymous"`
		}
	}
	if err := json.Unmarshal(a.Body, &body); err != nil || !body.User.IsAnonymous || body.User.Email != "" {
		t.Fatalf("%s", a.Body)
	}
	if claims := payload(t, k); claims["is_anonymous"] != true || claims["role"] != "authenticated" {
		t.Errorf("%v", claims)
	}
	expect(t, refresh(t, m.Server, k.Refresh), 200, "")
	expect(t, m.put(t, k, map[string]string{"password": servertest.Password}), 422, "validation_failed")

	// The address makes a member of it, when it was read; rows of the application stay with the id.
	m.Exec(t, `select auth.add_signup_rule('deny_domain', 'evil.example')`)
	expect(t, m.put(t, k, map[string]string{"email": "ann@evil.example"}), 400, "email_address_not_authorized")
	expect(t, m.put(t, k, map[string]string{"email": ann}), 200, "")
	if got := m.Value(t, `select concat_ws(' ', email is null, is_anonymous) from auth.users`); got != "t t" {
		t.Errorf("before the mail was read: %s", got)
	}
	a = m.byLink(t, "email_change", m.next(t, ann).token)
	expect(t, a, 200, "")
	if got := m.Value(t, `select concat_ws(' ', id, email, is_anonymous, email_confirmed_at is not null) from auth.users`); got != body.User.ID+" ann@example.com f t" {
		t.Errorf("converted: %s", got)
	}
	if claims := payload(t, a.Tokens()); claims["is_anonymous"] != false || claims["sub"] != body.User.ID {
		t.Errorf("%v", claims)
	}
	expect(t, m.put(t, a.Tokens(), map[string]string{"password": servertest.Password}), 200, "")
	expect(t, login(t, m.Server, ann, servertest.Password), 200, "")

	autoconfirm(t, m.Server)
	k = enter().Tokens()
	expect(t, m.put(t, k, map[string]string{"email": bob, "password": servertest.Password}), 200, "")
	expect(t, login(t, m.Server, bob, servertest.Password), 200, "")
	m.Exec(t, `select auth.add_signup_rule('closed')`)
	expect(t, enter(), 422, "signup_disabled")
}

func TestInvitationsAndLinks(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	key := "apikey: " + m.Value(t, `auth.create_api_key(p_kind => 'service', p_name => 'test')`)
	admin := func(path string, body any) servertest.Answer {
		t.Helper()
		return m.Do(t, "POST", "/auth/v1/"+path, body, key)
	}
	m.CreateUser(t, ann)
	for _, path := range []string{"invite", "admin/generate_link"} {
		expect(t, m.ask(t, path, map[string]string{"email": bob}), 401, "no_authorization")
	}
	expect(t, m.Do(t, "POST", "/auth/v1/invite", map[string]string{"email": bob}, m.Login(t, ann).Bearer()), 403, "not_admin")
	expect(t, m.Do(t, "POST", "/auth/v1/admin/generate_link", map[string]string{"email": ann, "type": "recovery"}, m.Login(t, ann).Bearer()), 403, "not_admin")

	m.Exec(t, `select auth.add_signup_rule('closed')`) // an administrator is not bound
	a := admin("invite", map[string]any{"email": bob, "data": map[string]string{"name": "Bob"}})
	expect(t, a, 200, "")
	if a.Text("invited_at") == "" || a.Text("email") != bob {
		t.Errorf("%s", a.Body)
	}
	first := m.next(t, bob)
	expect(t, admin("invite", map[string]any{"email": bob}), 200, "")
	k := m.next(t, bob)
	expect(t, m.byLink(t, "invite", first.token), 403, "otp_expired")
	_, session := m.press(t, k)
	if session.Get("type") != "invite" {
		t.Fatalf("%v", session)
	}
	expect(t, m.put(t, told(session), map[string]string{"password": servertest.Password}), 200, "")
	expect(t, login(t, m.Server, bob, servertest.Password), 200, "")
	expect(t, admin("invite", map[string]any{"email": bob}), 422, "email_exists")
	expect(t, admin("invite?redirect_to=https://evil.example/", map[string]any{"email": "x@example.com"}), 400, "validation_failed")

	sent := len(m.inbox.All())
	for _, c := range []struct {
		body map[string]string
		kind string // of verify
	}{
		{map[string]string{"type": "signup", "email": "carl@example.com", "password": servertest.Password}, "signup"},
		{map[string]string{"type": "invite", "email": "dora@example.com"}, "invite"},
		{map[string]string{"type": "magiclink", "email": ann}, "magiclink"},
		{map[string]string{"type": "magiclink", "email": "new@example.com"}, "magiclink"},
		{map[string]string{"type": "recovery", "email": ann, "redirectTo": "x"}, "recovery"},
	} {
		for _, how := range []string{"code", "link"} {
			a := admin("admin/generate_link?redirect_to="+url.QueryEscape(site+"/x?y=z"), c.body)
			expect(t, a, 200, "")
			u, err := url.Parse(a.Text("action_link"))
			if err != nil || u.Scheme+"://"+u.Host+u.Path != "https://api.example.com/auth/v1/verify" || u.Query().Get("token") != a.Text("hashed_token") ||
				u.Query().Get("redirect_to") != site+"/x?y=z" || a.Text("redirect_to") != site+"/x?y=z" || a.Text("verification_type") != c.body["type"] || a.Text("id") == "" {
				t.Fatalf("%s", a.Body)
			}
			if how == "code" {
				if c.kind == "magiclink" { // the others would be used up
					expect(t, m.byCode(t, c.kind, c.body["email"], a.Text("email_otp")), 200, "")
				}
				continue
			}
			expect(t, m.byLink(t, c.kind, a.Text("hashed_token")), 200, "")
			expect(t, m.byLink(t, c.kind, a.Text("hashed_token")), 403, "otp_expired")
		}
	}
	expect(t, login(t, m.Server, "carl@example.com", servertest.Password), 200, "")
	for _, kind := range []string{"email_change_current", "email_change_new"} {
		a := admin("admin/generate_link", map[string]string{"type": kind, "email": ann, "new_email": "ann.b@example.com"})
		expect(t, a, 200, "")
		expect(t, m.byLink(t, "email_change", a.Text("hashed_token")), 200, map[string]string{"email_change_current": "200"}[kind])
	}
	if n := m.Value(t, `select count(*) from auth.users where email = 'ann.b@example.com'`); n != "1" {
		t.Error("both links of an administrator do not change the address")
	}
	expect(t, admin("admin/generate_link", map[string]string{"type": "recovery", "email": "nobody@example.com"}), 404, "user_not_found")
	expect(t, admin("admin/generate_link", map[string]string{"type": "signup", "email": bob, "password": servertest.Password}), 422, "email_exists")
	expect(t, admin("admin/generate_link", map[string]string{"type": "other", "email": bob}), 400, "validation_failed")
	for _, got := range m.inbox.All()[sent:] {
		if !strings.Contains(got.Subject, "has changed") {
			t.Errorf("a mail for a link that was handed on: %+v", got)
		}
	}
}

// The second factor is owed by whoever comes in by mail, too.
func TestMailedSessionsOweTheSecondFactor(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	m.CreateUser(t, ann)
	m.Exec(t, `select auth.set_setting('mfa_enforcement', 'required')`)
	for _, path := range []string{"otp", "recover"} {
		expect(t, m.ask(t, path, map[string]string{"email": ann}), 200, "")
		k := m.next(t, ann)
		_, session := m.press(t, k)
		expect(t, m.Do(t, "GET", "/auth/v1/sessions", nil, told(session).Bearer()), 403, "insufficient_aal")
		expect(t, m.put(t, told(session), map[string]string{"password": "another good password"}), 403, "insufficient_aal")
	}
}
