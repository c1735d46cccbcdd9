package token

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestNewSecret(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, want string }{
		"empty":            {"", "auth.jwt_secret is not set"},
		"one":              {"s", "auth.jwt_secret is too short: it has 1 characters"},
		"31":               {testSecret[:31], "auth.jwt_secret is too short: it has 31 characters"},
		"16 of two bytes":  {"éàèùçâêîôûäëïöüÿ", "auth.jwt_secret is too short: it has 16 characters"},
		"one repeated":     {strings.Repeat("x", 64), "auth.jwt_secret is too simple"},
		"seven repeated":   {strings.Repeat("abcdefg", 9), "auth.jwt_secret is too simple"},
		"32 is enough":     {testSecret[:32], ""},
		"eight different":  {strings.Repeat("abcdefgh", 4), ""},
		"32 hexadecimal":   {"9f86d081884c7d659a2feaa0c55ad015", ""},
		"more than a line": {strings.Repeat(testSecret, 20), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := NewSecret(tc.text)
			if tc.want == "" {
				if err != nil || string(s.bytes()) != tc.text {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
			if s.bytes() != nil {
				t.Error("a refused secret can be used")
			}
		})
	}
}

func TestNoSecretIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := HMACKey("", Secret{}); err == nil || !strings.Contains(err.Error(), "auth.jwt_secret") {
		t.Errorf("HMACKey: %v", err)
	}
	if _, err := NewRefreshTokens(Secret{}); err == nil || !strings.Contains(err.Error(), "auth.jwt_secret") {
		t.Errorf("NewRefreshTokens: %v", err)
	}
}

// Nothing that holds a key shows it, under any verb, nested or not, in any log.
func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	secret := mustSecret(t, testSecret)
	g := newGate(t)
	refresh, err := NewRefreshTokens(secret)
	if err != nil {
		t.Fatal(err)
	}
	type nested struct {
		Exported Secret
		hidden   Secret
		pointer  *Secret
		refresh  RefreshTokens
		key      *Key
	}
	key := mustKey(t, "main", testSecret)
	things := map[string]any{
		"secret": secret, "pointer": &secret, "key": key, "ring": g.ring, "set": g.ring.current.Load(),
		"verifier": g.verifier, "signer": g.signer, "refresh": refresh, "refresh value": *refresh,
		"nested": nested{secret, secret, &secret, *refresh, key}, "slice": []Secret{secret}, "map": map[string]Secret{"a": secret},
	}
	var shapes []string
	for _, value := range [][]byte{secret.bytes(), refresh.key.bytes()} {
		shapes = append(shapes, string(value[:12]), hex.EncodeToString(value[:8]),
			strings.ToUpper(hex.EncodeToString(value[:8])), base64.StdEncoding.EncodeToString(value[:12]),
			strings.Trim(fmt.Sprint(value[:6]), "[]"),
			strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", value[:4]), "[]byte{"), "}"),
			strings.Trim(fmt.Sprintf("%o", value[:6]), "[]"), strings.Trim(fmt.Sprintf("%b", value[:6]), "[]"))
	}
	for name, thing := range things {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "% x", "%o", "%b", "%c", "%U", "%t", "%p"} {
			fmt.Fprintf(&out, verb+"\n", thing)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "thing", thing)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "thing", thing)
		if text, err := json.Marshal(thing); err == nil {
			out.Write(text)
		}
		for _, shape := range shapes {
			if strings.Contains(out.String(), shape) {
				t.Errorf("%s shows its key as %q in %s", name, shape, out.String())
			}
		}
	}
	if got := fmt.Sprintf("%v %#v %d", secret, secret, secret) + secret.String() + secret.GoString(); got !=
		mask+" "+mask+" "+mask+mask+mask {
		t.Error(got)
	}
}

func TestKeyRing(t *testing.T) {
	t.Parallel()
	key := mustKey(t, "", testSecret)
	for name, keys := range map[string][]*Key{
		"none":           nil,
		"nil":            {nil},
		"zero":           {new(Key)},
		"same id":        {mustKey(t, "a", testSecret), mustKey(t, "a", testSecret+"2")},
		"same id, empty": {key, mustKey(t, "", testSecret+"2")},
	} {
		if _, err := NewKeyRing(keys...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	ring, err := NewKeyRing(key)
	if err != nil {
		t.Fatal(err)
	}
	before := ring.current.Load()
	if err := ring.Replace(key, nil); err == nil || ring.current.Load() != before {
		t.Error("a refused replacement changed the ring")
	}
	text, verify := testSigned(t, ring, ring)
	if err := ring.Replace(nil); err != nil {
		t.Fatal(err)
	}
	if err := verify(text); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("an empty ring: %v", err)
	}
	for _, id := range []string{"a b", `"`, "é", "a.b", strings.Repeat("k", maxKeyID+1)} {
		if _, err := HMACKey(id, mustSecret(t, testSecret)); err == nil {
			t.Errorf("key id %q accepted", id)
		}
	}
}

// A token is checked with the key that its kid names and no other.
func TestKeyIsChosenByID(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	const secretA, secretB = testSecret + "-a", testSecret + "-b"
	if err := g.ring.Replace(mustKey(t, "b", secretB), mustKey(t, "a", secretA), mustKey(t, "", testSecret)); err != nil {
		t.Fatal(err)
	}
	header := func(kid string) string { return `{"typ":"JWT","alg":"HS256","kid":"` + kid + `"}` }
	for _, tc := range []struct {
		secret, header string
		want           error
	}{
		{testSecret, testHeader, nil},
		{secretA, header("a"), nil},
		{secretB, header("b"), nil},
		{secretA, header("b"), ErrSignature},
		{secretB, header("a"), ErrSignature},
		{secretA, testHeader, ErrSignature},
		{testSecret, header("a"), ErrSignature},
		{secretA, header("A"), ErrUnknownKey},
		{secretA, header("c"), ErrUnknownKey},
	} {
		if _, err := g.verifier.Verify(forge(tc.secret, tc.header, payload("", ""))); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.header, err, tc.want)
		}
	}
	// Without a key of empty id, a token without kid has no key.
	if err := g.ring.Replace(mustKey(t, "b", secretB)); err != nil {
		t.Fatal(err)
	}
	refuse(t, g, forge(testSecret, testHeader, payload("", "")), ErrUnknownKey)
}
