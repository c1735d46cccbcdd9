package sqltest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/crypto/bcrypt"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestCreateUser(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	id := one[uuid.UUID](t, admin, `select auth.create_user('Ann.Smith@Example.com', $1, p_user_metadata => '{"name": "Ann"}')`, password)
	hash := one[string](t, super, `select encrypted_password from auth.users where id = $1`, id)
	if !strings.HasPrefix(hash, "$2a$10$") || bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) != nil {
		t.Errorf("hash %s does not match in Go", hash)
	}
	if got := one[string](t, super, `select concat_ws(' ', email, email_normalized, role, aud, email_confirmed_at is not null, password_changed_at is not null,
		raw_user_meta_data) from auth.users where id = $1`, id); got != `Ann.Smith@Example.com ann.smith@example.com authenticated authenticated t t {"name": "Ann"}` {
		t.Errorf("user: %s", got)
	}
	pending := one[uuid.UUID](t, admin, `select auth.create_user('bob@example.com', p_confirmed => false)`)
	if got := one[string](t, super, `select concat_ws(' ', encrypted_password is null, email_confirmed_at is null) from auth.users where id = $1`, pending); got != "t t" {
		t.Errorf("without password and confirmation: %s", got)
	}
	if n := audited(t, super, "user.created"); n != 2 {
		t.Errorf("%d audit rows for two users", n)
	}
	if n := one[int](t, super, `select count(*)::int from audit.log where to_jsonb(log.*)::text like any (array['%$2a$%', '%' || $1 || '%'])`, password); n != 0 {
		t.Errorf("%d audit rows hold a password or a hash", n)
	}
	for _, c := range []struct {
		sqlstate, text, call string
	}{
		{"23505", "exists already", `auth.create_user('ann.smith@example.COM')`},
		{"22023", "no e-mail address", `auth.create_user('ann')`},
		{"22023", "no e-mail address", `auth.create_user('анна@example.com')`},
		{"22023", "needs an e-mail address", `auth.create_user('')`},
		{"22023", "needs an e-mail address", `auth.create_user(null)`},
		{"22023", "length", `auth.create_user('carl@example.com', 'short')`},
		{"22023", "too_long", `auth.create_user('carl@example.com', repeat('kiwi', 19))`},
		{"22023", "common", `auth.create_user('carl@example.com', 'Password1234')`},
		{"22023", "email", `auth.create_user('carl@example.com', 'my carl@example.com')`},
		{"22023", "request_roles", `auth.create_user('carl@example.com', p_role => 'service_role')`},
		{"22023", "request_roles", `auth.create_user('carl@example.com', p_role => 'fluxbase_owner')`},
		{"22023", "request_roles", `auth.create_user('carl@example.com', p_role => null)`},
		{"22023", "JSON object", `auth.create_user('carl@example.com', p_app_metadata => '[]')`},
		{"22023", "JSON object", `auth.create_user('carl@example.com', p_user_metadata => '"x"')`},
	} {
		refused(t, admin, c.sqlstate, []string{c.text}, `select `+c.call)
	}
	if n := one[int](t, super, `select count(*)::int from auth.users`); n != 2 {
		t.Errorf("%d users", n)
	}
}

func TestEmailIdentityFollowsTheUser(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	identity := func(id uuid.UUID) string {
		t.Helper()
		return one[string](t, super, `select coalesce(string_agg(concat_ws(' ', provider, provider_id = user_id::text, email, identity_data), ';'), 'none')
			from auth.identities where user_id = $1`, id)
	}
	data := func(id uuid.UUID, email, verified string) string {
		return `{"sub": "` + id.String() + `", "email": "` + email + `", "email_verified": ` + verified + `, "phone_verified": false}`
	}
	// A bare INSERT, as an import does it.
	id := one[uuid.UUID](t, super, `insert into auth.users (email) values ('Ann@example.com') returning id`)
	if got, want := identity(id), "email t ann@example.com "+data(id, "Ann@example.com", "false"); got != want {
		t.Errorf("inserted:\n got %s\nwant %s", got, want)
	}
	before := one[time.Time](t, super, `select updated_at from auth.users where id = $1`, id)
	exec(t, super, `update auth.users set email = 'ann.b@example.com', email_confirmed_at = now() where id = $1`, id)
	if got, want := identity(id), "email t ann.b@example.com "+data(id, "ann.b@example.com", "true"); got != want {
		t.Errorf("changed:\n got %s\nwant %s", got, want)
	}
	if after := one[time.Time](t, super, `select updated_at from auth.users where id = $1`, id); !after.After(before) {
		t.Errorf("updated_at stays at %v", after)
	}
	exec(t, super, `update auth.users set email = '', phone = '' where id = $1`, id)
	if got := identity(id); got != "none" {
		t.Errorf("without address: %s", got)
	}
	if !one[bool](t, super, `select email is null and phone is null from auth.users where id = $1`, id) {
		t.Error("an empty address is none")
	}
	exec(t, super, `update auth.users set email = 'ann@example.com' where id = $1`, id)
	if got := identity(id); !strings.HasPrefix(got, "email t ann@example.com") {
		t.Errorf("with an address again: %s", got)
	}
	if got := identity(one[uuid.UUID](t, super, `insert into auth.users (is_anonymous) values (true) returning id`)); got != "none" {
		t.Errorf("anonymous: %s", got)
	}
	// An import with identities of its own.
	exec(t, super, `update auth.users set email_confirmed_at = null where id = $1`, id)
	exec(t, super, `insert into auth.identities (user_id, provider, provider_id, identity_data) values ($1, 'github', '7', '{"email": "ann@hub.example"}')`, id)
	exec(t, super, `update auth.users set email = 'c@example.com' where id = $1`, id)
	if got := one[string](t, super, `select email from auth.identities where provider = 'github'`); got != "ann@hub.example" {
		t.Errorf("the identity of a provider became %s", got)
	}
}

const gateSees = `select exists (select from auth.sessions s where s.id = $1 and s.revoked_at is null and s.expires_at > now()
	and (s.blocked_until is null or s.blocked_until <= now()))`

func TestBansReachSessions(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	ann, bob := newUser(t, admin, "ann@example.com"), newUser(t, admin, "bob@example.com")
	old, other := newSession(t, super, ann), newSession(t, super, bob)
	want := func(what string, session uuid.UUID, alive bool) {
		t.Helper()
		if got := one[bool](t, super, gateSees, session); got != alive {
			t.Errorf("%s: alive is %v", what, got)
		}
	}
	exec(t, admin, `select auth.ban_user('Ann@example.com', p_reason => 'spam')`)
	want("session of before the ban", old, false)
	want("session during the ban", newSession(t, super, ann), false)
	want("somebody else's", other, true)
	exec(t, admin, `select auth.unban_user($1)`, ann.String())
	want("after the ban", old, true)
	// By any writer: plain SQL, and with ordinary triggers switched off.
	exec(t, super, `update auth.users set banned_until = now() + interval '1 hour' where id = $1`, ann)
	want("banned by UPDATE", old, false)
	exec(t, super, `update auth.users set banned_until = null where id = $1`, ann)
	exec(t, super, `set session_replication_role = replica`)
	exec(t, super, `update auth.users set banned_until = 'infinity' where id = $1`, ann)
	want("banned by a replica session", old, false)
	exec(t, super, `reset session_replication_role`)
	exec(t, super, `update auth.users set banned_until = now() - interval '1 second' where id = $1`, ann)
	want("a ban that has ended", old, true)

	refused(t, admin, "22023", []string{"unban_user"}, `select auth.ban_user('ann@example.com', now() - interval '1 hour')`)
	refused(t, admin, "22023", nil, `select auth.ban_user('ann@example.com', null)`)
	refused(t, admin, "P0002", []string{"nobody@example.com", "auth.admin_users"}, `select auth.ban_user('nobody@example.com')`)
	refused(t, admin, "P0002", nil, `select auth.ban_user(null)`)
	if b, u := audited(t, super, "user.banned"), audited(t, super, "user.unbanned"); b != 1 || u != 1 {
		t.Errorf("audit: %d bans, %d unbans", b, u)
	}
}

// A ban and a login at the same moment: whichever commits last sees the other.
func TestBanDuringLogin(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin, login := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin"), db.Conn(t, "superuser")
	ann := newUser(t, admin, "ann@example.com")

	// The login wrote its session and has not committed; the ban waits for it.
	exec(t, login, `begin`)
	session := newSession(t, login, ann)
	done := make(chan error, 1)
	go func() {
		_, err := admin.Exec(t.Context(), `select auth.ban_user('ann@example.com')`)
		done <- err
	}()
	waitForLock(t, super)
	exec(t, login, `commit`)
	if err := <-done; err != nil {
		t.Fatal(describe(err))
	}
	if one[bool](t, super, gateSees, session) {
		t.Error("a session that was being made escaped the ban")
	}

	// The ban is written and not committed; the login waits and then carries it.
	exec(t, admin, `select auth.unban_user('ann@example.com')`)
	exec(t, admin, `begin; select auth.ban_user('ann@example.com')`)
	made := make(chan error, 1)
	second := uuid.New()
	go func() {
		_, err := login.Exec(t.Context(), `insert into auth.sessions (id, user_id, expires_at) values ($1, $2, now() + interval '1 hour')`, second, ann)
		made <- err
	}()
	waitForLock(t, super)
	exec(t, admin, `commit`)
	if err := <-made; err != nil {
		t.Fatal(describe(err))
	}
	if one[bool](t, super, gateSees, second) {
		t.Error("a session made while the ban was being written escaped it")
	}
}

func TestDeniedTokensMarkTheirSession(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	ann := newUser(t, admin, "ann@example.com")
	byID, byJTI, other := newSession(t, super, ann), newSession(t, super, ann), newSession(t, super, ann)
	jti := uuid.New()
	exec(t, super, `insert into auth.refresh_tokens (session_id, generation, token_hash, jti) values ($1, 1, sha256('x'), $2)`, byJTI, jti)
	exec(t, super, `insert into auth.token_blacklist (jti, session_id, expires_at) values (gen_random_uuid(), $1, now() + interval '1 hour')`, byID)
	exec(t, super, `set session_replication_role = replica`)
	exec(t, super, `insert into auth.token_blacklist (jti, expires_at) values ($1, now() + interval '1 hour')`, jti)
	exec(t, super, `insert into auth.token_blacklist (jti, expires_at) values (gen_random_uuid(), now() + interval '1 hour')`)
	for _, c := range []struct {
		name    string
		session uuid.UUID
		want    bool
	}{{"named by session", byID, true}, {"named by jti", byJTI, true}, {"another one", other, false}} {
		if got := one[bool](t, super, `select has_denied_tokens from auth.sessions where id = $1`, c.session); got != c.want {
			t.Errorf("%s: has_denied_tokens is %v", c.name, got)
		}
	}
	if got := one[uuid.UUID](t, super, `select session_id from auth.token_blacklist where jti = $1`, jti); got != byJTI {
		t.Errorf("the row names session %s, want %s", got, byJTI)
	}
}

func TestSetPassword(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	ann := newUser(t, admin, "ann@example.com")
	first := newSession(t, super, ann)
	exec(t, super, `insert into auth.one_time_tokens (user_id, purpose, token_hash, expires_at) values ($1, 'recovery', sha256('x'), now() + interval '1 hour')`, ann)
	exec(t, admin, `select auth.set_setting('password_bcrypt_cost', '11')`)
	exec(t, admin, `select auth.set_password('ann@example.com', 'another umbrella', p_keep_sessions => true)`)
	if !one[bool](t, super, gateSees, first) {
		t.Error("p_keep_sessions ended a session")
	}
	exec(t, admin, `select auth.set_password($1, 'a third umbrella')`, ann.String())
	if one[bool](t, super, gateSees, first) {
		t.Error("a session outlived the password")
	}
	if got := one[string](t, super, `select revoked_reason from auth.sessions where id = $1`, first); got != "password_changed" {
		t.Errorf("reason %q", got)
	}
	if n := one[int](t, super, `select count(*)::int from auth.one_time_tokens where used_at is null`); n != 0 {
		t.Error("a recovery link outlived the password")
	}
	hash := one[string](t, super, `select encrypted_password from auth.users where id = $1`, ann)
	if cost, err := bcrypt.Cost([]byte(hash)); err != nil || cost != 11 || bcrypt.CompareHashAndPassword([]byte(hash), []byte("a third umbrella")) != nil {
		t.Errorf("hash %s: cost %d, %v", hash, cost, err)
	}
	// She is told, unless nobody has read mail there yet.
	newUser(t, admin, "bob@example.com")
	exec(t, super, `update auth.users set email_confirmed_at = null where email = 'bob@example.com'`)
	exec(t, admin, `select auth.set_password('bob@example.com', 'a fourth umbrella')`)
	if got := one[string](t, admin, `select string_agg(kind || ' ' || recipient || ' ' || status, ', ') from auth.outbox`); got !=
		"password_changed ann@example.com pending, password_changed ann@example.com pending" {
		t.Errorf("mails: %s", got)
	}
	refused(t, admin, "22023", []string{"null"}, `select auth.set_password('ann@example.com', null)`)
	refused(t, admin, "22023", []string{"length", "auth.admin_settings"}, `select auth.set_password('ann@example.com', 'short')`)
	refused(t, admin, "P0002", nil, `select auth.set_password('nobody@example.com', 'a fourth umbrella')`)
	refused(t, db.Conn(t, "fluxbase_owner"), "22023", []string{"72 bytes"}, `select auth.hash_password(repeat('x', 73))`)
}

func TestUpdateUser(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	ann := newUser(t, admin, "ann@example.com")
	newUser(t, admin, "bob@example.com")
	session := newSession(t, super, ann)
	state := func() string {
		t.Helper()
		return one[string](t, super, `select concat_ws(' ', email, role, email_confirmed_at is not null, email_proven_at is not null, raw_user_meta_data, raw_app_meta_data, is_anonymous)
			from auth.users where id = $1`, ann)
	}
	exec(t, admin, `select auth.update_user('ann@example.com', p_user_metadata => '{"name": "Ann", "color": "red"}', p_app_metadata => '{"plan": "pro"}')`)
	exec(t, admin, `select auth.update_user('ann@example.com', p_user_metadata => '{"color": null}', p_email => 'Ann@example.com')`)
	if got := state(); got != `Ann@example.com authenticated t t {"name": "Ann"} {"plan": "pro"} f` {
		t.Errorf("metadata: %s", got)
	}
	if !one[bool](t, super, gateSees, session) || one[int](t, super, `select count(*)::int from auth.mail_outbox`) != 0 {
		t.Error("what tokens do not say ends a session, or is mailed")
	}
	exec(t, super, `insert into auth.one_time_tokens (user_id, purpose, token_hash, expires_at) values ($1, 'recovery', sha256('x'), now() + interval '1 hour')`, ann)
	exec(t, admin, `select auth.update_user($1, 'ann@new.example.com')`, ann.String())
	if got := state(); got != `ann@new.example.com authenticated t t {"name": "Ann"} {"plan": "pro"} f` {
		t.Errorf("address: %s", got)
	}
	if one[bool](t, super, gateSees, session) || one[int](t, super, `select count(*)::int from auth.one_time_tokens where used_at is null`) != 0 {
		t.Error("a session or a link of the old address is left")
	}
	if got := one[string](t, admin, `select kind || ' ' || recipient from auth.outbox`); got != "email_changed Ann@example.com" {
		t.Errorf("mail: %s", got)
	}
	exec(t, admin, `select auth.update_user($1, 'ann@example.com', p_confirmed => false)`, ann.String())
	if got := state(); got != `ann@example.com authenticated f f {"name": "Ann"} {"plan": "pro"} f` {
		t.Errorf("an address that nobody vouches for: %s", got)
	}
	guest := one[uuid.UUID](t, super, `insert into auth.users (is_anonymous) values (true) returning id`)
	exec(t, admin, `select auth.update_user($1, 'guest@example.com')`, guest.String())
	if one[bool](t, super, `select is_anonymous from auth.users where id = $1`, guest) {
		t.Error("somebody with an address is anonymous")
	}
	refused(t, admin, "23505", []string{"exists already"}, `select auth.update_user('ann@example.com', 'BOB@example.com')`)
	refused(t, admin, "22023", []string{"no e-mail address"}, `select auth.update_user('ann@example.com', 'nobody')`)
	refused(t, admin, "22023", []string{"JSON object"}, `select auth.update_user('ann@example.com', p_app_metadata => '[1]')`)
	refused(t, admin, "22023", []string{"request_roles"}, `select auth.update_user('ann@example.com', p_role => 'service_role')`)
	// A role may run requests, of tokens of another issuer for one, and yet be no role of a user.
	odd := "Odd Role " + db.Name
	exec(t, super, `create role "`+odd+`"`)
	t.Cleanup(func() { super.Exec(context.Background(), `drop role "`+odd+`"`) }) //nolint:errcheck // a name that nobody else has
	exec(t, admin, `select auth.set_setting('request_roles', 'anon,' || $1)`, odd)
	for _, role := range []string{odd, "anon"} {
		refused(t, admin, "22023", []string{"is no role of a user", "a-z first"}, `select auth.update_user('ann@example.com', p_role => $1)`, role)
		refused(t, admin, "22023", []string{"is no role of a user", "a-z first"}, `select auth.create_user('odd@example.com', p_role => $1)`, role)
	}
	exec(t, admin, `select auth.set_setting('request_roles', null)`)
	refused(t, admin, "P0002", nil, `select auth.update_user('nobody@example.com')`)
	if n := audited(t, super, "user.updated"); n != 5 {
		t.Errorf("%d audited", n)
	}
}

func TestUnlockUser(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	exec(t, super, `insert into auth.login_attempts (scope, subject, failures) select s, b, 9 from
		(select encode(sha256(convert_to('ann@example.com', 'UTF8')), 'hex') a, encode(sha256(convert_to('bob@example.com', 'UTF8')), 'hex') c) h,
		lateral (values ('account', a), ('pair', a || '@192.0.2.1'), ('pair', a || '@2001:db8::/64'), ('account', c), ('pair', c || '@192.0.2.1'),
		  ('address', '192.0.2.1'), ('code', a), ('code', c), ('mail', 'recovery:' || a), ('mail', 'recovery:' || c)) v (s, b)`)
	if n := one[int](t, admin, `select auth.unlock_user('ANN@example.com')`); n != 5 {
		t.Errorf("%d counters cleared, want 5", n)
	}
	if n := one[int](t, super, `select count(*)::int from auth.login_attempts`); n != 5 {
		t.Errorf("%d counters left, want those of others", n)
	}
	if n := one[int](t, admin, `select auth.unlock_user('ann@example.com')`); n != 0 {
		t.Errorf("%d counters the second time", n)
	}
}

func TestConfirmAndDeleteUser(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	id := one[uuid.UUID](t, admin, `select auth.create_user('ann@example.com', p_confirmed => false)`)
	exec(t, admin, `select auth.confirm_user('ann@example.com')`)
	at := one[time.Time](t, super, `select email_confirmed_at from auth.users where id = $1`, id)
	exec(t, admin, `select auth.confirm_user('ann@example.com')`)
	if again := one[time.Time](t, super, `select email_confirmed_at from auth.users where id = $1`, id); !again.Equal(at) {
		t.Error("a second confirmation moved the first")
	}
	newSession(t, super, id)
	exec(t, admin, `select auth.create_api_key('user', 'cli', 'ann@example.com')`)
	exec(t, admin, `select auth.delete_user('ann@example.com')`)
	for _, table := range []string{"users", "sessions", "identities", "api_keys"} {
		if n := one[int](t, super, `select count(*)::int from auth.`+table); n != 0 {
			t.Errorf("%d rows left in auth.%s", n, table)
		}
	}
	if n := one[int](t, super, `select count(*)::int from audit.log where action = 'user.deleted' and subject_id = $1`, id); n != 1 {
		t.Errorf("%d audit rows for one deletion", n)
	}
	refused(t, admin, "P0002", nil, `select auth.delete_user('ann@example.com')`)
}

func TestAdministrationIsForAdministrators(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	calls := []string{
		`auth.create_user('x@example.com')`, `auth.set_password('x', 'y')`, `auth.ban_user('x')`, `auth.unban_user('x')`, `auth.unlock_user('x')`,
		`auth.confirm_user('x')`, `auth.delete_user('x')`, `auth.sessions_of('x')`, `auth.revoke_session(gen_random_uuid())`, `auth.revoke_user('x')`,
		`auth.create_api_key('anon', 'x')`, `auth.revoke_api_key(gen_random_uuid())`, `auth.set_setting('password_min_length', '8')`,
		`auth.sign_context('x', 'aal1', 'authenticated')`, `auth.login_as('x')`, `auth.password_violations('x', 'y')`, `auth.hash_password('x')`,
		`auth.user_id_of('x')`, `audit.ensure_partitions()`, `audit.drop_expired_partitions()`, `auth.user_rows()`, `auth.session_rows()`,
		`auth.api_key_rows()`, `auth.setting_rows()`, `auth.rotate_context_key()`, `auth.end_sessions(gen_random_uuid(), 'x')`,
		`fluxbase.settings()`, `fluxbase.apply_settings('{}')`, `fluxbase.api_key('')`, `fluxbase.ready()`, `fluxbase.common_passwords()`,
	}
	for _, who := range []string{"fluxbase_api", "fluxbase_service", "anon", "authenticated", "service_role", "fluxbase_auditor", "fluxbase_author"} {
		conn := db.Conn(t, who)
		for _, call := range calls {
			refused(t, conn, "42501", []string{"permission denied"}, `select `+call)
		}
		for _, view := range []string{"admin_users", "admin_sessions", "admin_api_keys", "admin_settings"} {
			refused(t, conn, "42501", []string{"permission denied"}, `select * from auth.`+view)
		}
	}
	server := db.Conn(t, "fluxbase_server")
	for _, call := range calls[:26] {
		refused(t, server, "42501", []string{"permission denied"}, `select `+call)
	}
}
