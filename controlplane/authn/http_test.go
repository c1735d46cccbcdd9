package authn_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

func TestUsersMadeInSQLLogIn(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)

	id := s.CreateUser(t, ann)
	a := login(t, s, "ANN@example.com", servertest.Password)
	expect(t, a, 200, "")
	var body struct {
		TokenType string `json:"token_type"`
		ExpiresIn int64  `json:"expires_in"`
		ExpiresAt int64  `json:"expires_at"`
		User      struct{ ID, Email, Aud, Role string }
	}
	if err := json.Unmarshal(a.Body, &body); err != nil {
		t.Fatal(err)
	}
	if body.TokenType != "bearer" || body.ExpiresIn != 900 || body.User.ID != id || body.User.Email != ann || body.User.Role != "authenticated" {
		t.Errorf("answer %s", a.Body)
	}
	if late := body.ExpiresAt - time.Now().Unix(); late < 890 || late > 900 {
		t.Errorf("expires in %d seconds", late)
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Error("tokens may be cached")
	}

	// Hashes as Rails, Laravel and PHP make them.
	hash, err := bcrypt.GenerateFromPassword([]byte("imported"), 10)
	if err != nil {
		t.Fatal(err)
	}
	for i, prefix := range []string{"$2a$", "$2b$", "$2y$"} {
		email := fmt.Sprintf("imported%d@example.com", i)
		s.Exec(t, `insert into auth.users (email, encrypted_password, email_confirmed_at) values ($1, $2, now())`,
			email, prefix+string(hash[4:]))
		a := login(t, s, email, "imported")
		expect(t, a, 200, "")
		expect(t, user(t, s, a.Tokens()), 200, "")
	}

	// A hash of a lower cost is renewed at login, one that is current is not.
	cheap, err := bcrypt.GenerateFromPassword([]byte("imported"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	s.Exec(t, `insert into auth.users (email, encrypted_password, email_confirmed_at) values ('cheap@example.com', $1, now())`, string(cheap))
	const stored = `select encrypted_password from auth.users where email = 'cheap@example.com'`
	expect(t, login(t, s, "cheap@example.com", "wrong"), 400, "invalid_credentials")
	if got := s.Value(t, stored); got != string(cheap) {
		t.Errorf("a wrong password changed the hash to %s", got)
	}
	expect(t, login(t, s, "cheap@example.com", "imported"), 200, "")
	renewed := s.Value(t, stored)
	if !strings.HasPrefix(renewed, "$2a$10$") {
		t.Errorf("the hash became %s", renewed)
	}
	expect(t, login(t, s, "cheap@example.com", "imported"), 200, "")
	if got := s.Value(t, stored); got != renewed {
		t.Error("a current hash was renewed")
	}
}

func TestAliases(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	s.CreateUser(t, ann)
	for _, prefix := range []string{"/auth/v1", "/api/v1/auth"} {
		a := s.Do(t, "POST", prefix+"/login", credentials(ann, servertest.Password))
		expect(t, a, 200, "")
		a = s.Do(t, "POST", prefix+"/refresh", map[string]string{"refresh_token": a.Tokens().Refresh})
		expect(t, a, 200, "")
		a = s.Do(t, "POST", prefix+"/token?grant_type=refresh_token", map[string]string{"refresh_token": a.Tokens().Refresh})
		expect(t, a, 200, "")
		expect(t, s.Do(t, "GET", prefix+"/user", nil, a.Tokens().Bearer()), 200, "")
		expect(t, s.Do(t, "POST", prefix+"/token?grant_type=other", `{}`), 400, "invalid_credentials")
		expect(t, s.Do(t, "POST", prefix+"/token", `{}`), 400, "invalid_credentials")
	}
}

// What ends a session in psql ends it for the next request, on both APIs.
func TestRevokedInSQLIs401(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for name, sql := range map[string]string{
		"revoke_user":    `select auth.revoke_user('%s')`,
		"revoke_session": `select auth.revoke_session(s.id) from auth.sessions s join auth.users u on u.id = s.user_id where u.email = '%s'`,
		"ban_user":       `select auth.ban_user('%s')`,
		"delete_user":    `select auth.delete_user('%s')`,
		"set_password":   `select auth.set_password('%s', 'another good password')`,
		"plain update":   `update auth.users set banned_until = 'infinity' where email = '%s'`,
		"plain delete":   `delete from auth.users where email = '%s'`,
		"blacklist":      `insert into auth.token_blacklist (jti, session_id, expires_at) select r.jti, s.id, now() + interval '1 hour' from auth.refresh_tokens r join auth.sessions s on s.id = r.session_id join auth.users u on u.id = s.user_id where u.email = '%s'`,
		"expiry":         `update auth.sessions s set expires_at = now() from auth.users u where u.id = s.user_id and u.email = '%s'`,
	} {
		email := strings.ReplaceAll(name, " ", "_") + "@example.com"
		s.CreateUser(t, email)
		k := s.Login(t, email)
		expect(t, user(t, s, k), 200, "")
		s.Exec(t, fmt.Sprintf(sql, email))
		a := user(t, s, k)
		expect(t, a, 401, "session_not_found")
		if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%s: no challenge", name)
		}
		a = s.Do(t, "GET", "/rest/v1/notes", nil, k.Bearer())
		if a.Status != 401 && a.Status != 404 { // the table does not exist, and that is found out first
			t.Errorf("%s: data API answers %d %s", name, a.Status, a.Body)
		}
	}
}

func TestRefusedLoginsAreEqual(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	s.CreateUser(t, ann)
	s.CreateUser(t, "banned@example.com")
	s.Exec(t, `select auth.ban_user('banned@example.com')`)
	s.Exec(t, `select auth.create_user('open@example.com', $1, p_confirmed => false)`, servertest.Password)
	s.Exec(t, `select auth.create_user('nopassword@example.com')`)
	s.CreateUser(t, "slowed@example.com")
	for _, email := range []string{"slowed@example.com", "slowed-unknown@example.com"} {
		login(t, s, email, "wrong")
	}
	s.Exec(t, `update auth.login_attempts set failures = 20, slowed_until = now() + interval '1 hour' where scope <> 'address'`)
	s.Exec(t, `select auth.set_setting('login_failures_before_delay', '100'), auth.set_setting('login_account_failures_before_delay', '100000'), auth.set_setting('login_address_failures_before_delay', '100000')`)
	long := strings.Repeat("x", 72)
	s.Exec(t, `insert into auth.users (email, encrypted_password, email_confirmed_at) values ('long@example.com', $1, now())`, hashOf(t, long))
	if a := login(t, s, "long@example.com", long); a.Status != 200 {
		t.Fatalf("72 bytes: %d %s", a.Status, a.Body)
	}

	varying := regexp.MustCompile(`(?m)^(Date|X-Request-Id): .*$`)
	form := func(a servertest.Answer) string {
		var headers bytes.Buffer
		if err := a.Header.Write(&headers); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(a.Status, "\n", varying.ReplaceAllString(headers.String(), "$1"), "\n", string(a.Body))
	}
	want := ""
	for _, c := range []struct{ name, email, password string }{
		{"unknown", "nobody@example.com", servertest.Password},
		{"no address", "nobody", servertest.Password},
		{"wrong password", ann, "wrong"},
		{"password in another case", ann, strings.ToUpper(servertest.Password)},
		{"banned, right password", "banned@example.com", servertest.Password},
		{"banned, wrong password", "banned@example.com", "wrong"},
		{"unconfirmed, wrong password", "open@example.com", "wrong"},
		{"without password", "nopassword@example.com", servertest.Password},
		{"slowed, right password", "slowed@example.com", servertest.Password},
		{"slowed, unknown", "slowed-unknown@example.com", servertest.Password},
		{"73 bytes of which 72 are right", "long@example.com", long + "x"},
		{"very long", ann, strings.Repeat("x", 10000)},
	} {
		var a servertest.Answer
		if n := s.RoundTrips(func() { a = login(t, s, c.email, c.password) }); n != 2 {
			t.Errorf("%s: %d round trips instead of 2", c.name, n)
		}
		if want == "" {
			want = form(a)
			expect(t, a, 400, "invalid_credentials")
		}
		if got := form(a); got != want {
			t.Errorf("%s answers differently:\n%s\nand not\n%s", c.name, got, want)
		}
	}
	expect(t, login(t, s, "open@example.com", servertest.Password), 400, "email_not_confirmed")
	if strings.Contains(s.Log.String(), servertest.Password) {
		t.Error("a password is in the log")
	}
}

func TestSignup(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	signup := func(email, password string) servertest.Answer {
		t.Helper()
		return s.Do(t, "POST", "/auth/v1/signup", map[string]any{"email": email, "password": password, "data": map[string]any{"name": "<Ann>"}})
	}

	// While addresses must be confirmed, known and unknown ones are answered alike, and nobody is signed in.
	s.CreateUser(t, ann)
	unknown, known := signup("new@example.com", servertest.Password), signup(ann, servertest.Password)
	expect(t, unknown, 200, "")
	if a, b := shape(t, unknown), shape(t, known); a != b || unknown.Status != known.Status {
		t.Errorf("a known address shows:\n%s\n%s", a, b)
	}
	if unknown.Text("id") == "" || unknown.Text("access_token") != "" {
		t.Errorf("not a user object: %s", unknown.Body)
	}
	if n := s.Value(t, `select count(*) from auth.users`); n != "2" {
		t.Errorf("%s users", n)
	}
	expect(t, login(t, s, "new@example.com", servertest.Password), 400, "email_not_confirmed")

	autoconfirm(t, s)
	a := signup(bob, servertest.Password)
	expect(t, a, 200, "")
	expect(t, user(t, s, a.Tokens()), 200, "")
	expect(t, refresh(t, s, a.Tokens().Refresh), 200, "")
	if got := s.Value(t, `select raw_user_meta_data ->> 'name' from auth.users where email = $1`, bob); got != "<Ann>" {
		t.Errorf("metadata %q", got)
	}
	expect(t, signup(bob, servertest.Password), 422, "user_already_exists")
	expect(t, signup("BOB@example.com", servertest.Password), 422, "user_already_exists")

	for name, c := range map[string]struct {
		email, password string
		status          int
		code            string
		reasons         string
	}{
		"short":            {"x@example.com", "aB3$", 422, "weak_password", `["length"]`},
		"73 bytes":         {"x@example.com", strings.Repeat("aB3$", 18) + "x", 422, "weak_password", `["length"]`},
		"72 bytes":         {"x@example.com", strings.Repeat("aB3$", 18), 200, "", ""},
		"common":           {"y@example.com", "password1234", 422, "weak_password", `["pwned"]`},
		"the address":      {"long.name@example.com", "my long.name@example.com", 422, "weak_password", `["email"]`},
		"no at sign":       {"example.com", servertest.Password, 400, "validation_failed", ""},
		"look-alike":       {"аnn@example.com", servertest.Password, 400, "validation_failed", ""},
		"zero width":       {"an\u200bn@example.com", servertest.Password, 400, "validation_failed", ""},
		"no dot":           {"ann@localhost", servertest.Password, 400, "validation_failed", ""},
		"too long address": {strings.Repeat("a", 250) + "@example.com", servertest.Password, 400, "validation_failed", ""},
		"no password":      {"z@example.com", "", 400, "validation_failed", ""},
	} {
		a := signup(c.email, c.password)
		if a.Status != c.status || a.Code() != c.code {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		var body struct {
			WeakPassword struct{ Reasons json.RawMessage } `json:"weak_password"`
		}
		if err := json.Unmarshal(a.Body, &body); err != nil || string(body.WeakPassword.Reasons) != c.reasons {
			t.Errorf("%s: reasons %s", name, body.WeakPassword.Reasons)
		}
	}
	expect(t, s.Do(t, "POST", "/auth/v1/signup", `{"data":{}}`), 422, "anonymous_provider_disabled")
	expect(t, s.Do(t, "POST", "/auth/v1/signup", `{"phone":"+1","password":"x"}`), 400, "phone_provider_disabled")
	expect(t, s.Do(t, "POST", "/auth/v1/signup", `{"Email":"a@b.c"}`), 400, "bad_json")

	settle(t, s, "signup_enabled", "false", func() bool { return signup("late@example.com", servertest.Password).Status != 200 })
	expect(t, signup("later@example.com", servertest.Password), 422, "signup_disabled")

	if n := s.Value(t, `select count(*) from auth.users where encrypted_password not like '$2a$10$%'`); n != "0" {
		t.Errorf("%s users without a hash of ours", n)
	}
}

// shape is a body with its ids and times replaced by their form.
func shape(t testing.TB, a servertest.Answer) string {
	t.Helper()
	text := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).ReplaceAllString(string(a.Body), "ID")
	text = regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)`).ReplaceAllString(text, "TIME")
	return regexp.MustCompile(`[a-z]+@example\.com`).ReplaceAllString(text, "EMAIL")
}

func TestUser(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	s.CreateUser(t, ann)
	s.CreateUser(t, bob)
	here, there := s.Login(t, ann), s.Login(t, ann)
	put := func(k servertest.Tokens, body any) servertest.Answer {
		t.Helper()
		return s.Do(t, "PUT", "/auth/v1/user", body, k.Bearer())
	}

	a := put(here, map[string]any{"data": map[string]any{"color": "red", "size": 1}, "code_challenge": nil, "code_challenge_method": nil})
	expect(t, a, 200, "")
	a = put(here, map[string]any{"data": map[string]any{"size": nil, "shape": "round"}})
	if got := s.Value(t, `select raw_user_meta_data from auth.users where email = $1`, ann); got != `{"color": "red", "shape": "round"}` {
		t.Errorf("metadata %s", got)
	}
	if a.Text("id") == "" {
		t.Errorf("not a user object: %s", a.Body)
	}

	expect(t, put(here, map[string]string{"password": "short"}), 422, "weak_password")
	expect(t, put(here, map[string]string{"password": "ann@example.com ann"}), 422, "weak_password")
	expect(t, put(here, map[string]string{"password": "another good password"}), 200, "")
	expect(t, user(t, s, here), 200, "")
	expect(t, user(t, s, there), 401, "session_not_found")
	expect(t, refresh(t, s, there.Refresh), 401, "session_not_found")
	expect(t, login(t, s, ann, servertest.Password), 400, "invalid_credentials")
	expect(t, login(t, s, ann, "another good password"), 200, "")

	if a := put(here, map[string]string{"email": "ann2@example.com"}); a.Status != 200 || a.Text("email") != ann || a.Text("new_email") != "ann2@example.com" {
		t.Errorf("an address changes before its mail was read: %s", a.Body)
	}
	autoconfirm(t, s)
	expect(t, put(here, map[string]string{"email": bob}), 422, "email_exists")
	expect(t, put(here, map[string]string{"email": "no address"}), 400, "validation_failed")
	expect(t, put(here, map[string]string{"email": "ann2@example.com"}), 200, "")
	expect(t, login(t, s, "ann2@example.com", "another good password"), 200, "")

	expect(t, put(here, `{"role":"service_role"}`), 400, "bad_json")
	expect(t, put(here, `{"app_metadata":{"admin":true}}`), 400, "bad_json")
	expect(t, put(here, `{"data":{"a":1,"a":2}}`), 400, "bad_json")
	expect(t, put(here, `{"phone":"+1"}`), 400, "phone_provider_disabled")
	expect(t, s.Do(t, "PUT", "/auth/v1/user", `{}`, here.Bearer(), "Content-Type: text/plain"), 415, "bad_json")

	for _, route := range []string{"GET /user", "PUT /user", "GET /sessions", "POST /logout", "DELETE /sessions/x"} {
		method, path, _ := strings.Cut(route, " ")
		expect(t, s.Do(t, method, "/auth/v1"+path, nil), 401, "no_authorization")
		expect(t, s.Do(t, method, "/auth/v1"+path, nil, "Authorization: Bearer garbage"), 401, "bad_jwt")
		expect(t, s.Do(t, method, "/auth/v1"+path, nil, "Authorization: Basic YTpi"), 401, "no_authorization")
	}
	key := s.Value(t, `auth.create_api_key('anon', 'test')`)
	expect(t, s.Do(t, "GET", "/auth/v1/user", nil, "apikey: "+key, "Authorization: Bearer "+key), 401, "no_authorization")
}

func TestCurrentPassword(t *testing.T) {
	t.Parallel()
	s, k := startWithAnn(t)
	put := func(body map[string]string) servertest.Answer {
		t.Helper()
		return s.Do(t, "PUT", "/auth/v1/user", body, k.Bearer())
	}
	const second, third, wrong = "another good password", "a third good password", "nobody's password"
	expect(t, put(map[string]string{"password": second, "current_password": wrong}), 400, "invalid_credentials")
	expect(t, login(t, s, ann, servertest.Password), 200, "")
	expect(t, put(map[string]string{"password": second, "current_password": servertest.Password}), 200, "")
	expect(t, put(map[string]string{"password": third}), 200, "") // as Supabase Auth by default

	s.Exec(t, `select auth.set_setting('password_change_requires_current', 'true')`)
	expect(t, put(map[string]string{"password": second}), 400, "current_password_required")
	expect(t, put(map[string]string{"password": second, "current_password": wrong}), 400, "invalid_credentials")
	expect(t, put(map[string]string{"password": second, "current_password": third}), 200, "")
	s.Exec(t, `update auth.users set encrypted_password = null`)
	expect(t, put(map[string]string{"password": second, "current_password": second}), 400, "invalid_credentials")
	expect(t, put(map[string]string{"password": second}), 200, "") // there is none to ask for

	// Guesses are counted with those of the login.
	s.Exec(t, `delete from auth.login_attempts`)
	for range 5 {
		expect(t, put(map[string]string{"password": third, "current_password": wrong}), 400, "invalid_credentials")
	}
	s.Exec(t, `update auth.login_attempts set slowed_until = now() + interval '1 hour' where slowed_until is not null`) // a second is short
	expect(t, put(map[string]string{"password": third, "current_password": second}), 400, "invalid_credentials")
	expect(t, login(t, s, ann, second), 400, "invalid_credentials")
	s.Exec(t, `delete from auth.login_attempts`)
	expect(t, put(map[string]string{"password": third, "current_password": second}), 200, "")
	if n := s.Value(t, `select count(*) from auth.login_attempts where scope <> 'address'`); n != "0" {
		t.Errorf("%s counters are left after a success", n)
	}
	if n := s.Value(t, `select count(*) from audit.log where action = 'user.updated' and outcome = 'denied'`); n != "10" {
		t.Errorf("%s refusals are audited", n)
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	s.CreateUser(t, ann)
	s.CreateUser(t, bob)
	one, two, foreign := s.Login(t, ann), s.Login(t, ann), s.Login(t, bob)
	list := func(k servertest.Tokens) (sessions []struct {
		ID, IP, UserAgent string
		Current           bool
	}) {
		t.Helper()
		a := s.Do(t, "GET", "/auth/v1/sessions", nil, k.Bearer())
		if err := json.Unmarshal(a.Body, &sessions); err != nil {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		return sessions
	}
	current := func(k servertest.Tokens) string {
		for _, session := range list(k) {
			if session.Current {
				return session.ID
			}
		}
		t.Fatal("no current session")
		return ""
	}
	mine := list(one)
	if len(mine) != 2 || mine[0].IP != "127.0.0.1" {
		t.Errorf("sessions %+v", mine)
	}
	drop := func(id string) servertest.Answer {
		return s.Do(t, "DELETE", "/auth/v1/sessions/"+id, nil, one.Bearer())
	}
	for _, id := range []string{current(foreign), "00000000-0000-4000-8000-000000000000", "x", strings.ToUpper(current(two)), "%00", "a%2fb"} {
		if a := drop(id); a.Status != 404 {
			t.Errorf("session %s: %d %s", id, a.Status, a.Body)
		}
	}
	expect(t, user(t, s, foreign), 200, "")
	expect(t, drop(current(two)), 204, "")
	expect(t, user(t, s, two), 401, "session_not_found")
	expect(t, user(t, s, one), 200, "")
	if mine := list(one); len(mine) != 1 {
		t.Errorf("sessions %+v", mine)
	}
	expect(t, drop(current(one)), 204, "")
	expect(t, user(t, s, one), 401, "session_not_found")
}

func TestLogout(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for scope, want := range map[string]struct{ here, there int }{
		"local": {401, 200}, "others": {200, 401}, "global": {401, 401}, "": {401, 401},
	} {
		email := "u" + scope + "@example.com"
		s.CreateUser(t, email)
		s.CreateUser(t, "other"+scope+"@example.com")
		here, there, foreign := s.Login(t, email), s.Login(t, email), s.Login(t, "other"+scope+"@example.com")
		path := "/auth/v1/logout"
		if scope != "" {
			path += "?scope=" + scope
		}
		a := s.Do(t, "POST", path, nil, here.Bearer())
		if a.Status != 204 || len(a.Body) != 0 {
			t.Errorf("%s: %d %s", scope, a.Status, a.Body)
		}
		for name, side := range map[string]struct {
			tokens servertest.Tokens
			status int
		}{"this": {here, want.here}, "the other": {there, want.there}, "somebody else's": {foreign, 200}} {
			if got := user(t, s, side.tokens).Status; got != side.status {
				t.Errorf("%q: %s session answers %d", scope, name, got)
			}
			if got := refresh(t, s, side.tokens.Refresh).Status; got != side.status {
				t.Errorf("%q: refresh of %s session answers %d", scope, name, got)
			}
		}
	}
	s.CreateUser(t, ann)
	k := s.Login(t, ann)
	expect(t, s.Do(t, "POST", "/auth/v1/logout?scope=everywhere", nil, k.Bearer()), 400, "validation_failed")
	expect(t, user(t, s, k), 200, "")
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	s, k := startWithAnn(t)

	var a servertest.Answer
	if n := s.RoundTrips(func() { a = refresh(t, s, k.Refresh) }); n != 1 {
		t.Errorf("a refresh takes %d round trips", n)
	}
	expect(t, a, 200, "")
	child := a.Tokens()
	if child.Refresh == k.Refresh || child.Access == k.Access {
		t.Error("the tokens were not rotated")
	}
	expect(t, user(t, s, child), 200, "")

	// The answer got lost: the parent gives the same child again, as often as need be, until the child is used.
	for range 2 {
		if again := refresh(t, s, k.Refresh); again.Tokens().Refresh != child.Refresh {
			t.Errorf("a lost child is answered with another one: %d %s", again.Status, again.Code())
		}
	}
	grandchild := refresh(t, s, child.Refresh).Tokens()
	if again := refresh(t, s, child.Refresh).Tokens(); again.Refresh != grandchild.Refresh {
		t.Error("the grandchild is not answered again")
	}

	// Anything older was stolen: the whole family ends at once, and the audit log says so.
	expect(t, refresh(t, s, k.Refresh), 400, "refresh_token_already_used")
	expect(t, user(t, s, grandchild), 401, "session_not_found")
	expect(t, refresh(t, s, grandchild.Refresh), 401, "session_not_found")
	expect(t, refresh(t, s, k.Refresh), 400, "refresh_token_already_used")
	if n := s.Value(t, `select count(*) from audit.log where action = 'refresh_token.reuse' and outcome = 'denied'`); n != "1" {
		t.Errorf("%s audit rows", n)
	}

	// What nobody signed costs no query.
	other := s.Login(t, ann)
	for _, forged := range []string{
		"x", other.Refresh + "x", other.Refresh[:63], flip(other.Refresh, 0), flip(other.Refresh, 20), flip(other.Refresh, 63),
		strings.Repeat("A", 64), other.Access, other.Refresh + "\n", " " + other.Refresh,
	} {
		if n := s.RoundTrips(func() { expect(t, refresh(t, s, forged), 400, "refresh_token_not_found") }); n != 0 {
			t.Errorf("a forged token costs %d round trips", n)
		}
	}
	expect(t, s.Do(t, "POST", "/auth/v1/refresh", `{}`), 400, "validation_failed")
	expect(t, s.Do(t, "POST", "/auth/v1/refresh", `{"refresh_token":1}`), 400, "bad_json")

	// A refresh token is not an access token, nor the reverse.
	expect(t, s.Do(t, "GET", "/auth/v1/user", nil, "Authorization: Bearer "+other.Refresh), 401, "bad_jwt")

	// An expired access token beside it does not stand in the way.
	expect(t, s.Do(t, "POST", "/auth/v1/refresh", map[string]string{"refresh_token": other.Refresh}, "Authorization: Bearer expired"), 200, "")

	for state, sql := range map[string]string{
		"401 session_not_found":       `select auth.revoke_user($1)`,
		"400 user_banned":             `select auth.ban_user($1)`,
		"400 session_expired":         `update auth.sessions s set expires_at = now() from auth.users u where u.id = s.user_id and u.email = $1`,
		"400 refresh_token_not_found": `select auth.delete_user($1)`,
	} {
		status, code, _ := strings.Cut(state, " ")
		email := code + "@example.com"
		s.CreateUser(t, email)
		k := s.Login(t, email)
		s.Exec(t, sql, email)
		want, _ := strconv.Atoi(status)
		expect(t, refresh(t, s, k.Refresh), want, code)
	}
	for _, secret := range []string{other.Refresh, other.Access, k.Refresh} {
		if strings.Contains(s.Log.String(), secret) {
			t.Error("a token is in the log")
		}
		if n := s.Value(t, `select count(*) from auth.refresh_tokens r where r::text like '%' || $1 || '%'`, secret); n != "0" {
			t.Error("a refresh token is stored as it is")
		}
	}
}

// flip changes one character of base64url.
func flip(token string, i int) string {
	b := []byte(token)
	if b[i] == 'A' {
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}

func TestErrorForms(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	old := s.Do(t, "POST", "/auth/v1/login", credentials(ann, "wrong"))
	if want := `{"code":400,"error_code":"invalid_credentials","msg":"Invalid login credentials"}`; string(old.Body) != want {
		t.Errorf("got %s", old.Body)
	}
	now := s.Do(t, "POST", "/auth/v1/login", credentials(ann, "wrong"), "X-Supabase-Api-Version: 2024-01-01")
	if want := `{"code":"invalid_credentials","message":"Invalid login credentials"}`; string(now.Body) != want || now.Header.Get("X-Supabase-Api-Version") != "2024-01-01" {
		t.Errorf("got %s %v", now.Body, now.Header)
	}
	for path, status := range map[string]int{"/auth/v1/nothing": 404, "/auth/v1": 404, "/auth/v1/signup": 405, "/api/v1/auth/user/x": 404} {
		if a := s.Do(t, "GET", path, nil); a.Status != status || a.Code() == "" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	a := s.Do(t, "GET", "/auth/v1/health", nil)
	if a.Status != 200 || a.Text("name") == "" || a.Text("version") != "test" || a.Text("description") == "" {
		t.Errorf("health %s", a.Body)
	}
	var settings struct {
		External      map[string]bool
		DisableSignup *bool `json:"disable_signup"`
		Autoconfirm   *bool `json:"mailer_autoconfirm"`
	}
	a = s.Do(t, "GET", "/auth/v1/settings", nil)
	if err := json.Unmarshal(a.Body, &settings); err != nil || settings.DisableSignup == nil || *settings.DisableSignup || *settings.Autoconfirm {
		t.Errorf("settings %s", a.Body)
	}
	for name, on := range settings.External {
		if on != (name == "email") {
			t.Errorf("%s is %v", name, on)
		}
	}
	if _, ok := settings.External["phone"]; !ok {
		t.Error("phone is not named")
	}
}

// What users may write without limit must not lock them out.
func TestLargeMetadataStillLogsIn(t *testing.T) {
	t.Parallel()
	s, k := startWithAnn(t)
	expect(t, s.Do(t, "PUT", "/auth/v1/user", map[string]any{"data": map[string]string{"much": strings.Repeat("x", 20000)}}, k.Bearer()), 200, "")
	a := login(t, s, ann, servertest.Password)
	expect(t, a, 200, "")
	expect(t, user(t, s, a.Tokens()), 200, "")
	if !strings.Contains(string(a.Body), `"much"`) {
		t.Error("the user object lost its metadata")
	}
}
