package authn

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/password"
	"github.com/wayli-app/fluxbase/controlplane/token"
)

// script is everything outside of a Handler: it records the order of work and answers as told.
type script struct {
	steps   []string
	begin   string // answer of login_begin
	finish  string // answer of login_finish and signup
	matched bool
	rehash  bool
	hashErr error

	finishArgs [][]byte
	compared   string // hash
	hashed     int
	tooLarge   bool // sign refuses claims with metadata
	signed     []byte
}

func (s *script) Entry(_ context.Context, _ gateway.Caller, sql string, args [][]byte) ([]byte, error) {
	name, _, _ := strings.Cut(strings.TrimPrefix(sql, "select fluxbase."), "(")
	s.steps = append(s.steps, name)
	if name == "login_begin" {
		return []byte(s.begin), nil
	}
	s.finishArgs = args
	return []byte(s.finish), nil
}

func (s *script) Hash(_ context.Context, secret string) (string, error) {
	s.steps = append(s.steps, "hash")
	s.hashed++
	return "hash of " + secret, s.hashErr
}

func (s *script) Compare(_ context.Context, hash, _ string) (bool, bool, error) {
	s.steps = append(s.steps, "compare")
	s.compared = hash
	return s.matched, s.rehash, s.hashErr
}

func (s *script) Sign(claims []byte, _ uuid.UUID, lifetime time.Duration) (string, int64, error) {
	s.signed = claims
	if s.tooLarge && strings.Contains(string(claims), "much") {
		return "", 0, token.ErrTooLarge
	}
	return "access", int64(lifetime / time.Second), nil
}

func (s *script) Mint(uuid.UUID, int64) (string, [sha256.Size]byte) {
	return "refresh", sha256sum("refresh")
}

func (s *script) Parse(string) (uuid.UUID, int64, [sha256.Size]byte, error) {
	return uuid.Nil, 0, sha256sum(""), token.ErrMalformed
}

func (s *script) handler() *Handler {
	return New(Config{
		Entries: s, Signer: s, Refresh: s, Hasher: s,
		Policy: func(secret, _ string) []Violation {
			if secret == "weak" {
				return []Violation{{"length", "Too short."}, {"characters", "Too plain."}, {"length", "Really."}}
			}
			return nil
		},
		Settings: func() Settings {
			return Settings{SignupEnabled: true, SignupAutoconfirm: true, AccessTokenLifetime: time.Minute}
		},
		Origin: func(echo.Context) Origin { return home },
	})
}

func post(handle echo.HandlerFunc, text string) (*httptest.ResponseRecorder, error) {
	r := httptest.NewRequest("POST", "/", strings.NewReader(text))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	return w, handle(echo.New().NewContext(r, w))
}

const (
	credentialsBody = `{"email":"Ann@Example.com","password":"secret"}`
	knownUser       = `{"status":"ok","user_id":"00000000-0000-4000-8000-00000000000a","encrypted_password":"stored"}`
	someSession     = `{"status":"ok","session":{"session_id":"00000000-0000-4000-8000-00000000000a","generation":1,` +
		`"jti":"00000000-0000-4000-8000-00000000000a","claims":{"sub":"a","user_metadata":{"much":1}},"user":{"id":"a"}}}`
)

// Every refused login does the same work in the same order: no step is left out, and no connection is held while the
// password is compared, because the entry point before has returned and the one after has not begun.
func TestLoginIsTheSameWork(t *testing.T) {
	t.Parallel()
	want := []string{"login_begin", "compare", "login_finish"}
	for name, c := range map[string]struct {
		script
		compared string
		err      error
	}{
		"wrong password": {script{begin: knownUser, finish: `{"status":"invalid_credentials"}`}, "stored", errInvalidCredentials},
		"unknown":        {script{begin: `{"status":"unknown"}`, finish: `{"status":"invalid_credentials"}`}, "", errInvalidCredentials},
		"slowed":         {script{begin: `{"status":"slowed"}`, finish: `{"status":"invalid_credentials"}`}, "", errInvalidCredentials},
		"banned":         {script{begin: knownUser, finish: `{"status":"user_banned"}`, matched: true}, "stored", errInvalidCredentials},
		"deleted":        {script{begin: knownUser, finish: `{"status":"user_not_found"}`, matched: true}, "stored", errInvalidCredentials},
		"unconfirmed":    {script{begin: knownUser, finish: `{"status":"email_not_confirmed"}`, matched: true}, "stored", statusErrors["email_not_confirmed"]},
		"right":          {script{begin: knownUser, finish: someSession, matched: true}, "stored", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &c.script
			_, err := post(s.handler().Login, credentialsBody)
			if !errors.Is(err, c.err) {
				t.Errorf("error %v", err)
			}
			if !reflect.DeepEqual(s.steps, want) || s.compared != c.compared {
				t.Errorf("steps %v, compared with %q", s.steps, s.compared)
			}
			if string(s.finishArgs[0]) != "Ann@Example.com" {
				t.Errorf("the address is not as typed: %s", s.finishArgs[0])
			}
			if string(s.finishArgs[3]) != boolText(s.matched) {
				t.Errorf("matched is told as %s", s.finishArgs[3])
			}
			for _, arg := range s.finishArgs {
				if strings.Contains(string(arg), "secret") {
					t.Errorf("the password travels: %s", arg)
				}
			}
		})
	}
}

func boolText(b bool) string { return string(boolArg(b)) }

func TestLoginRehashes(t *testing.T) {
	t.Parallel()
	s := &script{begin: knownUser, finish: someSession, matched: true, rehash: true}
	if _, err := post(s.handler().Login, credentialsBody); err != nil {
		t.Fatal(err)
	}
	if s.hashed != 1 || string(s.finishArgs[4]) != "hash of secret" {
		t.Errorf("hashed %d times, new hash %s", s.hashed, s.finishArgs[4])
	}
	s = &script{begin: knownUser, finish: `{"status":"invalid_credentials"}`, rehash: true}
	_, _ = post(s.handler().Login, credentialsBody)
	if s.hashed != 0 || s.finishArgs[4] != nil {
		t.Error("a wrong password was hashed for storage")
	}
}

func TestFullHashQueueIs503(t *testing.T) {
	t.Parallel()
	for name, handle := range map[string]func(*Handler) echo.HandlerFunc{
		"login":  func(h *Handler) echo.HandlerFunc { return h.Login },
		"signup": func(h *Handler) echo.HandlerFunc { return h.Signup },
	} {
		s := &script{begin: knownUser, hashErr: password.ErrBusy}
		_, err := post(handle(s.handler()), credentialsBody)
		var e *Error
		if !errors.As(err, &e) || e.Status != 503 || e.RetryAfter == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignupChecksFirstAndAlwaysHashes(t *testing.T) {
	t.Parallel()
	s := &script{finish: someSession}
	_, err := post(s.handler().Signup, `{"email":"ann@example.com","password":"weak"}`)
	var e *Error
	if !errors.As(err, &e) || e.Status != 422 || e.Code != "weak_password" ||
		!reflect.DeepEqual(e.Reasons, []string{"length", "characters"}) || e.Message != "Too short. Too plain. Really." {
		t.Errorf("weak: %+v", err)
	}
	if len(s.steps) != 0 {
		t.Errorf("a weak password costs %v", s.steps)
	}
	for name, finish := range map[string]string{"new": someSession, "known": `{"status":"user_already_exists"}`} {
		s := &script{finish: finish}
		_, _ = post(s.handler().Signup, `{"email":"ann@example.com","password":"good"}`)
		if !reflect.DeepEqual(s.steps, []string{"hash", "signup"}) {
			t.Errorf("%s: %v", name, s.steps)
		}
	}
}

func TestTokenTooLargeLosesMetadata(t *testing.T) {
	t.Parallel()
	s := &script{begin: knownUser, finish: someSession, matched: true, tooLarge: true}
	w, err := post(s.handler().Login, credentialsBody)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(s.signed, &claims); err != nil || claims["sub"] != "a" || len(claims["user_metadata"].(map[string]any)) != 0 {
		t.Errorf("signed %s", s.signed)
	}
	if want := `{"access_token":"access","token_type":"bearer","expires_in":60,"expires_at":60,"refresh_token":"refresh","user":{"id":"a"}}`; w.Body.String() != want {
		t.Errorf("answer %s", w.Body)
	}
}

func TestForgedRefreshTokenAsksNothing(t *testing.T) {
	t.Parallel()
	s := new(script)
	if _, err := post(s.handler().RefreshSession, `{"refresh_token":"forged"}`); err != errRefreshNotFound || len(s.steps) != 0 {
		t.Errorf("%v after %v", err, s.steps)
	}
}

func TestLoginInput(t *testing.T) {
	t.Parallel()
	for text, code := range map[string]string{
		`{}`:                                 "validation_failed",
		`{"email":"ann@example.com"}`:        "validation_failed",
		`{"password":"secret"}`:              "validation_failed",
		`{"email":"","password":"secret"}`:   "validation_failed",
		`{"phone":"+1","password":"x"}`:      "phone_provider_disabled",
		`{"email":"a","password":"b","x":1}`: "bad_json",
	} {
		s := new(script)
		_, err := post(s.handler().Login, text)
		var e *Error
		if !errors.As(err, &e) || e.Code != code || len(s.steps) != 0 {
			t.Errorf("%s: %v after %v", text, err, s.steps)
		}
	}
}

func TestParseSettings(t *testing.T) {
	t.Parallel()
	got, err := ParseSettings([]byte(`{"signup_enabled":true,"signup_autoconfirm":false,"anonymous_users_enabled":false,"access_token_lifetime":900,"mfa_issuer":"Acme","other":1}`))
	if err != nil || got != (Settings{true, false, false, 15 * time.Minute, "Acme"}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{`{}`, ``, `{"signup_enabled":true,"signup_autoconfirm":false}`, `{"signup_enabled":true,"signup_autoconfirm":false,"anonymous_users_enabled":false,"access_token_lifetime":900}`, `{"signup_enabled":"true","signup_autoconfirm":false,"anonymous_users_enabled":false,"access_token_lifetime":900,"mfa_issuer":"Acme"}`} {
		if _, err := ParseSettings([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
