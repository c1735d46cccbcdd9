package token

import (
	"encoding/base64"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

func TestVerifyAccepts(t *testing.T) {
	t.Parallel()
	full := Access{
		Subject: mustUUID(testUser), SessionID: mustUUID(testSess), JTI: mustUUID(testJTI),
		OrgID: mustUUID(testOrg), Actor: mustUUID(testActor),
		Role: "authenticated", AAL: "aal1", Email: "ann@example.com",
		IssuedAt: 1_700_000_000, ExpiresAt: 1_700_000_900,
	}
	change := func(f func(*Access)) Access { a := full; f(&a); return a }
	for name, tc := range map[string]struct {
		payload string
		want    Access
	}{
		"everything":         {payload("", ""), full},
		"white space":        {" \t\r\n" + strings.ReplaceAll(payload("", ""), `,"`, " ,\n \"") + " ", full},
		"escaped name":       {strings.Replace(payload("", ""), `"sub"`, `"\u0073ub"`, 1), full},
		"no organization":    {payload("org_id", ""), change(func(a *Access) { a.OrgID = uuid.Nil })},
		"null organization":  {payload("org_id", "null"), change(func(a *Access) { a.OrgID = uuid.Nil })},
		"no actor":           {payload("act", ""), change(func(a *Access) { a.Actor = uuid.Nil })},
		"null actor":         {payload("act", "null"), change(func(a *Access) { a.Actor = uuid.Nil })},
		"no aal":             {payload("aal", ""), change(func(a *Access) { a.AAL = "" })},
		"null email":         {payload("email", "null"), change(func(a *Access) { a.Email = "" })},
		"quoted email":       {payload("email", `"\"a b\"@example.com"`), change(func(a *Access) { a.Email = `"a b"@example.com` })},
		"escaped email":      {payload("email", `"\u00e9\ud83d\ude00\/@example.com"`), change(func(a *Access) { a.Email = "é😀/@example.com" })},
		"longest lifetime":   {payload("exp", "1700003600"), change(func(a *Access) { a.ExpiresAt = 1_700_003_600 })},
		"issued in leeway":   {payload("iat", "1700000030"), change(func(a *Access) { a.IssuedAt = 1_700_000_030 })},
		"not before, leeway": {payload("nbf", "1700000030"), full},
		"last second":        {payload("exp", "1700000001"), change(func(a *Access) { a.ExpiresAt = 1_700_000_001 })},
		"unknown claims":     {payload("", "", `"https://example.com/Tenant":{"A":1}`), full},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t)
			text := forge(testSecret, testHeader, tc.payload)
			for range 2 { // verified, then remembered
				got, err := g.verifier.Verify(text)
				if err != nil {
					t.Fatal(err)
				}
				if len(got.Claims) == 0 {
					t.Error("no claims")
				}
				got.Claims = nil
				if !reflect.DeepEqual(got, tc.want) {
					t.Errorf("got %+v, want %+v", got, tc.want)
				}
			}
		})
	}
}

func TestVerifyRefusesClaims(t *testing.T) {
	t.Parallel()
	type refusal struct {
		name    string
		payload string
		want    error
	}
	cases := []refusal{
		{"other issuer", payload("iss", `"https://auth.example.org"`), ErrClaims},
		{"issuer in other case", payload("iss", `"https://AUTH.example.com"`), ErrClaims},
		{"issuer with slash", payload("iss", `"https://auth.example.com/"`), ErrClaims},
		{"other audience", payload("aud", `"admin"`), ErrClaims},
		{"audience in other case", payload("aud", `"Authenticated"`), ErrClaims},
		{"audience array of ours", payload("aud", `["authenticated"]`), ErrClaims},
		{"audience array with ours", payload("aud", `["authenticated","other"]`), ErrClaims},
		{"audience empty array", payload("aud", `[]`), ErrClaims},

		{"sub upper case", payload("sub", `"`+strings.ToUpper(testUser)+`"`), ErrClaims},
		{"sub braces", payload("sub", `"{`+testUser+`}"`), ErrClaims},
		{"sub urn", payload("sub", `"urn:uuid:`+testUser+`"`), ErrClaims},
		{"sub without hyphens", payload("sub", `"`+strings.ReplaceAll(testUser, "-", "")+`"`), ErrClaims},
		{"sub nil", payload("sub", `"`+uuid.Nil.String()+`"`), ErrClaims},
		{"sub is no uuid", payload("sub", `"ann@example.com"`), ErrClaims},
		{"session_id upper case", payload("session_id", `"`+strings.ToUpper(testSess)+`"`), ErrClaims},
		{"session_id nil", payload("session_id", `"`+uuid.Nil.String()+`"`), ErrClaims},
		{"jti upper case", payload("jti", `"`+strings.ToUpper(testJTI)+`"`), ErrClaims},
		{"jti nil", payload("jti", `"`+uuid.Nil.String()+`"`), ErrClaims},
		{"org_id upper case", payload("org_id", `"`+strings.ToUpper(testOrg)+`"`), ErrClaims},
		{"org_id number", payload("org_id", `4`), ErrClaims},
		{"org_id empty", payload("org_id", `""`), ErrClaims},

		{"role empty", payload("role", `""`), ErrClaims},
		{"role too long", payload("role", `"`+strings.Repeat("r", 64)+`"`), ErrClaims},
		{"aal number", payload("aal", `2`), ErrClaims},
		{"email number", payload("email", `2`), ErrClaims},
		{"act string", payload("act", `"`+testActor+`"`), ErrClaims},
		{"act without sub", payload("act", `{}`), ErrClaims},
		{"act sub null", payload("act", `{"sub":null}`), ErrClaims},
		{"act with more", payload("act", `{"sub":"`+testActor+`","act":{}}`), ErrClaims},
		{"act in other case", payload("act", `{"SUB":"`+testActor+`"}`), ErrClaims},

		{"expired", payload("exp", "1700000000"), ErrClaims}, // exp = iat
		{"expired now", strings.Replace(payload("exp", "1700000000"), `"iat":1700000000,"nbf":1700000000`, `"iat":1699999000,"nbf":1699999000`, 1), ErrExpired},
		{"lifetime too long", payload("exp", "1700003601"), ErrClaims},
		{"lifetime of ten years", payload("exp", "2015360000"), ErrClaims},
		{"exp beyond the calendar", payload("exp", "253402300800"), ErrClaims},
		{"exp overflows", payload("exp", "9223372036854775808"), ErrClaims},
		{"exp before iat", payload("iat", "1700000901"), ErrClaims},
		{"nbf at exp", payload("nbf", "1700000900"), ErrClaims},
		{"issued in the future", payload("iat", "1700000031"), ErrNotYetValid},
		{"not before in the future", payload("nbf", "1700000031"), ErrNotYetValid},

		{"role twice", payload("", "", `"role":"service_role"`), ErrMalformed},
		{"role in other case first", payload("", "", `"ROLE":"service_role"`), ErrMalformed},
		{"role in other case alone", payload("role", "", `"Role":"service_role"`), ErrClaims},
		{"role by escape twice", payload("", "", `"\u0072ole":"service_role"`), ErrMalformed},
		{"sub by long s", payload("", "", `"ſub":"x"`), ErrMalformed},
		{"org_id in other case alone", payload("org_id", "", `"ORG_ID":"`+testOrg+`"`), ErrClaims},
		{"unknown name twice", payload("", "", `"x":1`, `"x":1`), ErrMalformed},
		{"unknown name in two cases", payload("", "", `"x":1`, `"X":1`), ErrMalformed},
		{"twice below", payload("user_metadata", `{"a":1,"b":2,"a":3}`), ErrMalformed},
		{"twice far below", payload("user_metadata", `[{"b":[{"a":1,"a":1}]}]`), ErrMalformed},

		{"null", `null`, ErrMalformed},
		{"array", `[` + payload("", "") + `]`, ErrMalformed},
		{"string", `"` + testUser + `"`, ErrMalformed},
		{"two documents", payload("", "") + payload("", ""), ErrMalformed},
		{"empty", ``, ErrMalformed},
		{"byte order mark", "\ufeff" + payload("", ""), ErrMalformed},
		{"utf-16", utf16Text(payload("", "")), ErrMalformed},
		{"invalid utf-8", payload("email", "\"\xff@example.com\""), ErrMalformed},
		{"lone surrogate", payload("email", `"\ud83d@example.com"`), ErrMalformed},
		{"NUL", payload("user_metadata", `{"a":"\u0000"}`), ErrMalformed},
	}
	for _, name := range []string{"iss", "aud", "sub", "session_id", "jti", "role", "iat", "nbf", "exp"} {
		cases = append(cases,
			refusal{name + " missing", payload(name, ""), ErrClaims},
			refusal{name + " null", payload(name, "null"), ErrClaims},
			refusal{name + " object", payload(name, "{}"), ErrClaims},
			refusal{name + " true", payload(name, "true"), ErrClaims})
	}
	for _, name := range []string{"iss", "aud", "sub", "session_id", "jti", "role"} {
		cases = append(cases, refusal{name + " number", payload(name, "1"), ErrClaims})
	}
	for _, name := range []string{"iat", "nbf", "exp"} {
		for _, value := range []string{`"1700000900"`, `1700000900.5`, `1700000900.0`, `17e8`, `-1`, `0`} {
			cases = append(cases, refusal{name + " " + value, payload(name, value), ErrClaims})
		}
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			refuse(t, newGate(t), forge(testSecret, testHeader, tc.payload), tc.want)
		})
	}
}

// refuse checks that a token is refused, twice, for the reason, and not quoted.
func refuse(t *testing.T, g *gate, text string, want error) {
	t.Helper()
	for range 2 {
		got, err := g.verifier.Verify(text)
		if !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
		if !reflect.DeepEqual(got, Access{}) {
			t.Errorf("a refused token said %+v", got)
		}
		if len(err.Error()) > 60 {
			t.Errorf("long error %q", err)
		}
	}
}

func utf16Text(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteByte(0)
		b.WriteByte(s[i])
	}
	return b.String()
}

func TestVerifyRefusesHeader(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		header string
		want   error
	}{
		{`{"alg":"none","typ":"JWT"}`, ErrHeader},
		{`{"alg":"nOnE","typ":"JWT"}`, ErrHeader},
		{`{"alg":"","typ":"JWT"}`, ErrHeader},
		{`{"alg":"hs256","typ":"JWT"}`, ErrHeader},
		{`{"alg":"HS256 ","typ":"JWT"}`, ErrHeader},
		{`{"alg":"HS384","typ":"JWT"}`, ErrHeader},
		{`{"alg":"HS512","typ":"JWT"}`, ErrHeader},
		{`{"alg":"RS256","typ":"JWT"}`, ErrHeader},
		{`{"alg":"ES256","typ":"JWT"}`, ErrHeader},
		{`{"alg":"EdDSA","typ":"JWT"}`, ErrHeader},
		{`{"alg":null,"typ":"JWT"}`, ErrHeader},
		{`{"alg":["HS256"],"typ":"JWT"}`, ErrHeader},
		{`{"typ":"JWT"}`, ErrHeader},
		{`{"alg":"HS256"}`, ErrHeader},
		{`{"alg":"HS256","typ":null}`, ErrHeader},
		{`{"alg":"HS256","typ":"jwt"}`, ErrHeader},
		{`{"alg":"HS256","typ":"at+jwt"}`, ErrHeader},
		{`{"alg":"HS256","typ":"JWT","kid":""}`, ErrHeader},
		{`{"alg":"HS256","typ":"JWT","kid":null}`, ErrHeader},
		{`{"alg":"HS256","typ":"JWT","kid":1}`, ErrHeader},
		{`{"alg":"HS256","typ":"JWT","kid":"../../etc/passwd"}`, ErrUnknownKey},
		{`{"alg":"HS256","typ":"JWT","kid":"' or 1=1 --"}`, ErrUnknownKey},
		{`{"alg":"HS256","typ":"JWT","kid":"\u0000"}`, ErrMalformed},
		{`{"alg":"HS256","typ":"JWT","crit":[]}`, ErrHeader},
		{`{"alg":"HS256","typ":"JWT","crit":["exp"]}`, ErrHeader},
		{`{"alg":"HS256","typ":"JWT","b64":false}`, ErrHeader},
		{`{"alg":"HS256","typ":"JWT","cty":"JWT"}`, ErrHeader},
		{`{"alg":"HS256","typ":"JWT","zip":"DEF"}`, ErrHeader},
		{`{"alg":"HS256","typ":"JWT","jku":"https://example.com/"}`, ErrHeader},
		{`{"alg":"HS256","typ":"JWT","jwk":{}}`, ErrHeader},
		{`{"alg":"HS256","typ":"JWT","x5u":"https://example.com/"}`, ErrHeader},
		{`{"alg":"HS256","typ":"JWT","x5c":[]}`, ErrHeader},
		{`{"alg":"HS256","typ":"JWT","alg":"HS256"}`, ErrMalformed},
		{`{"alg":"none","alg":"HS256","typ":"JWT"}`, ErrMalformed},
		{`{"alg":"HS256","ALG":"none","typ":"JWT"}`, ErrMalformed},
		{`{"ALG":"HS256","typ":"JWT"}`, ErrHeader},
		{`{"alg":"HS256","Typ":"JWT"}`, ErrHeader},
		{`{"alg":"HS256","typ":"JWT"} {}`, ErrMalformed},
		{`["HS256"]`, ErrMalformed},
		{`null`, ErrMalformed},
		{``, ErrMalformed},
		{strings.Repeat("[", 3000), ErrMalformed},
	} {
		t.Run(tc.header, func(t *testing.T) {
			t.Parallel()
			refuse(t, newGate(t), forge(testSecret, tc.header, payload("", "")), tc.want)
		})
	}
}

func TestVerifyRefusesText(t *testing.T) {
	t.Parallel()
	good := forge(testSecret, testHeader, payload("", ""))
	parts := strings.Split(good, ".")
	// The last character of a part whose length is no multiple of 4 has unused
	// bits: the next character decodes to the same bytes.
	loose := func(part string) string {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		if len(part)%4 == 0 {
			t.Fatal("part has no unused bits")
		}
		last := strings.IndexByte(alphabet, part[len(part)-1])
		altered := part[:len(part)-1] + alphabet[last+1:last+2]
		a, _ := base64.RawURLEncoding.DecodeString(part)
		b, err := base64.RawURLEncoding.DecodeString(altered)
		if err != nil || string(a) != string(b) {
			t.Fatal("altered part decodes differently")
		}
		return altered
	}
	padded := func(part string) string { return part + strings.Repeat("=", (4-len(part)%4)%4) }
	body := payload("", "", `"x":1`)
	for len(base64.RawURLEncoding.EncodeToString([]byte(body)))%4 == 0 {
		body += " "
	}
	other := strings.Split(forge(testSecret, testHeader, body), ".")
	head := testHeader
	for len(base64.RawURLEncoding.EncodeToString([]byte(head)))%4 == 0 {
		head += " "
	}
	third := strings.Split(forge(testSecret, head, body), ".")
	resign := func(a, b string) string { return forgeParts(testSecret, a, b) }

	for name, tc := range map[string]struct {
		text string
		want error
	}{
		"empty":                    {"", ErrMalformed},
		"one part":                 {parts[0], ErrMalformed},
		"two parts":                {parts[0] + "." + parts[1], ErrMalformed},
		"four parts":               {good + "." + parts[2], ErrMalformed},
		"five parts":               {good + ".a.b", ErrMalformed},
		"dots":                     {strings.Repeat(".", MaxBytes), ErrMalformed},
		"no signature":             {parts[0] + "." + parts[1] + ".", ErrSignature},
		"short signature":          {good[:len(good)-3], ErrSignature},
		"signature of other":       {parts[0] + "." + parts[1] + "." + other[2], ErrSignature},
		"payload of other":         {parts[0] + "." + other[1] + "." + parts[2], ErrSignature},
		"other secret":             {forge(testSecret+"x", testHeader, payload("", "")), ErrSignature},
		"bad payload, bad sign":    {forge(testSecret+"x", testHeader, "{"), ErrSignature},
		"space before":             {" " + good, ErrMalformed},
		"space after":              {good + " ", ErrMalformed},
		"newline after":            {good + "\n", ErrMalformed},
		"newline inside":           {parts[0] + "." + parts[1] + "." + parts[2][:9] + "\n" + parts[2][9:], ErrMalformed},
		"newline in header, sgn":   {resign(parts[0][:4]+"\r\n"+parts[0][4:], parts[1]), ErrMalformed},
		"newline in payload, sgn":  {resign(parts[0], parts[1][:4]+"\n"+parts[1][4:]), ErrMalformed},
		"padded signature":         {parts[0] + "." + parts[1] + "." + padded(parts[2]), ErrMalformed},
		"padded payload, sgn":      {resign(other[0], padded(other[1])), ErrMalformed},
		"padded header, sgn":       {resign(padded(third[0]), third[1]), ErrMalformed},
		"standard alphabet":        {parts[0] + "." + parts[1] + "." + parts[2][:9] + "+/" + parts[2][11:], ErrMalformed},
		"percent":                  {parts[0] + "." + parts[1] + "." + parts[2][:9] + "%2e" + parts[2][12:], ErrMalformed},
		"NUL":                      {good + "\x00", ErrMalformed},
		"not ASCII":                {good + "é", ErrMalformed},
		"unused bits in signature": {parts[0] + "." + parts[1] + "." + loose(parts[2]), ErrMalformed},
		"unused bits in payload":   {resign(other[0], loose(other[1])), ErrMalformed},
		"unused bits in header":    {resign(loose(third[0]), third[1]), ErrMalformed},
		"too long": {forge(testSecret, testHeader,
			payload("user_metadata", `"`+strings.Repeat("x", MaxBytes*3/4)+`"`)), ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuse(t, newGate(t), tc.text, tc.want)
		})
	}
	// What the altered ones are made of is good.
	for _, text := range []string{good, strings.Join(other, "."), strings.Join(third, ".")} {
		if _, err := newGate(t).verifier.Verify(text); err != nil {
			t.Error(err)
		}
	}
}

// A token of exactly the size limit is the longest that is accepted.
func TestVerifySizeLimit(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	accepted := 0
	for n := 4500; n < 6200; n++ {
		text := forge(testSecret, testHeader, payload("user_metadata", `"`+strings.Repeat("x", n)+`"`))
		if len(text) < MaxBytes-3 {
			continue
		}
		_, err := g.verifier.Verify(text)
		if (err == nil) != (len(text) <= MaxBytes) {
			t.Fatalf("%d bytes: %v", len(text), err)
		}
		if err == nil {
			accepted++
		}
		if len(text) > MaxBytes+8 {
			break
		}
	}
	if accepted == 0 {
		t.Fatal("no token of about the limit was tried")
	}
}

// Any change of one character of a good token is refused.
func TestVerifyEveryCharacterCounts(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	good := forge(testSecret, testHeader, payload("", ""))
	if _, err := g.verifier.Verify(good); err != nil {
		t.Fatal(err)
	}
	for i := range len(good) {
		for _, c := range []byte("AQgw_.\n=") {
			if c == good[i] {
				continue
			}
			if _, err := g.verifier.Verify(good[:i] + string(c) + good[i+1:]); err == nil {
				t.Fatalf("accepted with %q at %d", c, i)
			}
		}
	}
}

// forgeParts signs two encoded parts as they are.
func forgeParts(secret, header, payload string) string {
	sum, err := jwt.SigningMethodHS256.Sign(header+"."+payload, []byte(secret))
	if err != nil {
		panic(err)
	}
	return header + "." + payload + "." + base64.RawURLEncoding.EncodeToString(sum)
}

func TestNewVerifierRefuses(t *testing.T) {
	t.Parallel()
	ring := newGate(t).ring
	for name, change := range map[string]func(*Rules){
		"no issuer":         func(r *Rules) { r.Issuer = "" },
		"issuer not utf-8":  func(r *Rules) { r.Issuer = "\xff" },
		"no audience":       func(r *Rules) { r.Audience = "" },
		"no lifetime":       func(r *Rules) { r.MaxLifetime = 0 },
		"negative leeway":   func(r *Rules) { r.Leeway = -time.Second },
		"leeway over 1 min": func(r *Rules) { r.Leeway = 61 * time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rules := testRules
			change(&rules)
			if _, err := NewVerifier(ring, rules, time.Now); err == nil {
				t.Error("verifier accepts the rules")
			}
			if _, err := NewSigner(ring, rules, time.Now); err == nil {
				t.Error("signer accepts the rules")
			}
		})
	}
	if _, err := NewVerifier(nil, testRules, time.Now); err == nil {
		t.Error("no ring")
	}
	if _, err := NewSigner(ring, testRules, nil); err == nil {
		t.Error("no clock")
	}
}
