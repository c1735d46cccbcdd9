package sqltest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// TestGateChecks goes through every condition of fluxbase.check_request: the row must be found, alive and the one that
// the context speaks of.
func TestGateChecks(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	logins := map[string]*pgx.Conn{}
	for _, login := range []string{"fluxbase_api", "fluxbase_service", "fluxbase_server"} {
		logins[login] = db.Conn(t, login)
	}
	ann := one[uuid.UUID](t, super, `select auth.create_user(p_email => 'ann@example.com')`)
	bob := one[uuid.UUID](t, super, `select auth.create_user(p_email => 'bob@example.com')`)
	session := func(user uuid.UUID) uuid.UUID {
		return one[uuid.UUID](t, super, `insert into auth.sessions (user_id, expires_at) values ($1, now() + interval '1 hour') returning id`, user)
	}
	key := func(kind string, user *uuid.UUID) uuid.UUID {
		return one[uuid.UUID](t, super, `insert into auth.api_keys (kind, name, prefix, key_hash, user_id)
			values ($1, 'k', 'fb_test_', sha256(gen_random_uuid()::text::bytea), $2) returning id`, kind, user)
	}
	const nobody = `[1,null,null,null,null,"anon",null,null,"r",null,0,null]`
	person := func(user, session uuid.UUID) string {
		return fmt.Sprintf(`[1,"%s","%s",null,"aal1","authenticated",null,null,"r",null,0,null]`, user, session)
	}
	leveled := func(aal, org, role, request string) func(uuid.UUID) string {
		return func(id uuid.UUID) string {
			return fmt.Sprintf(`[1,"%s","%s",%s,%s,"%s",null,null,"%s",null,0,null]`, ann, id, org, aal, role, request)
		}
	}
	raised := func() uuid.UUID {
		id := session(ann)
		exec(t, super, `update auth.sessions set aal = 'aal2' where id = $1`, id)
		return id
	}
	const org = `"00000000-0000-4000-8000-0000000000aa"`
	keyHolder := func(user uuid.UUID) string {
		return fmt.Sprintf(`[1,"%s",null,null,null,"authenticated","k",null,"r",null,0,null]`, user)
	}
	check := func(login string, session, jti, key *uuid.UUID, context string) string {
		t.Helper()
		_, err := logins[login].Exec(t.Context(), `select fluxbase.check_request($1, $2, $3, $4)`, session, jti, key, context)
		var pgErr *pgconn.PgError
		if errors.As(err, &pgErr) {
			return pgErr.Code
		}
		if err != nil {
			t.Fatal(err)
		}
		return "ok"
	}
	jti := uuid.New()
	ended := func(change string) uuid.UUID {
		id := session(ann)
		exec(t, super, fmt.Sprintf(`update auth.sessions set %s where id = '%s'`, change, id))
		return id
	}
	deniedSession := session(ann)
	exec(t, super, fmt.Sprintf(`insert into auth.token_blacklist (jti, session_id, expires_at) values ('%s', '%s', now() + interval '1 hour')`, jti, deniedSession))

	sessions := []struct {
		name    string
		session uuid.UUID
		jti     *uuid.UUID
		context func(id uuid.UUID) string
		want    string
	}{
		{"alive", session(ann), ptr(uuid.New()), func(id uuid.UUID) string { return person(ann, id) }, "ok"},
		{"unknown", uuid.New(), ptr(uuid.New()), func(id uuid.UUID) string { return person(ann, id) }, "ZF401"},
		{"revoked", ended(`revoked_at = now(), revoked_reason = 'test'`), ptr(uuid.New()), func(id uuid.UUID) string { return person(ann, id) }, "ZF401"},
		{"expired", ended(`expires_at = now()`), ptr(uuid.New()), func(id uuid.UUID) string { return person(ann, id) }, "ZF401"},
		{"blocked", ended(`blocked_until = now() + interval '1 minute'`), ptr(uuid.New()), func(id uuid.UUID) string { return person(ann, id) }, "ZF401"},
		{"no longer blocked", ended(`blocked_until = now() - interval '1 minute'`), ptr(uuid.New()), func(id uuid.UUID) string { return person(ann, id) }, "ok"},
		{"without a jti", session(ann), nil, func(id uuid.UUID) string { return person(ann, id) }, "ZF401"},
		{"denied token", deniedSession, &jti, func(id uuid.UUID) string { return person(ann, id) }, "ZF401"},
		{"another token of that session", deniedSession, ptr(uuid.New()), func(id uuid.UUID) string { return person(ann, id) }, "ok"},
		{"another user in the context", session(ann), ptr(uuid.New()), func(id uuid.UUID) string { return person(bob, id) }, "ZF401"},
		{"another session in the context", session(ann), ptr(uuid.New()), func(uuid.UUID) string { return person(ann, uuid.New()) }, "ZF401"},
		{"a token that says aal2", session(ann), ptr(uuid.New()), leveled(`"aal2"`, `null`, "authenticated", "r"), "ZF405"},
		{"a token that says aal2 in an organization", session(ann), ptr(uuid.New()), leveled(`"aal2"`, org, "authenticated", "r"), "ZF405"},
		{"a token that spells aal2 otherwise", session(ann), ptr(uuid.New()), leveled(`"\u0061al2"`, org, "authenticated", "r"), "ZF405"},
		{"a token without a level", session(ann), ptr(uuid.New()), leveled(`null`, `null`, "authenticated", "r"), "ok"},
		{"a role and a request named aal2", session(ann), ptr(uuid.New()), leveled(`"aal1"`, org, "aal2", "aal2"), "ok"},
		{"at aal2", raised(), ptr(uuid.New()), leveled(`"aal2"`, org, "authenticated", "r"), "ok"},
		{"a token from before the step up", raised(), ptr(uuid.New()), leveled(`"aal1"`, org, "authenticated", "r"), "ok"},
		{"nobody in the context", session(ann), ptr(uuid.New()), func(uuid.UUID) string { return nobody }, "ZF401"},
	}
	for _, c := range sessions {
		for _, login := range []string{"fluxbase_api", "fluxbase_server"} {
			if got := check(login, &c.session, c.jti, nil, c.context(c.session)); got != c.want {
				t.Errorf("session %s on %s: %s, want %s", c.name, login, got, c.want)
			}
		}
	}

	if got := check("fluxbase_api", nil, nil, nil, nobody); got != "ok" {
		t.Errorf("nobody: %s", got)
	}
	if got := check("fluxbase_api", nil, nil, nil, person(ann, uuid.New())); got != "ZF401" {
		t.Errorf("a user without a session: %s", got)
	}
	if got := check("fluxbase_api", nil, ptr(uuid.New()), nil, nobody); got != "ZF401" {
		t.Errorf("a token without a session: %s", got)
	}

	anon, service, annKey, bobKey := key("anon", nil), key("service", nil), key("user", &ann), key("user", &bob)
	exec(t, super, `select auth.ban_user('bob@example.com', p_reason => 'test')`)
	endedKey := func(change string) uuid.UUID {
		id := key("anon", nil)
		exec(t, super, fmt.Sprintf(`update auth.api_keys set %s where id = '%s'`, change, id))
		return id
	}
	for _, c := range []struct {
		name, login string
		key         uuid.UUID
		context     string
		want        string
	}{
		{"anon", "fluxbase_api", anon, nobody, "ok"},
		{"anon on the service login", "fluxbase_service", anon, nobody, "ZF402"},
		{"service", "fluxbase_service", service, nobody, "ok"},
		{"service on the data login", "fluxbase_api", service, nobody, "ZF402"},
		{"user", "fluxbase_api", annKey, keyHolder(ann), "ok"},
		{"user with another role in the context", "fluxbase_api", annKey, strings.Replace(keyHolder(ann), "authenticated", "gate_role", 1), "ZF402"},
		{"user with no role in the context", "fluxbase_api", annKey, strings.Replace(keyHolder(ann), `"authenticated"`, "null", 1), "ZF402"},
		{"user with another user in the context", "fluxbase_api", annKey, keyHolder(bob), "ZF402"},
		{"user with nobody in the context", "fluxbase_api", annKey, nobody, "ZF402"},
		{"anon with a user in the context", "fluxbase_api", anon, keyHolder(ann), "ZF402"},
		{"banned user", "fluxbase_api", bobKey, keyHolder(bob), "ZF402"},
		{"unknown", "fluxbase_api", uuid.New(), nobody, "ZF402"},
		{"revoked", "fluxbase_api", endedKey(`revoked_at = now()`), nobody, "ZF402"},
		{"expired", "fluxbase_api", endedKey(`expires_at = now()`), nobody, "ZF402"},
	} {
		if got := check(c.login, nil, nil, &c.key, c.context); got != c.want {
			t.Errorf("key %s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestGateRoles sees which roles a request may run as.
func TestGateRoles(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	const nobody = `[1,null,null,null,null,"anon",null,null,"r",null,0,null]`
	begin := func(login, role string) string {
		t.Helper()
		conn := db.Conn(t, login)
		var now string
		err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `select fluxbase.begin_request($1, null, null, null, $2, '00', null, true, null)`, role, nobody); err != nil {
				return err
			}
			return tx.QueryRow(t.Context(), `select current_user`).Scan(&now)
		})
		var pgErr *pgconn.PgError
		if errors.As(err, &pgErr) {
			return pgErr.Code
		}
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	for _, c := range []struct{ login, role, want string }{
		{"fluxbase_api", "anon", "anon"},
		{"fluxbase_api", "authenticated", "authenticated"},
		{"fluxbase_api", "service_role", "ZF403"},
		{"fluxbase_api", "none", "ZF403"},
		{"fluxbase_api", "fluxbase_api", "ZF403"},
		{"fluxbase_api", "fluxbase_owner", "ZF403"},
		{"fluxbase_api", "postgres", "ZF403"},
		{"fluxbase_api", "no such role", "ZF403"},
		{"fluxbase_api", "", "ZF403"},
		{"fluxbase_service", "service_role", "service_role"},
	} {
		if got := begin(c.login, c.role); got != c.want {
			t.Errorf("%s as %q: %s, want %s", c.login, c.role, got, c.want)
		}
	}
	// Listed and granted, or not at all.
	role := fmt.Sprintf("gate_role_%s", uuid.NewString()[:8])
	exec(t, super, `create role `+role+` nologin`)
	exec(t, super, fmt.Sprintf(`select auth.set_setting('request_roles', '%s')`, role))
	if got := begin("fluxbase_api", role); got != "ZF403" {
		t.Errorf("listed, not granted: %s", got)
	}
	exec(t, super, `grant `+role+` to fluxbase_api`)
	if got := begin("fluxbase_api", role); got != role {
		t.Errorf("listed and granted: %s", got)
	}
	exec(t, super, `select auth.set_setting('request_roles', null)`)
	if got := begin("fluxbase_api", role); got != "ZF403" {
		t.Errorf("granted, no longer listed: %s", got)
	}
	exec(t, super, `drop role `+role)
}

func ptr[T any](v T) *T { return &v }
