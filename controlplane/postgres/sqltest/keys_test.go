package sqltest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestAPIKeys(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin, server := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin"), db.Conn(t, "fluxbase_server")
	ann := newUser(t, admin, "ann@example.com")
	org := one[uuid.UUID](t, super, `insert into auth.organizations (slug, name) values ('acme', 'Acme') returning id`)
	look := func(key string) map[string]any {
		t.Helper()
		hash := sha256.Sum256([]byte(key))
		text := one[*json.RawMessage](t, server, `select fluxbase.api_key($1)`, hash[:])
		if text == nil {
			return nil
		}
		var m map[string]any
		if err := json.Unmarshal(*text, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	keys := map[string]string{}
	for _, c := range []struct {
		kind, call, role string
		user, org        any
	}{
		{"anon", `auth.create_api_key('anon', 'web')`, "anon", nil, nil},
		{"service", `auth.create_api_key('service', 'worker', p_test => true)`, "service_role", nil, nil},
		{"user", `auth.create_api_key('user', 'cli', 'Ann@example.com', p_scopes => array['read'], p_expires_at => now() + interval '1 day')`, "authenticated", ann.String(), nil},
		{"organization", `auth.create_api_key('organization', 'sync', p_org => '` + org.String() + `')`, "authenticated", nil, org.String()},
	} {
		key := one[string](t, admin, `select `+c.call)
		keys[c.kind] = key
		prefix := "fb_live_"
		if c.kind == "service" {
			prefix = "fb_test_"
		}
		random, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimPrefix(key, prefix))
		if err != nil || len(random) != 32 || !strings.HasPrefix(key, prefix) {
			t.Errorf("%s: %q is not %s and 32 bytes: %v", c.kind, key, prefix, err)
		}
		got := look(key)
		if got["kind"] != c.kind || got["role"] != c.role || got["user_id"] != c.user || got["org_id"] != c.org {
			t.Errorf("%s: %v", c.kind, got)
		}
		if claims, ok := got["claims"].(map[string]any); ok != (c.kind == "user") || ok && (claims["sub"] != ann.String() || claims["email"] != "ann@example.com") {
			t.Errorf("%s: claims %v", c.kind, got["claims"])
		}
		if n := one[int](t, super, `select count(*)::int from auth.api_keys k where to_jsonb(k.*)::text like '%' || $1 || '%'`, key[8:]); n != 0 {
			t.Errorf("%s: the key itself is stored", c.kind)
		}
	}
	if n := one[int](t, super, `select count(*)::int from audit.log where to_jsonb(log.*)::text like '%' || $1 || '%'`, keys["user"][12:]); n != 0 {
		t.Error("the key itself is in the audit log")
	}
	if one[bool](t, super, `select bool_or(last_used_at is null) from auth.api_keys`) {
		t.Error("last_used_at was not stamped")
	}
	for name, key := range map[string]string{"empty": "", "unknown": "fb_live_" + strings.Repeat("A", 43), "cut": keys["anon"][:50]} {
		if got := look(key); got != nil {
			t.Errorf("%s key: %v", name, got)
		}
	}
	// Not alive: revoked, expired, user banned.
	id := one[uuid.UUID](t, admin, `select id from auth.admin_api_keys where kind = 'anon'`)
	if !one[bool](t, admin, `select auth.revoke_api_key($1)`, id) || one[bool](t, admin, `select auth.revoke_api_key($1)`, id) {
		t.Error("revoke_api_key is true once")
	}
	exec(t, super, `update auth.api_keys set expires_at = now() - interval '1 second' where kind = 'organization'`)
	exec(t, admin, `select auth.ban_user('ann@example.com')`)
	for _, kind := range []string{"anon", "organization", "user"} {
		if got := look(keys[kind]); got != nil {
			t.Errorf("%s key that is not alive: %v", kind, got)
		}
	}
	if got := one[string](t, admin, `select string_agg(concat_ws(' ', kind, prefix, alive), ', ' order by kind) from auth.admin_api_keys`); got !=
		"anon "+keys["anon"][:12]+" f, organization "+keys["organization"][:12]+" f, service "+keys["service"][:12]+" t, user "+keys["user"][:12]+" t" {
		t.Errorf("view: %s", got)
	}
	if c, r := audited(t, super, "api_key.created"), audited(t, super, "api_key.revoked"); c != 4 || r != 1 {
		t.Errorf("audit: %d created, %d revoked", c, r)
	}
	for _, c := range []struct{ sqlstate, text, call string }{
		{"22023", "kind", `auth.create_api_key('admin', 'x')`},
		{"22023", "kind", `auth.create_api_key(null, 'x')`},
		{"22023", "name", `auth.create_api_key('anon', ' ')`},
		{"22023", "one line", `auth.create_api_key('anon', repeat('x', 201))`},
		{"22023", "one line", `auth.create_api_key('anon', E'web\x1b[2J')`},
		{"22023", "one line", `auth.create_api_key('anon', E'web\u202e')`},
		{"22023", "documents:read", `auth.create_api_key('anon', 'x', p_scopes => array['documents: read'])`},
		{"22023", "by id or e-mail address", `auth.create_api_key('user', 'x')`},
		{"22023", "p_user", `auth.create_api_key('anon', 'x', 'ann@example.com')`},
		{"22023", "admin_organizations", `auth.create_api_key('organization', 'x')`},
		{"22023", "future", `auth.create_api_key('anon', 'x', p_expires_at => now())`},
		{"P0002", "organization", `auth.create_api_key('organization', 'x', p_org => gen_random_uuid())`},
		{"P0002", "nobody@example.com", `auth.create_api_key('user', 'x', 'nobody@example.com')`},
		{"P0002", "admin_api_keys", `auth.revoke_api_key(gen_random_uuid())`},
	} {
		refused(t, admin, c.sqlstate, []string{c.text}, `select `+c.call)
	}
}
