package sqltest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestHousekeeping(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin, server := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin"), db.Conn(t, "fluxbase_server")
	ann := newUser(t, admin, "ann@example.com")
	alive, dead := newSession(t, super, ann), newSession(t, super, ann)
	exec(t, super, `update auth.sessions set revoked_at = now() - interval '31 days', revoked_reason = 'test' where id = $1`, dead)
	for _, sql := range []string{
		// What stays comes first, what goes second.
		`insert into auth.sessions (user_id, expires_at) values ($1, now() - interval '29 days'), ($1, now() - interval '31 days')`,
		`insert into auth.token_blacklist (jti, user_id, expires_at) values (gen_random_uuid(), $1, now() - interval '1 minute'), (gen_random_uuid(), $1, now() - interval '10 minutes')`,
		`insert into auth.one_time_tokens (user_id, purpose, token_hash, expires_at, used_at) values
		   ($1, 'recovery', sha256('1'), now() + interval '1 hour', null), ($1, 'invite', sha256('2'), now() - interval '2 days', null),
		   ($1, 'recovery', sha256('3'), now() + interval '1 hour', now() - interval '2 days')`,
		`insert into auth.mail_outbox (kind, locale, recipient, status, created_at) select 'recovery', 'en', r, s, c from (values ('a@example.com', 'pending', now() - interval '40 days'),
		   ('a@example.com', 'failed', now() - interval '29 days'), ('a@example.com', 'failed', now() - interval '31 days'), (null, 'cancelled', now() - interval '2 hours'),
		   (null, 'cancelled', now())) v (r, s, c) where $1::uuid is not null`,
		`insert into auth.flow_states (purpose, code_challenge, expires_at) select 'test', repeat('x', 43), e from (values (now() + interval '1 hour'),
		   (now() - interval '23 hours'), (now() - interval '25 hours')) v (e) where $1::uuid is not null`,
		`insert into auth.oauth_flows (provider, redirect_to, state_hash, browser_hash, expires_at) select 'test', 'https://example.com', sha256(e::text::bytea), sha256('b'), e
		   from (values (now() + interval '1 hour'), (now() - interval '23 hours'), (now() - interval '25 hours')) v (e) where $1::uuid is not null`,
		`insert into auth.login_attempts (scope, subject, failures, last_attempt_at, slowed_until) select 'account', s, 1, a, u from (values
		   ('recent', now(), null), ('slowed', now() - interval '2 days', now() + interval '1 hour'), ('stale', now() - interval '2 days', null)) v (s, a, u) where $1::uuid is not null`,
		`insert into auth.organizations (slug, name) select 'acme', 'Acme' where $1::uuid is not null`,
		`insert into auth.organization_invitations (org_id, email, role, token_hash, expires_at, revoked_at) select o.id, e || '@example.com', 'member', sha256(e::bytea), x, r
		   from auth.organizations o, (values ('open', now() + interval '1 day', null), ('late', now() - interval '29 days', null), ('expired', now() - interval '31 days', null),
		   ('revoked', now() + interval '1 day', now() - interval '31 days')) v (e, x, r) where $1::uuid is not null`,
		`insert into auth.mfa_factors (id, user_id, factor_type, secret, status, created_at) select gen_random_uuid(), $1, 'totp', 'v1.0123456789abcdef.' || repeat('A', 80), s, c
		   from (values ('verified', now() - interval '2 days'), ('unverified', now() - interval '2 days'), ('unverified', now())) v (s, c)`,
		`insert into auth.mfa_challenges (factor_id, session_id, expires_at) select f.id, s.id, e
		   from auth.mfa_factors f, (select id from auth.sessions where user_id = $1 and expires_at > now() limit 1) s, (values (now() - interval '25 hours'), (now() - interval '1 hour')) v (e)
		   where f.user_id = $1 and f.status = 'verified'`,
	} {
		exec(t, super, sql, ann)
	}
	exec(t, super, `update auth.sessions set generation = 5 where id = $1`, alive)
	exec(t, super, `insert into auth.refresh_tokens (session_id, generation, token_hash, jti, issued_at)
		select $1, g, sha256(g::text::bytea), gen_random_uuid(), case g when 3 then now() else now() - interval '3 days' end from generate_series(1, 5) g`, alive)

	run := func() map[string]int64 {
		t.Helper()
		got := map[string]int64{}
		for _, line := range lines(t, server, `select task || '|' || rows from auth.housekeeping()`) {
			task, n, _ := strings.Cut(line, "|")
			var rows int64
			if err := json.Unmarshal([]byte(n), &rows); err != nil {
				t.Fatal(err)
			}
			got[task] = rows
		}
		return got
	}
	exec(t, super, `insert into ratelimit.counters (rule_id, subject, window_start, hits, taken) select id, 'x', now() - case name when 'login' then interval '1 hour' else interval '0' end, 1, 1
		from ratelimit.rules where name in ('login', 'signup')`)
	exec(t, super, `insert into ratelimit.volume_counters (rule_id, subject, window_start, hits, taken) values (-1, 'x', now() - interval '1 hour', 1, 1)`)
	// A clock that was a day ahead would have closed the limits for so long; the window that begins next is none of that kind.
	exec(t, super, `insert into ratelimit.counters (rule_id, subject, window_start, hits, taken) select id, name, now() + case name when 'login' then interval '1 day' else interval '1 hour' end, 1, 1
		from ratelimit.rules where name in ('login', 'signup')`)
	exec(t, super, `insert into ratelimit.volume_counters (rule_id, subject, window_start, hits, taken) values (-1, 'y', now() + interval '1 day', 1, 1), (-1, 'z', now() + interval '30 seconds', 1, 1)`)
	exec(t, super, `insert into auth.signing_keys (algorithm, overlap, published_at, signs_from, verifies_until, public_jwk, private_key)
		select 'ES256', '0', now(), now(), now() - e, '{}', 'v1.0123456789abcdef.' || repeat('A', 80) from unnest(array[interval '29 days', '31 days']) e`)
	exec(t, super, `update auth.signing_keys set verifies_until = now() - interval '31 days' where algorithm = 'HS256'`)
	got := run()
	wanted := map[string]int64{
		"mails that are over":                          2,
		"sign-ins with a code challenge that are over": 1, "sign-ins at providers that are over": 1,
		"expired entries of the token blacklist": 1, "used and expired one-time tokens": 2, "stale counters of failed logins": 1,
		"dead sessions": 2, "refresh tokens of old generations": 2, "audit partitions made": 0,
		"old challenges of second factors": 1, "second factors begun and left": 1, "audit partitions dropped": 0,
		"signing keys that are over":              1,
		"tokens of providers that nobody fetched": 0,
		"organization invitations that are over":  2, "counters of rate limits": 2, "volume counters of rate limits": 2,
	}
	for task, want := range wanted {
		if n, ok := got[task]; !ok || n != want {
			t.Errorf("%s: %d, want %d", task, n, want)
		}
	}
	if len(got) != len(wanted) {
		t.Errorf("tasks: %v", got)
	}
	if left := one[string](t, super, `select string_agg(generation::text, ' ' order by generation) from auth.refresh_tokens`); left != "3 4 5" {
		t.Errorf("generations left: %s", left)
	}
	for task, n := range run() {
		if n != 0 {
			t.Errorf("second run: %s: %d", task, n)
		}
	}
	if !one[bool](t, super, gateSees, alive) {
		t.Error("a living session is gone")
	}

	// One at a time, and nobody's lock is waited for.
	exec(t, super, `update auth.sessions set expires_at = now() - interval '40 days'`)
	exec(t, admin, `begin; select * from auth.housekeeping()`)
	if got := run(); len(got) != 1 || got["skipped: another run is active"] != 0 {
		t.Errorf("a second run at the same time: %v", got)
	}
	exec(t, admin, `rollback`)
	exec(t, admin, `set role none; begin`)
	exec(t, admin, `select from auth.sessions where id = $1 for update`, alive)
	if got := run(); got["dead sessions"] != 1 {
		t.Errorf("with one session locked: %v", got)
	}
	exec(t, admin, `rollback`)
	if n := one[int](t, super, `select count(*)::int from auth.sessions where id = $1`, alive); n != 1 {
		t.Error("the locked session waits for the next run")
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, server := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_server")
	problems := func() string {
		t.Helper()
		var answer struct {
			OK       bool
			Problems []string
		}
		if err := json.Unmarshal(one[json.RawMessage](t, server, `select fluxbase.ready()`), &answer); err != nil {
			t.Fatal(err)
		}
		if answer.OK != (len(answer.Problems) == 0) {
			t.Errorf("ok is %v with problems %q", answer.OK, answer.Problems)
		}
		return strings.Join(answer.Problems, "; ")
	}
	if got := problems(); got != "" {
		t.Errorf("after the installation: %s", got)
	}
	// FORCE makes the gate's own look-ups see nothing, without an error.
	for _, table := range []string{"auth.sessions", "auth.token_blacklist", "audit.log", "fluxbase.context_keys"} {
		exec(t, super, `alter table `+table+` force row level security`)
		if got := problems(); !strings.Contains(got, "rows are hidden") || !strings.Contains(got, table) {
			t.Errorf("%s with FORCE: %q", table, got)
		}
		exec(t, super, `alter table `+table+` no force row level security`)
	}
	exec(t, super, `alter table auth.sessions owner to current_user`)
	if got := problems(); !strings.Contains(got, "auth.sessions") {
		t.Errorf("another owner: %q", got)
	}
	exec(t, super, `alter table auth.sessions owner to fluxbase_owner`)
	exec(t, super, `delete from fluxbase.context_keys`)
	if got := problems(); !strings.Contains(got, "self-test") {
		t.Errorf("without a key: %q", got)
	}
}

func TestReadyCountsPartitions(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	exec(t, super, `do $$ declare p regclass; begin
		for p in select m.relation from audit.partition_months() m where m.month > now() order by m.month offset 1 loop execute format('drop table %s', p); end loop; end $$`)
	server := db.Conn(t, "fluxbase_server")
	if got := one[string](t, server, `select fluxbase.ready() ->> 'problems'`); !strings.Contains(got, "fewer than 2") || !strings.Contains(got, "auth.housekeeping()") {
		t.Errorf("problems: %s", got)
	}
	exec(t, server, `select * from auth.housekeeping()`)
	if got := one[string](t, server, `select fluxbase.ready()::text`); got != `{"ok": true, "problems": []}` {
		t.Errorf("after housekeeping: %s", got)
	}
}
