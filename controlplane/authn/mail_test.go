package authn_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/mail/mailtest"
	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

const site = "https://app.example.com"

// mailed is a server whose mails arrive.
type mailed struct {
	*servertest.Server
	inbox *mailtest.Server
}

func startMailed(t *testing.T, variables ...string) mailed {
	t.Helper()
	inbox := mailtest.Start(t, mailtest.Options{})
	s := servertest.Start(t, append(append(inbox.Variables(), "FLUXBASE_SERVER_PUBLIC_URL=https://api.example.com", "FLUXBASE_AUTH_SITE_URL="+site,
		"FLUXBASE_AUTH_REDIRECT_URLS=com.example.app://in"), variables...)...)
	s.Exec(t, `select auth.set_setting('mail_resend_interval', '0')`)
	return mailed{s, inbox}
}

// secrets are what a mail brings.
type secrets struct{ token, kind, redirectTo, code string }

func (m mailed) next(t testing.TB, to string) secrets {
	t.Helper()
	text := m.inbox.Next(t, to).Text
	k := secrets{code: regexp.MustCompile(`(?m)(^|: )([0-9]{6})$`).FindString(text)}
	k.code = strings.TrimPrefix(k.code, ": ")
	if link := regexp.MustCompile(`https://\S+/verify\S+`).FindString(text); link != "" {
		u, err := url.Parse(link)
		if err != nil || u.Host != "api.example.com" || u.Path != "/auth/v1/verify" {
			t.Fatalf("link %s", link)
		}
		k.token, k.kind, k.redirectTo = u.Query().Get("token"), u.Query().Get("type"), u.Query().Get("redirect_to")
	}
	return k
}

var browser = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// press is the button of the page: it returns where the browser is sent, and what it is told there in query or fragment.
func (m mailed) press(t testing.TB, k secrets) (target *url.URL, told url.Values) {
	t.Helper()
	r, err := http.NewRequest("POST", m.URL+"/auth/v1/verify", strings.NewReader(url.Values{"type": {k.kind}, "token": {k.token}, "redirect_to": {k.redirectTo}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return follow(t, r)
}

func follow(t testing.TB, r *http.Request) (*url.URL, url.Values) {
	t.Helper()
	response, err := browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	target, err := response.Location()
	if err != nil || response.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s %s: %d, %v", r.Method, r.URL, response.StatusCode, err)
	}
	told, err := url.ParseQuery(target.Fragment)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range target.Query() {
		told[name] = values
	}
	return target, told
}

func (m mailed) ask(t testing.TB, path string, body any) servertest.Answer {
	t.Helper()
	return m.Do(t, "POST", "/auth/v1/"+path, body)
}

// byCode and byLink are how programs use what was mailed.
func (m mailed) byCode(t testing.TB, kind, email, code string) servertest.Answer {
	t.Helper()
	return m.ask(t, "verify", map[string]string{"type": kind, "email": email, "token": code})
}

func (m mailed) byLink(t testing.TB, kind, token string) servertest.Answer {
	t.Helper()
	return m.ask(t, "verify", map[string]string{"type": kind, "token_hash": token})
}

func told(v url.Values) servertest.Tokens {
	return servertest.Tokens{Access: v.Get("access_token"), Refresh: v.Get("refresh_token")}
}

func TestConfirmation(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	expect(t, m.ask(t, "signup?redirect_to="+site+"/welcome", credentials(ann, servertest.Password)), 200, "")
	expect(t, login(t, m.Server, ann, servertest.Password), 400, "email_not_confirmed")
	k := m.next(t, ann)
	if k.kind != "signup" || k.redirectTo != site+"/welcome" || len(k.code) != 6 {
		t.Fatalf("%+v", k)
	}
	// Looking at a link, however often, uses nothing up.
	for range 10 {
		a := m.Do(t, "GET", "/auth/v1/verify?"+url.Values{"token": {k.token}, "type": {k.kind}, "redirect_to": {k.redirectTo}}.Encode(), nil)
		expect(t, a, 200, "")
		policy := a.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "form-action 'self' "+site) || strings.Contains(string(a.Body), "<script") ||
			!strings.Contains(string(a.Body), k.token) || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Referrer-Policy") != "same-origin" {
			t.Fatalf("%s\n%s", policy, a.Body)
		}
	}
	target, session := m.press(t, k)
	if !strings.HasPrefix(target.String(), site+"/welcome#") || session.Get("type") != "signup" || session.Get("token_type") != "bearer" || target.RawQuery != "" {
		t.Fatalf("%s", target)
	}
	expect(t, user(t, m.Server, told(session)), 200, "")
	expect(t, refresh(t, m.Server, session.Get("refresh_token")), 200, "")
	expect(t, login(t, m.Server, ann, servertest.Password), 200, "")
	if _, again := m.press(t, k); again.Get("error_code") != "otp_expired" || again.Get("error") != "access_denied" || again.Get("access_token") != "" {
		t.Errorf("a link works twice: %v", again)
	}
	expect(t, m.byLink(t, "signup", k.token), 403, "otp_expired")
	expect(t, m.byCode(t, "signup", ann, k.code), 403, "otp_expired")

	// By code; for its purpose and its address alone.
	expect(t, m.ask(t, "signup", credentials(bob, servertest.Password)), 200, "")
	k = m.next(t, bob)
	for _, c := range [][2]string{{"magiclink", bob}, {"recovery", bob}, {"invite", bob}, {"email_change", bob}, {"signup", ann}} {
		expect(t, m.byCode(t, c[0], c[1], k.code), 403, "otp_expired")
		m.Exec(t, `delete from auth.login_attempts where scope = 'code'`)
	}
	expect(t, m.byLink(t, "magiclink", k.token), 403, "otp_expired")
	a := m.byCode(t, "email", "Bob@Example.com", k.code)
	expect(t, a, 200, "")
	expect(t, user(t, m.Server, a.Tokens()), 200, "")
	for _, body := range []string{`{"type":"signup"}`, `{"type":"signup","email":"a@b.example"}`, `{"token_hash":"x"}`, `{"type":"signup","token_hash":"x","email":"a@b.example"}`, `{"type":"other","token_hash":"x"}`} {
		expect(t, m.ask(t, "verify", body), 400, "validation_failed")
	}

	// Signing up again mails again, and the last password is the one that is confirmed; somebody who is there is left alone.
	expect(t, m.ask(t, "signup", credentials("carl@example.com", "the password of a stranger")), 200, "")
	stranger := m.next(t, "carl@example.com")
	expect(t, m.ask(t, "signup", credentials("carl@example.com", servertest.Password)), 200, "")
	k = m.next(t, "carl@example.com")
	expect(t, m.byLink(t, "signup", stranger.token), 403, "otp_expired")
	expect(t, m.byLink(t, "signup", k.token), 200, "")
	expect(t, login(t, m.Server, "carl@example.com", servertest.Password), 200, "")
	expect(t, login(t, m.Server, "carl@example.com", "the password of a stranger"), 400, "invalid_credentials")
	sent := len(m.inbox.All())
	expect(t, m.ask(t, "signup", credentials("carl@example.com", "another good password")), 200, "")
	expect(t, m.ask(t, "resend", map[string]string{"type": "signup", "email": "carl@example.com"}), 200, "")
	expect(t, m.ask(t, "recover", map[string]string{"email": "carl@example.com"}), 200, "")
	m.next(t, "carl@example.com")
	if n := len(m.inbox.All()); n != sent+1 {
		t.Errorf("%d mails for somebody who is there", n-sent-1)
	}
	expect(t, login(t, m.Server, "carl@example.com", servertest.Password), 200, "")
}

// Whoever shows a link reads that mailbox, so a password from before was somebody else's guess at who would come.
func TestAddressesThatStrangersSignedUp(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	for _, path := range []string{"otp", "recover"} {
		email := path + "@example.com"
		expect(t, m.ask(t, "signup", credentials(email, "the password of a stranger")), 200, "")
		m.next(t, email)
		expect(t, m.ask(t, path, map[string]string{"email": email}), 200, "")
		k := m.next(t, email)
		a := m.byLink(t, k.kind, k.token)
		expect(t, a, 200, "")
		expect(t, login(t, m.Server, email, "the password of a stranger"), 400, "invalid_credentials")
		expect(t, m.Do(t, "PUT", "/auth/v1/user", map[string]string{"password": servertest.Password}, a.Tokens().Bearer()), 200, "")
		expect(t, login(t, m.Server, email, servertest.Password), 200, "")
	}
}

// Where sign-ups need no proof, a stranger can be in the account before its owner comes by mail: with a password, in a session,
// with a key and with an account at a provider. The first link that its owner shows puts all of them out.
func TestOwnersFindNoStrangerInTheirAccount(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	autoconfirm(t, m.Server)
	for _, path := range []string{"otp", "recover"} {
		email := path + "@example.com"
		a := m.ask(t, "signup", credentials(email, "the password of a stranger"))
		expect(t, a, 200, "")
		stranger := a.Tokens()
		expect(t, user(t, m.Server, stranger), 200, "")
		made := m.Do(t, "POST", "/api/v1/auth/api-keys", map[string]any{"name": "later"}, stranger.Bearer())
		expect(t, made, 201, "")
		key := "Authorization: Bearer " + made.Text("key")
		expect(t, m.Do(t, "GET", "/rest/v1/", nil, key), 200, "")
		m.Exec(t, `select auth.link_identity($1, 'google', $1, 'what linkIdentity does')`, email)

		expect(t, m.ask(t, path, map[string]string{"email": email}), 200, "")
		k := m.next(t, email)
		a = m.byLink(t, k.kind, k.token)
		expect(t, a, 200, "")
		expect(t, login(t, m.Server, email, "the password of a stranger"), 400, "invalid_credentials")
		expect(t, user(t, m.Server, stranger), 401, "session_not_found")
		expect(t, refresh(t, m.Server, stranger.Refresh), 401, "session_not_found")
		expect(t, m.Do(t, "GET", "/rest/v1/", nil, key), 401, "invalid_api_key")
		if got := m.Value(t, `select string_agg(provider, ' ') from auth.identities i join auth.users u on u.id = i.user_id where u.email = $1`, email); got != "email" {
			t.Errorf("%s: ways in: %s", path, got)
		}

		// What the owner sets from now on stays, however often mail is used.
		owner := a.Tokens()
		expect(t, user(t, m.Server, owner), 200, "")
		expect(t, m.put(t, owner, map[string]string{"password": servertest.Password}), 200, "")
		m.inbox.Next(t, email) // says so
		expect(t, m.ask(t, path, map[string]string{"email": email}), 200, "")
		k = m.next(t, email)
		expect(t, m.byLink(t, k.kind, k.token), 200, "")
		expect(t, user(t, m.Server, owner), 200, "")
		expect(t, login(t, m.Server, email, servertest.Password), 200, "")
	}
}

func TestRecovery(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	m.CreateUser(t, ann)
	m.Exec(t, `select auth.set_setting('password_change_requires_current', 'true')`)
	before := m.Login(t, ann)
	expect(t, m.ask(t, "recover", map[string]string{"email": "ANN@example.com"}), 200, "")
	first := m.next(t, ann)
	expect(t, m.ask(t, "recover", map[string]string{"email": ann}), 200, "")
	k := m.next(t, ann)
	expect(t, m.byLink(t, "recovery", first.token), 403, "otp_expired")
	_, session := m.press(t, k)
	if session.Get("type") != "recovery" {
		t.Fatalf("%v", session)
	}
	expect(t, m.ask(t, "otp", map[string]string{"email": ann}), 200, "")
	open := m.next(t, ann)
	expect(t, m.Do(t, "PUT", "/auth/v1/user", map[string]string{"password": "another good password"}, told(session).Bearer()), 200, "")
	expect(t, user(t, m.Server, before), 401, "session_not_found")
	expect(t, m.byLink(t, "magiclink", open.token), 403, "otp_expired")
	expect(t, login(t, m.Server, ann, "another good password"), 200, "")
	if got := m.inbox.Next(t, ann); !strings.Contains(got.Subject, "password has changed") {
		t.Errorf("%+v", got)
	}
	// An hour later such a session is one like others.
	m.Exec(t, `update auth.sessions set created_at = now() - interval '61 minutes'`)
	expect(t, m.Do(t, "PUT", "/auth/v1/user", map[string]string{"password": "a third good password"}, told(session).Bearer()), 400, "current_password_required")

	// A link ends with its time, with its user's address and with the user.
	for _, change := range []string{`update auth.one_time_tokens set expires_at = now()`, `update auth.users set email = 'ann.b@example.com'`} {
		expect(t, m.ask(t, "recover", map[string]string{"email": ann}), 200, "")
		k = m.next(t, ann)
		m.Exec(t, change)
		expect(t, m.byLink(t, "recovery", k.token), 403, "otp_expired")
	}
	expect(t, m.ask(t, "recover", map[string]string{"email": "ann.b@example.com"}), 200, "")
	k = m.next(t, "ann.b@example.com")
	m.Exec(t, `select auth.ban_user('ann.b@example.com')`)
	expect(t, m.byLink(t, "recovery", k.token), 403, "user_banned")
	m.Exec(t, `select auth.delete_user('ann.b@example.com')`)
	expect(t, m.byLink(t, "recovery", k.token), 403, "otp_expired")
}

func TestOTP(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	m.CreateUser(t, ann)
	for _, path := range []string{"otp", "magiclink"} {
		expect(t, m.ask(t, path, map[string]any{"email": ann, "create_user": false}), 200, "")
		k := m.next(t, ann)
		a := m.byCode(t, "email", ann, k.code)
		expect(t, a, 200, "")
		expect(t, user(t, m.Server, a.Tokens()), 200, "")
	}
	// A new address has its user when somebody has read the mail, not before.
	expect(t, m.ask(t, "otp", map[string]any{"email": bob, "data": map[string]string{"name": "Bob"}}), 200, "")
	k := m.next(t, bob)
	if n := m.Value(t, `select count(*) from auth.users`); n != "1" {
		t.Errorf("%s users", n)
	}
	_, session := m.press(t, k)
	expect(t, user(t, m.Server, told(session)), 200, "")
	if got := m.Value(t, `select concat_ws(' ', raw_user_meta_data ->> 'name', email_confirmed_at is not null, email_proven_at is not null, encrypted_password is null) from auth.users where email = $1`, bob); got != "Bob t t t" {
		t.Errorf("%s", got)
	}
	// The rules hold, now and when the link comes back; who asks is told nothing.
	expect(t, m.ask(t, "otp", map[string]any{"email": "carl@example.com", "create_user": false}), 200, "")
	expect(t, m.ask(t, "otp", map[string]any{"email": "dora@example.com"}), 200, "")
	k = m.next(t, "dora@example.com")
	m.Exec(t, `select auth.add_signup_rule('closed')`)
	expect(t, m.ask(t, "otp", map[string]any{"email": "eve@example.com"}), 200, "")
	expect(t, m.byLink(t, "magiclink", k.token), 422, "signup_disabled")
	expect(t, m.ask(t, "otp", map[string]any{"email": ann}), 200, "")
	m.next(t, ann)
	for _, got := range m.inbox.All() {
		if got.To == "carl@example.com" || got.To == "eve@example.com" {
			t.Errorf("a mail to %s", got.To)
		}
	}
	if n := m.Value(t, `select count(*) from auth.one_time_tokens where email in ('carl@example.com', 'eve@example.com')`); n != "0" {
		t.Errorf("%s addresses kept of people who are not there", n)
	}
	expect(t, m.ask(t, "otp", map[string]any{"phone": "+1"}), 400, "phone_provider_disabled")
	for _, email := range []string{"", "ann", "a b@example.com", "аnn@example.com"} {
		expect(t, m.ask(t, "otp", map[string]any{"email": email}), 400, "validation_failed")
	}
}

// What mails are asked for says nothing about who is there.
func TestMailAnswersAreEqual(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	m.CreateUser(t, ann)
	m.Exec(t, `select auth.create_user($1, p_confirmed => false)`, bob)
	settle(t, m.Server, "mail_resend_interval", "1 minute", func() bool { return true })
	for _, path := range []string{"recover", "otp", "magiclink", "resend"} {
		body := func(email string) map[string]string {
			b := map[string]string{"email": email}
			if path == "resend" {
				b["type"] = "signup"
			}
			return b
		}
		var shapes []string
		for _, email := range []string{ann, bob, path + "@example.com"} {
			m.Exec(t, `delete from auth.login_attempts`)
			text := ""
			for range 2 {
				a := m.ask(t, path, body(email))
				text += fmt.Sprintf("%d %s %s %s;", a.Status, a.Body, a.Header.Get("Retry-After"), a.Header.Get("Content-Length"))
			}
			shapes = append(shapes, text)
		}
		if shapes[0] != shapes[1] || shapes[0] != shapes[2] || !strings.Contains(shapes[0], "200 {}") || !strings.Contains(shapes[0], "over_email_send_rate_limit") {
			t.Errorf("%s: %q", path, shapes)
		}
		rows := func(email string) string {
			m.Exec(t, `delete from auth.login_attempts; delete from auth.mail_outbox; delete from auth.one_time_tokens; delete from auth.flow_states`)
			expect(t, m.ask(t, path, body(email)), 200, "")
			return m.Value(t, `select concat_ws(' ', (select count(*) from auth.mail_outbox), (select count(*) from auth.one_time_tokens), (select count(*) from auth.login_attempts))`)
		}
		if a, b := rows(ann), rows(path+"@example.com"); a != b {
			t.Errorf("%s writes other rows for an unknown address: %s, %s", path, a, b)
		}
	}
}

// Nor does the time that the answer takes.
func TestMailRequestsTakeEqualTime(t *testing.T) {
	for path, more := range map[string]map[string]string{"recover": nil, "otp": nil, "resend": {"type": "signup"}, "signup": {"password": servertest.Password}} {
		t.Run(path, func(t *testing.T) { // not parallel: it measures
			s := servertest.Start(t)
			s.Exec(t, `select auth.set_setting('mail_resend_interval', '0')`)
			s.Exec(t, `select auth.create_user('user' || i || '@example.com', p_confirmed => $1) from generate_series(1, 1000) i`, path != "resend")
			n := 0
			try := func(name string) func() {
				return func() {
					n++
					body := map[string]any{"email": fmt.Sprintf("%s%d@example.com", name, n%1000+1)}
					if path == "otp" {
						body["create_user"] = n%4 < 2
					}
					for k, v := range more {
						body[k] = v
					}
					expect(t, s.Do(t, "POST", "/auth/v1/"+path, body), 200, "")
				}
			}
			samples := 40 // each waits for mailAnswerTime
			if path == "signup" {
				samples = 20
			}
			takeEqualTime(t, samples, func() { s.Exec(t, `delete from auth.login_attempts; delete from auth.users where email like 'new%'`) }, try("user"), try("new"))
		})
	}
}

func TestMailLimits(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	m.CreateUser(t, ann)
	m.Exec(t, `select auth.set_setting('mail_resend_interval', '60 seconds')`)
	var sent atomic.Int32
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if a, err := m.Try("POST", "/auth/v1/recover", map[string]string{"email": ann}); err == nil && a.Status == 200 {
				sent.Add(1)
			}
		})
	}
	group.Wait()
	if n := sent.Load(); n != 1 {
		t.Errorf("%d mails at once", n)
	}
	for i, want := range []string{"60", "120", "240"} {
		a := m.ask(t, "recover", map[string]string{"email": ann})
		expect(t, a, 429, "over_email_send_rate_limit")
		if got := a.Header.Get("Retry-After"); got != want {
			t.Errorf("after %d mails: wait %s, want %s", i+1, got, want)
		}
		m.Exec(t, `update auth.login_attempts set slowed_until = now() where scope = 'mail'`)
		expect(t, m.ask(t, "recover", map[string]string{"email": ann}), 200, "")
	}
	expect(t, m.ask(t, "otp", map[string]string{"email": ann}), 200, "")

	// Six digits are guessed by nobody: not here and there, not with new codes.
	m.Exec(t, `select auth.set_setting('mail_resend_interval', '0'); delete from auth.login_attempts`)
	m.CreateUser(t, bob) // of the mails to ann some are still on their way
	var k secrets
	for i := range 5 {
		expect(t, m.ask(t, "otp", map[string]string{"email": bob}), 200, "")
		k = m.next(t, bob)
		expect(t, m.byCode(t, []string{"email", "magiclink", "recovery", "signup", "invite"}[i], bob, "x"), 403, "otp_expired")
	}
	a := m.byCode(t, "email", bob, k.code)
	expect(t, a, 429, "over_request_rate_limit")
	if a.Header.Get("Retry-After") == "" {
		t.Error("nobody says how long to wait")
	}
	for range 6 {
		a = m.byCode(t, "email", "nobody@example.com", "123456")
	}
	expect(t, a, 429, "over_request_rate_limit")
	m.Exec(t, `update auth.login_attempts set slowed_until = now() where scope = 'code'`)
	expect(t, m.byCode(t, "email", bob, k.code), 200, "")
}

func TestOneTokenIsOneSession(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	m.CreateUser(t, ann)
	for _, how := range []string{"link", "code", "new"} {
		email := ann
		if how == "new" {
			email = "new@example.com"
		}
		m.Exec(t, `delete from auth.sessions`)
		expect(t, m.ask(t, "otp", map[string]string{"email": email}), 200, "")
		k := m.next(t, email)
		body := map[string]string{"type": "magiclink", "token_hash": k.token}
		if how == "code" {
			body = map[string]string{"type": "magiclink", "email": email, "token": k.code}
			m.Exec(t, `select auth.set_setting('mail_code_failures_before_delay', '100')`)
		}
		var sessions atomic.Int32
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				if a, err := m.Try("POST", "/auth/v1/verify", body); err != nil {
					t.Error(err)
				} else if a.Status == 200 {
					sessions.Add(1)
				}
			})
		}
		group.Wait()
		if n, rows := sessions.Load(), m.Value(t, `select count(*) from auth.sessions`); n != 1 || rows != "1" {
			t.Errorf("%s: one token made %d sessions, %s rows", how, n, rows)
		}
	}
}

// A sign-in that began with a code challenge ends with a code, for the program that has the verifier.
func TestMailedFlows(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	m.CreateUser(t, ann)
	for _, path := range []string{"recover", "otp", "signup"} {
		email := map[string]string{"signup": bob}[path]
		if email == "" {
			email = ann
		}
		expect(t, m.ask(t, path, map[string]string{"email": email, "password": servertest.Password, "code_challenge": challengeOf(verifier), "code_challenge_method": "s256"}),
			map[string]int{"recover": 400, "otp": 400, "signup": 200}[path], map[string]string{"recover": "bad_json", "otp": "bad_json"}[path])
		if path != "signup" {
			expect(t, m.ask(t, path, map[string]string{"email": email, "code_challenge": challengeOf(verifier), "code_challenge_method": "s256"}), 200, "")
		}
		target, back := m.press(t, m.next(t, email))
		if target.Fragment != "" || back.Get("code") == "" || back.Get("access_token") != "" {
			t.Fatalf("%s: %s", path, target)
		}
		a, err := exchange(m.Server, back.Get("code"), "another-verifier-that-has-nothing-to-do-with-it")
		if err != nil {
			t.Fatal(err)
		}
		expect(t, a, 400, "bad_code_verifier")
		if a, err = exchange(m.Server, back.Get("code"), verifier); err != nil {
			t.Fatal(err)
		}
		expect(t, a, 200, "")
		expect(t, user(t, m.Server, a.Tokens()), 200, "")
	}
	expect(t, m.ask(t, "otp", map[string]string{"email": ann, "code_challenge": "short", "code_challenge_method": "s256"}), 400, "validation_failed")
	expect(t, m.ask(t, "signup", map[string]string{"email": "c@example.com", "password": servertest.Password, "code_challenge": "short", "code_challenge_method": "s256"}), 400, "validation_failed")
	if n := m.Value(t, `select count(*) from auth.users where email = 'c@example.com'`); n != "0" {
		t.Error("a refused sign-up has left a user")
	}
}

// Links begin with what the configuration says and lead where it allows.
func TestRedirects(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	m.CreateUser(t, ann)
	for _, target := range []string{"https://evil.example/", "//evil.example", "https://app.example.com.evil.example/", "javascript:alert(1)", "https://app.example.com@evil.example"} {
		for _, path := range []string{"recover", "otp", "resend", "signup"} {
			body := map[string]string{"email": ann}
			switch path {
			case "resend":
				body["type"] = "signup"
			case "signup":
				body["password"] = servertest.Password
			}
			a := m.ask(t, path+"?redirect_to="+url.QueryEscape(target), body)
			expect(t, a, 400, "validation_failed")
			if !strings.Contains(string(a.Body), strings.SplitN(target, "?", 2)[0]) {
				t.Errorf("%s does not name %s: %s", path, target, a.Body)
			}
		}
		expect(t, m.Do(t, "GET", "/auth/v1/verify?type=recovery&token=x&redirect_to="+url.QueryEscape(target), nil), 400, "validation_failed")
		expect(t, m.Do(t, "POST", "/auth/v1/verify", url.Values{"type": {"recovery"}, "token": {"x"}, "redirect_to": {target}}.Encode(),
			"Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin"), 400, "validation_failed")
	}
	if n := m.Value(t, `select count(*) from auth.one_time_tokens`); n != "0" {
		t.Errorf("%s tokens for refused requests", n)
	}
	// An app is a target like another; what a client says of our own name is not read.
	r, err := http.NewRequest("POST", m.URL+"/auth/v1/recover?redirect_to="+url.QueryEscape("com.example.app://in"), strings.NewReader(`{"email":"ann@example.com"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-Host", "evil.example")
	r.Host = "evil.example"
	response, err := browser.Do(r)
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("%v %v", response, err)
	}
	_ = response.Body.Close()
	k := m.next(t, ann) // asks that the link is ours
	if target, session := m.press(t, k); target.Scheme != "com.example.app" || session.Get("access_token") == "" {
		t.Errorf("sent to %s", target)
	}
	// A page of another site cannot sign its visitors in.
	expect(t, m.ask(t, "recover", map[string]string{"email": ann}), 200, "")
	k = m.next(t, ann)
	form := url.Values{"type": {k.kind}, "token": {k.token}}.Encode()
	for _, from := range []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example", "X-Nothing: x"} {
		expect(t, m.Do(t, "POST", "/auth/v1/verify", form, "Content-Type: application/x-www-form-urlencoded", from), 403, "cross_site_request")
	}
	if _, session := m.press(t, k); session.Get("access_token") == "" {
		t.Errorf("the link was used up: %v", session)
	}
}

// Neither where a link leads nor where it begins is said by the request that asks for it.
func TestLinksDoNotFollowTheHost(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	m.CreateUser(t, ann)
	for path, body := range map[string]string{
		"recover": `{"email":"` + ann + `"}`, "otp": `{"email":"` + ann + `"}`, "signup": `{"email":"` + bob + `","password":"` + servertest.Password + `"}`,
	} {
		r, err := http.NewRequest("POST", m.URL+"/auth/v1/"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "evil.example"
		for name, value := range map[string]string{"Content-Type": "application/json", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http",
			"Forwarded": "host=evil.example;proto=http", "X-Original-Host": "evil.example", "Origin": "https://evil.example", "Referer": "https://evil.example/"} {
			r.Header.Set(name, value)
		}
		response, err := browser.Do(r)
		if err != nil || response.StatusCode != 200 {
			t.Fatalf("%s: %v %v", path, response, err)
		}
		_ = response.Body.Close()
		to := ann
		if path == "signup" {
			to = bob
		}
		text := m.inbox.Next(t, to).Text
		if !strings.Contains(text, "https://api.example.com/auth/v1/verify?") || !strings.Contains(text, url.QueryEscape(site)) || strings.Contains(text, "evil") {
			t.Errorf("%s: %s", path, text)
		}
	}
}

// With mail.links: direct, opening a link uses it, as Supabase does.
func TestDirectLinks(t *testing.T) {
	t.Parallel()
	m := startMailed(t, "FLUXBASE_MAIL_LINKS=direct")
	m.CreateUser(t, ann)
	expect(t, m.ask(t, "otp", map[string]string{"email": ann}), 200, "")
	k := m.next(t, ann)
	open := func() url.Values {
		t.Helper()
		r, err := http.NewRequest("GET", m.URL+"/auth/v1/verify?"+url.Values{"token": {k.token}, "type": {k.kind}, "redirect_to": {k.redirectTo}}.Encode(), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, values := follow(t, r)
		return values
	}
	expect(t, user(t, m.Server, told(open())), 200, "")
	if again := open(); again.Get("error_code") != "otp_expired" {
		t.Errorf("%v", again)
	}
}
