package sqltest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestSetSetting(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	admin, super := db.Conn(t, "fluxbase_admin"), db.Conn(t, "superuser")
	for _, c := range []struct{ key, value, want string }{
		{"password_min_length", " 15 ", "15"},
		{"signup_enabled", "no", "false"},
		{"access_token_lifetime", "20 minutes", "20 minutes"},
		{"access_token_lifetime", "1 min", "1 min"},
		{"access_token_lifetime", "24 hours", "24 hours"},
		{"request_roles", " anon,authenticated, anon ", "anon,authenticated"},
	} {
		if got := one[string](t, admin, `select auth.set_setting($1, $2)`, c.key, c.value); got != c.want {
			t.Errorf("%s %q: got %q, want %q", c.key, c.value, got, c.want)
		}
	}
	bypass, member := role(t, super, "bypass", "bypassrls"), role(t, super, "member", "")
	reader, creator := role(t, super, "reader", ""), role(t, super, "creator", "createrole")
	fine := role(t, super, "fine", "")
	exec(t, super, `grant `+bypass+` to `+member+`; grant pg_read_all_data to `+reader)
	for _, c := range []struct{ key, value, text string }{
		{"password_min_length", "7", "between 8 and 72"},
		{"password_min_length", "73", "between 8 and 72"},
		{"password_min_length", "twelve", "no integer"},
		{"password_min_length", "99999999999999999999", "no integer"},
		{"signup_enabled", "maybe", "true or false"},
		{"signup_enabled", "", "true or false"},
		{"access_token_lifetime", "59 seconds", "seconds"},
		{"access_token_lifetime", "25 hours", "seconds"},
		{"access_token_lifetime", "soon", "interval"},
		{"access_token_lifetime", "-15 minutes", "seconds"},
		{"no_such_setting", "1", "does not exist"},
		{"request_roles", "sqltest_nobody", "does not exist"},
		{"request_roles", "service_role", "may not run requests"},
		{"request_roles", "fluxbase_owner", "may not run requests"},
		{"request_roles", "fluxbase_admin", "may not run requests"},
		{"request_roles", bypass, "may not run requests"},
		{"request_roles", member, "it can become " + bypass},
		{"request_roles", reader, "it can become pg_read_all_data"},
		{"request_roles", creator, "may not run requests"},
		{"request_roles", fine + "," + member, member},
		{"request_roles", one[string](t, super, `select rolname::text from pg_roles where rolsuper limit 1`), "may not run requests"},
	} {
		refused(t, admin, "22023", []string{c.text}, `select auth.set_setting($1, $2)`, c.key, c.value)
	}
	if got := one[string](t, admin, `select auth.set_setting('request_roles', $1)`, fine); got != fine {
		t.Errorf("a harmless role: got %q", got)
	}
	var said []string
	listener := listening(t, db, "superuser", &said)
	exec(t, listener, `select auth.set_setting('request_roles', $1)`, fine)
	if len(said) != 1 || !strings.Contains(said[0], "grant "+fine+" to fluxbase_api") {
		t.Errorf("a role that fluxbase_api cannot become: %q", said)
	}
	exec(t, super, `grant `+fine+` to fluxbase_api`)
	exec(t, listener, `select auth.set_setting('request_roles', $1)`, fine)
	exec(t, super, `revoke `+fine+` from fluxbase_api`)
	if len(said) != 1 {
		t.Errorf("a role that fluxbase_api can become: %q", said)
	}
	if got := one[string](t, admin, `select auth.set_setting('password_min_length', null)`); got != "12" {
		t.Errorf("null resets to the default: got %q", got)
	}
	if got := one[string](t, admin, `select source from auth.admin_settings where key = 'password_min_length'`); got != "default" {
		t.Errorf("source after a reset: %q", got)
	}
	refused(t, admin, "22023", []string{"auth.admin_settings"}, `select auth.setting('no_such_setting')`)
}

func TestSettingChangesAreAuditedAndAnnounced(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	admin, super, server := db.Conn(t, "fluxbase_admin"), db.Conn(t, "superuser"), db.Conn(t, "fluxbase_server")
	exec(t, server, `listen fluxbase_settings`)
	exec(t, admin, `select auth.set_setting('password_min_length', '14')`)
	exec(t, admin, `select auth.set_setting('password_min_length', '14')`)
	ctx := t.Context()
	note, err := server.WaitForNotification(ctx)
	if err != nil || note.Payload != "password_min_length" {
		t.Errorf("notification %+v, %v", note, err)
	}
	got := one[json.RawMessage](t, super, `select jsonb_agg(details order by id) from audit.log where action = 'setting.changed'`)
	const want = `[{"key": "password_min_length", "new": "14", "old": "12", "source": "psql"}]`
	if string(got) != want {
		t.Errorf("audit rows %s, want %s", got, want)
	}
}

func TestSettingsOfTheServer(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	admin, super, server := db.Conn(t, "fluxbase_admin"), db.Conn(t, "superuser"), db.Conn(t, "fluxbase_server")
	apply := func(settings string) string {
		t.Helper()
		return string(one[json.RawMessage](t, server, `select fluxbase.apply_settings($1)`, settings))
	}
	effective := func() map[string]any {
		t.Helper()
		var m map[string]any
		if err := json.Unmarshal(one[json.RawMessage](t, server, `select fluxbase.settings()`), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := effective(); m["password_min_length"] != 12.0 || m["access_token_lifetime"] != 900.0 || m["signup_enabled"] != true ||
		len(m["request_roles"].([]any)) != 0 || m["session_lifetime"] != float64(90*24*time.Hour/time.Second) {
		t.Errorf("defaults: %v", m)
	}
	exec(t, admin, `select auth.set_setting('signup_enabled', 'false')`)
	before := audited(t, super, "setting.changed")
	if got := apply(`{"password_min_length": 14, "access_token_lifetime": "10 minutes", "request_roles": ["anon", "authenticated"], "session_lifetime": "90 days"}`); got !=
		`{"status": "ok", "changed": ["access_token_lifetime", "password_min_length", "request_roles"]}` {
		t.Errorf("apply: %s", got)
	}
	if n := audited(t, super, "setting.changed") - before; n != 3 {
		t.Errorf("%d audit rows for three changes", n)
	}
	if got := apply(`{"password_min_length": 14, "access_token_lifetime": "10 minutes", "request_roles": ["anon", "authenticated"], "session_lifetime": "90 days"}`); got != `{"status": "ok", "changed": []}` {
		t.Errorf("the same again: %s", got)
	}
	if m := effective(); m["password_min_length"] != 14.0 || m["access_token_lifetime"] != 600.0 || m["signup_enabled"] != false || len(m["request_roles"].([]any)) != 2 {
		t.Errorf("applied: %v", m)
	}
	// One bad value: the answer names it and nothing changes.
	var answer map[string]any
	if err := json.Unmarshal([]byte(apply(`{"access_token_lifetime": "5 minutes", "password_min_length": 3}`)), &answer); err != nil {
		t.Fatal(err)
	}
	if answer["status"] != "validation_failed" || answer["key"] != "password_min_length" {
		t.Errorf("bad value: %v", answer)
	}
	if m := effective(); m["access_token_lifetime"] != 600.0 {
		t.Errorf("a refused configuration changed something: %v", m)
	}
	// No longer named: back to the default, psql's values stay.
	apply(`{}`)
	if m := effective(); m["password_min_length"] != 12.0 || m["access_token_lifetime"] != 900.0 || m["signup_enabled"] != false {
		t.Errorf("after the configuration let go: %v", m)
	}
	if got := apply(`[]`); got == "" || got[:29] != `{"status": "validation_failed` {
		t.Errorf("no object: %s", got)
	}
}

func TestSettingDefinitionsLeaveValues(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	exec(t, db.Conn(t, "fluxbase_admin"), `select auth.set_setting('password_min_length', '20')`)
	super := db.Conn(t, "superuser")
	exec(t, super, `update auth.settings set description = 'old words', default_value = '9' where key = 'password_min_length'`)
	install(t, db)
	if got := one[string](t, super, `select value || ' ' || default_value || ' ' || (description <> 'old words') from auth.settings
		where key = 'password_min_length'`); got != "20 12 true" {
		t.Errorf("after another installation: %s", got)
	}
}
