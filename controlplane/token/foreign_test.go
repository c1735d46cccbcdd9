package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const foreignSecret = "an-existing-secret-of-postgrest-0123456789"

func testPath(t testing.TB, text string) RolePath {
	t.Helper()
	p, err := ParseRolePath(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func testForeign(t testing.TB, rules ForeignRules, keys *ForeignKeys) *Foreign {
	t.Helper()
	if rules.Algorithms == nil {
		rules.Algorithms = []string{"HS256"}
	}
	if len(rules.Role.steps) == 0 {
		rules.Role = testPath(t, ".role")
	}
	f, err := NewForeign(rules, func() time.Time { return time.Unix(testNow, 0) })
	if err != nil {
		t.Fatal(err)
	}
	if keys == nil {
		if keys, err = SecretKeys([]byte(foreignSecret), rules.Algorithms); err != nil {
			t.Fatal(err)
		}
	}
	f.SetKeys(keys)
	return f
}

func TestForeignClaims(t *testing.T) {
	t.Parallel()
	idp := ForeignRules{Issuer: "https://idp.example.com", Audience: "api", Required: []string{"exp", "sub"}}
	lax := ForeignRules{DefaultRole: "anon"}
	const good = `"iss":"https://idp.example.com","aud":"api","sub":"ann","role":"authenticated","exp":1700000900`
	for name, tc := range map[string]struct {
		rules   ForeignRules
		payload string
		want    error
		role    string
	}{
		"all that is asked for":     {idp, good, nil, "authenticated"},
		"one of several audiences":  {idp, strings.Replace(good, `"api"`, `["other","api"]`, 1), nil, "authenticated"},
		"times with fractions":      {idp, strings.Replace(good, `1700000900`, `1700000900.25`, 1), nil, "authenticated"},
		"another issuer":            {idp, strings.Replace(good, `idp.example`, `evil.example`, 1), ErrClaims, ""},
		"no issuer":                 {idp, strings.Replace(good, `"iss":"https://idp.example.com",`, ``, 1), ErrClaims, ""},
		"another audience":          {idp, strings.Replace(good, `"api"`, `"other"`, 1), ErrClaims, ""},
		"other audiences":           {idp, strings.Replace(good, `"api"`, `["a","apis",["api"]]`, 1), ErrClaims, ""},
		"no audience":               {idp, strings.Replace(good, `"aud":"api",`, ``, 1), ErrClaims, ""},
		"a required claim is null":  {idp, strings.Replace(good, `"ann"`, `null`, 1), ErrClaims, ""},
		"expired":                   {idp, strings.Replace(good, `1700000900`, `1700000000`, 1), ErrExpired, ""},
		"exp is a text":             {idp, strings.Replace(good, `1700000900`, `"1700000900"`, 1), ErrClaims, ""},
		"not yet":                   {idp, good + `,"nbf":1700000001`, ErrNotYetValid, ""},
		"issued in the future":      {idp, good + `,"iat":1700000001`, ErrNotYetValid, ""},
		"no role":                   {idp, strings.Replace(good, `"role":"authenticated",`, ``, 1), ErrClaims, ""},
		"a role that is no text":    {idp, strings.Replace(good, `"authenticated"`, `["authenticated"]`, 1), ErrClaims, ""},
		"two spellings of a claim":  {idp, good + `,"ROLE":"service_role"`, ErrMalformed, ""},
		"twice the same claim":      {idp, good + `,"role":"service_role"`, ErrMalformed, ""},
		"nothing is required":       {lax, `"role":"webuser"`, nil, "webuser"},
		"the default role":          {lax, `"sub":"x"`, nil, "anon"},
		"an issuer, and none is it": {lax, good, ErrClaims, ""},
		"expired, though optional":  {lax, `"exp":1699999999`, ErrExpired, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := testForeign(t, tc.rules, nil)
			text := forge(foreignSecret, testHeader, "{"+tc.payload+"}")
			for range 2 { // the second comes from the cache
				access, err := f.Verify(text)
				if !errors.Is(err, tc.want) || access.Role != tc.role {
					t.Errorf("%q %v, want %q %v", access.Role, err, tc.role, tc.want)
				}
			}
		})
	}
}

func TestForeignHeaderAndText(t *testing.T) {
	t.Parallel()
	f := testForeign(t, ForeignRules{Algorithms: []string{"HS256", "RS256"}, DefaultRole: "anon"}, nil)
	for name, tc := range map[string]struct {
		text string
		want error
	}{
		"a kid of theirs":      {forge(foreignSecret, `{"alg":"HS256","kid":"x","x5t":"y","jku":"https://evil.example.com"}`, `{}`), nil},
		"typ of access tokens": {forge(foreignSecret, `{"alg":"HS256","typ":"at+JWT"}`, `{}`), nil},
		"none":                 {forge(foreignSecret, `{"alg":"none"}`, `{}`), ErrHeader},
		"not allowed":          {forge(foreignSecret, `{"alg":"HS512"}`, `{}`), ErrHeader},
		"another kind":         {forge(foreignSecret, `{"alg":"RS256"}`, `{}`), ErrUnknownKey},
		"crit":                 {forge(foreignSecret, `{"alg":"HS256","crit":["exp"]}`, `{}`), ErrHeader},
		"typ of a logout":      {forge(foreignSecret, `{"alg":"HS256","typ":"logout+jwt"}`, `{}`), ErrHeader},
		"two algorithms":       {forge(foreignSecret, `{"alg":"HS256","ALG":"none"}`, `{}`), ErrMalformed},
		"another secret":       {forge(testSecret, `{"alg":"HS256"}`, `{}`), ErrSignature},
		"padding":              {forge(foreignSecret, `{"alg":"HS256"}`, `{}`) + "=", ErrMalformed},
		"a line end":           {forge(foreignSecret, `{"alg":"HS256"}`, `{}`) + "\n", ErrMalformed},
		"too long":             {strings.Repeat("a", MaxForeignBytes+1), ErrMalformed},
		"two parts":            {"e30.e30", ErrMalformed},
	} {
		if _, err := f.Verify(tc.text); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

// An issuer says who somebody is over there. Whether that is a user here is not for its tokens to say.
func TestForeignSubject(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		trusted bool
		sub     string
		user    bool
	}{{false, testUser, false}, {true, testUser, true}, {true, "auth0|123", false}, {true, strings.ToUpper(testUser), false}} {
		f := testForeign(t, ForeignRules{DefaultRole: "authenticated", SubjectIsUser: tc.trusted}, nil)
		access, err := f.Verify(forge(foreignSecret, testHeader, `{"sub":"`+tc.sub+`","session_id":"`+testSess+`","aal":"aal2","org_id":"`+testOrg+`","act":{"sub":"`+testActor+`"}}`))
		if err != nil || (access.Subject.String() == testUser) != tc.user {
			t.Errorf("%v: %s %v", tc, access.Subject, err)
		}
		access.Subject = [16]byte{}
		if access.SessionID.String() == testSess || access.AAL != "" || access.OrgID.String() == testOrg || access.Actor.String() == testActor {
			t.Errorf("claims of ours are believed: %+v", access)
		}
	}
}

func TestRolePath(t *testing.T) {
	t.Parallel()
	claims, ok := parseObject([]byte(`{"role":"a","realm_access":{"roles":["b", "c"]},"https://example.com/roles":[{"name":"d"}],"n":null,"x":[[1,"e"]]}`))
	if !ok {
		t.Fatal("claims")
	}
	for path, want := range map[string]string{
		".role": "a", ".realm_access.roles[0]": "b", ".realm_access.roles[1]": "c", ".realm_access.roles[2]": "-",
		`."https://example.com/roles"[0].name`: "d", ".n": "-", ".missing.deep": "-", ".role[0]": "-", ".role.x": "-", ".x[0][1]": "e",
		".realm_access": "", ".x[0][0]": "",
	} {
		role, found := testPath(t, path).find(claims)
		if !found {
			role = "-"
		}
		if role != want {
			t.Errorf("%s: %q, want %q", path, role, want)
		}
	}
	for _, path := range []string{"", "role", ".", "..a", ".a[", ".a[x]", ".a[-1]", `."a`, `.""`, ".a b", `.roles[?(@ == "x")]`, ".a]"} {
		if _, err := ParseRolePath(path); err == nil {
			t.Errorf("%q: accepted", path)
		}
	}
}

// jwkOf writes a public key as issuers do.
func jwkOf(t testing.TB, kid, more string, key any) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	switch public := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf(`{"kid":%q,"kty":"RSA","n":%q,"e":"AQAB"%s}`, kid, encode(public.N.Bytes()), more)
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"kid":%q,"kty":"EC","crv":"P-256","x":%q,"y":%q%s}`, kid, encode(point[1:33]), encode(point[33:]), more)
	}
	t.Fatal("no such key")
	return ""
}

func TestForeignKeys(t *testing.T) {
	t.Parallel()
	one, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	algorithms := []string{"RS256", "ES256"}
	document := `{"keys":[` + strings.Join([]string{
		jwkOf(t, "rsa", "", &one.PublicKey), jwkOf(t, "pss", `,"alg":"PS256"`, &one.PublicKey), jwkOf(t, "weak", "", &weak.PublicKey),
		jwkOf(t, "enc", `,"use":"enc"`, &one.PublicKey), jwkOf(t, "sign", `,"key_ops":["sign"]`, &one.PublicKey), jwkOf(t, "ec", "", &curve.PublicKey),
		`{"kid":"oct","kty":"oct","k":"` + base64.RawURLEncoding.EncodeToString([]byte(foreignSecret)) + `"}`, `{"kty":"future"}`, `7`,
	}, ",") + `]}`
	keys, err := ParseJWKS([]byte(document), algorithms, false)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, k := range keys.list {
		ids = append(ids, k.id+" "+k.alg)
	}
	if got := strings.Join(ids, ", "); got != "rsa RS256, ec ES256" {
		t.Errorf("keys: %s", got)
	}
	f := testForeign(t, ForeignRules{Algorithms: algorithms, DefaultRole: "anon"}, keys)
	sign := func(method jwt.SigningMethod, kid string, key any) string {
		t.Helper()
		token := jwt.NewWithClaims(method, jwt.MapClaims{"sub": "x"})
		if kid != "" {
			token.Header["kid"] = kid
		}
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, tc := range map[string]struct {
		text string
		want error
	}{
		"RSA":                     {sign(jwt.SigningMethodRS256, "rsa", one), nil},
		"EC":                      {sign(jwt.SigningMethodES256, "ec", curve), nil},
		"without kid, one fits":   {sign(jwt.SigningMethodES256, "", curve), nil},
		"the kid of another kind": {sign(jwt.SigningMethodRS256, "ec", one), ErrUnknownKey},
		"an unknown kid":          {sign(jwt.SigningMethodRS256, "new", one), ErrUnknownKey},
		"a weak key":              {sign(jwt.SigningMethodRS256, "weak", weak), ErrUnknownKey},
		"for encryption":          {sign(jwt.SigningMethodRS256, "enc", one), ErrUnknownKey},
		"another scheme":          {sign(jwt.SigningMethodPS256, "rsa", one), ErrHeader},
		"the public key as HMAC":  {sign(jwt.SigningMethodHS256, "rsa", one.PublicKey.N.Bytes()), ErrHeader},
	} {
		if _, err := f.Verify(tc.text); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	// Other keys, other tokens: at once, and for those that were remembered, too.
	remembered := sign(jwt.SigningMethodRS256, "rsa", one)
	if _, err := f.Verify(remembered); err != nil {
		t.Fatal(err)
	}
	f.SetKeys(new(ForeignKeys))
	if _, err := f.Verify(remembered); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a key that is gone: %v", err)
	}
	for _, text := range []string{``, `[]`, `{"keys":[]}`, `{"keys":7}`, jwkOf(t, "weak", "", &weak.PublicKey), `{"keys":[` + strings.Repeat(`{},`, 64) + `{}]}`} {
		if _, err := ParseJWKS([]byte(text), algorithms, false); err == nil {
			t.Errorf("%.30s: accepted", text)
		}
	}
	if shared, err := ParseJWKS([]byte(document), []string{"HS256"}, true); err != nil || len(shared.list) != 1 {
		t.Errorf("a shared key: %v", err)
	}
	if _, err := SecretKeys([]byte(foreignSecret[:31]), []string{"HS256"}); err == nil {
		t.Error("a short secret")
	}
	if _, err := SecretKeys([]byte(foreignSecret), []string{"RS256"}); err == nil {
		t.Error("a secret for RSA")
	}
}

func FuzzForeign(f *testing.F) {
	for _, text := range []string{forge(foreignSecret, testHeader, `{"role":"x"}`), "a.b.c", ""} {
		f.Add(text)
	}
	rules := ForeignRules{Algorithms: []string{"HS256"}, Role: testPath(f, ".role"), Audience: "a"}
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = Peek(text)
		access, err := testForeign(t, rules, nil).Verify(text)
		if err == nil && !json.Valid(access.Claims) {
			t.Errorf("%q has the claims %q", text, access.Claims)
		}
		_, _ = rules.read([]byte(text))
	})
}
