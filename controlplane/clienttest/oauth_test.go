package clienttest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// oauthBed is a server with two providers.
func oauthBed(t *testing.T, variables ...string) *servertest.Server {
	t.Helper()
	one, two := startProvider(t, "keycloak"), startProvider(t, "other", "ID_TOKEN_CLAIMS=1")
	return servertest.Start(t, append([]string{configured(one, two), "FLUXBASE_AUTH_ENCRYPTION_KEY=" + sealKey,
		"FLUXBASE_AUTH_REDIRECT_URLS=" + app}, variables...)...)
}

// signIn goes all the way with a code challenge and returns the answer to the exchange.
func signIn(t *testing.T, s *servertest.Server, name, account string) servertest.Answer {
	t.Helper()
	end := newBrowser(t).follow(authorizeURL(s, name, account, true), isApp)
	if end.Query().Get("error") != "" {
		t.Fatalf("%s at %s: %s", account, name, end)
	}
	return exchange(t, s, end.Query().Get("code"))
}

// refusal is the error code with which a browser is sent to the application, which has to be in query and fragment.
func refusal(t *testing.T, end *url.URL) string {
	t.Helper()
	fragment, err := url.ParseQuery(end.Fragment)
	if err != nil || !isApp(end) {
		t.Fatalf("ends at %s", end)
	}
	for _, name := range []string{"error", "error_code", "error_description"} {
		if end.Query().Get(name) == "" || end.Query().Get(name) != fragment.Get(name) {
			t.Errorf("%s is not the same in query and fragment: %s", name, end)
		}
	}
	return end.Query().Get("error_code")
}

func TestOAuthSignIn(t *testing.T) {
	t.Parallel()
	s := oauthBed(t)
	for _, name := range []string{"keycloak", "other"} { // one has the address in its user info, one in the ID token
		a := signIn(t, s, name, "new-at-"+name+":verified")
		var answer struct {
			User struct {
				Email       string         `json:"email"`
				ConfirmedAt string         `json:"email_confirmed_at"`
				App         map[string]any `json:"app_metadata"`
				Meta        map[string]any `json:"user_metadata"`
				Identities  []struct {
					Provider string `json:"provider"`
					ID       string `json:"id"`
				} `json:"identities"`
			} `json:"user"`
		}
		if err := json.Unmarshal(a.Body, &answer); err != nil || a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		u := answer.User
		if u.Email != "new-at-"+name+"@example.com" || u.ConfirmedAt == "" || u.App["provider"] != name || len(u.Identities) != 1 ||
			u.Identities[0].Provider != name || u.Meta["full_name"] != "new-at-"+name+" of the provider" {
			t.Errorf("user: %s", a.Body)
		}
		if got := s.Do(t, "GET", "/auth/v1/user", nil, a.Tokens().Bearer()); got.Status != 200 {
			t.Errorf("token: %d %s", got.Status, got.Body)
		}
		again := signIn(t, s, name, "new-at-"+name+":verified")
		if again.Status != 200 {
			t.Fatalf("second time: %d %s", again.Status, again.Body)
		}
	}
	if n := s.Value(t, `select count(*) from auth.users`); n != "2" {
		t.Errorf("%s users", n)
	}
	if n := s.Value(t, `select count(*) from auth.sessions where amr -> 0 ->> 'method' = 'oauth'`); n != "4" {
		t.Errorf("%s sessions", n)
	}
	if n := s.Value(t, `select count(*) from auth.oauth_flows where sealed is not null or finished_at is null`); n != "0" {
		t.Errorf("%s flows are left open", n)
	}

	b := newBrowser(t)
	back := b.follow(authorizeURL(s, "keycloak", "implicit:verified", false), isCallback)
	end := b.step(back.String())
	fragment, err := url.ParseQuery(end.Fragment)
	if err != nil || end.RawQuery != "" || fragment.Get("token_type") != "bearer" || fragment.Get("expires_in") != "900" || fragment.Get("refresh_token") == "" {
		t.Fatalf("without a code challenge: %s", end)
	}
	if got := s.Do(t, "GET", "/auth/v1/user", nil, "Authorization: Bearer "+fragment.Get("access_token")); got.Status != 200 {
		t.Errorf("token of the fragment: %d %s", got.Status, got.Body)
	}
	inPsql := s.Value(t, `auth.begin_oauth('keycloak')`)
	if end := newBrowser(t).follow(inPsql, isApp); !strings.Contains(end.Fragment, "access_token=") || end.Host != "localhost:3000" {
		t.Errorf("begun in psql: %s", end)
	}
	if status, _, body := newBrowser(t).get(inPsql); status != 400 || !strings.Contains(body, "bad_oauth_state") {
		t.Errorf("begun in psql, a second time: %d %s", status, body)
	}
	if end := newBrowser(t).follow(s.Value(t, `auth.begin_oauth('keycloak', 'https://evil.example/')`), isApp); end.Host != "localhost:3000" || strings.Contains(end.Fragment, "access_token") {
		t.Errorf("begun in psql for another place: %s", end)
	}
	for _, secret := range []string{back.Query().Get("state"), back.Query().Get("code"), fragment.Get("access_token"), fragment.Get("refresh_token"), "secret-of-"} {
		if len(secret) < 10 || strings.Contains(s.Log.String(), secret) {
			t.Errorf("the log has the secret %.20q", secret)
		}
	}
	s.Exec(t, `select auth.set_setting('oauth_implicit_enabled', 'false')`)
	if status, _, body := newBrowser(t).get(authorizeURL(s, "keycloak", "implicit:verified", false)); status != 400 || !strings.Contains(body, "code challenge") {
		t.Errorf("without a code challenge, forbidden: %d %s", status, body)
	}
	if !strings.Contains(string(s.Do(t, "GET", "/auth/v1/settings", nil).Body), `"keycloak":true`) {
		t.Error("settings do not list the provider")
	}
}

// everywhere is how many rows of our tables hold a text.
func everywhere(t *testing.T, s *servertest.Server, text string) string {
	t.Helper()
	return s.Value(t, `select sum((xpath('/row/n/text()', query_to_xml(format('select count(*) as n from %s x where strpos(x::text, %L) > 0', c.oid::regclass, $1::text), false, true, '')))[1]::text::int)
		from pg_class c where c.relkind = 'r' and c.relnamespace in ('auth'::regnamespace, 'audit'::regnamespace, 'fluxbase'::regnamespace, 'ratelimit'::regnamespace)`, text)
}

// The tokens of the provider are the application's, once: sealed while they wait for the code, then gone, and in no log.
func TestOAuthHandsTheProvidersTokensOver(t *testing.T) {
	t.Parallel()
	s := oauthBed(t)
	works := func(token string) bool {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.Value(t, `select identity_data ->> 'iss' from auth.identities limit 1`)+"/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode == 200
	}
	waiting := `select count(*) from auth.flow_states where provider_tokens is not null`
	lasting := func() string {
		return newBrowser(t).follow(authorizeURL(s, "keycloak", "ann:verified", true)+"&scopes=offline_access&prompt=consent", isApp).Query().Get("code")
	}
	code := lasting()
	if s.Value(t, waiting) != "1" || !strings.HasPrefix(s.Value(t, `select provider_tokens from auth.flow_states`), "v1.") {
		t.Error("nothing waits sealed for the code")
	}
	// A wrong verifier neither gets nor spoils them.
	thief := s.Do(t, "POST", "/auth/v1/token?grant_type=pkce", map[string]string{"auth_code": code, "code_verifier": "x" + verifier})
	if thief.Status == 200 || s.Value(t, waiting) != "1" {
		t.Errorf("with a wrong verifier: %d %s", thief.Status, thief.Body)
	}
	a := exchange(t, s, code)
	access, refresh := a.Text("provider_token"), a.Text("provider_refresh_token")
	if a.Status != 200 || !works(access) || refresh == "" || s.Value(t, waiting) != "0" {
		t.Fatalf("exchanged: %d %s, %s wait", a.Status, a.Body, s.Value(t, waiting))
	}
	if again := exchange(t, s, code); again.Status == 200 || again.Text("provider_token") != "" {
		t.Errorf("a second time: %d %s", again.Status, again.Body)
	}
	if later := s.Do(t, "POST", "/auth/v1/token?grant_type=refresh_token", map[string]string{"refresh_token": a.Tokens().Refresh}); later.Status != 200 || later.Text("provider_token") != "" {
		t.Errorf("with the next session token: %d %s", later.Status, later.Body)
	}
	end := newBrowser(t).follow(authorizeURL(s, "keycloak", "ann:verified", false), isApp)
	fragment, err := url.ParseQuery(end.Fragment)
	if err != nil || !works(fragment.Get("provider_token")) || fragment.Has("provider_refresh_token") {
		t.Errorf("in the fragment: %s", end)
	}
	for _, secret := range []string{access, refresh, fragment.Get("provider_token")} {
		if n := everywhere(t, s, secret); n != "0" || strings.Contains(s.Log.String(), secret) {
			t.Errorf("a token of the provider stays: in %s rows, in the log: %t", n, strings.Contains(s.Log.String(), secret))
		}
	}
	if everywhere(t, s, "ann@example.com") == "0" {
		t.Error("the search finds nothing at all")
	}

	// What nobody fetches goes with the code.
	lasting()
	s.Exec(t, `update auth.flow_states set auth_code_expires_at = now() - interval '1 second' where used_at is null`)
	s.Exec(t, `select auth.housekeeping()`)
	if n := s.Value(t, waiting); n != "0" {
		t.Errorf("%s are kept longer than the code", n)
	}

	s.Exec(t, `select auth.set_setting('oauth_provider_tokens_enabled', 'false')`)
	code = lasting()
	if n := s.Value(t, waiting); n != "0" {
		t.Errorf("switched off: %s are stored", n)
	}
	if a := exchange(t, s, code); a.Status != 200 || a.Text("provider_token") != "" || a.Text("provider_refresh_token") != "" {
		t.Errorf("switched off: %d %s", a.Status, a.Body)
	}
	if end := newBrowser(t).follow(authorizeURL(s, "keycloak", "ann:verified", false), isApp); strings.Contains(end.Fragment, "provider_token") || !strings.Contains(end.Fragment, "access_token") {
		t.Errorf("switched off: %s", end)
	}
}

func TestOAuthStateIsUsedOnceByItsBrowser(t *testing.T) {
	t.Parallel()
	s := oauthBed(t)
	mine := newBrowser(t)
	back := mine.follow(authorizeURL(s, "keycloak", "ann:verified", false), isCallback)

	tampered := *back
	q := tampered.Query()
	q.Set("state", flipped(q.Get("state")))
	tampered.RawQuery = q.Encode()
	other := newBrowser(t)
	other.follow(authorizeURL(s, "keycloak", "bob:verified", false), isCallback) // has a cookie of a flow of its own
	forger := newBrowser(t)
	cookie := *mine.client.Jar.Cookies(mustParse(t, s.URL))[0]
	cookie.Value = other.client.Jar.Cookies(mustParse(t, s.URL))[0].Value
	forger.client.Jar.SetCookies(mustParse(t, s.URL), []*http.Cookie{&cookie})
	for name, attempt := range map[string]*url.URL{
		"tampered state":                 mine.step(tampered.String()),
		"state from another browser":     other.step(back.String()),
		"cookie of another flow":         forger.step(back.String()),
		"browser that has begun nothing": newBrowser(t).step(back.String()),
		"no state":                       mine.step(s.URL + "/auth/v1/callback?code=x"),
	} {
		if got := refusal(t, attempt); got != "bad_oauth_state" {
			t.Errorf("%s: %s", name, got)
		}
		if attempt.Host != "localhost:3000" {
			t.Errorf("%s: ends at %s, not on the site", name, attempt)
		}
	}
	// None of that has spoilt it for its browser; then it is over.
	if end := mine.step(back.String()); !strings.Contains(end.Fragment, "access_token=") {
		t.Fatalf("own state: %s", end)
	}
	if got := refusal(t, mine.step(back.String())); got != "bad_oauth_state" {
		t.Errorf("replayed state: %s", got)
	}
	if n := s.Value(t, `select count(*) from auth.sessions`); n != "1" {
		t.Errorf("%s sessions", n)
	}
	if got := s.Value(t, `select string_agg(distinct details ->> 'reason', ', ' order by details ->> 'reason') from audit.log where action = 'login' and outcome = 'denied'`); got != "state from another browser" {
		t.Errorf("audit: %s", got)
	}

	back = mine.follow(authorizeURL(s, "keycloak", "ann:verified", false), isCallback)
	s.Exec(t, `update auth.oauth_flows set expires_at = now() where used_at is null`)
	if got := refusal(t, mine.step(back.String())); got != "bad_oauth_state" {
		t.Errorf("expired state: %s", got)
	}
}

// step asks for one address, which has to lead somewhere.
func (b *browser) step(address string) *url.URL {
	b.t.Helper()
	status, location, body := b.get(address)
	if location.Host == "" {
		b.t.Fatalf("%s: %d %s", address, status, body)
	}
	return location
}

// flipped changes one bit in the middle.
func flipped(text string) string {
	b := []byte(text)
	if b[20] == 'A' {
		b[20] = 'B'
	} else {
		b[20] = 'A'
	}
	return string(b)
}

func TestOAuthParallelCallbacksMakeOneSession(t *testing.T) {
	t.Parallel()
	s := oauthBed(t)
	b := newBrowser(t)
	back := b.follow(authorizeURL(s, "keycloak", "ann:verified", false), isCallback).String()
	var (
		wait sync.WaitGroup
		ends = make([]*url.URL, 20)
	)
	cookies := b.client.Jar.Cookies(mustParse(t, s.URL))
	for i := range ends {
		twin := newBrowser(t)
		twin.client.Jar.SetCookies(mustParse(t, s.URL), cookies)
		wait.Go(func() { ends[i] = twin.step(back) })
	}
	wait.Wait()
	sessions := 0
	for _, end := range ends {
		if strings.Contains(end.Fragment, "access_token=") {
			sessions++
		} else if got := refusal(t, end); got != "bad_oauth_state" {
			t.Errorf("refused as %s", got)
		}
	}
	if n := s.Value(t, `select count(*) from auth.sessions`); sessions != 1 || n != "1" {
		t.Errorf("%d browsers have a session, %s sessions", sessions, n)
	}
	if got := s.Value(t, `select count(*) from audit.log where details ->> 'reason' = 'state replayed'`); got != "19" {
		t.Errorf("%s replays in the audit log", got)
	}
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// What a browser brings back proves nothing unless it belongs to this very request to this very provider.
func TestOAuthForeignAnswers(t *testing.T) {
	t.Parallel()
	s := oauthBed(t)
	// with replaces parameters of an address; an empty value removes one.
	with := func(u *url.URL, pairs ...string) string {
		changed, q := *u, u.Query()
		for i := 0; i < len(pairs); i += 2 {
			if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
				q.Del(pairs[i])
			}
		}
		changed.RawQuery = q.Encode()
		return changed.String()
	}
	atProvider := func(u *url.URL) bool { return u.Path == "/auth" }
	refused := func(name string, b *browser, address, want string) {
		t.Helper()
		if got := refusal(t, b.step(address)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}

	b := newBrowser(t)
	used := b.follow(authorizeURL(s, "keycloak", "ann:verified", false), isCallback)
	if end := b.step(used.String()); !strings.Contains(end.Fragment, "access_token=") {
		t.Fatalf("first: %s", end)
	}
	next := b.follow(authorizeURL(s, "keycloak", "ann:verified", false), isCallback)
	refused("code of an earlier flow", b, with(next, "code", used.Query().Get("code")), "bad_oauth_callback")

	// The request to the provider is changed on its way: what comes back is signed by the provider, for another nonce.
	b = newBrowser(t)
	request := b.follow(authorizeURL(s, "keycloak", "ann:verified", false), atProvider)
	refused("wrong nonce", b, b.follow(with(request, "nonce", "another"), isCallback).String(), "bad_oauth_callback")
	b = newBrowser(t)
	request = b.follow(authorizeURL(s, "keycloak", "ann:verified", false), atProvider)
	refused("no nonce", b, b.follow(with(request, "nonce", ""), isCallback).String(), "bad_oauth_callback")
	b = newBrowser(t)
	request = b.follow(authorizeURL(s, "keycloak", "ann:verified", false), atProvider)
	refused("challenge of somebody else", b, b.follow(with(request, "code_challenge", challengeOf("x"+verifier)), isCallback).String(), "bad_oauth_callback")

	// A browser that is sent to one provider and comes back from another.
	for name, change := range map[string][]string{
		"as it is": nil, "without issuer": {"iss", ""}, "with the issuer of the first": {"iss", "first"},
	} {
		b = newBrowser(t)
		first := b.follow(authorizeURL(s, "keycloak", "ann:verified", false), atProvider)
		second := newBrowser(t).follow(authorizeURL(s, "other", "eve:verified", false), isCallback)
		if len(change) == 2 && change[1] == "first" {
			change[1] = first.Scheme + "://" + first.Host
		}
		refused("mixed-up provider, "+name, b, with(second, append(change, "state", first.Query().Get("state"))...), "bad_oauth_callback")
	}

	if n := strings.Count(s.Log.String(), "it comes from another issuer"); n != 2 {
		t.Errorf("%d of 2 codes of another issuer were kept from the first", n)
	}

	b = newBrowser(t)
	end := b.follow(authorizeURL(s, "keycloak", "cancel:", true), isApp)
	if refusal(t, end) != "access_denied" || end.Query().Get("error") != "access_denied" || strings.Contains(end.String(), "aborted") {
		t.Errorf("cancelled: %s", end)
	}
	if n := s.Value(t, `select count(*) from auth.sessions`); n != "1" {
		t.Errorf("%s sessions", n)
	}
	if n := s.Value(t, `select count(*) from auth.users where email like 'eve%'`); n != "0" {
		t.Errorf("%s users of the other provider", n)
	}
	if n := s.Value(t, `select count(*) from audit.log where action = 'login' and outcome = 'denied' and details ->> 'reason' in ('bad_oauth_callback', 'access_denied')`); n != "8" {
		t.Errorf("%s denials in the audit log", n)
	}
}

func TestOAuthRedirects(t *testing.T) {
	t.Parallel()
	s := oauthBed(t)
	b := newBrowser(t)
	for _, target := range []string{"https://evil.example/", "https://app.example.com/in/../out", "javascript://app.example.com/in", "//app.example.com/in", app + "#x"} {
		status, location, body := b.get(s.URL + "/auth/v1/authorize?" + url.Values{"provider": {"keycloak"}, "redirect_to": {target}}.Encode())
		if status != 400 || location.Host != "" || !strings.Contains(body, "redirect_to") {
			t.Errorf("%s: %d to %s: %s", target, status, location, body)
		}
	}
	if got := s.Value(t, `select count(*) from auth.oauth_flows`); got != "0" {
		t.Errorf("%s flows", got)
	}
	end := b.follow(s.URL+"/auth/v1/authorize?provider=keycloak", isApp)
	if end.Host != "localhost:3000" {
		t.Errorf("without a target: %s", end)
	}
	for _, name := range []string{"", "google", "email", "keycloak%00"} {
		if status, _, body := b.get(s.URL + "/auth/v1/authorize?provider=" + name); status != 400 || !strings.Contains(body, "validation_failed") {
			t.Errorf("provider %q: %d %s", name, status, body)
		}
	}
	// What decides who gets the answer is not the client's.
	location := b.step(authorizeURL(s, "keycloak", "ann:verified", true) + "&state=mine&nonce=mine&client_id=mine&redirect_uri=https://evil.example/&response_type=token&response_mode=form_post&scope=mine&prompt=login")
	q := location.Query()
	if q.Get("state") == "mine" || q.Get("nonce") == "mine" || q.Get("client_id") != "client-of-keycloak" || q.Get("redirect_uri") != s.URL+"/auth/v1/callback" ||
		q.Get("response_type") != "code" || q.Has("response_mode") || q.Get("scope") != "openid email profile" || q.Get("prompt") != "login" ||
		q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == challengeOf(verifier) || len(q.Get("code_challenge")) != 43 {
		t.Errorf("request to the provider: %s", location)
	}
	// Browsers come from other sites, with or without a session in cookies, which does not count here.
	for _, path := range []string{"/auth/v1/authorize?provider=keycloak", "/api/v1/auth/authorize?provider=keycloak"} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Cookie", "__Host-fluxbase-access=x; __Host-fluxbase-refresh=y")
		response, err := b.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != 302 {
			t.Errorf("%s from another site: %d", path, response.StatusCode)
		}
	}
	// The list is asked again when the browser comes back.
	back := b.follow(authorizeURL(s, "keycloak", "ann:verified", false), isCallback)
	s.Exec(t, `update auth.oauth_flows set redirect_to = 'https://evil.example/' where used_at is null`)
	if end := b.step(back.String()); end.Host != "localhost:3000" || strings.Contains(end.Fragment, "access_token") {
		t.Errorf("target that is not allowed any more: %s", end)
	}
	// An answer as a form comes without cookies: the browser asks again by itself.
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/auth/v1/callback", strings.NewReader(url.Values{"code": {"c"}, "state": {"s"}, "user": {"{}"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://appleid.apple.com")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	response, err := b.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // empty
	if got := response.Header.Get("Location"); response.StatusCode != 303 || got != s.URL+"/auth/v1/callback?code=c&state=s" {
		t.Errorf("form: %d %s", response.StatusCode, got)
	}
}

// An account that somebody made in advance with the address of another person must not become that person's way in, nor
// theirs into that person's account.
func TestOAuthLinksByProvenAddressesAlone(t *testing.T) {
	t.Parallel()
	s := oauthBed(t)
	end := func(account string) *url.URL {
		return newBrowser(t).follow(authorizeURL(s, "keycloak", account, true), isApp)
	}
	signUp := func(name string) {
		t.Helper()
		if a := s.Do(t, "POST", "/auth/v1/signup", map[string]string{"email": name + "@example.com", "password": servertest.Password}); a.Status != 200 {
			t.Fatalf("sign up: %d %s", a.Status, a.Body)
		}
	}
	signUp("unconfirmed")
	if got := refusal(t, end("unconfirmed:verified")); got != "email_exists" {
		t.Errorf("unconfirmed account: %s", got)
	}
	s.Exec(t, `select auth.set_setting('signup_autoconfirm', 'true')`)
	signUp("autoconfirmed")
	if got := refusal(t, end("autoconfirmed:verified")); got != "email_exists" {
		t.Errorf("account whose address nobody has proven: %s", got)
	}
	proven := s.CreateUser(t, "proven@example.com")
	if n := s.Value(t, `select count(*) from auth.identities where provider <> 'email' and user_id in (select id from auth.users where email is not null)`); n != "0" {
		t.Errorf("%s identities were linked", n)
	}
	a := exchange(t, s, end("proven:verified").Query().Get("code"))
	if a.Status != 200 || !strings.Contains(string(a.Body), `"`+proven+`"`) {
		t.Errorf("proven account and verified address: %d %s", a.Status, a.Body)
	}
	s.Exec(t, `select auth.ban_user('proven@example.com')`)
	if a := exchange(t, s, end("proven:verified").Query().Get("code")); a.Status != 403 || a.Code() != "user_banned" {
		t.Errorf("banned: %d %s", a.Status, a.Body)
	}
	s.CreateUser(t, "banned@example.com")
	s.Exec(t, `select auth.ban_user('banned@example.com')`)
	if got := refusal(t, end("banned:verified")); got != "user_banned" {
		t.Errorf("banned before: %s", got)
	}
	// Whoever signed up with an address that only they claim gets an account without it.
	for _, account := range []string{"proven:unverified", "nobody:none"} {
		a := exchange(t, s, end(account).Query().Get("code"))
		var answer struct {
			User struct {
				Email string `json:"email"`
			} `json:"user"`
		}
		if err := json.Unmarshal(a.Body, &answer); err != nil || a.Status != 200 || answer.User.Email != "" || strings.Contains(string(a.Body), proven) {
			t.Errorf("%s: %d %s", account, a.Status, a.Body)
		}
	}
	s.Exec(t, `select auth.set_setting('signup_enabled', 'false')`)
	if got := refusal(t, end("late:verified")); got != "signup_disabled" {
		t.Errorf("sign-ups are off: %s", got)
	}
	s.Exec(t, `select auth.set_setting('mfa_enforcement', 'required')`)
	a = exchange(t, s, end("nobody:none").Query().Get("code"))
	if got := s.Do(t, "GET", "/auth/v1/sessions", nil, a.Tokens().Bearer()); a.Status != 200 || got.Status != 403 || got.Code() != "insufficient_aal" {
		t.Errorf("with a second factor required: %d, then %d %s", a.Status, got.Status, got.Body)
	}
	if n := s.Value(t, `select count(*) from auth.sessions where mfa_pending`); n != "1" {
		t.Errorf("%s sessions owe a second factor", n)
	}
}

// What changes the ways into an account asks for the second factor of whoever has one, as a new password does.
func TestOAuthWaysInNeedTheSecondFactor(t *testing.T) {
	t.Parallel()
	s := oauthBed(t)
	id := s.CreateUser(t, email)
	linked := s.Value(t, `auth.link_identity($1, 'keycloak', 'ann:none', 'test')`, email)
	k := s.Login(t, email)
	s.Exec(t, `insert into auth.mfa_factors (id, user_id, factor_type, status, secret) values (gen_random_uuid(), $1, 'totp', 'verified', 'v1.0123456789abcdef.' || repeat('A', 80))`, id)
	begin := "/auth/v1/user/identities/authorize?" + url.Values{"provider": {"other"}, "redirect_to": {app}, "code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"s256"}}.Encode()
	for name, got := range map[string]servertest.Answer{
		"link":   s.Do(t, "GET", begin, nil, k.Bearer()),
		"unlink": s.Do(t, "DELETE", "/auth/v1/user/identities/"+linked, nil, k.Bearer()),
	} {
		if got.Status != 403 || got.Code() != "insufficient_aal" {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	s.Exec(t, `delete from auth.mfa_factors`)
	if got := s.Do(t, "GET", begin, nil, k.Bearer()); got.Status != 200 || !strings.HasPrefix(got.Text("url"), s.URL+"/auth/v1/authorize?") {
		t.Errorf("without a factor: %d %s", got.Status, got.Body)
	}
	for _, path := range []string{"x", "00000000-0000-4000-8000-0000000000ff", strings.ToUpper(linked)} {
		if got := s.Do(t, "DELETE", "/auth/v1/user/identities/"+path, nil, k.Bearer()); got.Status != 404 || got.Code() != "identity_not_found" {
			t.Errorf("unlink %s: %d %s", path, got.Status, got.Body)
		}
	}
	s.CreateUser(t, "bob@example.com")
	if got := s.Do(t, "DELETE", "/auth/v1/user/identities/"+linked, nil, s.Login(t, "bob@example.com").Bearer()); got.Status != 404 {
		t.Errorf("unlink somebody else's: %d %s", got.Status, got.Body)
	}
	if got := s.Do(t, "GET", "/auth/v1/identities", nil, k.Bearer()); got.Status != 200 || strings.Count(string(got.Body), "identity_id") != 2 {
		t.Errorf("identities: %d %s", got.Status, got.Body)
	}
}

// Whoever was anonymous keeps id and rows, and has a way back.
func TestOAuthAnonymousBecomesSomebody(t *testing.T) {
	t.Parallel()
	s := oauthBed(t)
	s.Exec(t, `select auth.set_setting('anonymous_users_enabled', 'true')`)
	a := s.Do(t, "POST", "/auth/v1/signup", map[string]any{"data": map[string]string{}})
	id := s.Value(t, `select id from auth.users where is_anonymous`)
	if a.Status != 200 || id == "" {
		t.Fatalf("sign in: %d %s", a.Status, a.Body)
	}
	begun := s.Do(t, "GET", "/auth/v1/user/identities/authorize?"+url.Values{"provider": {"keycloak"}, "redirect_to": {app}, "login_hint": {"hans:verified"},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"s256"}}.Encode(), nil, a.Tokens().Bearer())
	if begun.Status != 200 {
		t.Fatalf("link: %d %s", begun.Status, begun.Body)
	}
	linked := exchange(t, s, newBrowser(t).follow(begun.Text("url"), isApp).Query().Get("code"))
	if linked.Status != 200 || s.Value(t, `select email || ' ' || is_anonymous || ' ' || (email_proven_at is not null) from auth.users where id = $1`, id) != "hans@example.com false true" {
		t.Errorf("linked: %d %s", linked.Status, linked.Body)
	}
	if again := signIn(t, s, "keycloak", "hans:verified"); !strings.Contains(string(again.Body), `"`+id+`"`) {
		t.Errorf("back: %d %s", again.Status, again.Body)
	}
}
