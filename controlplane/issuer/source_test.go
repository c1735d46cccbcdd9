package issuer

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/token"
)

const claim = "https://idp.example.com"

func config(t *testing.T, url string) Config {
	t.Helper()
	path, err := token.ParseRolePath(".role")
	if err != nil {
		t.Fatal(err)
	}
	return Config{Name: "idp", ID: uuid.New(), JWKSURL: url, Rules: token.ForeignRules{Issuer: claim, Algorithms: []string{"EdDSA"}, Role: path}}
}

func issuers(t *testing.T, c ...Config) *Issuers {
	t.Helper()
	all, err := New(c, time.Now, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// pair makes a key and signs a token with it.
func pair(t *testing.T, kid string) (document, text string) {
	t.Helper()
	private, public, err := token.NewPair(kid, token.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwt.ParseEdPrivateKeyFromPEM(pemOf(private))
	if err != nil {
		t.Fatal(err)
	}
	signed := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"iss": claim, "role": "anon"})
	signed.Header["kid"] = kid
	if text, err = signed.SignedString(key); err != nil {
		t.Fatal(err)
	}
	return `{"keys":[` + string(public) + `]}`, text
}

// A key that appears over there is fetched when the first token names it, and not at every token after.
func TestRotationOverThere(t *testing.T) {
	t.Parallel()
	first, one := pair(t, "one")
	second, two := pair(t, "two")
	var document atomic.Value
	document.Store(first)
	var asked atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, document.Load().(string))
	}))
	defer web.Close()
	c := config(t, web.URL)
	all := issuers(t, c)
	if _, id, err := all.Verify(t.Context(), one); err != nil || id != c.ID {
		t.Fatalf("the first token: %v", err)
	}
	document.Store(second)
	source := all.byClaim[claim].source
	if _, _, err := all.Verify(t.Context(), two); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("within the interval: %v", err)
	}
	source.tried = time.Now().Add(-retryInterval)
	if _, _, err := all.Verify(t.Context(), two); err != nil {
		t.Errorf("the new key: %v", err)
	}
	if _, _, err := all.Verify(t.Context(), one); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("the key that is gone: %v", err)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	// What cannot be fetched any more holds for a day.
	web.Close()
	for age, want := range map[time.Duration]error{staleLimit - time.Hour: nil, staleLimit + time.Hour: token.ErrUnknownKey} {
		source.mu.Lock()
		source.document = []byte(second)
		source.fetched = time.Now().Add(-age)
		keys, err := token.ParseJWKS(source.document, source.algorithms, false)
		if err != nil {
			t.Fatal(err)
		}
		source.tokens.SetKeys(keys)
		_ = source.fetch(context.Background())
		source.mu.Unlock()
		if _, _, err := all.Verify(t.Context(), two); !errors.Is(err, want) {
			t.Errorf("%s old: %v, want %v", age, err, want)
		}
	}
}

func TestFetchIsBounded(t *testing.T) {
	t.Parallel()
	good, text := pair(t, "one")
	for name, answer := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"an error":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, good, http.StatusInternalServerError) },
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, good+strings.Repeat(" ", maxDocument))
		},
		"no keys at all": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) },
	} {
		mux := http.NewServeMux()
		mux.HandleFunc("/", answer)
		mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, good) })
		web := httptest.NewServer(mux)
		if _, _, err := issuers(t, config(t, web.URL+"/jwks.json")).Verify(t.Context(), text); !errors.Is(err, token.ErrUnknownKey) {
			t.Errorf("%s: %v", name, err)
		}
		web.Close()
	}
}

func TestChoice(t *testing.T) {
	t.Parallel()
	c := config(t, "")
	c.Rules.Algorithms, c.Secret = []string{"HS256"}, "a-secret-that-is-long-enough-0123456789"
	all := issuers(t, c)
	sign := func(claims jwt.MapClaims) string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(c.Secret))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if _, _, err := all.Verify(t.Context(), sign(jwt.MapClaims{"iss": claim, "role": "anon"})); err != nil {
		t.Error(err)
	}
	for _, text := range []string{sign(jwt.MapClaims{"role": "anon"}), sign(jwt.MapClaims{"iss": claim + "/", "role": "anon"}), "fb_live_x", "a.b.c"} {
		if _, _, err := all.Verify(t.Context(), text); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := New([]Config{c, c}, time.Now, nil); err == nil {
		t.Error("two with the same claim")
	}
	c.Secret = "short"
	if _, err := New([]Config{c}, time.Now, nil); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a short secret: %v", err)
	}
	c.Secret = `{"kty":"oct","k":"YS1zZWNyZXQtdGhhdC1pcy1sb25nLWVub3VnaC0wMTIzNDU2Nzg5"}`
	if _, _, err := issuers(t, c).Verify(t.Context(), sign(jwt.MapClaims{"iss": claim, "role": "anon"})); !errors.Is(err, token.ErrSignature) {
		t.Errorf("a JWK as secret, signed with its text: %v", err)
	}
}

func pemOf(private []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
}
