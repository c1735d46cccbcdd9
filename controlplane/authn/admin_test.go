package authn_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// A service key and a user with system.admin administer; nobody else does, and what they try is in the audit log.
func TestWhoAdministersUsers(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob, carl)
	p.Exec(t, `select auth.grant_role($1, 'system_admin')`, ann)
	key := func(kind, user string) string {
		t.Helper()
		if user != "" {
			return "apikey: " + p.Value(t, `select auth.create_api_key($1, 'test', $2)`, kind, user)
		}
		return "apikey: " + p.Value(t, `select auth.create_api_key($1, 'test')`, kind)
	}
	_, org := p.found(t, bob, "acme") // an owner of an organization is no administrator
	expect(t, p.as(t, bob, "PUT", "/organizations/active", map[string]any{"organization_id": org}), 204, "")
	p.Exec(t, `insert into auth.role_permissions (role, permission) values ('owner', 'system.admin')`)

	service := key("service", "")
	target := "/admin/users/" + p.ids[carl]
	for _, r := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/admin/users", nil},
		{"POST", "/admin/users", map[string]any{"email": "new@example.com", "password": servertest.Password}},
		{"GET", target, nil},
		{"PUT", target, map[string]any{"password": servertest.Password}},
		{"PUT", target, map[string]any{"ban_duration": "1h"}},
		{"GET", target + "/sessions", nil},
		{"DELETE", target + "/sessions", nil},
		{"DELETE", target + "/sessions/" + org, nil},
		{"DELETE", target, nil},
	} {
		path := "/auth/v1" + r.path
		expect(t, p.Do(t, r.method, path, r.body), 401, "no_authorization")
		for name, header := range map[string]string{
			"user": p.tokens[bob].Bearer(), "anon key": key("anon", ""), "key of an administrator": key("user", ann),
		} {
			a := p.Do(t, r.method, path, r.body, header)
			if a.Status != 403 || a.Code() != "not_admin" {
				t.Errorf("%s: %s %s: %d %s", name, r.method, r.path, a.Status, a.Body)
			}
		}
	}
	if n := p.Value(t, `select count(*) from audit.log where action = 'admin.refused' and outcome = 'denied' and user_id = $1`, p.ids[bob]); n != "9" {
		t.Errorf("%s audit rows of what bob tried", n)
	}
	for _, header := range []string{service, p.tokens[ann].Bearer()} {
		expect(t, p.Do(t, "GET", "/auth/v1/admin/users", nil, header), 200, "")
	}
	// At once, with the same token.
	p.Exec(t, `select auth.revoke_role($1, 'system_admin')`, ann)
	expect(t, p.as(t, ann, "GET", "/admin/users", nil), 403, "not_admin")
	p.Exec(t, `select auth.revoke_api_key(id) from auth.admin_api_keys where kind = 'service'`)
	expect(t, p.Do(t, "GET", "/auth/v1/admin/users", nil, service), 401, "invalid_api_key")
}

func TestAdministrationOfUsers(t *testing.T) {
	t.Parallel()
	p := newPeople(t, bob)
	key := "Authorization: Bearer " + p.Value(t, `select auth.create_api_key('service', 'test')`)
	do := func(method, path string, body any) servertest.Answer {
		t.Helper()
		return p.Do(t, method, "/auth/v1/admin/users"+path, body, key)
	}
	a := do("POST", "", map[string]any{"email": "Ann@example.com", "password": servertest.Password, "email_confirm": true,
		"user_metadata": map[string]any{"name": "Ann"}, "app_metadata": map[string]any{"plan": "pro"}, "id": "00000000-0000-4000-8000-00000000000A"})
	expect(t, a, 200, "")
	id := a.Text("id")
	if id != "00000000-0000-4000-8000-00000000000a" || !strings.Contains(string(a.Body), `"plan": "pro"`) || !strings.Contains(string(a.Body), `"identity_id"`) {
		t.Errorf("made: %s", a.Body)
	}
	k := p.Login(t, ann)

	for _, c := range []struct {
		body   map[string]any
		status int
		code   string
	}{
		{map[string]any{}, 400, "validation_failed"},
		{map[string]any{"email": "x"}, 400, "validation_failed"},
		{map[string]any{"email": "ANN@example.com"}, 422, "email_exists"},
		{map[string]any{"email": "x@example.com", "id": id}, 422, "user_already_exists"},
		{map[string]any{"email": "x@example.com", "id": "x"}, 400, "validation_failed"},
		{map[string]any{"email": "x@example.com", "password": "short"}, 422, "weak_password"},
		{map[string]any{"email": "long.name@example.com", "password": "long.name and more"}, 422, "weak_password"},
		{map[string]any{"email": "x@example.com", "role": "service_role"}, 400, "validation_failed"},
		{map[string]any{"email": "x@example.com", "role": "fluxbase_owner"}, 400, "validation_failed"},
		{map[string]any{"email": "x@example.com", "password_hash": "x"}, 400, "validation_failed"},
		{map[string]any{"email": "x@example.com", "password_hash": hashOf(t, "x"), "password": servertest.Password}, 400, "validation_failed"},
		{map[string]any{"email": "x@example.com", "ban_duration": "soon"}, 400, "validation_failed"},
		{map[string]any{"email": "x@example.com", "user_metadata": []int{1}}, 400, "bad_json"},
		{map[string]any{"email": "x@example.com", "is_admin": true}, 400, "bad_json"},
		{map[string]any{"phone": "+4912345", "email": "x@example.com"}, 400, "phone_provider_disabled"},
	} {
		expect(t, do("POST", "", c.body), c.status, c.code)
	}
	expect(t, do("POST", "", map[string]any{"email": "imported@example.com", "password_hash": hashOf(t, "imported"), "email_confirm": true}), 200, "")
	expect(t, login(t, p.Server, "imported@example.com", "imported"), 200, "")
	expect(t, do("POST", "", map[string]any{"email": "open@example.com", "password": servertest.Password}), 200, "")
	expect(t, login(t, p.Server, "open@example.com", servertest.Password), 400, "email_not_confirmed")

	// A ban acts on the next request and is taken back.
	a = do("PUT", "/"+id, map[string]any{"ban_duration": "2h"})
	expect(t, a, 200, "")
	if until, err := time.Parse(time.RFC3339, a.Text("banned_until")); err != nil || time.Until(until) < 119*time.Minute || time.Until(until) > 121*time.Minute {
		t.Errorf("banned until %q", a.Text("banned_until"))
	}
	expect(t, user(t, p.Server, k), 401, "session_not_found")
	expect(t, do("PUT", "/"+id, map[string]any{"user_metadata": map[string]any{"name": nil, "age": 5}}), 200, "")
	expect(t, user(t, p.Server, k), 401, "session_not_found") // what is not named stays
	a = do("PUT", "/"+id, map[string]any{"ban_duration": "none"})
	if strings.Contains(string(a.Body), "banned_until") || !strings.Contains(string(a.Body), `"user_metadata": {"age": 5}`) || !strings.Contains(string(a.Body), `"plan": "pro"`) {
		t.Errorf("after the ban: %s", a.Body)
	}
	expect(t, user(t, p.Server, k), 200, "")

	// A new password, address or role ends the sessions, and links that were mailed.
	p.Exec(t, `select auth.set_setting('request_roles', 'authenticated')`)
	for _, body := range []map[string]any{{"password": "another good password"}, {"email": "ann2@example.com"}, {"password": servertest.Password, "email": ann}} {
		p.Exec(t, `delete from auth.one_time_tokens`)
		p.Exec(t, `insert into auth.one_time_tokens (user_id, purpose, token_hash, expires_at) values ($1, 'recovery', sha256('x'), now() + interval '1 hour')`, id)
		s := p.Value(t, `gen_random_uuid()`)
		p.Exec(t, `insert into auth.sessions (id, user_id, expires_at) values ($1, $2, now() + interval '1 hour')`, s, id)
		expect(t, do("PUT", "/"+id, body), 200, "")
		if got := p.Value(t, `select revoked_reason from auth.sessions where id = $1`, s); got != "admin" {
			t.Errorf("%v: the session stays: %q", body, got)
		}
		if p.Value(t, `select used_at is not null from auth.one_time_tokens`) != "true" {
			t.Errorf("%v: the mailed link stays", body)
		}
	}
	expect(t, do("PUT", "/"+id, map[string]any{"password": "with ann@example.com in it"}), 422, "weak_password")
	expect(t, do("PUT", "/"+id, map[string]any{"email": bob}), 422, "email_exists")
	expect(t, do("PUT", "/"+id, map[string]any{"role": "anon"}), 400, "validation_failed")
	expect(t, do("PUT", "/"+p.Value(t, `select id from auth.users where email = 'open@example.com'`), map[string]any{"email_confirm": true}), 200, "")
	expect(t, login(t, p.Server, "open@example.com", servertest.Password), 200, "")

	// Sessions.
	first, second := p.Login(t, ann), p.Login(t, ann)
	var sessions []struct{ ID string }
	if err := json.Unmarshal(do("GET", "/"+id+"/sessions", nil).Body, &sessions); err != nil || len(sessions) != 2 {
		t.Fatalf("sessions: %v %v", sessions, err)
	}
	expect(t, do("DELETE", "/"+p.ids[bob]+"/sessions/"+sessions[0].ID, nil), 404, "session_not_found")
	expect(t, do("DELETE", "/"+id+"/sessions/"+sessions[0].ID, nil), 204, "")
	expect(t, user(t, p.Server, first), 200, "")
	expect(t, user(t, p.Server, second), 401, "session_not_found")
	expect(t, do("DELETE", "/"+id+"/sessions", nil), 204, "")
	expect(t, user(t, p.Server, first), 401, "session_not_found")
	expect(t, user(t, p.Server, p.tokens[bob]), 200, "")

	// Deleting.
	expect(t, do("DELETE", "/"+id, map[string]any{"should_soft_delete": true}), 400, "validation_failed")
	p.Exec(t, `create table public.bills (user_id uuid references auth.users (id))`)
	p.Exec(t, `insert into public.bills values ($1)`, id)
	expect(t, do("DELETE", "/"+id, nil), 422, "user_in_use")
	p.Exec(t, `drop table public.bills`)
	expect(t, do("DELETE", "/"+id, map[string]any{"should_soft_delete": false}), 200, "")
	for _, r := range [][2]string{{"GET", ""}, {"PUT", ""}, {"DELETE", ""}, {"GET", "/sessions"}, {"DELETE", "/sessions"}, {"DELETE", "/sessions/" + id}} {
		var body any
		if r[0] == "PUT" {
			body = map[string]any{"password": servertest.Password}
		}
		expect(t, do(r[0], "/"+id+r[1], body), 404, "user_not_found")
		expect(t, do(r[0], "/x"+r[1], body), 404, "user_not_found")
	}

	for action, n := range map[string]string{"user.created": "4", "user.banned": "1", "user.unbanned": "1", "user.revoked": "1", "session.revoked": "1",
		"user.deleted": "1", "user.sessions_viewed": "1"} {
		if got := p.Value(t, `select count(*) from audit.log where action = $1`, action); got != n {
			t.Errorf("%s audit rows of %s, want %s", got, action, n)
		}
	}
	if n := p.Value(t, `select count(*) from audit.log l where to_jsonb(l)::text like any (array['%$2a$%', '%'||$1||'%'])`, servertest.Password); n != "0" {
		t.Error("a password or hash is in the audit log")
	}
}

func TestPagesOfUsers(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	s.Exec(t, `insert into auth.users (email, created_at) select format('user%s@example.com', n), now() - n * interval '1 minute' from generate_series(1, 25) n`)
	s.Exec(t, `insert into auth.users (email) values ('100%_sure@example.com')`)
	key := "apikey: " + s.Value(t, `select auth.create_api_key('service', 'test')`)
	for _, c := range []struct {
		query, first string
		n            int
		total, link  string
	}{
		{"", "100%_sure@example.com", 26, "26", `</auth/v1/admin/users?page=1&per_page=50>; rel="last"`},
		{"?page=&per_page=", "100%_sure@example.com", 26, "26", `</auth/v1/admin/users?page=1&per_page=50>; rel="last"`},
		{"?per_page=10", "100%_sure@example.com", 10, "26", `</auth/v1/admin/users?page=2&per_page=10>; rel="next", </auth/v1/admin/users?page=3&per_page=10>; rel="last"`},
		{"?page=2&per_page=10", "user10@example.com", 10, "26", `</auth/v1/admin/users?page=3&per_page=10>; rel="next", </auth/v1/admin/users?page=3&per_page=10>; rel="last"`},
		{"?page=3&per_page=10", "user20@example.com", 6, "26", `</auth/v1/admin/users?page=3&per_page=10>; rel="last"`},
		{"?page=9&per_page=10", "", 0, "26", `</auth/v1/admin/users?page=3&per_page=10>; rel="last"`},
		{"?filter=USER2&per_page=3", "user2@example.com", 3, "7", `</auth/v1/admin/users?page=2&per_page=3&filter=USER2>; rel="next", </auth/v1/admin/users?page=3&per_page=3&filter=USER2>; rel="last"`},
		{"?filter=%25_", "100%_sure@example.com", 1, "1", `</auth/v1/admin/users?page=1&per_page=50&filter=%25_>; rel="last"`},
	} {
		a := s.Do(t, "GET", "/auth/v1/admin/users"+c.query, nil, key)
		expect(t, a, 200, "")
		var page struct {
			Users []struct{ Email string }
			Aud   string
		}
		if err := json.Unmarshal(a.Body, &page); err != nil || page.Users == nil {
			t.Fatalf("%s: %v %s", c.query, err, a.Body)
		}
		first := ""
		if len(page.Users) > 0 {
			first = page.Users[0].Email
		}
		if first != c.first || len(page.Users) != c.n || a.Header.Get("X-Total-Count") != c.total || a.Header.Get("Link") != c.link {
			t.Errorf("%s: %d users from %s on, of %s, %s", c.query, len(page.Users), first, a.Header.Get("X-Total-Count"), a.Header.Get("Link"))
		}
	}
	for _, query := range []string{"page=0", "page=x", "per_page=1001", "per_page=-1", fmt.Sprint("page=", int64(1)<<62)} {
		expect(t, s.Do(t, "GET", "/auth/v1/admin/users?"+query, nil, key), 400, "validation_failed")
	}
}

// An administrator's change is one rule, whichever way it comes: an anonymous user with an address is anonymous no more.
func TestAdministratorsChangeUsersAlike(t *testing.T) {
	t.Parallel()
	m := startMailed(t)
	m.Exec(t, `select auth.set_setting('anonymous_users_enabled', 'true')`)
	key := "apikey: " + m.Value(t, `auth.create_api_key(p_kind => 'service', p_name => 'test')`)
	for how, change := range map[string]func(id, email string){
		"http": func(id, email string) {
			expect(t, m.Do(t, "PUT", "/auth/v1/admin/users/"+id, map[string]any{"email": email, "email_confirm": true}, key), 200, "")
		},
		"psql": func(id, email string) { m.Exec(t, `select auth.update_user($1, $2)`, id, email) },
	} {
		expect(t, m.ask(t, "signup", map[string]any{"data": map[string]any{}}), 200, "")
		id := m.Value(t, `select id from auth.users where email is null`)
		change(id, how+"@example.com")
		if got := m.Value(t, `select concat_ws(' ', email, is_anonymous, email_confirmed_at is not null, email_proven_at is not null,
			(select count(*) from auth.sessions s where s.user_id = u.id and s.revoked_at is null)) from auth.users u where id = $1`, id); got != how+"@example.com f t t 0" {
			t.Errorf("%s: %s", how, got)
		}
	}
}
