package sqltest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func signHS256(secret, header, payload string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// The connection does what PostgREST does: its login sets the role and the headers, then calls the function.
func TestPreRequest(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	text, err := fluxbase.Files.ReadFile("sql/optional/pre_request.sql")
	if err != nil {
		t.Fatal(err)
	}
	refused(t, super, "42501", []string{"run this as fluxbase_owner"}, string(text))
	exec(t, db.Conn(t, "fluxbase_owner"), string(text))
	exec(t, db.Conn(t, "fluxbase_owner"), string(text))
	refused(t, admin, "22023", []string{"32 bytes"}, `select auth.set_pre_request_secret('short')`)
	refused(t, db.Conn(t, "authenticated"), "42501", []string{"permission denied"}, `select auth.set_pre_request_secret(repeat('x', 32))`)

	ann := newUser(t, admin, "ann@example.com")
	session, denied := newSession(t, super, ann), uuid.New()
	exec(t, super, `insert into auth.token_blacklist (jti, session_id, expires_at) values ($1, $2, now() + interval '1 hour')`, denied, session)
	authenticator := role(t, super, "authenticator", "noinherit")
	exec(t, super, `grant anon, authenticated, service_role to `+authenticator)
	conn := db.Conn(t, "superuser")
	exec(t, conn, `set session authorization `+authenticator)

	request := func(as, headers string, fn func()) error {
		t.Helper()
		exec(t, conn, `begin read only`)
		defer exec(t, conn, `rollback`)
		exec(t, conn, `select set_config('role', $1, true), set_config('request.headers', $2, true)`, as, headers)
		if _, err := conn.Exec(t.Context(), `select fluxbase.pre_request()`); err != nil {
			return err
		}
		fn()
		return nil
	}
	bearer := func(token string) string { return `{"authorization": "Bearer ` + token + `"}` }
	const header = `{"alg":"HS256","typ":"JWT"}`
	now := time.Now().Unix()
	claims := func(change map[string]any) string {
		m := map[string]any{"iss": "fluxbase", "aud": "authenticated", "sub": ann, "role": "authenticated", "session_id": session, "jti": uuid.New(),
			"aal": "aal1", "email": "ann@example.com", "iat": now, "nbf": now, "exp": now + 900}
		maps.Copy(m, change)
		for k, v := range m {
			if v == nil {
				delete(m, k)
			}
		}
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, secret := range []string{strings.Repeat("k", 32), strings.Repeat("long secret ", 9)} {
		exec(t, admin, `select auth.set_pre_request_secret($1)`, secret)
		good := signHS256(secret, header, claims(nil))
		if err := request("authenticated", bearer(good), func() {
			if got, want := one[string](t, conn, `select concat_ws(' ', auth.uid(), auth.session_id(), auth.role(), auth.aal(), auth.email(), auth.jwt() ->> 'iss')`),
				fmt.Sprintf("%s %s authenticated aal1 ann@example.com fluxbase", ann, session); got != want {
				t.Errorf("context %s, want %s", got, want)
			}
		}); err != nil {
			t.Errorf("a good token: %s", describe(err))
		}
		if err := request("anon", `{}`, func() {
			if got := one[string](t, conn, `select concat_ws(' ', auth.uid(), auth.role(), auth.jwt())`); got != "anon" {
				t.Errorf("without token: %s", got)
			}
		}); err != nil {
			t.Errorf("without token: %s", describe(err))
		}
		flipped := []byte(good)
		flipped[len(flipped)-1] ^= 1
		// The last of 43 characters carries four bits; the next letter of the alphabet decodes to the same bytes.
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := len(good) - 1
		altered := good[:last] + string(alphabet[strings.IndexByte(alphabet, good[last])+1])
		parts := strings.Split(good, ".")
		for _, c := range []struct{ name, as, headers string }{
			{"no token, not anon", "authenticated", `{}`},
			{"no headers, not anon", "service_role", ``},
			{"token of another role", "service_role", bearer(good)},
			{"token while anon", "anon", bearer(good)},
			{"other secret", "authenticated", bearer(signHS256(strings.Repeat("z", 32), header, claims(nil)))},
			{"last character", "authenticated", bearer(string(flipped))},
			{"same bytes, other letter", "authenticated", bearer(altered)},
			{"no signature", "authenticated", bearer(parts[0] + "." + parts[1] + ".")},
			{"two parts", "authenticated", bearer(parts[0] + "." + parts[1])},
			{"four parts", "authenticated", bearer(good + ".x")},
			{"padding", "authenticated", bearer(good + "=")},
			{"no scheme", "authenticated", `{"authorization": "` + good + `"}`},
			{"no scheme's token", "authenticated", `{"authorization": "Bearer "}`},
			{"alg none", "authenticated", bearer(signHS256(secret, `{"alg":"none","typ":"JWT"}`, claims(nil)))},
			{"other alg", "authenticated", bearer(signHS256(secret, `{"alg":"HS512","typ":"JWT"}`, claims(nil)))},
			{"crit", "authenticated", bearer(signHS256(secret, `{"alg":"HS256","typ":"JWT","crit":["exp"]}`, claims(nil)))},
			{"no typ", "authenticated", bearer(signHS256(secret, `{"alg":"HS256"}`, claims(nil)))},
			{"not JSON", "authenticated", bearer(signHS256(secret, header, `sub=1`))},
			{"not an object", "authenticated", bearer(signHS256(secret, header, `[1]`))},
			{"case variant", "authenticated", bearer(signHS256(secret, header, strings.Replace(claims(nil), `{`, `{"ROLE":"service_role",`, 1)))},
			{"duplicate", "authenticated", bearer(signHS256(secret, header, strings.Replace(claims(nil), `{`, `{"role":"service_role",`, 1)))},
			{"expired", "authenticated", bearer(signHS256(secret, header, claims(map[string]any{"exp": now - 1})))},
			{"not yet", "authenticated", bearer(signHS256(secret, header, claims(map[string]any{"nbf": now + 60})))},
			{"from the future", "authenticated", bearer(signHS256(secret, header, claims(map[string]any{"iat": now + 60})))},
			{"lives too long", "authenticated", bearer(signHS256(secret, header, claims(map[string]any{"exp": now + 100000})))},
			{"other issuer", "authenticated", bearer(signHS256(secret, header, claims(map[string]any{"iss": "x"})))},
			{"other audience", "authenticated", bearer(signHS256(secret, header, claims(map[string]any{"aud": []string{"authenticated"}})))},
			{"no exp", "authenticated", bearer(signHS256(secret, header, claims(map[string]any{"exp": nil})))},
			{"exp is text", "authenticated", bearer(signHS256(secret, header, claims(map[string]any{"exp": fmt.Sprint(now + 900)})))},
			{"no session", "authenticated", bearer(signHS256(secret, header, claims(map[string]any{"session_id": nil})))},
			{"no jti", "authenticated", bearer(signHS256(secret, header, claims(map[string]any{"jti": nil})))},
			{"no role", "authenticated", bearer(signHS256(secret, header, claims(map[string]any{"role": nil})))},
			{"unknown session", "authenticated", bearer(signHS256(secret, header, claims(map[string]any{"session_id": uuid.New()})))},
			{"somebody else's session", "authenticated", bearer(signHS256(secret, header, claims(map[string]any{"sub": uuid.New()})))},
			{"denied token", "authenticated", bearer(signHS256(secret, header, claims(map[string]any{"jti": denied})))},
		} {
			err := request(c.as, c.headers, func() { t.Errorf("%s: accepted", c.name) })
			if err != nil && !strings.Contains(describe(err), "PT401") {
				t.Errorf("%s: %s, want PT401", c.name, describe(err))
			}
		}
	}
	secret := strings.Repeat("long secret ", 9)
	exec(t, admin, `select auth.revoke_user('ann@example.com')`)
	if err := request("authenticated", bearer(signHS256(secret, header, claims(nil))), func() { t.Error("a revoked session was accepted") }); err == nil {
		t.Error("no error")
	}
	// The schema is open by name; nothing else in it is.
	for _, who := range []string{"anon", "authenticated", "service_role"} {
		c := db.Conn(t, who)
		for _, call := range []string{"context_key()", "verify_token('x')", "settings()", "context_mac('x')", "base64url_decode('x')"} {
			refused(t, c, "42501", []string{"permission denied for function"}, `select fluxbase.`+call)
		}
		refused(t, c, "42501", nil, `select * from fluxbase.pre_request_secrets`)
	}
}
