package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/pquerna/otp/totp"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
	"github.com/wayli-app/fluxbase/controlplane/token"
)

const (
	accessCookie  = "__Host-fluxbase-access"
	refreshCookie = "__Host-fluxbase-refresh"
	csrfCookie    = "__Host-fluxbase-csrf"
	wantCookies   = "X-Fluxbase-Session: cookie"
)

// browser keeps cookies and sends what browsers send by themselves.
type browser struct {
	*servertest.Server
	cookies map[string]string
	site    string // Sec-Fetch-Site, empty for an old browser
	token   string // CSRF token of its page
}

func newBrowser(t testing.TB, s *servertest.Server) *browser {
	t.Helper()
	b := &browser{Server: s, cookies: map[string]string{}, site: "same-origin"}
	b.open(t)
	return b
}

// open does what a page does first.
func (b *browser) open(t testing.TB) {
	t.Helper()
	a := b.do(t, "GET", "/api/v1/auth/csrf", nil)
	if b.token = a.Text("csrf_token"); a.Status != 200 || b.token == "" || b.cookies[csrfCookie] != b.token {
		t.Fatalf("csrf: %d %s %v", a.Status, a.Body, b.cookies)
	}
}

func (b *browser) copy() *browser {
	c := *b
	c.cookies = map[string]string{}
	for name, value := range b.cookies {
		c.cookies[name] = value
	}
	return &c
}

func (b *browser) do(t testing.TB, method, path string, body any, headers ...string) servertest.Answer {
	t.Helper()
	var list []string
	for name, value := range b.cookies {
		list = append(list, name+"="+value)
	}
	if len(list) > 0 {
		headers = append(headers, "Cookie: "+strings.Join(list, "; "))
	}
	if b.site != "" {
		headers = append(headers, "Sec-Fetch-Site: "+b.site)
	}
	a := b.Do(t, method, path, body, headers...)
	for _, cookie := range (&http.Response{Header: a.Header}).Cookies() {
		if cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
			continue
		}
		b.cookies[cookie.Name] = cookie.Value
	}
	return a
}

// send is do with the token of the page.
func (b *browser) send(t testing.TB, method, path string, body any, headers ...string) servertest.Answer {
	t.Helper()
	return b.do(t, method, path, body, append(headers, "X-CSRF-Token: "+b.token)...)
}

func (b *browser) login(t testing.TB, email string) {
	t.Helper()
	a := b.send(t, "POST", "/api/v1/auth/login", map[string]string{"email": email, "password": servertest.Password}, wantCookies)
	if a.Status != 200 {
		t.Fatalf("login: %d %s", a.Status, a.Body)
	}
	b.token = a.Text("csrf_token")
}

func expectStatus(t testing.TB, what string, a servertest.Answer, status int, code string) {
	t.Helper()
	if a.Status != status || code != "" && a.Code() != code {
		t.Errorf("%s: %d %s, want %d %s", what, a.Status, a.Body, status, code)
	}
}

func TestCookieSession(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.CreateUser(t, ann)
	b := newBrowser(t, s)
	before := b.token
	a := b.send(t, "POST", "/auth/v1/token?grant_type=password", map[string]string{"email": ann, "password": servertest.Password}, wantCookies)
	expectStatus(t, "login", a, 200, "")
	for _, line := range a.Header.Values("Set-Cookie") {
		name, _, _ := strings.Cut(line, "=")
		want := "; Path=/; HttpOnly; Secure; SameSite=Strict"
		if name == csrfCookie {
			want = "; Path=/; Secure; SameSite=Strict"
		}
		if !strings.HasPrefix(name, "__Host-") || !strings.HasSuffix(line, want) || strings.Count(line, ";") != strings.Count(want, ";") {
			t.Errorf("cookie: %s", line)
		}
	}
	for _, name := range []string{accessCookie, refreshCookie} {
		if b.cookies[name] == "" || strings.Contains(string(a.Body), b.cookies[name]) {
			t.Errorf("%s is missing, or in the body", name)
		}
	}
	if a.Text("access_token")+a.Text("refresh_token") != "" || a.Text("token_type") != "cookie" || a.Text("csrf_token") != b.cookies[csrfCookie] || a.Text("csrf_token") == before {
		t.Errorf("answer: %s", a.Body)
	}
	b.token = a.Text("csrf_token")

	if a := b.do(t, "GET", "/auth/v1/user", nil); a.Status != 200 || a.Text("email") != ann {
		t.Errorf("user: %d %s", a.Status, a.Body)
	}
	if n := s.RoundTrips(func() { b.do(t, "GET", "/rest/v1/notes", nil) }); n != 1 {
		t.Errorf("a read takes %d round trips", n)
	}
	expectStatus(t, "write", b.send(t, "POST", "/rest/v1/notes", map[string]string{"body": "one"}), 201, "")
	form := url.Values{"body": {"two & three"}, "csrf_token": {b.token}}.Encode()
	expectStatus(t, "form", b.do(t, "POST", "/rest/v1/notes", form, "Content-Type: application/x-www-form-urlencoded"), 201, "")
	if got := b.do(t, "GET", "/rest/v1/notes?select=body&order=id", nil).Body; string(got) != "[{\"body\":\"one\"}, \n {\"body\":\"two & three\"}]" {
		t.Errorf("rows: %s", got)
	}
	if a := b.do(t, "GET", "/auth/v1/csrf", nil); a.Text("csrf_token") != b.token {
		t.Errorf("another token of the same session: %s", a.Body)
	}

	// A program that copies the cookie is nothing else than a browser; what it is not is a bearer by another channel.
	expectStatus(t, "other cookie", s.Do(t, "GET", "/auth/v1/user", nil, "Cookie: access="+b.cookies[accessCookie]), 401, "no_authorization")
	expectStatus(t, "query", s.Do(t, "GET", "/auth/v1/user?access_token="+b.cookies[accessCookie], nil), 401, "no_authorization")

	old := b.copy()
	expectStatus(t, "logout of others", b.send(t, "POST", "/auth/v1/logout?scope=others", nil), 204, "")
	if b.cookies[accessCookie] == "" {
		t.Error("logging out others clears cookies")
	}
	expectStatus(t, "logout", b.send(t, "POST", "/auth/v1/logout", nil), 204, "")
	if len(b.cookies) != 0 {
		t.Errorf("cookies after logout: %v", b.cookies)
	}
	expectStatus(t, "after logout", b.do(t, "GET", "/auth/v1/user", nil), 401, "no_authorization")
	a = old.do(t, "GET", "/rest/v1/notes", nil)
	expectStatus(t, "old cookies", a, 401, "session_not_found")
	if len(old.cookies) != 0 {
		t.Errorf("cookies of an ended session stay: %v", old.cookies)
	}
	if strings.Contains(s.Log.String(), before) || strings.Contains(s.Log.String(), b.token) {
		t.Error("the log has a CSRF token")
	}
}

// Whatever may change something is refused without the token of its session, in both places.
func TestCSRF(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.CreateUser(t, ann)
	s.CreateUser(t, bob)
	guest := newBrowser(t, s)
	first := newBrowser(t, s)
	first.login(t, ann)
	b := newBrowser(t, s)
	b.login(t, ann)
	other := newBrowser(t, s)
	other.login(t, bob)

	try := func(pair, given string) servertest.Answer {
		c := b.copy()
		if c.cookies[csrfCookie] = pair; pair == "" {
			delete(c.cookies, csrfCookie)
		}
		c.token = given
		return c.send(t, "POST", "/rest/v1/notes", map[string]string{"body": "x"})
	}
	for name, c := range map[string]struct{ pair, given string }{
		"no header":               {b.token, ""},
		"no cookie":               {"", b.token},
		"neither":                 {"", ""},
		"wrong header":            {b.token, strings.Repeat("A", 56)},
		"somebody else's pair":    {other.token, other.token},
		"a guest's pair":          {guest.token, guest.token},
		"an older session's pair": {first.token, first.token},
		"an invented pair":        {strings.Repeat("A", 56), strings.Repeat("A", 56)},
		"another's header":        {b.token, other.token},
	} {
		expectStatus(t, name, try(c.pair, c.given), 403, "csrf_failed")
	}
	expectStatus(t, "its own", try(b.token, b.token), 201, "")
	form := "Content-Type: application/x-www-form-urlencoded"
	for name, body := range map[string]string{
		"form without": "body=x", "form with a wrong one": "body=x&csrf_token=" + other.token, "form with two": "body=x&csrf_token=" + b.token + "&csrf%5Ftoken=" + b.token,
	} {
		expectStatus(t, name, b.do(t, "POST", "/rest/v1/notes", body, form), 403, "csrf_failed")
	}
	expectStatus(t, "in the query", b.do(t, "POST", "/rest/v1/notes?csrf_token="+b.token, "body=x", form), 403, "csrf_failed")
	expectStatus(t, "two headers", b.send(t, "POST", "/rest/v1/notes", map[string]string{"body": "x"}, "X-CSRF-Token: "+b.token), 403, "csrf_failed")
	for _, c := range [][2]string{
		{"POST", "/auth/v1/logout"}, {"PUT", "/auth/v1/user"}, {"DELETE", "/auth/v1/sessions/" + uuid.NewString()}, {"PATCH", "/rest/v1/notes?id=eq.1"},
		{"DELETE", "/rest/v1/notes?id=eq.1"}, {"PUT", "/rest/v1/notes?id=eq.1"}, {"POST", "/rest/v1/rpc/nap"}, {"POST", "/auth/v1/api-keys"}, {"POST", "/auth/v1/organizations"},
	} {
		expectStatus(t, c[0]+" "+c[1], b.do(t, c[0], c[1], map[string]string{}), 403, "csrf_failed")
	}
	// The cookies of two sessions are those of none.
	mixed := b.copy()
	mixed.cookies[accessCookie] = other.cookies[accessCookie]
	expectStatus(t, "two sessions", mixed.do(t, "GET", "/auth/v1/user", nil), 401, "session_not_found")
	twice := s.Do(t, "GET", "/auth/v1/user", nil, "Cookie: "+accessCookie+"="+b.cookies[accessCookie]+"; "+accessCookie+"="+other.cookies[accessCookie])
	expectStatus(t, "a cookie twice", twice, 401, "session_not_found")
	expectStatus(t, "an invented session", s.Do(t, "GET", "/rest/v1/notes", nil, "Cookie: "+refreshCookie+"="+strings.Repeat("A", 64)), 401, "session_not_found")
	if got := s.Value(t, `select count(*) from public.notes`); got != "1" {
		t.Errorf("%s rows", got)
	}
}

// Another site may be behind a request: its cookies do nothing, not even with the token.
func TestCrossSite(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.com"
	s := start(t, "FLUXBASE_SERVER_CORS_ALLOWED_ORIGINS="+app, "FLUXBASE_SERVER_CORS_ALLOW_CREDENTIALS=true")
	s.CreateUser(t, ann)
	b := newBrowser(t, s)
	b.login(t, ann)
	b.site = ""
	own := s.URL
	for _, c := range []struct {
		name      string
		get, post bool
		headers   []string
	}{
		{"same origin", true, true, []string{"Sec-Fetch-Site: same-origin"}},
		{"typed", true, true, []string{"Sec-Fetch-Site: none"}},
		{"cross-site", false, false, []string{"Sec-Fetch-Site: cross-site"}},
		{"cross-site, listed", false, false, []string{"Sec-Fetch-Site: cross-site", "Origin: " + app}},
		{"same site", false, false, []string{"Sec-Fetch-Site: same-site"}},
		{"same site, another origin", false, false, []string{"Sec-Fetch-Site: same-site", "Origin: https://blog.example.com"}},
		{"same site, our address", false, false, []string{"Sec-Fetch-Site: same-site", "Origin: " + own}},
		{"same site, listed", true, true, []string{"Sec-Fetch-Site: same-site", "Origin: " + app}},
		{"unknown", false, false, []string{"Sec-Fetch-Site: elsewhere"}},
		{"two", false, false, []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"}},
		{"old browser", true, false, nil},
		{"old browser, own origin", true, true, []string{"Origin: " + own}},
		{"old browser, listed", true, true, []string{"Origin: " + app}},
		{"old browser, another origin", false, false, []string{"Origin: https://evil.example"}},
		{"old browser, another port", false, false, []string{"Origin: http://127.0.0.1:1"}},
		{"old browser, another scheme", false, false, []string{"Origin: " + strings.Replace(own, "http:", "https:", 1)}},
		{"old browser, null", false, false, []string{"Origin: null"}},
		{"old browser, two origins", false, false, []string{"Origin: " + own, "Origin: https://evil.example"}},
		{"old browser, own referer", true, true, []string{"Referer: " + own + "/page?x=1"}},
		{"old browser, another referer", false, false, []string{"Referer: https://evil.example/" + own}},
		{"old browser, no referer", false, false, []string{"Referer: "}},
	} {
		allowed := map[bool]int{true: 200, false: 403}
		if a := b.do(t, "GET", "/auth/v1/user", nil, c.headers...); a.Status != allowed[c.get] || !c.get && a.Code() != "cross_site_request" {
			t.Errorf("GET %s: %d %s", c.name, a.Status, a.Body)
		}
		if a := b.send(t, "POST", "/rest/v1/rpc/nap", map[string]int{"seconds": 0}, c.headers...); (a.Status < 300) != c.post || !c.post && a.Code() != "cross_site_request" {
			t.Errorf("POST %s: %d %s", c.name, a.Status, a.Body)
		}
	}
	// An origin of the list that may not send cookies is another site like any other.
	s = start(t, "FLUXBASE_SERVER_CORS_ALLOWED_ORIGINS="+app)
	s.CreateUser(t, ann)
	b = newBrowser(t, s)
	b.login(t, ann)
	b.site = "same-site"
	expectStatus(t, "without credentials", b.send(t, "GET", "/auth/v1/user", nil, "Origin: "+app), 403, "cross_site_request")
}

// Nobody is logged in by another site, as whomever.
func TestLoginCSRF(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.CreateUser(t, ann)
	credentials := map[string]string{"email": ann, "password": servertest.Password}
	for _, path := range []string{"/auth/v1/login", "/auth/v1/token?grant_type=password", "/auth/v1/signup"} {
		b := newBrowser(t, s)
		for name, site := range map[string]string{"cross-site": "cross-site", "same-site": "same-site"} {
			b.site = site
			expectStatus(t, path+" "+name, b.send(t, "POST", path, credentials, wantCookies), 403, "cross_site_request")
		}
		b.site = "same-origin"
		expectStatus(t, path+" without a token", b.do(t, "POST", path, credentials, wantCookies), 403, "csrf_failed")
		b.token = newBrowser(t, s).token
		expectStatus(t, path+" with another browser's token", b.send(t, "POST", path, credentials, wantCookies), 403, "csrf_failed")
		expectStatus(t, path+" with a key, too", b.send(t, "POST", path, credentials, wantCookies, "Authorization: Bearer x"), 403, "csrf_failed")
		expectStatus(t, path+" otherwise", b.do(t, "POST", path, credentials, "X-Fluxbase-Session: Cookie"), 400, "validation_failed")
		if b.cookies[accessCookie] != "" {
			t.Errorf("%s: logged in", path)
		}
	}
	// Without the header there are no cookies, whatever the browser has, and no form can send the body.
	b := newBrowser(t, s)
	b.login(t, ann)
	c := b.copy()
	c.site, c.token = "cross-site", ""
	a := c.do(t, "POST", "/auth/v1/login", credentials)
	if a.Status != 200 || a.Text("access_token") == "" || a.Header.Get("Set-Cookie") != "" {
		t.Errorf("bearer login: %d %s %v", a.Status, a.Body, a.Header)
	}
	for _, kind := range []string{"application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"} {
		expectStatus(t, kind, c.do(t, "POST", "/auth/v1/login", `{"email":"`+ann+`","password":"`+servertest.Password+`"}`, "Content-Type: "+kind), 415, "")
	}
	// A new login ends the session that the browser had, also one whose access token has expired.
	for _, drop := range []bool{false, true} {
		old := b.copy()
		if drop {
			delete(b.cookies, accessCookie)
		}
		b.login(t, ann)
		expectStatus(t, "the old session", old.do(t, "GET", "/auth/v1/user", nil), 401, "session_not_found")
		expectStatus(t, "the new session", b.do(t, "GET", "/auth/v1/user", nil), 200, "")
	}
	// Cookies that are worth nothing keep nobody from logging in.
	b.cookies[accessCookie], b.cookies[refreshCookie] = "x", "y"
	b.open(t)
	b.login(t, ann)
	expectStatus(t, "after rubbish", b.do(t, "GET", "/auth/v1/user", nil), 200, "")
	if a := s.Do(t, "GET", "/auth/v1/csrf", nil, "Sec-Fetch-Site: cross-site"); a.Status != 403 || a.Header.Get("Set-Cookie") != "" {
		t.Errorf("csrf for another site: %d", a.Status)
	}
}

// A request with credentials of its own is what they say.
func TestBearerIsExempt(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.CreateUser(t, ann)
	s.CreateUser(t, bob)
	k := s.Login(t, bob)
	key := s.Value(t, `auth.create_api_key(p_kind => 'anon', p_name => 'a')`)
	b := newBrowser(t, s)
	b.login(t, ann)
	b.site = "cross-site"
	if a := b.do(t, "GET", "/auth/v1/user", nil, k.Bearer()); a.Text("email") != bob {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	expectStatus(t, "write", b.do(t, "POST", "/rest/v1/notes", map[string]string{"body": "x"}, k.Bearer()), 201, "")
	expectStatus(t, "a bad token", b.do(t, "GET", "/auth/v1/user", nil, "Authorization: Bearer x"), 401, "bad_jwt")
	expectStatus(t, "no bearer", b.do(t, "GET", "/auth/v1/user", nil, "Authorization: Basic x"), 401, "no_authorization")
	expectStatus(t, "a key", b.do(t, "GET", "/auth/v1/user", nil, "apikey: "+key), 401, "no_authorization")
	expectStatus(t, "a key, data", b.do(t, "GET", "/rest/v1/notes", nil, "X-API-Key: "+key), 401, "42501")
	if got := s.Value(t, `select string_agg(u.email, ',') from public.notes n join auth.users u on u.id = n.user_id`); got != bob {
		t.Errorf("written by %s", got)
	}
	if b.cookies[accessCookie] == "" {
		t.Error("a bearer's 401 clears cookies")
	}
}

func TestCookieSessionRefreshesItself(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.CreateUser(t, ann)
	b := newBrowser(t, s)
	b.login(t, ann)
	refreshed := b.cookies[refreshCookie]
	secret, err := token.NewSecret(servertest.Secret)
	if err != nil {
		t.Fatal(err)
	}
	expired := func() string { // what the browser has a quarter of an hour later
		t.Helper()
		key, _ := token.HMACKey("", secret)
		ring, _ := token.NewKeyRing(key)
		signer, err := token.NewSigner(ring, token.Rules{Issuer: "fluxbase", Audience: "authenticated", MaxLifetime: 24 * time.Hour},
			func() time.Time { return time.Now().Add(-time.Hour) })
		if err != nil {
			t.Fatal(err)
		}
		session := s.Value(t, `select id from auth.sessions`)
		text, _, err := signer.Sign(fmt.Appendf(nil, `{"sub":"%s","session_id":"%s","role":"authenticated","aal":"aal1"}`,
			s.Value(t, `select id from auth.users`), session), uuid.New(), 15*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	b.cookies[accessCookie] = expired()
	expectStatus(t, "without the token", b.copy().do(t, "POST", "/rest/v1/notes", map[string]string{"body": "x"}), 403, "csrf_failed")
	if got := s.Value(t, `select generation from auth.sessions`); got != "1" {
		t.Errorf("a refused request has refreshed: generation %s", got)
	}

	// All at once: each is answered, and there is one child.
	tabs := make([]*browser, 20)
	var all sync.WaitGroup
	for i := range tabs {
		tabs[i] = b.copy()
		all.Go(func() {
			expectStatus(t, "at once", tabs[i].send(t, "POST", "/rest/v1/notes", map[string]string{"body": "x"}), 201, "")
		})
	}
	all.Wait()
	if got := s.Value(t, `select generation || ' ' || (select count(*) from public.notes) from auth.sessions`); got != "2 20" {
		t.Errorf("generation and rows: %s", got)
	}
	for _, tab := range tabs {
		if tab.cookies[refreshCookie] != tabs[0].cookies[refreshCookie] || tab.cookies[refreshCookie] == refreshed || tab.cookies[accessCookie] == b.cookies[accessCookie] {
			t.Error("the tabs have different cookies")
		}
	}
	// The answer was lost: the old cookies still do.
	expectStatus(t, "lost answer", b.copy().do(t, "GET", "/auth/v1/user", nil), 200, "")
	c := tabs[0]
	if a := c.do(t, "GET", "/auth/v1/user", nil); a.Status != 200 || a.Header.Get("Set-Cookie") != "" {
		t.Errorf("a good token is refreshed: %d %v", a.Status, a.Header)
	}
	// A browser without the access cookie, twice; then a copy of the first refresh token is a theft.
	for range 2 {
		delete(c.cookies, accessCookie)
		expectStatus(t, "no access cookie", c.do(t, "GET", "/rest/v1/notes", nil), 200, "")
	}
	expectStatus(t, "a thief", b.do(t, "GET", "/auth/v1/user", nil), 401, "session_not_found")
	if len(b.cookies) != 0 {
		t.Errorf("the thief keeps %v", b.cookies)
	}
	expectStatus(t, "after the theft", c.do(t, "GET", "/rest/v1/notes", nil), 401, "session_not_found")
	if len(c.cookies) != 0 {
		t.Errorf("cookies of an ended session stay: %v", c.cookies)
	}
}

// Refreshes through cookies count as every other.
func TestCookieRefreshIsLimited(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, "FLUXBASE_RATE_LIMITING_ENABLED=true")
	s.CreateUser(t, ann)
	b := newBrowser(t, s)
	b.login(t, ann)
	s.Exec(t, `select ratelimit.set_rule('refresh', 'ip', 2, '1 hour', '/api/v1/auth/refresh')`)
	wait(t, "the rule", func() bool { return s.Do(t, "POST", "/auth/v1/refresh", nil).Header.Get("RateLimit-Limit") == "2" })
	s.Exec(t, `select ratelimit.reset(p_rule => 'refresh')`)
	wait(t, "the limit", func() bool {
		delete(b.cookies, accessCookie)
		a := b.do(t, "GET", "/auth/v1/user", nil)
		return a.Status == 429 && a.Code() == "over_request_rate_limit" && b.cookies[refreshCookie] != ""
	})
}

// What users write into their metadata does not make a cookie that browsers drop.
func TestCookiesAreSmall(t *testing.T) {
	t.Parallel()
	s := start(t)
	id := s.CreateUser(t, ann)
	b := newBrowser(t, s)
	s.Exec(t, `update auth.users set raw_user_meta_data = jsonb_build_object('x', repeat('x', 4000)) where id = $1::uuid`, id)
	b.login(t, ann)
	if n := len(accessCookie) + 1 + len(b.cookies[accessCookie]); n > 4096 {
		t.Errorf("a cookie of %d bytes", n)
	}
	expectStatus(t, "user", b.do(t, "GET", "/auth/v1/user", nil), 200, "")
	s.Exec(t, `update auth.users set raw_app_meta_data = raw_app_meta_data || jsonb_build_object('x', repeat('x', 4000)) where id = $1::uuid`, id)
	b.open(t)
	expectStatus(t, "too large", b.send(t, "POST", "/auth/v1/login", map[string]string{"email": ann, "password": servertest.Password}, wantCookies), 422, "session_too_large")
}

// The second factor raises the session in the cookies.
func TestCookieSessionStepsUp(t *testing.T) {
	t.Parallel()
	s := start(t, "FLUXBASE_AUTH_ENCRYPTION_KEY=cookie-test-key-Kz7wQ3xR9mT5vB2nL8pJ4")
	s.CreateUser(t, ann)
	b := newBrowser(t, s)
	b.login(t, ann)
	a := b.send(t, "POST", "/auth/v1/factors", map[string]string{"factor_type": "totp", "friendly_name": "phone"})
	expectStatus(t, "enroll", a, 200, "")
	id := a.Text("id")
	var enrolled struct{ TOTP struct{ Secret string } }
	if err := json.Unmarshal(a.Body, &enrolled); err != nil {
		t.Fatal(err)
	}
	code, err := totp.GenerateCode(enrolled.TOTP.Secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	challenge := b.send(t, "POST", "/auth/v1/factors/"+id+"/challenge", map[string]string{}).Text("id")
	before := b.cookies[refreshCookie]
	body := map[string]string{"challenge_id": challenge, "code": code}
	expectStatus(t, "without the token", b.copy().do(t, "POST", "/auth/v1/factors/"+id+"/verify", body), 403, "csrf_failed")
	a = b.send(t, "POST", "/auth/v1/factors/"+id+"/verify", body)
	expectStatus(t, "verify", a, 200, "")
	if a.Text("access_token") != "" || a.Text("token_type") != "cookie" || b.cookies[refreshCookie] == before || a.Text("csrf_token") != b.token {
		t.Errorf("%s %v", a.Body, a.Header)
	}
	if !slices.Contains(strings.Fields(s.Value(t, `select string_agg(aal, ' ') from auth.sessions`)), "aal2") {
		t.Error("the session was not raised")
	}
	expectStatus(t, "after it", b.do(t, "GET", "/auth/v1/user", nil), 200, "")
}
