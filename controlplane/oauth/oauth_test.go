package oauth_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/wayli-app/fluxbase/controlplane/oauth"
)

// world is an internet of handlers by host.
type world map[string]http.HandlerFunc

func (w world) RoundTrip(r *http.Request) (*http.Response, error) {
	handler, ok := w[r.URL.Host]
	if !ok || r.URL.Scheme != "https" {
		return nil, errors.New("no such host")
	}
	recorder := httptest.NewRecorder()
	handler(recorder, r)
	return recorder.Result(), nil
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func open(t *testing.T, w http.RoundTripper, c oauth.Config) *oauth.Provider {
	t.Helper()
	providers, err := oauth.New([]oauth.Config{c}, oauth.Options{Transport: w, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	p, ok := providers.Get(c.Name)
	if !ok {
		t.Fatal("the provider is not there")
	}
	return p
}

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// Providers without OpenID Connect: whom they name, and whether they vouch for the address.
func TestProfiles(t *testing.T) {
	t.Parallel()
	const token = "t0ken"
	exchange := func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Form.Get("code") != "c0de" || r.Form.Get("code_verifier") != "v3rifier" ||
			r.Form.Get("client_secret") != "s3cret" || r.Form.Get("redirect_uri") != "https://api.example.com/auth/v1/callback" {
			w.WriteHeader(http.StatusBadRequest)
			answer(w, map[string]string{"error": "invalid_grant", "error_description": "c0de v3rifier"})
			return
		}
		answer(w, map[string]any{"access_token": token, "token_type": "bearer"})
	}
	emails := func(list ...map[string]any) world {
		return world{"github.com": exchange, "api.github.com": func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Header.Get("Authorization") != "Bearer "+token:
				w.WriteHeader(http.StatusUnauthorized)
			case r.URL.Path == "/user":
				answer(w, map[string]any{"id": 12345678901, "login": "ann", "name": "Ann", "email": "public@example.com", "avatar_url": "https://a.example/1"})
			case r.URL.Path == "/user/emails":
				answer(w, list)
			}
		}}
	}
	for name, test := range map[string]struct {
		provider, subject, email string
		verified                 bool
		world                    world
	}{
		"github, verified": {"github", "12345678901", "ann@example.com", true, emails(
			map[string]any{"email": "old@example.com", "primary": false, "verified": true}, map[string]any{"email": "ann@example.com", "primary": true, "verified": true})},
		"github, unverified":  {"github", "12345678901", "ann@example.com", false, emails(map[string]any{"email": "ann@example.com", "primary": true, "verified": false})},
		"github, no address":  {"github", "12345678901", "", false, emails()},
		"discord, verified":   {"discord", "77", "ann@example.com", true, world{"discord.com": discord(exchange, true)}},
		"discord, unverified": {"discord", "77", "ann@example.com", false, world{"discord.com": discord(exchange, false)}},
		"facebook says nothing of it": {"facebook", "99", "ann@example.com", false, world{"graph.facebook.com": func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/oauth/access_token") {
				exchange(w, r)
				return
			}
			if len(r.URL.Query().Get("appsecret_proof")) != 64 {
				w.WriteHeader(http.StatusForbidden)
			}
			answer(w, map[string]any{"id": "99", "name": "Ann", "email": "ann@example.com"})
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t, test.world, oauth.Config{Name: test.provider, ClientID: "client", ClientSecret: "s3cret"})
			back := oauth.Callback{Code: "c0de", Verifier: "v3rifier", RedirectURI: "https://api.example.com/auth/v1/callback"}
			who, err := p.Exchange(t.Context(), back)
			if err != nil {
				t.Fatal(err)
			}
			if who.Provider != test.provider || who.Subject != test.subject || who.Email != test.email || who.EmailVerified != test.verified ||
				who.Data["email_verified"] != test.verified || who.Data["sub"] != test.subject {
				t.Errorf("got %+v", who)
			}
			back.Verifier = "another"
			_, err = p.Exchange(t.Context(), back)
			if !errors.Is(err, oauth.ErrRefused) || strings.Contains(err.Error(), "c0de") || strings.Contains(err.Error(), "v3rifier") {
				t.Errorf("wrong verifier: %v", err)
			}
			if _, err := p.VerifyIDToken(t.Context(), "x.y.z", "", ""); !errors.Is(err, oauth.ErrNoIDToken) {
				t.Errorf("ID token: %v", err)
			}
			address, err := p.AuthorizeURL(t.Context(), oauth.Request{State: "st", Verifier: "v3rifier", RedirectURI: back.RedirectURI, Scopes: "more",
				Parameters: url.Values{"prompt": {"consent"}, "client_id": {"mine"}, "redirect_uri": {"https://evil.example"}}})
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256([]byte("v3rifier"))
			if q := u.Query(); q.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) || q.Get("code_challenge_method") != "S256" ||
				q.Get("state") != "st" || q.Get("client_id") != "client" || q.Get("redirect_uri") != back.RedirectURI || q.Get("prompt") != "consent" ||
				!strings.HasSuffix(q.Get("scope"), " more") || strings.Contains(address, "s3cret") {
				t.Errorf("request: %s", address)
			}
		})
	}
}

func discord(exchange http.HandlerFunc, verified bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/oauth2/token" {
			exchange(w, r)
			return
		}
		answer(w, map[string]any{"id": "77", "username": "ann", "email": "ann@example.com", "verified": verified, "avatar": "../x"})
	}
}

// issuer is a made-up one with a key.
type issuer struct {
	name string
	key  *rsa.PrivateKey
}

func newIssuer(t *testing.T, name string) issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return issuer{name, key}
}

// world serves the issuer's documents at an address; as says how it names itself.
func (i issuer) world(host, as string) world {
	return world{host: func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/keys") {
			answer(w, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig",
				"n": base64.RawURLEncoding.EncodeToString(i.key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(i.key.E)).Bytes())}}})
			return
		}
		base := "https://" + host
		answer(w, map[string]any{"issuer": as, "authorization_endpoint": base + "/auth", "token_endpoint": base + "/token", "jwks_uri": base + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}})
	}}
}

func (i issuer) claims(changes ...any) jwt.MapClaims {
	c := jwt.MapClaims{"iss": i.name, "sub": "ann", "aud": "client", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"email": "ann@example.com", "email_verified": true}
	for k := 0; k < len(changes); k += 2 {
		if c[changes[k].(string)] = changes[k+1]; changes[k+1] == nil {
			delete(c, changes[k].(string))
		}
	}
	return c
}

func (i issuer) sign(t *testing.T, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, c)
	token.Header["kid"] = "1"
	text, err := token.SignedString(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestIDTokens(t *testing.T) {
	t.Parallel()
	idp, stranger := newIssuer(t, "https://id.example.com"), newIssuer(t, "https://id.example.com")
	p := open(t, idp.world("id.example.com", idp.name), oauth.Config{Name: "okta", ClientID: "client", Issuer: idp.name, Audiences: []string{"phone"}})
	nonce := sha256.Sum256([]byte("n0nce"))
	hashed := hex.EncodeToString(nonce[:])
	publicKey := []byte(base64.RawURLEncoding.EncodeToString(idp.key.N.Bytes()))
	with := func(method jwt.SigningMethod, key any) string {
		text, err := jwt.NewWithClaims(method, idp.claims()).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, test := range map[string]struct {
		token, nonce string
		good         bool
	}{
		"good":                          {idp.sign(t, idp.claims()), "", true},
		"of the phone":                  {idp.sign(t, idp.claims("aud", "phone")), "", true},
		"for both, issued to the phone": {idp.sign(t, idp.claims("aud", []string{"client", "phone"}, "azp", "phone")), "", true},
		"nonce":                         {idp.sign(t, idp.claims("nonce", hashed)), "n0nce", true},
		"nonce in plain":                {idp.sign(t, idp.claims("nonce", "n0nce")), "n0nce", false},
		"nonce not shown":               {idp.sign(t, idp.claims("nonce", hashed)), "", false},
		"nonce of no token":             {idp.sign(t, idp.claims()), "n0nce", false},
		"nonce that is no text":         {idp.sign(t, idp.claims("nonce", 5)), "", false},
		"other client":                  {idp.sign(t, idp.claims("aud", "other")), "", false},
		"other client, too":             {idp.sign(t, idp.claims("aud", []string{"client", "other"}, "azp", "client")), "", false},
		"for both, issued to nobody":    {idp.sign(t, idp.claims("aud", []string{"client", "phone"})), "", false},
		"issued to another":             {idp.sign(t, idp.claims("azp", "other")), "", false},
		"issued to a number":            {idp.sign(t, idp.claims("azp", 5)), "", false},
		"no audience":                   {idp.sign(t, idp.claims("aud", nil)), "", false},
		"other issuer":                  {idp.sign(t, idp.claims("iss", "https://evil.example")), "", false},
		"issuer with a slash":           {idp.sign(t, idp.claims("iss", idp.name+"/")), "", false},
		"expired":                       {idp.sign(t, idp.claims("exp", now.Add(-time.Second).Unix())), "", false},
		"never expires":                 {idp.sign(t, idp.claims("exp", nil)), "", false},
		"of the future":                 {idp.sign(t, idp.claims("iat", now.Add(time.Hour).Unix())), "", false},
		"of no time":                    {idp.sign(t, idp.claims("iat", nil)), "", false},
		"not yet":                       {idp.sign(t, idp.claims("nbf", now.Add(time.Hour).Unix())), "", false},
		"no subject":                    {idp.sign(t, idp.claims("sub", nil)), "", false},
		"another's subject with a null": {idp.sign(t, idp.claims("sub", "a\x00nn")), "", false},
		"key of somebody else":          {stranger.sign(t, idp.claims()), "", false},
		"HMAC with the public key":      {with(jwt.SigningMethodHS256, publicKey), "", false},
		"no signature":                  {with(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType), "", false},
		"JSON form":                     {`{"payload":"e30","signatures":[]}`, "", false},
		"too long":                      {idp.sign(t, idp.claims("x", strings.Repeat("x", 17000))), "", false},
		"nothing":                       {"", "", false},
	} {
		who, err := p.VerifyIDToken(t.Context(), test.token, "", test.nonce)
		if test.good && (err != nil || who.Subject != "ann" || !who.EmailVerified) {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
		if !test.good && !errors.Is(err, oauth.ErrRefused) {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
	for name, test := range map[string]struct {
		claims   jwt.MapClaims
		verified bool
	}{
		"text":           {idp.claims("email_verified", "true"), true},
		"false":          {idp.claims("email_verified", false), false},
		"text false":     {idp.claims("email_verified", "false"), false},
		"another word":   {idp.claims("email_verified", "yes"), false},
		"absent":         {idp.claims("email_verified", nil), false},
		"of no address":  {idp.claims("email", nil), false},
		"of a number":    {idp.claims("email", 5), false},
		"null character": {idp.claims("email", "\x00"), false},
		"null inside":    {idp.claims("email", "ann@example.com\x00"), false},
	} {
		who, err := p.VerifyIDToken(t.Context(), idp.sign(t, test.claims), "", "")
		if err != nil || who.EmailVerified != test.verified {
			t.Errorf("email_verified, %s: %+v, %v", name, who, err)
		}
	}
	trusting := open(t, idp.world("id.example.com", idp.name), oauth.Config{Name: "okta", ClientID: "client", Issuer: idp.name, TrustEmail: true})
	who, err := trusting.VerifyIDToken(t.Context(), idp.sign(t, idp.claims("email_verified", nil)), "", "")
	if err != nil || !who.EmailVerified {
		t.Errorf("trusted: %+v, %v", who, err)
	}
}

// The directories of Microsoft share an address and have issuers of their own, and write what they like as address.
func TestMicrosoft(t *testing.T) {
	t.Parallel()
	const tenant = "11111111-2222-3333-4444-555555555555"
	idp := newIssuer(t, "https://login.microsoftonline.com/"+tenant+"/v2.0")
	w := idp.world("login.microsoftonline.com", "https://login.microsoftonline.com/{tenantid}/v2.0")
	p := open(t, w, oauth.Config{Name: "microsoft", ClientID: "client"})
	if p.Name() != "azure" {
		t.Errorf("name %s", p.Name())
	}
	for name, test := range map[string]struct {
		claims         jwt.MapClaims
		good, verified bool
	}{
		"address that anybody could write": {idp.claims("tid", tenant), true, false},
		"domain that is verified":          {idp.claims("tid", tenant, "xms_edov", true), true, true},
		"as a number":                      {idp.claims("tid", tenant, "xms_edov", 1), true, true},
		"domain that is not":               {idp.claims("tid", tenant, "xms_edov", "0"), true, false},
		"no directory":                     {idp.claims(), false, false},
		"another directory":                {idp.claims("tid", "99999999-2222-3333-4444-555555555555"), false, false},
		"a directory that is a path":       {idp.claims("tid", "x/../"+tenant, "iss", "https://login.microsoftonline.com/x/../"+tenant+"/v2.0"), false, false},
		"the pattern itself":               {idp.claims("tid", "{tenantid}", "iss", "https://login.microsoftonline.com/{tenantid}/v2.0"), false, false},
		"another issuer":                   {idp.claims("tid", tenant, "iss", "https://evil.example/"+tenant+"/v2.0"), false, false},
	} {
		who, err := p.VerifyIDToken(t.Context(), idp.sign(t, test.claims), "", "")
		if test.good && (err != nil || who.EmailVerified != test.verified) || !test.good && !errors.Is(err, oauth.ErrRefused) {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
	one := open(t, world{}, oauth.Config{Name: "azure", ClientID: "client", Issuer: idp.name})
	if _, err := one.VerifyIDToken(t.Context(), idp.sign(t, idp.claims()), "", ""); !errors.Is(err, oauth.ErrUnavailable) {
		t.Errorf("one directory: %v", err)
	}
}

// A key that the issuer has withdrawn is good for an hour, or for a day when the issuer does not answer.
func TestWithdrawnKeys(t *testing.T) {
	t.Parallel()
	before, after := newIssuer(t, "https://id.example.com"), newIssuer(t, "https://id.example.com")
	var clock atomic.Int64
	serves := before.world("id.example.com", before.name)["id.example.com"]
	w := world{"id.example.com": func(w http.ResponseWriter, r *http.Request) { serves(w, r) }}
	providers, err := oauth.New([]oauth.Config{{Name: "okta", ClientID: "client", Issuer: before.name}},
		oauth.Options{Transport: w, Clock: func() time.Time { return now.Add(time.Duration(clock.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := providers.Get("okta")
	token := before.sign(t, before.claims("exp", now.Add(100*time.Hour).Unix()))
	accepted := func(at time.Duration) bool {
		clock.Store(int64(at))
		_, err := p.VerifyIDToken(t.Context(), token, "", "")
		return err == nil
	}
	if !accepted(0) {
		t.Fatal("a good token is refused")
	}
	down := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	serves = down
	if !accepted(2*time.Hour) || !accepted(23*time.Hour) || accepted(25*time.Hour) {
		t.Error("an issuer that is down for a day")
	}
	serves = before.world("id.example.com", before.name)["id.example.com"]
	if !accepted(26 * time.Hour) {
		t.Error("an issuer that is back")
	}
	serves = after.world("id.example.com", after.name)["id.example.com"]
	if !accepted(26*time.Hour+59*time.Minute) || accepted(28*time.Hour) {
		t.Error("a key that was withdrawn is good for too long")
	}
}

// A discovery document cannot send us elsewhere, and a provider that is down is asked once for all who wait.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	idp := newIssuer(t, "https://id.example.com")
	config := oauth.Config{Name: "okta", ClientID: "client", Issuer: idp.name}
	document := func(changes map[string]any) world {
		return world{"id.example.com": func(w http.ResponseWriter, _ *http.Request) {
			body := map[string]any{"issuer": idp.name, "authorization_endpoint": "https://id.example.com/a", "token_endpoint": "https://id.example.com/t", "jwks_uri": "https://id.example.com/k"}
			for name, value := range changes {
				body[name] = value
			}
			answer(w, body)
		}}
	}
	var asked atomic.Int32
	for name, w := range map[string]http.RoundTripper{
		"other issuer":       document(map[string]any{"issuer": "https://evil.example"}),
		"plain endpoint":     document(map[string]any{"token_endpoint": "http://id.example.com/t"}),
		"no endpoint":        document(map[string]any{"authorization_endpoint": ""}),
		"plain keys":         document(map[string]any{"jwks_uri": "http://id.example.com/k"}),
		"plain user info":    document(map[string]any{"userinfo_endpoint": "http://id.example.com/u"}),
		"script as endpoint": document(map[string]any{"authorization_endpoint": "javascript:alert(1)"}),
		"no such host":       world{},
		"redirect": world{"id.example.com": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
		}, "evil.example": idp.world("evil.example", idp.name)["evil.example"]},
		"without end": world{"id.example.com": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"issuer":"`+strings.Repeat("x", 2<<20))
		}},
		"error": world{"id.example.com": func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			http.Error(w, "s3cret", http.StatusInternalServerError)
		}},
	} {
		p := open(t, w, config)
		for range 3 {
			_, err := p.AuthorizeURL(t.Context(), oauth.Request{State: "s", Verifier: "v"})
			if !errors.Is(err, oauth.ErrUnavailable) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("a provider that is down was asked %d times within seconds", n)
	}
	hanging, stop := context.WithCancel(t.Context())
	stop()
	p := open(t, document(nil), config)
	if _, err := p.AuthorizeURL(hanging, oauth.Request{}); err != nil && !errors.Is(err, oauth.ErrUnavailable) {
		t.Errorf("a browser that has left: %v", err)
	}
	if _, err := p.AuthorizeURL(t.Context(), oauth.Request{}); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestTokensOfProvidersDoNotPrint(t *testing.T) {
	t.Parallel()
	i := &oauth.Identity{Subject: "ann", Tokens: oauth.Tokens{Access: "secret-access", Refresh: "secret-refresh"}}
	marshalled, err := json.Marshal(i)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(marshalled), fmt.Sprintf("%v %+v %#v %s %q", i, *i, *i, i.Tokens, i.Tokens)} {
		if !strings.Contains(text, "ann") || strings.Contains(text, "secret") {
			t.Errorf("printed: %s", text)
		}
	}
}
