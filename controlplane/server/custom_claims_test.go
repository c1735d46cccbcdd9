package server_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// claimsOf are the claims of a token.
func claimsOf(t *testing.T, access string) map[string]any {
	t.Helper()
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		t.Fatalf("no token: %q", access)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	if err != nil || json.Unmarshal(text, &claims) != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return claims
}

// hook makes app.claims return an expression over user_id and claims.
func hook(t *testing.T, s *servertest.Server, expression string) {
	t.Helper()
	s.Exec(t, `create or replace function app.claims(user_id uuid, claims jsonb) returns jsonb stable security definer set search_path = pg_catalog, pg_temp
		language plpgsql as $f$ begin return `+expression+`; end $f$`)
}

func TestCustomClaims(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	ann := s.CreateUser(t, "ann@example.com")
	s.Exec(t, `create schema app`)
	s.Exec(t, `grant usage on schema app to fluxbase_owner`)
	login := func() servertest.Answer {
		return s.Do(t, "POST", "/auth/v1/token?grant_type=password", map[string]string{"email": "ann@example.com", "password": servertest.Password})
	}
	hook(t, s, `jsonb_build_object('plan', 'pro', 'seen', claims ->> 'email', 'me', user_id)`)
	s.Exec(t, `select auth.set_setting('custom_claims_function', 'app.claims')`)
	tokens := login().Tokens()
	claims := claimsOf(t, tokens.Access)
	if claims["plan"] != "pro" || claims["seen"] != "ann@example.com" || claims["me"] != ann || claims["sub"] != ann || claims["role"] != "authenticated" {
		t.Errorf("claims: %v", claims)
	}
	s.Exec(t, `create function public.plan() returns text stable language sql as $$ select auth.jwt() ->> 'plan' $$`)
	key := s.Value(t, `auth.create_api_key('user', 'k', 'ann@example.com')`)
	whoami(t, s) // and the catalog is read again
	if a := s.Do(t, "GET", "/rest/v1/rpc/plan", nil, tokens.Bearer()); string(a.Body) != `"pro"` {
		t.Errorf("in a policy: %d %s", a.Status, a.Body)
	}
	if a := s.Do(t, "GET", "/rest/v1/rpc/plan", nil, "apikey: "+key); string(a.Body) != `"pro"` {
		t.Errorf("with a key: %d %s", a.Status, a.Body)
	}
	hook(t, s, `claims || '{"plan": "free"}'`) // all claims, as Supabase's hooks return them
	if claims := claimsOf(t, login().Tokens().Access); claims["plan"] != "free" || claims["sub"] != ann {
		t.Errorf("all claims: %v", claims)
	}

	// A refresh token is not used up by a token that was denied, and a login leaves no session.
	refresh := func() servertest.Answer {
		return s.Do(t, "POST", "/auth/v1/token?grant_type=refresh_token", map[string]string{"refresh_token": tokens.Refresh})
	}
	sessions := s.Value(t, `select count(*) from auth.sessions`)
	denied := 0
	for name, expression := range map[string]string{
		"it fails":             `1 / 0`,
		"null":                 `null`,
		"no object":            `'[]'::jsonb`,
		"another role":         `'{"role": "service_role"}'`,
		"another sub":          `claims || jsonb_build_object('sub', gen_random_uuid())`,
		"another spelling":     `'{"ROLE": "service_role"}'`,
		"an actor":             `jsonb_build_object('act', jsonb_build_object('sub', user_id))`,
		"a registered claim":   `'{"exp": 99999999999}'`,
		"an organization":      `jsonb_build_object('org_id', user_id)`,
		"too large":            `jsonb_build_object('x', repeat('x', 2048))`,
		"too deep":             `(repeat('{"a":', 20) || '1' || repeat('}', 20))::jsonb`,
		"too many":             `(select jsonb_object_agg('c' || n, n) from generate_series(1, 33) n)`,
		"two spellings":        `'{"plan": 1, "Plan": 2}'`,
		"an empty name":        `'{"": 1}'`,
		"a number without end": `jsonb_build_object('n', repeat('9', 500)::numeric)`,
	} {
		hook(t, s, expression)
		a := refresh()
		denied++
		if a.Status != http.StatusInternalServerError || a.Code() != "unexpected_failure" || strings.Contains(string(a.Body), "access_token") {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		if n := s.Value(t, `select count(*) from audit.log where action = 'token.denied' and outcome = 'error' and subject_id = $1 and details ? 'problem'`, ann); n != strconv.Itoa(denied) {
			t.Errorf("%s: %s denials are recorded, want %d", name, n, denied)
		}
	}
	hook(t, s, `1 / 0`)
	if a := login(); a.Status != http.StatusInternalServerError {
		t.Errorf("login: %d %s", a.Status, a.Body)
	}
	if n := s.Value(t, `select count(*) from auth.sessions`); n != sessions {
		t.Errorf("%s sessions, and there were %s: a denied token left one", n, sessions)
	}
	hook(t, s, `'{"plan": "back"}'`)
	if a := refresh(); a.Status != http.StatusOK || claimsOf(t, a.Tokens().Access)["plan"] != "back" {
		t.Errorf("refresh, when it works again: %d %s", a.Status, a.Body)
	}
	// With the rights of its caller it would run as the owner of everything: it is not called at all.
	s.Exec(t, `alter function app.claims(uuid, jsonb) security invoker`)
	if a := login(); a.Status != http.StatusInternalServerError {
		t.Errorf("security invoker: %d %s", a.Status, a.Body)
	}
	// A function that takes too long is one that fails.
	hook(t, s, `(select '{}'::jsonb from pg_sleep(5))`)
	if got := denial(t, s); got != "ZF406 57014" {
		t.Errorf("too slow: %s", got)
	}
	s.Exec(t, `drop function app.claims(uuid, jsonb)`)
	if a := login(); a.Status != http.StatusInternalServerError {
		t.Errorf("without the function: %d %s", a.Status, a.Body)
	}
	s.Exec(t, `select auth.set_setting('custom_claims_function', null)`)
	if a := login(); a.Status != http.StatusOK || claimsOf(t, a.Tokens().Access)["plan"] != nil {
		t.Errorf("without the setting: %d %s", a.Status, a.Body)
	}
}

// denial is how psql is refused the claims of Ann, in a session with little time.
func denial(t *testing.T, s *servertest.Server) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DB.URL("superuser"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // the test is over
	if _, err := conn.Exec(t.Context(), `set statement_timeout = '200ms'`); err != nil {
		t.Fatal(err)
	}
	_, err = conn.Exec(t.Context(), `select auth.custom_claims('ann@example.com')`)
	var refusal *pgconn.PgError
	var detail struct{ SQLState string }
	if !errors.As(err, &refusal) || json.Unmarshal([]byte(refusal.Detail), &detail) != nil {
		return fmt.Sprint(err)
	}
	return refusal.Code + " " + detail.SQLState
}

func TestCustomClaimsFunctionIsChecked(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	conn, err := pgx.Connect(t.Context(), s.DB.URL("superuser"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // the test is over
	for _, tc := range []struct{ sql, name, want string }{
		{`select 1`, "app.nothing", "does not exist"},
		{`create schema app; create function app.f(uuid, jsonb) returns jsonb stable language sql as $$ select '{}'::jsonb $$`, "app.f", "not security definer"},
		{`alter function app.f(uuid, jsonb) security definer volatile`, "app.f", "volatile"},
		{`alter function app.f(uuid, jsonb) stable`, "app.f", "grant usage on schema app to fluxbase_owner"},
		{`grant usage on schema app to fluxbase_owner; revoke all on function app.f(uuid, jsonb) from public`, "app.f", "grant execute on function app.f(uuid, jsonb) to fluxbase_owner"},
		{`create function app.g(uuid, jsonb) returns text stable security definer language sql as $$ select '' $$`, "app.g", "does not return jsonb"},
		{`select 1`, "auth.f", "no function of the application"},
		{`select 1`, "f", "without its schema"},
		{`select 1`, "app.f; drop table auth.users", "no name of a function"},
	} {
		if _, err := conn.Exec(t.Context(), tc.sql); err != nil {
			t.Fatalf("%s: %v", tc.sql, err)
		}
		_, err := conn.Exec(t.Context(), `select auth.set_setting('custom_claims_function', $1)`, tc.name)
		var refusal *pgconn.PgError
		if !errors.As(err, &refusal) || !strings.Contains(refusal.Detail+refusal.Message, tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
