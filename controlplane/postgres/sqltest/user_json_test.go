package sqltest

import (
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// TestUserJSONDates sees that dates are RFC 3339 in UTC in every session, that absent ones are absent, and that a ban
// for good is a date that clients can read.
func TestUserJSONDates(t *testing.T) {
	t.Parallel()
	super := pgtest.Database(t).Conn(t, "superuser")
	newUser(t, super, "ann@example.com")
	exec(t, super, `set timezone = 'Asia/Kolkata'; set datestyle = 'German'`)
	const user = `select fluxbase.user_json(p_user => u, p_identities => fluxbase.identities_json(p_user_id => u.id))`
	if one[bool](t, super, user+` ? 'banned_until' from auth.users u`) {
		t.Error("a user who is not banned has a banned_until")
	}
	for _, path := range []string{"{created_at}", "{identities,0,created_at}"} {
		text := one[string](t, super, user+` #>> $1::text[] from auth.users u`, path)
		if at, err := time.Parse(time.RFC3339Nano, text); err != nil || at.Location() != time.UTC && text[len(text)-6:] != "+00:00" {
			t.Errorf("%s is %q, %v", path, text, err)
		}
	}
	exec(t, super, `select auth.ban_user('ann@example.com', p_reason => 'test')`)
	if text := one[string](t, super, user+` ->> 'banned_until' from auth.users u`); text != "9999-12-31T23:59:59+00:00" {
		t.Errorf("banned for good until %q", text)
	}
}

// TestReload sees that the servers are told.
func TestReload(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	server, admin := db.Conn(t, "fluxbase_server"), db.Conn(t, "fluxbase_admin")
	exec(t, server, `listen fluxbase_reload`)
	exec(t, admin, `select fluxbase.reload()`)
	if n, err := server.WaitForNotification(t.Context()); err != nil || n.Channel != "fluxbase_reload" {
		t.Errorf("%v, %v", n, err)
	}
	refused(t, db.Conn(t, "authenticated"), "42501", nil, `select fluxbase.reload()`)
}
