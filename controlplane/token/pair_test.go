package token

import (
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func testPair(t testing.TB, id, alg string) *Key {
	t.Helper()
	secret, jwk, err := NewPair(id, alg)
	if err != nil {
		t.Fatal(err)
	}
	key, err := PrivateKey(id, alg, secret)
	if err != nil || string(key.jwk) != string(jwk) {
		t.Fatalf("%s, %s: %v", key.jwk, jwk, err)
	}
	return key
}

// testSigned signs with one ring; verify asks the other.
func testSigned(t testing.TB, signing, verifying *KeyRing) (text string, verify func(text string) error) {
	t.Helper()
	clock := func() time.Time { return time.Unix(testNow, 0) }
	signer, err := NewSigner(signing, testRules, clock)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := NewVerifier(verifying, testRules, clock)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err = signer.Sign([]byte(`{"sub":"`+testUser+`","session_id":"`+testSess+`","role":"authenticated"}`), uuid.MustParse(testJTI), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return text, func(text string) error {
		_, err := verifier.Verify(text)
		return err
	}
}

func ring(t testing.TB, keys ...*Key) *KeyRing {
	t.Helper()
	r, err := NewKeyRing(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func hmacKey(t testing.TB, id, secret string) *Key {
	t.Helper()
	key, err := HMACKey(id, mustSecret(t, secret))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestPairs(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{ES256, EdDSA} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			key, other := testPair(t, "one", alg), testPair(t, "one", alg)
			text, verify := testSigned(t, ring(t, key), ring(t, hmacKey(t, "", testSecret), key))
			if err := verify(text); err != nil {
				t.Errorf("a token of the pair: %v", err)
			}
			_, foreign := testSigned(t, ring(t, other), ring(t, other))
			if err := foreign(text); !errors.Is(err, ErrSignature) {
				t.Errorf("another key of the same id: %v", err)
			}
			_, without := testSigned(t, ring(t, other), ring(t, hmacKey(t, "", testSecret)))
			if err := without(text); !errors.Is(err, ErrUnknownKey) {
				t.Errorf("an id that is not there: %v", err)
			}
		})
	}
}

// A ring may verify and not sign.
func TestNothingSigns(t *testing.T) {
	t.Parallel()
	r := ring(t, testPair(t, "one", ES256))
	text, verify := testSigned(t, r, r)
	if err := r.Replace(nil, testPair(t, "two", ES256)); err != nil {
		t.Fatal(err)
	}
	if err := verify(text); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a key that is gone: %v", err)
	}
	signer, err := NewSigner(r, testRules, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	claims := []byte(`{"sub":"` + testUser + `","session_id":"` + testSess + `","role":"authenticated"}`)
	if _, _, err := signer.Sign(claims, uuid.MustParse(testJTI), time.Minute); !errors.Is(err, ErrNoKey) {
		t.Errorf("signed without a key: %v", err)
	}
}

// An algorithm is that of its kid: the public key is no HMAC secret, and no key verifies what another kind signed.
func TestAlgorithmOfKid(t *testing.T) {
	t.Parallel()
	private, ed := testPair(t, "es", ES256), testPair(t, "ed", EdDSA)
	text, verify := testSigned(t, ring(t, private), ring(t, private, ed, hmacKey(t, "", testSecret)))
	body := strings.Split(text, ".")[1]
	decoded, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		t.Fatal(err)
	}
	for name, forged := range map[string]string{
		"HS256 with the JWK":      forge(string(private.jwk), `{"alg":"HS256","typ":"JWT","kid":"es"}`, string(decoded)),
		"HS256 with the secret":   forge(testSecret, `{"alg":"HS256","typ":"JWT","kid":"es"}`, string(decoded)),
		"ES256 without kid":       forge(testSecret, `{"alg":"ES256","typ":"JWT"}`, string(decoded)),
		"ES256 under another kid": forge(testSecret, `{"alg":"ES256","typ":"JWT","kid":"ed"}`, string(decoded)),
		"none":                    forge(testSecret, `{"alg":"none","typ":"JWT","kid":"es"}`, string(decoded)),
	} {
		if err := verify(forged); !errors.Is(err, ErrHeader) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// ECDSA has two signatures for each text; a token has one spelling.
func TestSignatureHasOneSpelling(t *testing.T) {
	t.Parallel()
	private := testPair(t, "es", ES256)
	for range 20 { // each is the other one with a chance of a half
		text, verify := testSigned(t, ring(t, private), ring(t, private))
		at := strings.LastIndexByte(text, '.') + 1
		raw, err := base64.RawURLEncoding.DecodeString(text[at:])
		if err != nil || len(raw) != signatureES256 {
			t.Fatalf("%d bytes, %v", len(raw), err)
		}
		s := new(big.Int).SetBytes(raw[32:])
		s.Sub(elliptic.P256().Params().N, s).FillBytes(raw[32:])
		if err := verify(text[:at] + base64.RawURLEncoding.EncodeToString(raw)); !errors.Is(err, ErrSignature) {
			t.Fatalf("the other signature: %v", err)
		}
		for _, size := range []int{0, 63} {
			if err := verify(text[:at] + base64.RawURLEncoding.EncodeToString(raw[:size])); !errors.Is(err, ErrSignature) {
				t.Fatalf("%d bytes: %v", size, err)
			}
		}
	}
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	private, ed := testPair(t, "es", ES256), testPair(t, "ed", EdDSA)
	for _, tc := range []struct {
		keys []*Key
		want string
	}{
		{[]*Key{hmacKey(t, "", testSecret)}, ``},
		{[]*Key{private, ed, hmacKey(t, "", testSecret)}, `es ES256 EC P-256,ed EdDSA OKP Ed25519`},
	} {
		document := ring(t, tc.keys...).JWKS()
		var said struct {
			Keys []map[string]any `json:"keys"`
		}
		if err := json.Unmarshal(document, &said); err != nil || said.Keys == nil {
			t.Fatalf("%s: %v", document, err)
		}
		var got []string
		for _, k := range said.Keys {
			got = append(got, strings.Join([]string{k["kid"].(string), k["alg"].(string), k["kty"].(string), k["crv"].(string)}, " "))
			if k["d"] != nil || k["k"] != nil || k["use"] != "sig" {
				t.Errorf("%v", k)
			}
		}
		if strings.Join(got, ",") != tc.want {
			t.Errorf("%s, want %s", got, tc.want)
		}
		if strings.Contains(string(document), testSecret) {
			t.Error("the secret is shown")
		}
	}
}

func TestPrivateKeyRefuses(t *testing.T) {
	t.Parallel()
	secret, _, err := NewPair("ed", EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := PrivateKey("ed", ES256, secret); err == nil {
		t.Error("a key under another algorithm")
	}
	if _, err := PrivateKey("", EdDSA, secret); err == nil {
		t.Error("a pair without id")
	}
	if _, err := PrivateKey("a.b", EdDSA, secret); err == nil {
		t.Error("an id that no header can have")
	}
	if _, _, err := NewPair("x", "HS256"); err == nil {
		t.Error("a pair of HS256")
	}
	if _, err := PrivateKey("x", ES256, []byte("nothing")); err == nil {
		t.Error("no key")
	}
}
