package authn_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

const (
	sealKey  = "FLUXBASE_AUTH_ENCRYPTION_KEY=mfa-test-key-Kz7wQ3xR9mT5vB2nL8pJ4hF6"
	otherKey = "mfa-other-key-b2nL8pJ4hF6Kz7wQ3xR9mT5v"
)

// enrolled is a factor of a test's own.
type enrolled struct{ ID, Secret string }

func (f enrolled) path(rest string) string { return "/auth/v1/factors/" + f.ID + rest }

// code is that of the current step, some steps on.
func (f enrolled) code(t testing.TB, steps int) string {
	t.Helper()
	code, err := totp.GenerateCode(f.Secret, time.Now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// wrongCode is six digits that no step near now has.
func (f enrolled) wrongCode(t testing.TB) string {
	t.Helper()
	for i := 100000; ; i++ {
		if code := fmt.Sprint(i); !slices.Contains([]string{f.code(t, -2), f.code(t, -1), f.code(t, 0), f.code(t, 1), f.code(t, 2)}, code) {
			return code
		}
	}
}

func enroll(t testing.TB, s *servertest.Server, k servertest.Tokens, name string) enrolled {
	t.Helper()
	a := s.Do(t, "POST", "/auth/v1/factors", map[string]string{"factor_type": "totp", "friendly_name": name}, k.Bearer())
	expect(t, a, 200, "")
	var body struct {
		ID   string
		TOTP struct{ Secret string }
	}
	if err := json.Unmarshal(a.Body, &body); err != nil || body.ID == "" || body.TOTP.Secret == "" {
		t.Fatalf("enroll: %v %s", err, a.Body)
	}
	return enrolled{body.ID, body.TOTP.Secret}
}

func challenge(t testing.TB, s *servertest.Server, k servertest.Tokens, f enrolled) string {
	t.Helper()
	a := s.Do(t, "POST", f.path("/challenge"), map[string]string{"factorId": f.ID}, k.Bearer())
	expect(t, a, 200, "")
	return a.Text("id")
}

func verify(t testing.TB, s *servertest.Server, k servertest.Tokens, f enrolled, challenge, code string) servertest.Answer {
	t.Helper()
	return s.Do(t, "POST", f.path("/verify"), map[string]string{"challenge_id": challenge, "code": code}, k.Bearer())
}

// stepUp shows the factor with a fresh code.
func stepUp(t testing.TB, s *servertest.Server, k servertest.Tokens, f enrolled) servertest.Tokens {
	t.Helper()
	forgetSteps(t, s)
	a := verify(t, s, k, f, challenge(t, s, k, f), f.code(t, 0))
	if a.Status != 200 {
		t.Fatalf("verify: %d %s", a.Status, a.Body)
	}
	return a.Tokens()
}

// forgetSteps spares a test the wait for the next code.
func forgetSteps(t testing.TB, s *servertest.Server) {
	t.Helper()
	s.Exec(t, `alter table auth.mfa_factors disable trigger mfa_factors_before_update`)
	s.Exec(t, `update auth.mfa_factors set last_step = 0`)
	s.Exec(t, `alter table auth.mfa_factors enable always trigger mfa_factors_before_update`)
}

func recoveryCodes(t testing.TB, s *servertest.Server, k servertest.Tokens) []string {
	t.Helper()
	a := s.Do(t, "POST", "/auth/v1/factors/recovery-codes", nil, k.Bearer())
	var body struct{ Codes []string }
	if err := json.Unmarshal(a.Body, &body); err != nil || a.Status != 200 {
		t.Fatalf("recovery codes: %d %s", a.Status, a.Body)
	}
	return body.Codes
}

func redeem(t testing.TB, s *servertest.Server, k servertest.Tokens, code string) servertest.Answer {
	t.Helper()
	return s.Do(t, "POST", "/auth/v1/factors/recovery-codes/verify", map[string]string{"code": code}, k.Bearer())
}

type tokenClaims struct {
	Session string `json:"session_id"`
	JTI     string `json:"jti"`
	AAL     string `json:"aal"`
	AMR     []struct {
		Method    string
		Timestamp int64
	} `json:"amr"`
}

func claimsOf(t testing.TB, k servertest.Tokens) (c tokenClaims) {
	t.Helper()
	parts := strings.Split(k.Access, ".")
	if len(parts) != 3 {
		t.Fatalf("token %q", k.Access)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A table that everybody signed in may read, so that only the gate refuses.
func withNotes(t testing.TB, variables ...string) *servertest.Server {
	t.Helper()
	db := pgtest.Database(t)
	conn := db.Conn(t, "superuser")
	for _, sql := range []string{
		`create table public.notes (id integer primary key)`, `create table public.secrets (id integer primary key)`,
		`insert into public.notes values (1)`, `insert into public.secrets values (1)`,
		`alter table public.notes enable row level security`, `alter table public.secrets enable row level security`,
		`grant select on public.notes, public.secrets to authenticated`,
		`create policy anybody on public.notes for select to authenticated using (true)`,
		`create policy two_factors on public.secrets for select to authenticated using ((select auth.aal()) = 'aal2')`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return servertest.On(t, db, variables...)
}

func rows(t testing.TB, s *servertest.Server, k servertest.Tokens, table string) string {
	t.Helper()
	a := s.Do(t, "GET", "/rest/v1/"+table+"?select=id", nil, k.Bearer())
	if a.Status != 200 {
		return fmt.Sprint(a.Status, " ", a.Code())
	}
	return string(a.Body)
}
