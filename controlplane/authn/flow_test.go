package authn_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // of RFC 7636 appendix B

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// returned is a flow of the user that has come back with the code.
func returned(t testing.TB, s *servertest.Server, user, code, challenge, method string) {
	t.Helper()
	sum := sha256.Sum256([]byte(code))
	if s.Value(t, `fluxbase.flow_issue_code(fluxbase.flow_begin('test', $2, $3), $1::uuid, 'oauth', decode($4, 'hex'))`,
		user, challenge, method, hex.EncodeToString(sum[:])) != "true" {
		t.Fatal("the flow got no code")
	}
}

func exchange(s *servertest.Server, code, verifier string) (servertest.Answer, error) {
	return s.Try("POST", "/auth/v1/token?grant_type=pkce", map[string]string{"auth_code": code, "code_verifier": verifier})
}

func TestExchangeCode(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	id := s.CreateUser(t, ann)
	try := func(code, verifier string) servertest.Answer {
		t.Helper()
		a, err := exchange(s, code, verifier)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}

	for method, challenge := range map[string]string{"s256": challengeOf(verifier), "S256": challengeOf(verifier), "plain": verifier} {
		code := "code " + method
		returned(t, s, id, code, challenge, method)
		expect(t, try(code, strings.ToUpper(verifier)), 400, "bad_code_verifier")
		expect(t, try(code, challengeOf(verifier)), 400, "bad_code_verifier")
		a := try(code, verifier)
		expect(t, a, 200, "")
		expect(t, user(t, s, a.Tokens()), 200, "")
		expect(t, refresh(t, s, a.Tokens().Refresh), 200, "")
		expect(t, try(code, verifier), 404, "flow_state_not_found")
	}
	if got := s.Value(t, `(select string_agg(distinct amr -> 0 ->> 'method', ' ') from auth.sessions)`); got != "oauth" {
		t.Errorf("amr %s", got)
	}
	expect(t, try("another", verifier), 404, "flow_state_not_found")
	expect(t, try("", verifier), 400, "validation_failed")
	expect(t, try("another", ""), 400, "validation_failed")

	returned(t, s, id, "late", verifier, "plain")
	s.Exec(t, `update auth.flow_states set auth_code_expires_at = now() where used_at is null`)
	expect(t, try("late", verifier), 403, "flow_state_expired")
	returned(t, s, id, "banned", verifier, "plain")
	s.Exec(t, `select auth.ban_user($1)`, ann)
	expect(t, try("banned", verifier), 403, "user_banned")
	s.Exec(t, `select auth.unban_user($1)`, ann)
	returned(t, s, id, "ended", verifier, "plain")
	s.Exec(t, `select auth.end_flow(id) from auth.admin_flows where used_at is null and email = $1`, ann)
	expect(t, try("ended", verifier), 404, "flow_state_not_found")

	for name, challenge := range map[string][2]string{"short": {verifier[1:], "plain"}, "characters": {verifier[1:] + "=", "plain"},
		"no SHA-256": {verifier + "a", "s256"}, "method": {verifier, "S512"}} {
		if got := s.Value(t, `fluxbase.flow_begin('test', $1, $2)`, challenge[0], challenge[1]); got != "" {
			t.Errorf("%s: a flow begins", name)
		}
	}
	// A code is given once, and the second factor is owed here as everywhere.
	if s.Value(t, `select fluxbase.flow_issue_code(id, user_id, 'oauth', sha256('again')) from auth.flow_states limit 1`) != "false" {
		t.Error("a flow gets two codes")
	}
	s.Exec(t, `select auth.set_setting('mfa_enforcement', 'required')`)
	returned(t, s, id, "pending", verifier, "plain")
	a := try("pending", verifier)
	expect(t, a, 200, "")
	expect(t, s.Do(t, "GET", "/auth/v1/sessions", nil, a.Tokens().Bearer()), 403, "insufficient_aal")
}

func TestOneCodeIsOneSession(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	returned(t, s, s.CreateUser(t, ann), "code", verifier, "plain")
	var sessions atomic.Int32
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			a, err := exchange(s, "code", verifier)
			if err != nil {
				t.Error(err)
			} else if a.Status == http.StatusOK {
				sessions.Add(1)
			}
		})
	}
	group.Wait()
	if n, rows := sessions.Load(), s.Value(t, `select count(*) from auth.sessions`); n != 1 || rows != "1" {
		t.Errorf("one code made %d sessions, %s rows", n, rows)
	}
}
