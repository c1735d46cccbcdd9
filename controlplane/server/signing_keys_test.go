package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/seal"
	"github.com/wayli-app/fluxbase/controlplane/server"
	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
	"github.com/wayli-app/fluxbase/controlplane/token"
)

const encryptionKey = "sealing-Kz7wQ3xR9mT5vB2nL8pJ4hF6dS1g"

// insertPair puts a key into the table as a server with the encryption key would have published it; it signs at once.
func insertPair(t *testing.T, s *servertest.Server, encryption string, public func(jwk string) string) (id string) {
	t.Helper()
	id = uuid.NewString()
	private, jwk, err := token.NewPair(id, token.ES256)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.New(encryption, "")
	if err != nil {
		t.Fatal(err)
	}
	sealed := sealer.Seal(seal.Place{Table: "auth.signing_keys", Column: "private_key", Row: id}, private)
	s.Exec(t, `insert into auth.signing_keys (id, algorithm, overlap, published_at, signs_from, public_jwk, private_key)
		values ($1, 'ES256', '0', now(), now(), $2, $3)`, id, public(string(jwk)), sealed)
	return id
}

func same(jwk string) string { return jwk }

func headerOf(t *testing.T, access string) string {
	t.Helper()
	head, err := base64.RawURLEncoding.DecodeString(strings.Split(access, ".")[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(head)
}

// A server that is not told of a new key finds it when the first token comes that names it.
func TestUnknownKeyIsLookedUp(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, "FLUXBASE_AUTH_ENCRYPTION_KEY="+encryptionKey)
	s.CreateUser(t, "ann@example.com")
	other := servertest.On(t, s.DB, "FLUXBASE_AUTH_ENCRYPTION_KEY="+encryptionKey)
	before := s.Login(t, "ann@example.com")
	id := insertPair(t, s, encryptionKey, same)
	s.Exec(t, `notify fluxbase_settings, 'signing_keys'`)
	var access string
	for end := time.Now().Add(20 * time.Second); !strings.Contains(headerOf(t, before.Access), id); time.Sleep(20 * time.Millisecond) {
		before = s.Do(t, "POST", "/auth/v1/token?grant_type=refresh_token", map[string]string{"refresh_token": before.Refresh}).Tokens()
		access = before.Access
		if time.Now().After(end) {
			t.Fatal("the new key does not sign")
		}
	}
	if a := other.Do(t, "GET", "/auth/v1/user", nil, "Authorization: Bearer "+access); a.Status != http.StatusOK {
		t.Errorf("at the other server: %d %s", a.Status, a.Body)
	}
	// The secret signs no more: with it in hand nobody makes tokens.
	body := strings.Split(access, ".")[1]
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + body
	mac := hmac.New(sha256.New, []byte(servertest.Secret))
	mac.Write([]byte(signed))
	forged := signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	if a := s.Do(t, "GET", "/auth/v1/user", nil, "Authorization: Bearer "+forged); a.Status != http.StatusOK {
		t.Fatalf("within the overlap: %d %s", a.Status, a.Body)
	}
	s.Exec(t, `update auth.signing_keys set verifies_until = now() where algorithm = 'HS256'`)
	s.Exec(t, `notify fluxbase_settings, 'signing_keys'`)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if s.Do(t, "GET", "/auth/v1/user", nil, "Authorization: Bearer "+forged).Status == http.StatusUnauthorized {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the secret that has ended still signs")
		}
	}
	if a := s.Do(t, "GET", "/auth/v1/user", nil, "Authorization: Bearer "+access); a.Status != http.StatusOK {
		t.Errorf("the pair: %d %s", a.Status, a.Body)
	}
}

// Who writes to the table adds no key: a row counts if it opens, and then its public half is that of the private one.
func TestSigningKeyMustOpen(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, "FLUXBASE_AUTH_ENCRYPTION_KEY="+encryptionKey)
	insertPair(t, s, "another-Kz7wQ3xR9mT5vB2nL8pJ4hF6dS1gQ", same)
	good := insertPair(t, s, encryptionKey, func(string) string { return `{"kid": "forged", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}` })
	s.Exec(t, `notify fluxbase_settings, 'signing_keys'`)
	var document string
	for end := time.Now().Add(20 * time.Second); !strings.Contains(document, good); time.Sleep(20 * time.Millisecond) {
		if document = string(s.Do(t, "GET", "/api/v1/auth/.well-known/jwks.json", nil).Body); time.Now().After(end) {
			t.Fatalf("the keys: %s", document)
		}
	}
	if strings.Count(document, `"kid"`) != 1 || strings.Contains(document, "forged") {
		t.Errorf("the keys: %s", document)
	}
	for name, variables := range map[string][]string{"none": nil, "another": {"FLUXBASE_AUTH_ENCRYPTION_KEY=third-Kz7wQ3xR9mT5vB2nL8pJ4hF6dS1gQ"}} {
		_, err := server.New(t.Context(), server.Options{Config: servertest.Config(t, s.DB, variables...), Files: fluxbase.Files})
		if err == nil || !strings.Contains(err.Error(), "auth.encryption_key") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
