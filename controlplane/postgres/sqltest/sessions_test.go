package sqltest

import (
	"testing"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestSessionsSeenAndEnded(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	ann, bob := newUser(t, admin, "ann@example.com"), newUser(t, admin, "bob@example.com")
	first, second, others := newSession(t, super, ann), newSession(t, super, ann), newSession(t, super, bob)
	exec(t, super, `update auth.sessions set ip = '192.0.2.7', user_agent = 'curl' where id = $1`, first)

	if got := one[string](t, admin, `select concat_ws(' ', aal, host(ip), user_agent, alive, revoked_reason) from auth.sessions_of('Ann@example.com') where id = $1`, first); got != "aal1 192.0.2.7 curl t" {
		t.Errorf("session: %s", got)
	}
	if n := one[int](t, admin, `select count(*)::int from auth.sessions_of($1)`, ann.String()); n != 2 {
		t.Errorf("%d sessions of ann", n)
	}
	if n := one[int](t, admin, `select count(*)::int from auth.admin_sessions where alive`); n != 3 {
		t.Errorf("%d sessions in all", n)
	}
	if !one[bool](t, admin, `select auth.revoke_session($1, 'lost phone')`, first) || one[bool](t, admin, `select auth.revoke_session($1)`, first) {
		t.Error("revoke_session is true once")
	}
	if got := one[string](t, admin, `select concat_ws(' ', alive, revoked_reason) from auth.admin_sessions where id = $1`, first); got != "f lost phone" {
		t.Errorf("revoked: %s", got)
	}
	if n := one[int](t, admin, `select auth.revoke_user('ann@example.com')`); n != 1 {
		t.Errorf("revoke_user ended %d, want the one that was left", n)
	}
	if one[bool](t, super, gateSees, second) || !one[bool](t, super, gateSees, others) {
		t.Error("revoke_user ends the user's sessions and nobody else's")
	}
	if s, u := audited(t, super, "session.revoked"), audited(t, super, "user.revoked"); s != 1 || u != 1 {
		t.Errorf("audit: %d sessions, %d users", s, u)
	}
	refused(t, admin, "P0002", []string{"sessions_of"}, `select auth.revoke_session($1)`, uuid.New())
	refused(t, admin, "P0002", nil, `select auth.revoke_session(null)`)
	refused(t, admin, "P0002", nil, `select * from auth.sessions_of('nobody@example.com')`)
}

func TestLogoutNeedsAScope(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	ann := newUser(t, admin, "ann@example.com")
	session := newSession(t, super, ann)
	exec(t, super, `create or replace function auth.verified_context_text() returns text language sql stable
		return jsonb_build_array(1, (select s.user_id from auth.sessions s), (select s.id from auth.sessions s))::text`)
	for _, scope := range []any{nil, "", "Global", "everywhere"} {
		if got := one[string](t, super, `select fluxbase.logout(p_scope => $1, p_token_expires_at => now() + interval '1 minute') ->> 'status'`, scope); got != "validation_failed" {
			t.Errorf("scope %v: %s", scope, got)
		}
	}
	if !one[bool](t, super, `select revoked_at is null from auth.sessions where id = $1`, session) {
		t.Error("a refused logout ended the session")
	}
}

// Whatever makes sessions asks about ban, confirmation and second factors, because there is one place that makes them.
func TestSessionsAreBornInOneFunction(t *testing.T) {
	t.Parallel()
	super := pgtest.Database(t).Conn(t, "superuser")
	got := one[string](t, super, `select string_agg(p.oid::regprocedure::text, ', ') from pg_proc p
		where p.pronamespace in ('auth'::regnamespace, 'audit'::regnamespace, 'ratelimit'::regnamespace, 'fluxbase'::regnamespace)
		  and (p.prosrc ~* 'insert\s+into\s+(auth\.)?sessions\M' or p.prosrc ~* 'merge\s+into\s+(auth\.)?sessions\M' or p.prosrc ~* 'copy\s+(auth\.)?sessions\M')`)
	if got != "auth.issue_session(uuid,text,uuid,bytea,uuid,text,text)" {
		t.Errorf("sessions are made by %s", got)
	}
}
