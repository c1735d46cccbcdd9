package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

const (
	testSecret = "correct-horse-battery-staple-0123456789"
	testHeader = `{"alg":"HS256","typ":"JWT"}`
	testNow    = 1_700_000_000
	testUser   = "11111111-aaaa-4bbb-8ccc-000000000001"
	testSess   = "22222222-aaaa-4bbb-8ccc-000000000002"
	testJTI    = "33333333-aaaa-4bbb-8ccc-000000000003"
	testOrg    = "44444444-aaaa-4bbb-8ccc-000000000004"
	testActor  = "55555555-aaaa-4bbb-8ccc-000000000005"
)

var testRules = Rules{
	Issuer: "https://auth.example.com", Audience: "authenticated",
	MaxLifetime: time.Hour, Leeway: 30 * time.Second,
}

// testClaims are the members of a payload that is accepted, in order.
var testClaims = [][2]string{
	{"iss", `"https://auth.example.com"`},
	{"aud", `"authenticated"`},
	{"iat", `1700000000`},
	{"nbf", `1700000000`},
	{"exp", `1700000900`},
	{"jti", `"` + testJTI + `"`},
	{"sub", `"` + testUser + `"`},
	{"session_id", `"` + testSess + `"`},
	{"role", `"authenticated"`},
	{"aal", `"aal1"`},
	{"email", `"ann@example.com"`},
	{"org_id", `"` + testOrg + `"`},
	{"act", `{"sub":"` + testActor + `"}`},
	{"amr", `[{"method":"password","timestamp":1700000000}]`},
	{"user_metadata", `{"name":"Ann","Name":"both are allowed below the surface"}`},
}

// payload returns testClaims with the value of one member exchanged; without
// a value the member is left out. Further text goes in front of the members.
func payload(name, value string, front ...string) string {
	members := front
	for _, c := range testClaims {
		if c[0] == name {
			c[1] = value
		}
		if c[1] != "" {
			members = append(members, `"`+c[0]+`":`+c[1])
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// forge signs any header and payload, sensible or not, as HS256.
func forge(secret, header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(header)) + "." + encode([]byte(payload))
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(signed))
	return signed + "." + encode(h.Sum(nil))
}

func mustSecret(t testing.TB, text string) Secret {
	t.Helper()
	s, err := NewSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustKey(t testing.TB, id, secret string) *Key {
	t.Helper()
	k, err := HMACKey(id, mustSecret(t, secret))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// gate is a verifier and a signer over one ring with a clock that tests set.
type gate struct {
	ring     *KeyRing
	verifier *Verifier
	signer   *Signer
	now      int64
}

func newGate(t testing.TB) *gate {
	t.Helper()
	g := &gate{now: testNow}
	clock := func() time.Time { return time.Unix(g.now, 0) }
	var err error
	if g.ring, err = NewKeyRing(mustKey(t, "", testSecret)); err != nil {
		t.Fatal(err)
	}
	if g.verifier, err = NewVerifier(g.ring, testRules, clock); err != nil {
		t.Fatal(err)
	}
	if g.signer, err = NewSigner(g.ring, testRules, clock); err != nil {
		t.Fatal(err)
	}
	return g
}

func mustUUID(text string) uuid.UUID { return uuid.MustParse(text) }
