package authn

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/token"
)

const (
	goodToken    = "good.token.text"
	expiredToken = "expired.token.text"
	goodKey      = "fb_live_goodgoodgood"
	otherKey     = "fb_test_other_other-"
	badKey       = "fb_live_unknown"
)

var (
	annID = uuid.MustParse("00000000-0000-4000-8000-00000000000a")
	keyID = uuid.MustParse("20000000-0000-4000-8000-00000000000a")
	home  = Origin{IP: netip.MustParseAddr("192.0.2.1"), RequestID: "r1"}
)

// fakeVerifier accepts goodToken.
type fakeVerifier struct{}

func (fakeVerifier) Verify(text string) (token.Access, error) {
	switch text {
	case goodToken:
		return token.Access{Subject: annID, SessionID: annID, JTI: annID, Role: "authenticated", AAL: "aal1", Claims: []byte(`{}`)}, nil
	case expiredToken:
		return token.Access{}, token.ErrExpired
	}
	return token.Access{}, token.ErrMalformed
}

// fakeEntries knows goodKey and otherKey, and counts.
type fakeEntries struct {
	calls int
	err   error
}

func (f *fakeEntries) Entry(_ context.Context, caller gateway.Caller, sql string, args [][]byte) ([]byte, error) {
	f.calls++
	if f.err != nil {
		return nil, f.err
	}
	if caller.Role != "anon" || sql != sqlAPIKey {
		return nil, errors.New("unexpected call")
	}
	for _, key := range []string{goodKey, otherKey} {
		if hash := sha256sum(key); string(args[0]) == string(byteaArg(hash[:])) {
			return []byte(`{"id":"` + keyID.String() + `","user_id":"` + annID.String() + `","org_id":null,"role":"authenticated","claims":null}`), nil
		}
	}
	return nil, nil
}

func newGate(now *time.Time) (*Gate, *fakeEntries) {
	entries := new(fakeEntries)
	return NewGate(fakeVerifier{}, entries, func() time.Time { return *now }), entries
}

func request(headers ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func TestCaller(t *testing.T) {
	t.Parallel()
	const anon, ann, key = "anon", "ann", "key"
	cases := map[string]struct {
		headers []string
		want    string // anon, ann, key or an error code
	}{
		"nothing":                         {nil, anon},
		"token":                           {[]string{"Authorization: Bearer " + goodToken}, ann},
		"scheme in lower case":            {[]string{"authorization: bearer " + goodToken}, ann},
		"key as bearer":                   {[]string{"Authorization: Bearer " + goodKey}, key},
		"key in apikey":                   {[]string{"apikey: " + goodKey}, key},
		"key in X-API-Key":                {[]string{"X-API-Key: " + goodKey}, key},
		"same key twice":                  {[]string{"apikey: " + goodKey, "X-API-Key: " + goodKey}, key},
		"signed out client":               {[]string{"apikey: " + goodKey, "Authorization: Bearer " + goodKey}, key},
		"signed in client":                {[]string{"apikey: " + goodKey, "Authorization: Bearer " + goodToken}, ann},
		"token beside a bad key":          {[]string{"apikey: " + badKey, "Authorization: Bearer " + goodToken}, ann},
		"bearer key decides":              {[]string{"apikey: " + goodKey, "Authorization: Bearer " + badKey}, "invalid_api_key"},
		"garbage":                         {[]string{"Authorization: Bearer garbage"}, "bad_jwt"},
		"three parts of garbage":          {[]string{"Authorization: Bearer a.b.c"}, "bad_jwt"},
		"garbage beside a good key":       {[]string{"apikey: " + goodKey, "Authorization: Bearer a.b.c"}, "bad_jwt"},
		"expired":                         {[]string{"Authorization: Bearer " + expiredToken}, "bad_jwt"},
		"expired beside a good key":       {[]string{"apikey: " + goodKey, "Authorization: Bearer " + expiredToken}, "bad_jwt"},
		"empty header":                    {[]string{"Authorization: "}, "no_authorization"},
		"empty bearer":                    {[]string{"Authorization: Bearer "}, "no_authorization"},
		"scheme alone":                    {[]string{"Authorization: Bearer"}, "no_authorization"},
		"other scheme":                    {[]string{"Authorization: Basic YTpi"}, "no_authorization"},
		"other scheme beside a key":       {[]string{"apikey: " + goodKey, "Authorization: Basic YTpi"}, "no_authorization"},
		"two headers":                     {[]string{"Authorization: Bearer " + goodToken, "Authorization: Bearer " + goodToken}, "no_authorization"},
		"leading space":                   {[]string{"Authorization: Bearer  " + goodToken}, "bad_jwt"},
		"list":                            {[]string{"Authorization: Bearer " + goodToken + ", Bearer x"}, "bad_jwt"},
		"unknown key":                     {[]string{"apikey: " + badKey}, "invalid_api_key"},
		"no key":                          {[]string{"apikey: sb_publishable_x"}, "invalid_api_key"},
		"empty key":                       {[]string{"apikey: "}, "invalid_api_key"},
		"prefix alone":                    {[]string{"apikey: fb_live_"}, "invalid_api_key"},
		"key with a space":                {[]string{"apikey: " + goodKey + " x"}, "invalid_api_key"},
		"long key":                        {[]string{"apikey: fb_live_" + strings.Repeat("a", maxKeyLength)}, "invalid_api_key"},
		"two keys":                        {[]string{"apikey: " + goodKey, "X-API-Key: " + otherKey}, "invalid_api_key"},
		"good and bad form":               {[]string{"apikey: " + goodKey, "X-API-Key: x"}, "invalid_api_key"},
		"key of another case is no key":   {[]string{"Authorization: Bearer FB_LIVE_goodgoodgood"}, "bad_jwt"},
		"JWT in apikey is no bearer":      {[]string{"apikey: " + goodToken}, "invalid_api_key"},
		"key beside an empty bearer":      {[]string{"apikey: " + goodKey, "Authorization: Bearer "}, "no_authorization"},
		"proxy credentials are not ours":  {[]string{"Proxy-Authorization: Bearer " + goodToken}, anon},
		"cookies are not credentials":     {[]string{"Cookie: access_token=" + goodToken}, anon},
		"forwarded identity is not heard": {[]string{"X-Forwarded-User: ann", "X-Forwarded-For: 203.0.113.9"}, anon},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			gate, _ := newGate(&now)
			caller, err := gate.Caller(request(c.headers...), home)
			got := anon
			var refusal *Error
			switch {
			case errors.As(err, &refusal):
				got = refusal.Code
				if refusal.Status != http.StatusUnauthorized || refusal.Challenge == "" {
					t.Errorf("status %d, challenge %q", refusal.Status, refusal.Challenge)
				}
				if caller.Role != "" {
					t.Errorf("a refused caller has the role %q", caller.Role)
				}
			case err != nil:
				t.Fatal(err)
			case caller.APIKeyID != uuid.Nil:
				got = key
			case caller.SessionID != uuid.Nil:
				got = ann
			case caller.Role != "anon" || caller.UserID != uuid.Nil:
				t.Errorf("nobody is %+v", caller)
			}
			if got != c.want {
				t.Errorf("got %s (%v), want %s", got, err, c.want)
			}
			if err == nil && (caller.IP != home.IP || caller.RequestID != home.RequestID) {
				t.Errorf("origin %v %q", caller.IP, caller.RequestID)
			}
		})
	}
}

func TestSessionNeedsAToken(t *testing.T) {
	t.Parallel()
	now := time.Now()
	gate, entries := newGate(&now)
	for _, headers := range [][]string{nil, {"apikey: " + goodKey}, {"Authorization: Bearer " + goodKey}} {
		if _, _, err := gate.Session(request(headers...), home); err != errNoAuthorization {
			t.Errorf("%v: %v", headers, err)
		}
	}
	if entries.calls != 0 {
		t.Errorf("%d queries for requests that are refused anyway", entries.calls)
	}
	if caller, access, err := gate.Session(request("Authorization: Bearer "+goodToken), home); err != nil || caller.UserID != annID || access.Subject != annID {
		t.Errorf("%+v %v", caller, err)
	}
}

func TestKeyCache(t *testing.T) {
	t.Parallel()
	now := time.Now()
	gate, entries := newGate(&now)
	ask := func(key string, queries int) {
		t.Helper()
		before := entries.calls
		_, err := gate.Caller(request("apikey: "+key), home)
		if key != badKey && err != nil {
			t.Fatal(err)
		}
		if got := entries.calls - before; got != queries {
			t.Errorf("%d queries, want %d", got, queries)
		}
	}
	ask(goodKey, 1)
	ask(goodKey, 0)
	now = now.Add(keyLifetime)
	ask(goodKey, 1)
	gate.Forget(annID) // another key
	ask(goodKey, 0)
	gate.Forget(keyID)
	ask(goodKey, 1)
	ask(badKey, 1) // what is unknown may be made any moment, and must not fill the memory
	ask(badKey, 1)

	for i := range 3 * maxKeys {
		hash := sha256sum(string(rune(i)))
		gate.keys.put(hash, apiKey{})
	}
	if n := len(gate.keys.entries); n > maxKeys {
		t.Errorf("%d keys are remembered", n)
	}

	entries.err = gateway.ErrUnavailable
	if _, err := gate.Caller(request("apikey: "+badKey), home); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("a lost database answers %v", err)
	}
}

func sha256sum(text string) keyHash { return sha256.Sum256([]byte(text)) }
