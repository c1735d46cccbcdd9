package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// fragment is what the database gives for a session.
const fragment = `{"sub": "` + testUser + `", "session_id": "` + testSess + `", "role": "authenticated", "aal": "aal1", ` +
	`"amr": [{"method": "password", "timestamp": 1700000000}], "email": "ann@example.com", "org_id": null, ` +
	`"app_metadata": {"provider": "email"}, "user_metadata": {"name": "Ann \"A\" é", "id": 9007199254740993}}`

func TestSignIsVerified(t *testing.T) {
	t.Parallel()
	for _, kid := range []string{"", "2026-01"} {
		g := newGate(t)
		if err := g.ring.Replace(mustKey(t, kid, testSecret), mustKey(t, "old", testSecret+"old")); err != nil {
			t.Fatal(err)
		}
		text, expiresAt, err := g.signer.Sign([]byte(fragment), mustUUID(testJTI), 15*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if expiresAt != testNow+900 {
			t.Errorf("expires at %d", expiresAt)
		}
		got, err := g.verifier.Verify(text)
		if err != nil {
			t.Fatal(err)
		}
		const want = `{"iss":"https://auth.example.com","aud":"authenticated","iat":1700000000,"nbf":1700000000,"exp":1700000900,` +
			`"jti":"` + testJTI + `","sub":"` + testUser + `","session_id":"` + testSess + `","role":"authenticated","aal":"aal1",` +
			`"amr":[{"method":"password","timestamp":1700000000}],"email":"ann@example.com","org_id":null,` +
			`"app_metadata":{"provider":"email"},"user_metadata":{"name":"Ann \"A\" é","id":9007199254740993}}`
		if string(got.Claims) != want {
			t.Errorf("got  %s\nwant %s", got.Claims, want)
		}
		got.Claims = nil
		if !reflect.DeepEqual(got, Access{Subject: mustUUID(testUser), SessionID: mustUUID(testSess), JTI: mustUUID(testJTI),
			Role: "authenticated", AAL: "aal1", Email: "ann@example.com", IssuedAt: testNow, ExpiresAt: testNow + 900}) {
			t.Errorf("got %+v", got)
		}
		head, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[0])
		if err != nil {
			t.Fatal(err)
		}
		var header map[string]string
		if err := json.Unmarshal(head, &header); err != nil {
			t.Fatal(err)
		}
		wantHeader := map[string]string{"alg": "HS256", "typ": "JWT"}
		if kid != "" {
			wantHeader["kid"] = kid
		}
		if !reflect.DeepEqual(header, wantHeader) {
			t.Errorf("header %s", head)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	with := func(member string) string { return strings.Replace(fragment, "{", "{"+member+",", 1) }
	type refusal struct {
		name, claims string
		jti          uuid.UUID
		lifetime     time.Duration
		want         error
	}
	jti := mustUUID(testJTI)
	cases := []refusal{
		{"no JSON", "", jti, time.Minute, ErrMalformed},
		{"array", "[]", jti, time.Minute, ErrMalformed},
		{"empty object", "{}", jti, time.Minute, ErrMalformed},
		{"lone surrogate", with(`"x":"\ud800"`), jti, time.Minute, ErrMalformed},
		{"name twice", with(`"role":"authenticated"`), jti, time.Minute, ErrMalformed},
		{"no subject", strings.Replace(fragment, `"sub"`, `"subject"`, 1), jti, time.Minute, ErrClaims},
		{"no role", strings.Replace(fragment, `"role"`, `"rule"`, 1), jti, time.Minute, ErrClaims},
		{"no session", strings.Replace(fragment, `"session_id"`, `"session"`, 1), jti, time.Minute, ErrClaims},
		{"no jti", fragment, uuid.Nil, time.Minute, ErrClaims},
		{"no lifetime", fragment, jti, 0, ErrClaims},
		{"less than a second", fragment, jti, time.Second - 1, ErrClaims},
		{"negative", fragment, jti, -time.Minute, ErrClaims},
		{"too long a lifetime", fragment, jti, time.Hour + time.Second, ErrClaims},
		{"too large", with(`"x":"` + strings.Repeat("x", MaxBytes*3/4-300) + `"`), jti, time.Minute, ErrTooLarge},
	}
	for _, name := range []string{"iss", "aud", "iat", "nbf", "exp", "jti"} {
		cases = append(cases,
			refusal{name, with(`"` + name + `":null`), jti, time.Minute, ErrClaims},
			refusal{strings.ToUpper(name), with(`"` + strings.ToUpper(name) + `":null`), jti, time.Minute, ErrClaims})
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			text, expiresAt, err := newGate(t).signer.Sign([]byte(tc.claims), tc.jti, tc.lifetime)
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if text != "" || expiresAt != 0 {
				t.Errorf("an error came with a token")
			}
		})
	}
}

// The first key of the ring signs, also after a rotation.
func TestSignFollowsRotation(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	old, _, err := g.signer.Sign([]byte(fragment), mustUUID(testJTI), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.ring.Replace(mustKey(t, "new", testSecret+"new"), mustKey(t, "", testSecret)); err != nil {
		t.Fatal(err)
	}
	fresh, _, err := g.signer.Sign([]byte(fragment), mustUUID(testJTI), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{old, fresh} {
		if _, err := g.verifier.Verify(text); err != nil {
			t.Error(err)
		}
	}
	if err := g.ring.Replace(mustKey(t, "new", testSecret+"new")); err != nil {
		t.Fatal(err)
	}
	refuse(t, g, old, ErrUnknownKey)
	if _, err := g.verifier.Verify(fresh); err != nil {
		t.Error(err)
	}
}
