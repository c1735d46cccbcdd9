package authn_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// actor is what a token says of who acts.
func actor(t *testing.T, access string) string {
	t.Helper()
	parts := strings.Split(access, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var said struct{ Act struct{ Sub string } }
	if len(parts) != 3 || err != nil || json.Unmarshal(text, &said) != nil {
		t.Fatalf("%q: %v", access, err)
	}
	return said.Act.Sub
}

// eventually waits until the server sees what was just made.
func eventually(t *testing.T, seen func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !seen(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come")
		}
	}
}

// An administrator acts as a user: the token says who, the database wants both in each request, the session reads only
// unless asked, has no refresh token and ends.
func TestImpersonation(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob, carl)
	p.Exec(t, `select auth.grant_role($1, 'system_admin')`, ann)
	p.Exec(t, `create table public.notes (id bigint primary key, user_id uuid not null default auth.current_user_id())`)
	p.Exec(t, `select auth.enable_rls('public.notes')`)
	p.Exec(t, `grant select, insert on public.notes to authenticated`)
	p.Exec(t, `create policy notes_own on public.notes to authenticated using (user_id = (select auth.current_user_id()))`)
	p.Exec(t, `insert into public.notes values (1, $1)`, p.ids[bob])
	p.Exec(t, `create function public.note() returns void language sql as $$ insert into public.notes values (7) $$`)
	p.Exec(t, `notify fluxbase_reload`)
	act := func(body map[string]any) servertest.Answer {
		return p.Do(t, "POST", "/auth/v1/admin/users/"+p.ids[bob]+"/impersonate", body, p.tokens[ann].Bearer())
	}
	before := p.Value(t, `select last_sign_in_at from auth.users where id = $1`, p.ids[bob])
	a := act(map[string]any{"reason": "ticket 17"})
	expect(t, a, 200, "")
	if a.Text("refresh_token") != "" || actor(t, a.Text("access_token")) != p.ids[ann] || !strings.Contains(string(a.Body), `"read_only":true`) || !strings.Contains(string(a.Body), `"expires_in":9`) && !strings.Contains(string(a.Body), `"expires_in":8`) {
		t.Errorf("answer: %s", a.Body)
	}
	if after := p.Value(t, `select last_sign_in_at from auth.users where id = $1`, p.ids[bob]); after != before {
		t.Error("it counts as a sign-in of the user's")
	}
	reader := "Authorization: Bearer " + a.Text("access_token")
	session := a.Text("session_id")
	eventually(t, func() bool { return p.Do(t, "GET", "/rest/v1/notes?select=id", nil, reader).Status == 200 })
	if a := p.Do(t, "GET", "/rest/v1/notes?select=id", nil, reader); string(a.Body) != `[{"id":1}]` {
		t.Errorf("what bob sees: %d %s", a.Status, a.Body)
	}
	expect(t, p.Do(t, "GET", "/auth/v1/user", nil, reader), 200, "")
	for _, r := range []struct {
		method, path string
		body         any
	}{
		{"POST", "/rest/v1/notes", map[string]any{"id": 2}}, {"POST", "/rest/v1/rpc/note", nil},
	} {
		if a := p.Do(t, r.method, r.path, r.body, reader); a.Status < 400 {
			t.Errorf("%s %s: %d", r.method, r.path, a.Status)
		}
	}
	a = act(map[string]any{"reason": "ticket 18", "read_only": false, "duration_seconds": 120})
	expect(t, a, 200, "")
	writer := "Authorization: Bearer " + a.Text("access_token")
	expect(t, p.Do(t, "POST", "/rest/v1/notes", map[string]any{"id": 3}, writer), 201, "")
	if got := p.Value(t, `select user_id from public.notes where id = 3`); got != p.ids[bob] {
		t.Errorf("written for %s", got)
	}
	// Whoever acts as a user never changes how the user signs in, also when asked to write.
	for _, r := range []struct {
		method, path string
		body         any
	}{
		{"PUT", "/auth/v1/user", map[string]any{"password": "another correct horse battery"}}, {"PUT", "/auth/v1/user", map[string]any{"data": map[string]any{"x": 1}}},
		{"POST", "/auth/v1/api-keys", map[string]any{"name": "k"}}, {"POST", "/auth/v1/logout", nil}, {"DELETE", "/auth/v1/sessions/" + session, nil},
		{"GET", "/auth/v1/admin/users", nil}, {"POST", "/auth/v1/organizations", map[string]any{"slug": "bobs", "name": "Bob's"}},
	} {
		for _, bearer := range []string{reader, writer} {
			if a := p.Do(t, r.method, r.path, r.body, bearer); a.Status != 403 {
				t.Errorf("%s %s: %d %s", r.method, r.path, a.Status, a.Body)
			}
		}
	}
	// Both persons are in every row that such a request writes.
	p.Exec(t, `create function public.trace() returns void security definer language sql as $$ select audit.record(p_action => 'traced') $$`)
	p.Exec(t, `alter function public.trace() owner to fluxbase_owner`)
	p.Exec(t, `notify fluxbase_reload`)
	eventually(t, func() bool { return p.Do(t, "POST", "/rest/v1/rpc/trace", nil, writer).Status == 204 })
	if got := p.Value(t, `select user_id || ' ' || actor_id from audit.log where action = 'traced' limit 1`); got != p.ids[bob]+" "+p.ids[ann] {
		t.Errorf("audit: %s", got)
	}
	if got := p.Value(t, `select user_id || ' ' || subject_id || ' ' || (details ->> 'reason') || ' ' || (details ->> 'actor_id') from audit.log where action = 'impersonation.started' order by id limit 1`); got != fmt.Sprintf("%s %s ticket 17 %[1]s", p.ids[ann], p.ids[bob]) {
		t.Errorf("audit: %s", got)
	}
	// Time and the authority of the administrator end it.
	p.Exec(t, `update auth.sessions set expires_at = now() where id = $1`, session)
	expect(t, p.Do(t, "GET", "/auth/v1/user", nil, reader), 401, "session_not_found")
	p.Exec(t, `select auth.revoke_role($1, 'system_admin')`, ann)
	expect(t, p.Do(t, "GET", "/auth/v1/user", nil, writer), 401, "session_not_found")
	p.Exec(t, `select auth.grant_role($1, 'system_admin')`, ann)
	expect(t, p.Do(t, "GET", "/auth/v1/user", nil, writer), 200, "")
	// The session of the row without its actor, and an actor in a session of the user's own, are no requests of either.
	p.Exec(t, `update auth.sessions set actor_id = null where id = $1`, a.Text("session_id"))
	expect(t, p.Do(t, "GET", "/auth/v1/user", nil, writer), 401, "session_not_found")
	p.Exec(t, `update auth.sessions set actor_id = $2 where user_id = $1 and actor_id is null`, p.ids[bob], p.ids[carl])
	expect(t, p.as(t, bob, "GET", "/user", nil), 401, "session_not_found")
}

func TestImpersonationRefuses(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob, carl)
	p.Exec(t, `select auth.grant_role($1, 'system_admin')`, ann)
	path := func(email string) string { return "/auth/v1/admin/users/" + p.ids[email] + "/impersonate" }
	reason := map[string]any{"reason": "test"}
	admin := p.tokens[ann].Bearer()
	service := "apikey: " + p.Value(t, `select auth.create_api_key('service', 'test')`)
	expect(t, p.Do(t, "POST", path(bob), reason), 401, "no_authorization")
	expect(t, p.Do(t, "POST", path(carl), reason, p.tokens[bob].Bearer()), 403, "not_admin")
	expect(t, p.Do(t, "POST", path(bob), reason, service), 403, "not_admin") // a program is nobody
	expect(t, p.Do(t, "POST", path(ann), reason, admin), 403, "user_not_impersonable")
	for _, body := range []map[string]any{{}, {"reason": ""}, {"reason": " "}, {"reason": "x", "duration_seconds": 30}, {"reason": "x", "duration_seconds": 7200}} {
		expect(t, p.Do(t, "POST", path(bob), body, admin), 400, "validation_failed")
	}
	p.Exec(t, `select auth.grant_role($1, 'system_admin')`, carl)
	expect(t, p.Do(t, "POST", path(carl), reason, admin), 403, "user_not_impersonable") // another administrator
	p.Exec(t, `select auth.ban_user($1)`, bob)
	expect(t, p.Do(t, "POST", path(bob), reason, admin), 403, "user_not_impersonable")
	p.Exec(t, `select auth.unban_user($1)`, bob)

	// Made in psql, fetched by the one who acts and nobody else.
	id := p.Value(t, `select auth.impersonate('`+ann+`', '`+bob+`', '10 minutes', 'ticket 19')`)
	token := "/auth/v1/admin/impersonations/" + id + "/token"
	expect(t, p.Do(t, "POST", token, nil, p.tokens[carl].Bearer()), 404, "session_not_found")
	expect(t, p.Do(t, "POST", token, nil, p.tokens[bob].Bearer()), 403, "not_admin")
	a := p.Do(t, "POST", token, nil, admin)
	expect(t, a, 200, "")
	bearer := "Authorization: Bearer " + a.Text("access_token")
	expect(t, p.Do(t, "GET", "/auth/v1/user", nil, bearer), 200, "")
	p.Exec(t, `select auth.revoke_session($1)`, id)
	expect(t, p.Do(t, "GET", "/auth/v1/user", nil, bearer), 401, "session_not_found")
	expect(t, p.Do(t, "POST", token, nil, admin), 404, "session_not_found")
}

// A thief of the administrator's session is out of the users' sessions, too.
func TestWhatEndsTheAdministratorsSessionsEndsImpersonations(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob)
	p.Exec(t, `select auth.grant_role($1, 'system_admin')`, ann)
	own := p.tokens[ann].Bearer()
	for how, end := range map[string]func(){
		"all others": func() { expect(t, p.Do(t, "POST", "/auth/v1/logout?scope=others", nil, own), 204, "") },
		"psql":       func() { p.Exec(t, `select auth.revoke_user($1)`, ann) },
		"this one by its id": func() {
			p.Exec(t, `select auth.revoke_session(id) from auth.sessions where actor_id is not null and revoked_at is null`)
		},
	} {
		own = p.Login(t, ann).Bearer()
		a := p.Do(t, "POST", "/auth/v1/admin/users/"+p.ids[bob]+"/impersonate", map[string]any{"reason": "ticket 17"}, own)
		expect(t, a, 200, "")
		bearer := "Authorization: Bearer " + a.Text("access_token")
		expect(t, p.Do(t, "GET", "/auth/v1/user", nil, bearer), 200, "")
		end()
		if got := p.Do(t, "GET", "/auth/v1/user", nil, bearer); got.Status != 401 {
			t.Errorf("%s: %d", how, got.Status)
		}
	}
	expect(t, p.as(t, bob, "GET", "/user", nil), 200, "") // his own lives on
}

func TestAdminFactors(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob)
	service := "apikey: " + p.Value(t, `select auth.create_api_key('service', 'test')`)
	p.Exec(t, `insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, secret)
		values ('00000000-0000-4000-8000-000000000001', $1, 'phone', 'totp', 'verified', 'v1.0123456789abcdef.' || repeat('A', 80))`, p.ids[bob])
	p.Exec(t, `update auth.sessions set aal = 'aal2', mfa_factor_id = '00000000-0000-4000-8000-000000000001' where user_id = $1`, p.ids[bob])
	path := "/auth/v1/admin/users/" + p.ids[bob] + "/factors"
	expect(t, p.Do(t, "GET", path, nil, p.tokens[ann].Bearer()), 403, "not_admin")
	expect(t, p.Do(t, "DELETE", path+"/00000000-0000-4000-8000-000000000001", nil, p.tokens[ann].Bearer()), 403, "not_admin")
	a := p.Do(t, "GET", path, nil, service)
	if a.Status != 200 || !strings.Contains(string(a.Body), `"friendly_name": "phone"`) || strings.Contains(string(a.Body), "v1.") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	expect(t, p.Do(t, "DELETE", "/auth/v1/admin/users/"+p.ids[ann]+"/factors/00000000-0000-4000-8000-000000000001", nil, service), 404, "mfa_factor_not_found")
	if a := p.Do(t, "DELETE", path+"/00000000-0000-4000-8000-000000000001", nil, service); a.Status != 200 || a.Text("id") != "00000000-0000-4000-8000-000000000001" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	expect(t, p.as(t, bob, "GET", "/user", nil), 401, "session_not_found")
	expect(t, p.Do(t, "DELETE", path+"/x", nil, service), 404, "mfa_factor_not_found")
	if n := p.Value(t, `select string_agg(action, ' ' order by id) from audit.log where action in ('user.factors_viewed', 'mfa.factor_removed')`); n != "user.factors_viewed mfa.factor_removed" {
		t.Errorf("audit: %s", n)
	}
}
