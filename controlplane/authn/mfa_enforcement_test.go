package authn_test

import (
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

func TestMFAEnforcement(t *testing.T) {
	t.Parallel()
	s := withNotes(t, sealKey)
	s.CreateUser(t, ann)
	before := s.Login(t, ann)
	if notes, secrets := rows(t, s, before, "notes"), rows(t, s, before, "secrets"); notes != `[{"id":1}]` || secrets != `[]` {
		t.Errorf("optional, aal1: %s, %s", notes, secrets)
	}

	s.Exec(t, `select auth.set_setting('mfa_enforcement', 'required')`)
	k := s.Login(t, ann)
	owes := func(k servertest.Tokens) {
		t.Helper()
		if got := rows(t, s, k, "notes"); got != "403 insufficient_aal" {
			t.Errorf("data: %s", got)
		}
		expect(t, s.Do(t, "PUT", "/auth/v1/user", `{"data":{"a":1}}`, k.Bearer()), 403, "insufficient_aal")
		expect(t, s.Do(t, "GET", "/auth/v1/sessions", nil, k.Bearer()), 403, "insufficient_aal")
		expect(t, s.Do(t, "DELETE", "/auth/v1/sessions/"+claimsOf(t, k).Session, nil, k.Bearer()), 403, "insufficient_aal")
		expect(t, user(t, s, k), 200, "")
		expect(t, s.Do(t, "GET", "/auth/v1/factors", nil, k.Bearer()), 200, "")
	}
	owes(k)
	a := refresh(t, s, k.Refresh)
	expect(t, a, 200, "")
	k = a.Tokens()
	owes(k)
	if c := claimsOf(t, k); c.AAL != "aal1" {
		t.Errorf("claims %+v", c)
	}
	expect(t, s.Do(t, "POST", "/auth/v1/logout?scope=local", nil, s.Login(t, ann).Bearer()), 204, "")

	// Whoever has not enrolled may do so, and is in.
	if rows(t, s, before, "notes") != `[{"id":1}]` {
		t.Error("a session from before is asked before its refresh")
	}
	f := enroll(t, s, k, "phone")
	pending := k
	k = stepUp(t, s, k, f)
	if got := rows(t, s, pending, "notes"); got != "401 session_not_found" {
		t.Errorf("a token that was issued without the factor: %s", got)
	}
	expect(t, user(t, s, pending), 401, "session_not_found")
	if notes, secrets := rows(t, s, k, "notes"), rows(t, s, k, "secrets"); notes != `[{"id":1}]` || secrets != `[{"id":1}]` {
		t.Errorf("aal2: %s, %s", notes, secrets)
	}
	expect(t, s.Do(t, "GET", "/auth/v1/sessions", nil, k.Bearer()), 200, "")

	// Whoever has must show it, in each session; no password, no factor and no recovery code gets round that.
	second := s.Login(t, ann)
	owes(second)
	expect(t, s.Do(t, "POST", "/auth/v1/factors", map[string]string{"factor_type": "totp"}, second.Bearer()), 403, "insufficient_aal")
	expect(t, s.Do(t, "DELETE", f.path(""), nil, second.Bearer()), 403, "insufficient_aal")
	expect(t, s.Do(t, "POST", "/auth/v1/factors/recovery-codes", nil, second.Bearer()), 403, "insufficient_aal")
	codes := recoveryCodes(t, s, k)
	a = redeem(t, s, second, codes[0])
	expect(t, a, 200, "")
	if got := rows(t, s, a.Tokens(), "secrets"); got != `[{"id":1}]` {
		t.Errorf("after a recovery code: %s", got)
	}

	// The last factor gone, the session owes one again.
	expect(t, s.Do(t, "DELETE", f.path(""), nil, k.Bearer()), 200, "")
	owes(k)

	// Sign-up is a way in like any other.
	autoconfirm(t, s)
	a = s.Do(t, "POST", "/auth/v1/signup", credentials("new@example.com", servertest.Password))
	expect(t, a, 200, "")
	owes(a.Tokens())
}

// The child of a refresh whose answer got lost owes what is owed when it is asked for again.
func TestMFAEnforcementReachesLostRefreshes(t *testing.T) {
	t.Parallel()
	s := withNotes(t, sealKey)
	s.CreateUser(t, ann)
	parent := s.Login(t, ann)
	child := refresh(t, s, parent.Refresh).Tokens()
	s.Exec(t, `select auth.set_setting('mfa_enforcement', 'required')`)
	again := refresh(t, s, parent.Refresh).Tokens()
	if again.Refresh != child.Refresh {
		t.Fatal("not the same child")
	}
	if got := rows(t, s, again, "notes"); got != "403 insufficient_aal" {
		t.Errorf("required: %s", got)
	}
	s.Exec(t, `select auth.set_setting('mfa_enforcement', 'optional')`)
	if got := rows(t, s, refresh(t, s, parent.Refresh).Tokens(), "notes"); got != `[{"id":1}]` {
		t.Errorf("optional again: %s", got)
	}
}

// A level goes with its factor, whatever a token still says.
func TestMFALevelOfTheTokenFallsWithTheSession(t *testing.T) {
	t.Parallel()
	s := withNotes(t, sealKey)
	s.CreateUser(t, ann)
	k := s.Login(t, ann)
	f := enroll(t, s, k, "phone")
	k = stepUp(t, s, k, f)
	if got := rows(t, s, k, "secrets"); got != `[{"id":1}]` {
		t.Fatalf("aal2: %s", got)
	}
	s.Exec(t, `delete from auth.mfa_factors`)
	if got := rows(t, s, k, "secrets"); got != "403 insufficient_aal" {
		t.Errorf("without the factor: %s", got)
	}
	expect(t, user(t, s, k), 200, "") // auth-js lists factors after unenroll()
	k = refresh(t, s, k.Refresh).Tokens()
	if notes, secrets := rows(t, s, k, "notes"), rows(t, s, k, "secrets"); notes != `[{"id":1}]` || secrets != `[]` {
		t.Errorf("refreshed: %s, %s", notes, secrets)
	}
}

func TestMFAEnforcementByRole(t *testing.T) {
	t.Parallel()
	s := withNotes(t, sealKey)
	s.Exec(t, `insert into auth.organizations (slug, name) values ('acme', 'Acme'), ('other', 'Other')`)
	for email, sql := range map[string]string{
		"plain@example.com":  ``,
		"admin@example.com":  `insert into auth.user_roles (user_id, role) select id, 'system_admin' from auth.users where email = $1`,
		"owner@example.com":  `insert into auth.memberships (org_id, user_id, role) select o.id, u.id, 'owner' from auth.users u, auth.organizations o where u.email = $1 and o.slug = 'other'`,
		"member@example.com": `insert into auth.memberships (org_id, user_id, role) select o.id, u.id, 'member' from auth.users u, auth.organizations o where u.email = $1 and o.slug = 'acme'`,
		"out@example.com":    `insert into auth.memberships (org_id, user_id, role) select o.id, u.id, 'member' from auth.users u, auth.organizations o where u.email = $1 and o.slug = 'other'`,
	} {
		s.CreateUser(t, email)
		if sql != "" {
			s.Exec(t, sql, email)
		}
	}
	s.Exec(t, `select auth.set_setting('mfa_required_roles', 'system_admin, owner, org:acme')`)
	asked := func() string {
		var names []string
		for _, name := range []string{"plain", "admin", "owner", "member", "out"} {
			if rows(t, s, s.Login(t, name+"@example.com"), "notes") != `[{"id":1}]` {
				names = append(names, name)
			}
		}
		return strings.Join(names, " ")
	}
	for _, c := range [][2]string{{"off", ""}, {"optional", ""}, {"required_for_roles", "admin owner member"}, {"required", "plain admin owner member out"}} {
		s.Exec(t, `select auth.set_setting('mfa_enforcement', $1)`, c[0])
		if got := asked(); got != c[1] {
			t.Errorf("%s: asked %q, want %q", c[0], got, c[1])
		}
	}
	// A role granted later acts at the refresh, or at once when an administrator says so.
	s.Exec(t, `select auth.set_setting('mfa_enforcement', 'required_for_roles')`)
	k := s.Login(t, "plain@example.com")
	s.Exec(t, `insert into auth.user_roles (user_id, role) select id, 'system_admin' from auth.users where email = 'plain@example.com'`)
	if got := rows(t, s, k, "notes"); got != `[{"id":1}]` {
		t.Errorf("before the refresh: %s", got)
	}
	k = refresh(t, s, k.Refresh).Tokens()
	if got := rows(t, s, k, "notes"); got != "403 insufficient_aal" {
		t.Errorf("after the refresh: %s", got)
	}
	s.Exec(t, `select auth.set_setting('mfa_enforcement', 'optional'), auth.enforce_mfa()`)
	if got := rows(t, s, k, "notes"); got != `[{"id":1}]` {
		t.Errorf("after enforce_mfa: %s", got)
	}
}

// An administrator names the organization by its slug or id; its own administrators do not end that by another slug.
func TestMFAEnforcementOutlivesSlugs(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob)
	path, id := p.found(t, ann, "acme")
	theirs, _ := p.found(t, bob, "other")
	p.Exec(t, `select auth.set_setting('mfa_required_roles', 'org:acme, org:third')`)
	expect(t, p.as(t, ann, "PATCH", path, map[string]string{"slug": "acme2"}), 403, "insufficient_permissions")
	expect(t, p.as(t, ann, "PATCH", path, map[string]string{"slug": "acme", "name": "Acme"}), 200, "")
	expect(t, p.as(t, bob, "PATCH", theirs, map[string]string{"slug": "others"}), 200, "")
	required := func() string {
		t.Helper()
		return p.Value(t, `select string_agg(u.email, ' ' order by u.email) from auth.users u where fluxbase.mfa_required(p_user_id => u.id)`)
	}
	p.Exec(t, `select auth.set_setting('mfa_enforcement', 'required_for_roles')`)
	if got := required(); got != ann {
		t.Errorf("asked of %q", got)
	}
	p.Exec(t, `select auth.set_setting('mfa_required_roles', 'org:' || $1)`, id)
	expect(t, p.as(t, ann, "PATCH", path, map[string]string{"slug": "acme2"}), 200, "")
	if got := required(); got != ann {
		t.Errorf("by id asked of %q", got)
	}
}
