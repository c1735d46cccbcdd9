package authn_test

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	ann = "ann@example.com"
	bob = "bob@example.com"
)

func credentials(email, password string) map[string]string {
	return map[string]string{"email": email, "password": password}
}

// startWithAnn starts a server with the user ann, who has logged in.
func startWithAnn(t testing.TB, variables ...string) (*servertest.Server, servertest.Tokens) {
	t.Helper()
	s := servertest.Start(t, variables...)
	s.CreateUser(t, ann)
	return s, s.Login(t, ann)
}

func login(t testing.TB, s *servertest.Server, email, password string) servertest.Answer {
	t.Helper()
	return s.Do(t, "POST", "/auth/v1/token?grant_type=password", credentials(email, password))
}

func refresh(t testing.TB, s *servertest.Server, token string) servertest.Answer {
	t.Helper()
	return s.Do(t, "POST", "/auth/v1/token?grant_type=refresh_token", map[string]string{"refresh_token": token})
}

// expect fails unless the answer has this status and error code; an empty code is for success.
func expect(t testing.TB, a servertest.Answer, status int, code string) {
	t.Helper()
	if a.Status != status || a.Code() != code {
		t.Errorf("got %d %q, want %d %q: %s", a.Status, a.Code(), status, code, a.Body)
	}
}

func user(t testing.TB, s *servertest.Server, k servertest.Tokens) servertest.Answer {
	t.Helper()
	return s.Do(t, "GET", "/auth/v1/user", nil, k.Bearer())
}

// settle waits until the server acts on a setting that was just changed.
func settle(t testing.TB, s *servertest.Server, key, value string, seen func() bool) {
	t.Helper()
	s.Exec(t, `select auth.set_setting(p_key => $1, p_value => $2)`, key, value)
	for end := time.Now().Add(10 * time.Second); !seen(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the server did not notice %s = %s", key, value)
		}
	}
}

func autoconfirm(t testing.TB, s *servertest.Server) {
	t.Helper()
	settle(t, s, "signup_autoconfirm", "true", func() bool {
		return bytes.Contains(s.Do(t, "GET", "/auth/v1/settings", nil).Body, []byte(`"mailer_autoconfirm":true`))
	})
}

func hashOf(t testing.TB, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), 10)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}
