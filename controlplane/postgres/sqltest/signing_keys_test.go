package sqltest

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// publish completes a request as a server does; nobody here can open the sealed half.
func publish(t *testing.T, server *pgx.Conn, id, kid string) string {
	t.Helper()
	return one[string](t, server, `select fluxbase.signing_key_publish(p_id => $1, p_public_jwk => jsonb_build_object('kid', $2::text, 'kty', 'EC'),
		p_private_key => 'v1.0123456789abcdef.' || repeat('A', 80)) ->> 'status'`, id, kid)
}

func TestSigningKeysInPsql(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin, server := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin"), db.Conn(t, "fluxbase_server")
	states := func() string {
		t.Helper()
		return one[string](t, admin, `select string_agg(algorithm || ' ' || state, ', ' order by requested_at) from auth.admin_signing_keys`)
	}
	if got := states(); got != "HS256 signing" {
		t.Fatalf("at first: %s", got)
	}
	rotate := func(overlap, algorithm string) string {
		t.Helper()
		return one[string](t, admin, `select auth.rotate_signing_key($1::interval, nullif($2, ''))::text`, overlap, algorithm)
	}
	first := rotate("15 minutes", "")
	refused(t, admin, "55000", []string{"under way", first, "revoke_signing_key"}, `select auth.rotate_signing_key()`)
	if got := states(); got != "HS256 signing, ES256 requested" {
		t.Errorf("asked for: %s", got)
	}
	if got := publish(t, server, first, "another"); got != "validation_failed" {
		t.Errorf("a kid of its own: %s", got)
	}
	if got := publish(t, server, first, first); got != "ok" {
		t.Errorf("published: %s", got)
	}
	if got := publish(t, server, first, first); got != "signing_key_not_found" {
		t.Errorf("published twice: %s", got)
	}
	if got := states(); got != "HS256 signing, ES256 published" {
		t.Errorf("published: %s", got)
	}
	refused(t, admin, "55000", []string{"about to"}, `select auth.revoke_signing_key($1)`, first)
	if got := one[string](t, super, `select (verifies_until - signs_from)::text from (select (select verifies_until from auth.signing_keys where algorithm = 'HS256'),
		signs_from from auth.signing_keys where id = $1) k`, first); got != "00:15:00" {
		t.Errorf("overlap: %s", got)
	}
	back := func() { // a quarter of an hour passes
		t.Helper()
		exec(t, super, `update auth.signing_keys set requested_at = requested_at - interval '5 minutes', published_at = published_at - interval '5 minutes',
			signs_from = signs_from - interval '5 minutes', verifies_until = verifies_until - interval '5 minutes'`)
	}
	back()
	if got := states(); got != "HS256 verifying, ES256 signing" {
		t.Errorf("it signs: %s", got)
	}
	if got := one[string](t, server, `select string_agg(concat_ws(' ', k ->> 'algorithm', (k ->> 'signs_in')::numeric < 0, (k ->> 'ends_in')::numeric > 0), ', ')
		from jsonb_array_elements(fluxbase.signing_keys() -> 'keys') k`); got != "ES256 t, HS256 t t" {
		t.Errorf("what servers get: %s", got)
	}
	second := rotate("0", "EdDSA")
	publish(t, server, second, second)
	if got := states(); got != "HS256 verifying, ES256 signing, EdDSA published" {
		t.Errorf("the next: %s", got)
	}
	back()
	if got := states(); got != "HS256 over, ES256 over, EdDSA signing" {
		t.Errorf("without overlap: %s", got)
	}
	refused(t, admin, "55000", []string{"key signs"}, `select auth.revoke_signing_key($1)`, second)
	rotate("1 hour", "HS256")
	back()
	if got := states(); got != "ES256 over, EdDSA verifying, HS256 signing" {
		t.Errorf("back to the secret: %s", got)
	}
	refused(t, admin, "55000", []string{"signs already"}, `select auth.rotate_signing_key(p_algorithm => 'HS256')`)
	if one[bool](t, admin, `select auth.revoke_signing_key($1, 'stolen')`, second) != true || one[bool](t, admin, `select auth.revoke_signing_key($1)`, second) {
		t.Error("revoked: want true, then false")
	}
	if got := one[int](t, server, `select jsonb_array_length(fluxbase.signing_keys() -> 'keys')`); got != 1 {
		t.Errorf("%d keys are left", got)
	}
	third := rotate("1 hour", "ES256")
	if !one[bool](t, admin, `select auth.revoke_signing_key($1)`, third) || states() != "ES256 over, EdDSA over, HS256 signing" {
		t.Errorf("a request taken back: %s", states())
	}
	refused(t, admin, "22023", []string{"RS256"}, `select auth.rotate_signing_key(p_algorithm => 'RS256')`)
	refused(t, admin, "22023", []string{"overlap"}, `select auth.rotate_signing_key('-1 second')`)
	refused(t, admin, "P0002", []string{"admin_signing_keys"}, `select auth.revoke_signing_key(gen_random_uuid())`)
	refused(t, super, "23514", []string{"signing_keys_private_key_ck"}, `update auth.signing_keys set private_key = '-----BEGIN PRIVATE KEY-----' where id = $1`, first)
	refused(t, super, "23514", []string{"signing_keys_public_jwk_ck"}, `update auth.signing_keys set public_jwk = '{"d": "secret"}' where id = $1`, first)
	if q, p, r := audited(t, super, "signing_key.requested"), audited(t, super, "signing_key.published"), audited(t, super, "signing_key.revoked"); q != 4 || p != 3 || r != 2 {
		t.Errorf("audit: %d requested, %d published, %d revoked", q, p, r)
	}
	for _, call := range []string{`auth.rotate_signing_key()`, `auth.revoke_signing_key(null)`, `fluxbase.start_signing_key(null)`} {
		refused(t, server, "42501", nil, `select `+call)
	}
}
