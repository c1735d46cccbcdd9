package sqltest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func identities(t *testing.T, admin *pgx.Conn, user string) string {
	t.Helper()
	return one[string](t, admin, `select coalesce(string_agg(provider || ' ' || provider_id, ', ' order by provider), '')
		from auth.identities_of($1) where provider <> 'email'`, user)
}

func TestIdentitiesInPsql(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	ann := one[uuid.UUID](t, admin, `select auth.create_user('ann@example.com')`) // has no password
	newUser(t, admin, "bob@example.com")
	session := newSession(t, super, ann)
	google := one[uuid.UUID](t, admin, `select auth.link_identity('ann@example.com', 'google', '1', 'moved')`)
	exec(t, admin, `select auth.link_identity($1::text, 'github', '2', 'moved')`, ann.String())
	for _, c := range []struct{ sqlstate, text, call string }{
		{"23505", "linked already", `auth.link_identity('bob@example.com', 'google', '1', 'x')`},
		{"22023", "reason", `auth.link_identity('bob@example.com', 'google', '3', ' ')`},
		{"22023", "no provider", `auth.link_identity('bob@example.com', 'email', '3', 'x')`},
		{"22023", "no provider", `auth.link_identity('bob@example.com', null, '3', 'x')`},
		{"22023", "the id that the provider has", `auth.link_identity('bob@example.com', 'google', '', 'x')`},
		{"P0002", "nobody@example.com", `auth.link_identity('nobody@example.com', 'google', '3', 'x')`},
		{"22023", "reason", `auth.unlink_identity('` + google.String() + `', '')`},
		{"P0002", "identities_of", `auth.unlink_identity('00000000-0000-4000-8000-0000000000ff', 'x')`},
		{"P0002", "identities_of", `auth.unlink_identity(null, 'x')`},
		{"22023", "the address itself", `auth.unlink_identity((select id from auth.identities_of('ann@example.com') where provider = 'email'), 'x')`},
	} {
		refused(t, admin, c.sqlstate, []string{c.text}, `select `+c.call)
	}
	if got := identities(t, admin, "ann@example.com"); got != "github 2, google 1" {
		t.Errorf("identities: %s", got)
	}
	if got := one[int](t, admin, `select auth.unlink_identity($1, 'lost')`, google); got != 1 {
		t.Errorf("%d sessions ended", got)
	}
	if one[bool](t, super, `select revoked_at is null from auth.sessions where id = $1`, session) {
		t.Error("the session of whoever held the identity lives on")
	}
	refused(t, admin, "22023", []string{"last way in", "set_password"}, `select auth.unlink_identity((select id from auth.identities_of('ann@example.com') where provider = 'github'), 'x')`)
	exec(t, admin, `select auth.set_password('ann@example.com', 'correct horse battery staple')`)
	exec(t, admin, `select auth.unlink_identity((select id from auth.identities_of('ann@example.com') where provider = 'github'), 'x')`)
	if n := audited(t, super, "identity.unlinked"); n != 2 {
		t.Errorf("%d unlinked in the audit log", n)
	}
	if n := audited(t, super, "identity.linked_by_administrator"); n != 2 {
		t.Errorf("%d linked in the audit log", n)
	}
	for _, name := range []string{"fluxbase_server", "fluxbase_api", "fluxbase_auditor"} {
		refused(t, db.Conn(t, name), "42501", nil, `select auth.link_identity('bob@example.com', 'google', '9', 'x')`)
		refused(t, db.Conn(t, name), "42501", nil, `select * from auth.admin_identities`)
		refused(t, db.Conn(t, name), "42501", nil, `select fluxbase.oauth_user('google', '9', 'bob@example.com', true, '{}')`)
	}
}

// A code that has not been exchanged is a session about to be: what ends sessions ends it.
func TestEndingSessionsEndsCodes(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	ann := newUser(t, admin, "ann@example.com")
	session := newSession(t, super, ann)
	identity := one[uuid.UUID](t, admin, `select auth.link_identity('ann@example.com', 'google', '1', 'test')`)
	exchanged := func() string {
		t.Helper()
		return one[string](t, super, `select fluxbase.flow_exchange(sha256('code'), fluxbase.code_challenge('v'), gen_random_uuid(), sha256('r'), gen_random_uuid(), null) ->> 'status'`)
	}
	for name, end := range map[string]string{
		"all sessions":      `select auth.revoke_user('ann@example.com')`,
		"a new password":    `select auth.set_password('ann@example.com', 'correct horse battery staple')`,
		"all but one":       `select auth.end_sessions('` + ann.String() + `', 'test', p_except_session_id => '` + session.String() + `')`,
		"the way in itself": `select auth.unlink_identity('` + identity.String() + `', 'stolen')`,
	} {
		exec(t, super, `select fluxbase.flow_issue_code(fluxbase.flow_begin('oauth', fluxbase.code_challenge('v'), 's256'), $1, 'oauth', sha256('code'))`, ann)
		exec(t, super, end)
		if got := exchanged(); got != "flow_state_not_found" {
			t.Errorf("%s: %s", name, got)
		}
	}
	exec(t, super, `select fluxbase.flow_issue_code(fluxbase.flow_begin('oauth', fluxbase.code_challenge('v'), 's256'), $1, 'oauth', sha256('code'))`, ann)
	exec(t, admin, `select auth.revoke_session($1)`, newSession(t, super, ann))
	if got := exchanged(); got != "ok" {
		t.Errorf("one session alone: %s", got)
	}
}

// Linking is how somebody anonymous becomes somebody.
func TestAnonymousUsersLink(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	newUser(t, admin, "taken@example.com")
	for data, want := range map[string]string{
		`{"email": "free@example.com", "email_verified": true}`:   "free@example.com true",
		`{"email": "other@example.com", "email_verified": false}`: "none false",
		`{"email": "Taken@example.com", "email_verified": true}`:  "none false",
		`{"email": "no address", "email_verified": true}`:         "none false",
		`{}`: "none false",
	} {
		id := one[uuid.UUID](t, super, `insert into auth.users (is_anonymous) values (true) returning id`)
		if got := one[string](t, super, `select fluxbase.add_identity($1, 'google', gen_random_uuid()::text, $2, 'user')`, id, data); got != "ok" {
			t.Errorf("%s: %s", data, got)
		}
		if got := one[string](t, super, `select coalesce(email, 'none') || ' ' || (email_proven_at is not null) from auth.users where id = $1 and not is_anonymous`, id); got != want {
			t.Errorf("%s: %s", data, got)
		}
	}
}

// Rules for sign-ups bind whoever was anonymous, however the address comes; an administrator is not bound.
func TestAnonymousUsersLinkByTheRules(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	const data = `{"email": "ann@evil.example", "email_verified": true}`
	for rule, want := range map[string]string{"'deny_domain', 'evil.example'": "email_address_not_authorized", "'closed'": "signup_disabled"} {
		exec(t, super, `select auth.add_signup_rule(`+rule+`)`)
		for how, want := range map[string]string{"user": want + " true", "administrator": "ok false"} {
			id := one[uuid.UUID](t, super, `insert into auth.users (is_anonymous) values (true) returning id`)
			got := one[string](t, super, `select fluxbase.add_identity($1, 'google', gen_random_uuid()::text, $2, $3)`, id, data, how)
			if got += one[string](t, super, `select ' ' || is_anonymous from auth.users where id = $1`, id); got != want {
				t.Errorf("%s, %s: %s", rule, how, got)
			}
			exec(t, super, `delete from auth.users`)
		}
		exec(t, super, `delete from auth.signup_rules`)
	}
}

// PostgreSQL folds the Kelvin sign to k and a capital I with a dot to i: an address with one is another person's mailbox.
func TestAddressesThatOnlyFoldAlikeAreNotLinked(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	newUser(t, admin, "kim@example.com")
	for _, email := range []string{"\u212aim@example.com", "k\u0130m@example.com"} {
		got := one[string](t, super, `select (r ->> 'status') || ' ' || (r ->> 'user_id' = (select id::text from auth.users where email = 'kim@example.com'))
			from fluxbase.oauth_user('google', $1, $1, true, '{}') r`, email)
		if got != "ok false" {
			t.Errorf("%q: %s", email, got)
		}
	}
}

// The forms that a row of a flow can have, whoever writes it.
func TestOAuthFlowsHoldTheirForm(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	ann := newUser(t, admin, "ann@example.com")
	session := newSession(t, super, ann)
	const begin = `insert into auth.oauth_flows (provider, redirect_to, expires_at, state_hash, browser_hash, sealed, user_id, session_id, ticket_hash, used_at)
		values ('google', 'https://example.com', now() + interval '1 hour', $1, $2, $3, $4, $5, $6, $7) returning id`
	hash, sealed := make([]byte, 32), "v1.0123456789abcdef."+strings.Repeat("A", 80)
	for constraint, args := range map[string][]any{
		"oauth_flows_sealed_ck":  {hash, hash, "verifier", nil, nil, nil, nil},
		"oauth_flows_hashes_ck":  {[]byte("state"), hash, sealed, nil, nil, nil, nil},
		"oauth_flows_browser_ck": {hash, nil, sealed, nil, nil, nil, nil},
		"oauth_flows_link_ck":    {nil, nil, nil, ann, session, hash, nil}, // without a code challenge
	} {
		refused(t, super, "23514", []string{constraint}, begin, args...)
	}
	id := one[uuid.UUID](t, super, begin, hash, hash, sealed, nil, nil, nil, nil)
	if got := one[string](t, admin, `select state from auth.admin_oauth_flows where id = $1`, id); got != "away" {
		t.Errorf("state %s", got)
	}
	if !one[bool](t, admin, `select auth.end_oauth_flow($1)`, id) || one[bool](t, admin, `select auth.end_oauth_flow($1)`, id) || audited(t, super, "oauth.flow_ended") != 1 {
		t.Error("a flow does not end, or ends twice")
	}
}

func TestBeginOAuthInPsql(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	refused(t, admin, "55000", []string{"server.public_url"}, `select auth.begin_oauth('google', 'https://app.example.com')`)
	exec(t, admin, `select auth.set_setting('public_url', 'https://api.example.com')`)
	refused(t, admin, "55000", []string{"auth.site_url"}, `select auth.begin_oauth('google')`)
	refused(t, admin, "22023", []string{"no provider"}, `select auth.begin_oauth('google&x=y', 'https://app.example.com')`)
	refused(t, admin, "22023", []string{"no provider"}, `select auth.begin_oauth(null, 'https://app.example.com')`)
	refused(t, admin, "22023", []string{"43 characters"}, `select auth.begin_oauth('google', 'https://app.example.com', 'x')`)
	address := one[string](t, admin, `select auth.begin_oauth('google', 'https://app.example.com')`)
	ticket, ok := strings.CutPrefix(address, "https://api.example.com/auth/v1/authorize?provider=google&ticket=")
	if !ok || len(ticket) != 43 || one[int](t, super, `select count(*) from auth.oauth_flows where ticket_hash = sha256($1::text::bytea)`, ticket) != 1 {
		t.Errorf("address %s", address)
	}
	if got := one[string](t, admin, `select state from auth.admin_oauth_flows`); got != "not begun" {
		t.Errorf("state %s", got)
	}
	exec(t, admin, `select auth.set_setting('oauth_implicit_enabled', 'false')`)
	refused(t, admin, "22023", []string{"code challenge"}, `select auth.begin_oauth('google', 'https://app.example.com')`)
	exec(t, admin, `select auth.begin_oauth('google', 'https://app.example.com', repeat('x', 43))`)
}

// A ticket becomes a state once, and a state brings a browser back once, also of many at the same moment.
func TestOAuthStateIsUsedOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	exec(t, admin, `select auth.set_setting('public_url', 'https://api.example.com')`)
	ticket := one[string](t, admin, `select split_part(auth.begin_oauth('google', 'https://app.example.com'), 'ticket=', 2)`)
	sealed := "v1.0123456789abcdef." + strings.Repeat("A", 80)
	var bind, consume []string
	for i := range 8 {
		bind = append(bind, fmt.Sprintf(`fluxbase.oauth_link_bind(sha256('%s'), 'google', sha256('state %d'), sha256('browser'), '%s') ->> 'status'`, ticket, i, sealed))
	}
	if got := together(t, db, bind); got["ok"] != 1 || got["bad_oauth_state"] != 7 {
		t.Errorf("one ticket: %v", got)
	}
	exec(t, super, `update auth.oauth_flows set state_hash = sha256('state')`)
	for range 8 {
		consume = append(consume, `fluxbase.oauth_consume(sha256('state'), sha256('browser')) ->> 'status'`)
	}
	if got := one[string](t, super, `select fluxbase.oauth_consume(sha256('state'), sha256('another browser')) ->> 'status'`); got != "bad_oauth_state" {
		t.Errorf("another browser: %s", got)
	}
	if got := together(t, db, consume); got["ok"] != 1 || got["bad_oauth_state"] != 7 {
		t.Errorf("one state: %v", got)
	}
}

// together calls one statement from several connections at once and counts the answers.
func together(t *testing.T, db *pgtest.DB, calls []string) map[string]int {
	t.Helper()
	var (
		wait    sync.WaitGroup
		mu      sync.Mutex
		answers = map[string]int{}
	)
	conns := make([]*pgx.Conn, len(calls))
	for i := range conns {
		conns[i] = db.Conn(t, "superuser")
	}
	for i, call := range calls {
		wait.Go(func() {
			var got string
			if err := conns[i].QueryRow(context.Background(), `select `+call).Scan(&got); err != nil {
				got = err.Error()
			}
			mu.Lock()
			answers[got]++
			mu.Unlock()
		})
	}
	wait.Wait()
	return answers
}

func TestNobodyLosesTheLastTwoWaysInAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	for round := range 5 {
		name := "ann" + strconv.Itoa(round) + "@example.com"
		user := one[uuid.UUID](t, admin, `select auth.create_user($1)`, name)
		var calls []string
		for _, provider := range []string{"google", "github"} {
			id := one[string](t, admin, `select auth.link_identity($1, $2, $3, 'test')::text`, name, provider, name)
			calls = append(calls, `fluxbase.remove_identity('`+user.String()+`', '`+id+`', null)`)
		}
		if got := together(t, db, calls); got["ok"] != 1 || got["single_identity_not_deletable"] != 1 {
			t.Fatalf("round %d: %v", round, got)
		}
		if got := one[int](t, super, `select count(*) from auth.identities where user_id = $1 and provider <> 'email'`, user); got != 1 {
			t.Errorf("%d identities are left", got)
		}
		left := one[string](t, super, `select id::text from auth.identities where user_id = $1 and provider <> 'email'`, user)
		second := one[string](t, admin, `select auth.link_identity($1, 'keycloak', $1, 'test')::text`, name)
		if got := one[string](t, super, `select fluxbase.remove_identity($1, $2::uuid, array['google', 'github'])`, user, left); got != "single_identity_not_deletable" {
			t.Errorf("the other way in is at a provider that is not configured: %s", got)
		}
		if got := one[string](t, super, `select fluxbase.remove_identity($1, $2::uuid, '{keycloak,google,github}')`, user, second); got != "ok" {
			t.Errorf("one that is configured remains: %s", got)
		}
	}
}

// The same person comes twice at once, and so do two identities with one verified address: one user.
func TestOneUserOfManyFirstSignIns(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	for round := range 3 {
		n := strconv.Itoa(round)
		var calls []string
		for i := range 8 {
			subject := "s" + n
			if i%2 == 1 {
				subject += "-" + strconv.Itoa(i)
			}
			calls = append(calls, `fluxbase.oauth_user('google', '`+subject+`', 'Ann`+n+`@example.com', true, '{"sub": "x"}') ->> 'status'`)
		}
		if got := together(t, db, calls); got["ok"] != len(calls) {
			t.Fatalf("round %d: %v", round, got)
		}
		if users, links := one[int](t, super, `select count(*) from auth.users where email_normalized = $1`, "ann"+n+"@example.com"),
			one[int](t, super, `select count(*) from auth.identities i join auth.users u on u.id = i.user_id where u.email_normalized = $1`, "ann"+n+"@example.com"); users != 1 || links != 5 {
			t.Errorf("round %d: %d users, %d identities", round, users, links)
		}
	}
	if n := one[int](t, super, `select count(*) from auth.users`); n != 3 {
		t.Errorf("%d users", n)
	}
	// An address that our table does not take is none.
	if got := one[string](t, super, `select fluxbase.oauth_user('google', 'odd', 'not an address', true, '{}') ->> 'status'`); got != "ok" {
		t.Errorf("odd address: %s", got)
	}
	if got := one[int](t, super, `select count(*) from auth.users where email is null`); got != 1 {
		t.Errorf("%d users without address", got)
	}
	for rule, want := range map[string]string{"'deny_domain', 'example.com'": "email_address_not_authorized", "'closed'": "signup_disabled"} {
		exec(t, super, `select auth.add_signup_rule(`+rule+`)`)
		if got := one[string](t, super, `select fluxbase.oauth_user('google', 'new', 'new@example.com', true, '{}') ->> 'status'`); got != want {
			t.Errorf("rule %s: %s", rule, got)
		}
		exec(t, super, `delete from auth.signup_rules`)
	}
}
