package server_test

import (
	"crypto/sha1"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// Sign-ups and password logins need the token of a person; what is not asked for, and a session that is there, does not.
func TestCaptcha(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	var down atomic.Bool
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if r.PostFormValue("secret") != "captcha-secret" || r.PostFormValue("response") != "a person" {
			_, _ = fmt.Fprint(w, `{"success":false,"error-codes":["invalid-input-response","<b>"]}`)
			return
		}
		_, _ = fmt.Fprint(w, `{"success":true}`)
	}))
	t.Cleanup(provider.Close)
	metrics := freeAddress(t)
	s := start(t, "FLUXBASE_SERVER_METRICS_LISTEN="+metrics, "FLUXBASE_AUTH_CAPTCHA_PROVIDER=hcaptcha", "FLUXBASE_AUTH_CAPTCHA_SECRET=captcha-secret", "FLUXBASE_AUTH_CAPTCHA_URL="+provider.URL)
	s.CreateUser(t, ann)
	login := func(token string) servertest.Answer {
		body := map[string]any{"email": ann, "password": servertest.Password}
		if token != "" {
			body["gotrue_meta_security"] = map[string]string{"captcha_token": token}
		}
		return s.Do(t, "POST", "/auth/v1/token?grant_type=password", body)
	}
	for token, status := range map[string]int{"a person": 200, "a program": 400, "": 400} {
		a := login(token)
		if a.Status != status || status == 400 && a.Code() != "captcha_failed" || strings.Contains(string(a.Body), "<b>") {
			t.Errorf("%q: %d %s", token, a.Status, a.Body)
		}
	}
	if n := counted(t, metrics, `fluxbase_http_refused_total{code="captcha_failed"}`); n != 2 {
		t.Errorf("%d refusals are counted", n)
	}
	if n := s.Value(t, `select count(*) from audit.log where action = 'login'`); n != "1" {
		t.Errorf("%s logins were looked at", n)
	}
	expectStatus(t, "sign-up", s.Do(t, "POST", "/auth/v1/signup", map[string]any{"email": bob, "password": servertest.Password}), 400, "captcha_failed")
	s.Exec(t, `select auth.set_setting('anonymous_users_enabled', 'true')`)
	expectStatus(t, "sign-up without an address", s.Do(t, "POST", "/auth/v1/signup", map[string]any{}), 400, "captcha_failed")
	for _, route := range []string{"recover", "otp", "magiclink"} {
		expectStatus(t, route, s.Do(t, "POST", "/auth/v1/"+route, map[string]any{"email": bob}), 400, "captcha_failed")
	}
	k := login("a person").Tokens()
	before := asked.Load()
	expectStatus(t, "refresh", s.Do(t, "POST", "/auth/v1/token?grant_type=refresh_token", map[string]string{"refresh_token": k.Refresh}), 200, "")
	expectStatus(t, "user", s.Do(t, "GET", "/auth/v1/user", nil, k.Bearer()), 200, "")
	if asked.Load() != before {
		t.Error("the provider is asked for more than logins")
	}
	down.Store(true)
	expectStatus(t, "without the provider", login("a person"), 500, "unexpected_failure")
	if strings.Contains(s.Log.String(), "captcha-secret") {
		t.Error("the log has the secret")
	}
}

func TestBreachedPasswords(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	sum := fmt.Sprintf("%X", sha1.Sum([]byte("a long enough passphrase")))
	if err := os.WriteFile(filepath.Join(directory, sum[:5]+".txt"), []byte(sum[5:]+":7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "FLUXBASE_AUTH_BREACHED_PASSWORDS="+directory)
	a := s.Do(t, "POST", "/auth/v1/signup", map[string]string{"email": ann, "password": "a long enough passphrase"})
	if a.Status != 422 || a.Code() != "weak_password" || !strings.Contains(string(a.Body), `"reasons":["pwned"]`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	expectStatus(t, "another", s.Do(t, "POST", "/auth/v1/signup", map[string]string{"email": ann, "password": "another long passphrase"}), 200, "")
}
