package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

const (
	oldSecret = "an-existing-secret-of-postgrest-Kz7wQ3xR9mT5"
	userToken = `{"name":"users","issuer":"https://users.example.com","secret":"users-an-existing-secret-Kz7wQ3xR9mT5vB2","subject_is_user":true,"without_session":true}`
	oldIssuer = `{"name":"postgrest","secret":"` + oldSecret + `","required_claims":"none","without_session":true}`
)

// foreignToken signs claims as another issuer does.
func foreignToken(t *testing.T, secret string, claims jwt.MapClaims) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return "Authorization: Bearer " + text
}

// whoami makes a function that says everything which the helpers say of a caller.
func whoami(t *testing.T, s *servertest.Server) func(bearer string) servertest.Answer {
	t.Helper()
	s.Exec(t, `create function public.whoami() returns json stable language sql as $$
		select json_build_object('role', current_user, 'auth_role', auth.role(), 'user', auth.current_user_id(), 'uid', auth.uid(), 'email', auth.email(),
			'session', auth.session_id(), 'aal', auth.aal(), 'org', auth.current_org_id(), 'sub', auth.jwt() ->> 'sub', 'signed_in', auth.is_authenticated(),
			'admin', auth.is_admin(), 'old', nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub') $$`)
	s.Exec(t, `notify fluxbase_reload`)
	for end := time.Now().Add(30 * time.Second); s.Do(t, "GET", "/rest/v1/rpc/whoami", nil).Status != http.StatusOK; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the server does not see the function")
		}
	}
	return func(bearer string) servertest.Answer { return s.Do(t, "GET", "/rest/v1/rpc/whoami", nil, bearer) }
}

// An existing secret of PostgREST works for the data API: its roles, and tokens without exp, iss and aud. It makes nobody a
// user of ours.
func TestTrustedIssuerBySecret(t *testing.T) {
	t.Parallel()
	s := servertest.On(t, servertest.Private(t, pgtest.Options{}), "FLUXBASE_AUTH_TRUSTED_ISSUERS=["+oldIssuer+","+userToken+"]")
	ann := s.CreateUser(t, "ann@example.com")
	s.Exec(t, `insert into auth.user_roles (user_id, role) values ($1, 'system_admin')`, ann)
	ask := whoami(t, s)
	const nobody = `"user" : null, "uid" : null, "email" : null, "session" : null, "aal" : null, "org" : null, "sub" : "%s", "signed_in" : false, "admin" : false, "old" : "%[1]s"}`
	claims := jwt.MapClaims{"role": "authenticated", "sub": ann, "email": "ann@example.com", "session_id": ann, "aal": "aal2", "org_id": ann}
	if a := ask(foreignToken(t, oldSecret, claims)); a.Status != 200 || string(a.Body) != `{"role" : "authenticated", "auth_role" : "authenticated", `+fmt.Sprintf(nobody, ann) {
		t.Errorf("another issuer's Ann: %d %s", a.Status, a.Body)
	}
	bearer := foreignToken(t, oldSecret, claims)
	if n := s.RoundTrips(func() { ask(bearer) }); n != 1 {
		t.Errorf("%d round trips", n)
	}
	for name, tc := range map[string]struct {
		bearer string
		status int
		code   string
	}{
		"service_role":           {foreignToken(t, oldSecret, jwt.MapClaims{"role": "service_role"}), 403, ""},
		"a role of ours":         {foreignToken(t, oldSecret, jwt.MapClaims{"role": "fluxbase_admin"}), 403, ""},
		"a role that is not one": {foreignToken(t, oldSecret, jwt.MapClaims{"role": "nobody"}), 403, ""},
		"no role":                {foreignToken(t, oldSecret, jwt.MapClaims{"sub": "x"}), 401, "PGRST301"},
		"expired":                {foreignToken(t, oldSecret, jwt.MapClaims{"role": "anon", "exp": 1000}), 401, "PGRST303"},
		"another secret":         {foreignToken(t, servertest.Secret, jwt.MapClaims{"role": "anon"}), 401, "PGRST301"},
		"an unknown issuer":      {foreignToken(t, oldSecret, jwt.MapClaims{"role": "anon", "iss": "https://evil.example.com"}), 401, "PGRST301"},
		"our own issuer":         {foreignToken(t, oldSecret, jwt.MapClaims{"role": "anon", "iss": "fluxbase"}), 401, "PGRST301"},
		"exp is asked for":       {foreignToken(t, "users-an-existing-secret-Kz7wQ3xR9mT5vB2", jwt.MapClaims{"role": "anon", "iss": "https://users.example.com"}), 401, "PGRST301"},
	} {
		if a := ask(tc.bearer); a.Status != tc.status || tc.code != "" && a.Code() != tc.code {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	// For the data API alone.
	for _, path := range []string{"/auth/v1/user", "/api/v1/auth/sessions", "/auth/v1/admin/users", "/auth/v1/factors", "/api/v1/auth/api-keys"} {
		if a := s.Do(t, "GET", path, nil, bearer); a.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	// A role that requests may run as, without a restart.
	s.Exec(t, `create role issuer_webuser nologin`)
	s.Exec(t, `grant issuer_webuser to fluxbase_api`)
	if a := ask(foreignToken(t, oldSecret, jwt.MapClaims{"role": "issuer_webuser"})); a.Status != 403 {
		t.Errorf("a role that is not listed: %d %s", a.Status, a.Body)
	}
	s.Exec(t, `select auth.set_setting('request_roles', 'issuer_webuser')`)
	if a := ask(foreignToken(t, oldSecret, jwt.MapClaims{"role": "issuer_webuser", "sub": "x"})); a.Status != 200 || a.Text("role") != "issuer_webuser" {
		t.Errorf("a listed role: %d %s", a.Status, a.Body)
	}
	// What an administrator stops is stopped at once.
	s.Exec(t, `select auth.disable_issuer('postgrest', 'lost')`)
	if a := ask(bearer); a.Status != 401 {
		t.Errorf("disabled: %d %s", a.Status, a.Body)
	}
	other := servertest.On(t, s.DB, "FLUXBASE_AUTH_TRUSTED_ISSUERS=["+oldIssuer+"]")
	if a := other.Do(t, "GET", "/rest/v1/rpc/whoami", nil, bearer); a.Status != 401 {
		t.Errorf("disabled, after a start: %d %s", a.Status, a.Body)
	}
	s.Exec(t, `select auth.enable_issuer('postgrest')`)
	if a := ask(bearer); a.Status != 200 {
		t.Errorf("enabled: %d %s", a.Status, a.Body)
	}
	servertest.On(t, s.DB)
	if a := ask(bearer); a.Status != 401 {
		t.Errorf("no longer configured: %d %s", a.Status, a.Body)
	}
}

// An issuer makes users of ours only if its row says so, and a ban holds for them, too.
func TestTrustedIssuerOfUsers(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, "FLUXBASE_AUTH_TRUSTED_ISSUERS=["+userToken+"]")
	ann := s.CreateUser(t, "ann@example.com")
	ask := whoami(t, s)
	claims := jwt.MapClaims{"role": "authenticated", "iss": "https://users.example.com", "sub": ann, "email": "ann@example.com", "aal": "aal2",
		"session_id": ann, "exp": time.Now().Add(time.Hour).Unix()}
	bearer := foreignToken(t, "users-an-existing-secret-Kz7wQ3xR9mT5vB2", claims)
	a := ask(bearer)
	if a.Status != 200 || a.Text("user") != ann || a.Text("uid") != ann || a.Text("email") != "ann@example.com" || a.Text("aal") != "" || a.Text("session") != "" {
		t.Errorf("a user: %d %s", a.Status, a.Body)
	}
	claims["sub"] = "auth0|17"
	if a := ask(foreignToken(t, "users-an-existing-secret-Kz7wQ3xR9mT5vB2", claims)); a.Status != 200 || a.Text("user") != "" || a.Text("sub") != "auth0|17" || a.Text("email") != "" {
		t.Errorf("a subject that is no uuid: %d %s", a.Status, a.Body)
	}
	s.Exec(t, `select auth.ban_user('ann@example.com')`)
	if a := ask(bearer); a.Status != 401 {
		t.Errorf("banned: %d %s", a.Status, a.Body)
	}
	s.Exec(t, `select auth.unban_user('ann@example.com')`)
	gone := s.CreateUser(t, "gone@example.com")
	claims["sub"] = gone
	deleted := foreignToken(t, "users-an-existing-secret-Kz7wQ3xR9mT5vB2", claims)
	if a := ask(deleted); a.Status != 200 || a.Text("user") != gone {
		t.Errorf("before the user is deleted: %d %s", a.Status, a.Body)
	}
	s.Exec(t, `select auth.delete_user('gone@example.com')`)
	if a := ask(deleted); a.Status != 401 {
		t.Errorf("deleted: %d %s", a.Status, a.Body)
	}
	// Another server takes the word back; this one still reads the subject as a user, and the database does not.
	s.Exec(t, `update auth.trusted_issuers set subject_is_user = false`)
	if a := ask(bearer); a.Status != 401 {
		t.Errorf("not trusted with users: %d %s", a.Status, a.Body)
	}
	s.Exec(t, `update auth.trusted_issuers set subject_is_user = true, allowed_roles = '{anon}'`)
	if a := ask(bearer); a.Status != 403 {
		t.Errorf("a role that is not allowed: %d %s", a.Status, a.Body)
	}
}

// provider serves keys as an identity provider does.
type provider struct {
	*httptest.Server
	mu       sync.Mutex
	document string
	asked    int
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := new(provider)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked++
		_, _ = w.Write([]byte(p.document))
	}))
	t.Cleanup(p.Close)
	return p
}

// rotate makes a key and publishes it; sign signs with it.
func (p *provider) rotate(t *testing.T, kid string) (sign func(claims jwt.MapClaims) string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	p.mu.Lock()
	p.document = fmt.Sprintf(`{"keys":[{"kid":%q,"kty":"EC","crv":"P-256","use":"sig","x":%q,"y":%q}]}`, kid, encode(point[1:33]), encode(point[33:]))
	p.mu.Unlock()
	return func(claims jwt.MapClaims) string {
		t.Helper()
		token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
		token.Header["kid"] = kid
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return "Authorization: Bearer " + text
	}
}

func TestTrustedIssuerByJWKS(t *testing.T) {
	t.Parallel()
	idp := newProvider(t)
	sign := idp.rotate(t, "one")
	s := servertest.Start(t, `FLUXBASE_AUTH_TRUSTED_ISSUERS=[{"name":"idp","issuer":"https://idp.example.com","jwks_url":"`+idp.URL+`/jwks.json","audience":"api",`+
		`"algorithms":"ES256","role_claim":".realm_access.roles[0]","default_role":"anon","allowed_roles":"anon,authenticated","without_session":true}]`)
	ask := whoami(t, s)
	claims := jwt.MapClaims{"iss": "https://idp.example.com", "aud": []string{"api"}, "sub": "ann", "exp": time.Now().Add(time.Hour).Unix(),
		"realm_access": map[string]any{"roles": []string{"authenticated"}}}
	if a := ask(sign(claims)); a.Status != 200 || a.Text("role") != "authenticated" || a.Text("sub") != "ann" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	before := sign(claims)
	delete(claims, "realm_access")
	if a := ask(sign(claims)); a.Status != 200 || a.Text("role") != "anon" {
		t.Errorf("without a role: %d %s", a.Status, a.Body)
	}
	claims["aud"] = "other"
	if a := ask(sign(claims)); a.Status != 401 {
		t.Errorf("another audience: %d %s", a.Status, a.Body)
	}
	claims["aud"] = "api"
	// Tokens with an unknown kid do not make us ask over and over.
	forged := newProvider(t).rotate(t, "forged")
	for range 20 {
		if a := ask(forged(claims)); a.Status != 401 {
			t.Fatalf("a forged token: %d %s", a.Status, a.Body)
		}
	}
	idp.mu.Lock()
	asked := idp.asked
	idp.mu.Unlock()
	if asked > 2 {
		t.Errorf("the provider was asked %d times", asked)
	}
	if a := ask(before); a.Status != 200 {
		t.Errorf("the key that holds: %d %s", a.Status, a.Body)
	}
	if strings.Contains(s.Log.String(), oldSecret) {
		t.Error("a secret is in the log")
	}
}

// The login, the roles and the tokens of an installation of PostgREST, as they are.
func TestPostgRESTInstallation(t *testing.T) {
	t.Parallel()
	db := servertest.Private(t, pgtest.Options{})
	conn := db.Superuser(t, "app")
	for _, sql := range []string{
		`create role authenticator login noinherit password 'authenticator'`, `create role webuser nologin`, `grant anon, webuser to authenticator`,
		`create schema api`, `create table api.todos (id bigint primary key, owner text default current_setting('request.jwt.claims', true)::json ->> 'sub')`,
		`alter table api.todos enable row level security`, `grant usage on schema api to webuser`, `grant select, insert on api.todos to webuser`,
		`create policy todos_own on api.todos to webuser using (owner = current_setting('request.jwt.claims', true)::json ->> 'sub')`,
		`select auth.set_setting('request_roles', 'webuser')`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	for _, step := range [][2]string{
		{`select auth.allow_data_login('authenticator')`, "alter role authenticator set statement_timeout = '15s';"},
		{`alter role authenticator set statement_timeout = '15s'`, ""}, {`alter role authenticator set lock_timeout = '5s'`, ""},
		{`alter role authenticator set idle_in_transaction_session_timeout = '30s'`, ""},
		{`select auth.allow_data_login('postgres')`, "may not run data requests"}, {`select auth.allow_data_login('webuser')`, "is no login"},
		{`select auth.allow_data_login('fluxbase_server')`, "may not run data requests"}, {`select auth.allow_data_login('authenticator')`, ""},
	} {
		_, err := conn.Exec(t.Context(), step[0])
		var refusal *pgconn.PgError
		switch {
		case step[1] == "" && err != nil:
			t.Fatalf("%s: %v", step[0], err)
		case step[1] != "" && (!errors.As(err, &refusal) || !strings.Contains(refusal.Message+refusal.Hint, step[1])):
			t.Errorf("%s: %v", step[0], err)
		}
	}
	s := servertest.On(t, db, "FLUXBASE_DATABASE_URL="+db.Cluster.URL("authenticator", "authenticator", "app"),
		"PGRST_DB_SCHEMAS=api", "PGRST_DB_ANON_ROLE=anon", "PGRST_JWT_SECRET="+oldSecret)
	ann, bob := foreignToken(t, oldSecret, jwt.MapClaims{"role": "webuser", "sub": "ann"}), foreignToken(t, oldSecret, jwt.MapClaims{"role": "webuser", "sub": "bob"})
	if a := s.Do(t, "POST", "/rest/v1/todos", map[string]int{"id": 1}, ann); a.Status != http.StatusCreated {
		t.Errorf("insert: %d %s", a.Status, a.Body)
	}
	for bearer, want := range map[string]string{ann: `[{"id":1,"owner":"ann"}]`, bob: `[]`} {
		if a := s.Do(t, "GET", "/rest/v1/todos", nil, bearer); a.Status != 200 || string(a.Body) != want {
			t.Errorf("%d %s, want %s", a.Status, a.Body, want)
		}
	}
	if a := s.Do(t, "GET", "/rest/v1/todos", nil); a.Status != http.StatusUnauthorized {
		t.Errorf("nobody: %d %s", a.Status, a.Body)
	}
	if a := s.Do(t, "GET", "/rest/v1/todos", nil, foreignToken(t, oldSecret, jwt.MapClaims{"sub": "x"})); a.Status != http.StatusUnauthorized && a.Status != http.StatusForbidden {
		t.Errorf("a token without a role is anon: %d %s", a.Status, a.Body)
	}
}
