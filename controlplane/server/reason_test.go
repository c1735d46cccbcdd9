package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
	"github.com/wayli-app/fluxbase/controlplane/rest"
	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

const reasonSQL = `
	create table public.letters (id bigint primary key, user_id uuid default auth.current_user_id(), body text);
	create table public.closed (id bigint primary key);
	select auth.protect('public.letters', 'owner');
	insert into public.letters select 1, id, 'a' from auth.users where email = 'ann@example.com'`

func reasonBed(t *testing.T, variables func(pgtest.DB) []string) (*servertest.Server, servertest.Tokens) {
	t.Helper()
	db := pgtest.Database(t)
	s := servertest.On(t, db, variables(*db)...)
	s.CreateUser(t, "ann@example.com")
	s.CreateUser(t, "bob@example.com")
	s.Exec(t, reasonSQL)
	s.Exec(t, `select fluxbase.reload()`)
	return s, s.Login(t, "bob@example.com")
}

func direct(db pgtest.DB) []string {
	return []string{"FLUXBASE_DATABASE_DIRECT_URL=" + db.URL("installer")}
}

func TestReasonsInDevelopment(t *testing.T) {
	t.Parallel()
	s, bob := reasonBed(t, direct)
	const ann = "00000000-0000-4000-8000-000000000001"
	for _, c := range []struct {
		method, path string
		body         any
		headers      []string
		status       int
		reason       string
	}{
		{"PATCH", "/rest/v1/letters?id=eq.1", map[string]any{"body": "b"}, nil, 204, "denied: read: no permissive policy is true, the row is left out (permissive protect_owner fail)"},
		{"PATCH", "/rest/v1/letters?id=eq.1", map[string]any{"body": "b"}, []string{"Prefer: return=representation"}, 200, "denied: read"},
		{"DELETE", "/rest/v1/letters?id=eq.1", nil, nil, 204, "protect_owner fail"},
		{"DELETE", "/rest/v1/letters?id=eq.9", nil, nil, 204, "no row matches the filters, whoever asks"},
		{"POST", "/rest/v1/letters", map[string]any{"id": 2, "user_id": ann}, nil, 403, "(permissive protect_owner fail)"},
		{"POST", "/rest/v1/letters", []map[string]any{{"id": 3, "user_id": nil}}, nil, 403, "protect_owner null"},
		{"POST", "/rest/v1/letters", map[string]any{"id": 4}, nil, 201, ""},
		{"GET", "/rest/v1/closed", nil, nil, 403, "grant select"},
		{"GET", "/rest/v1/letters", nil, nil, 200, ""},
	} {
		a := s.Do(t, c.method, c.path, c.body, append(c.headers, bob.Bearer())...)
		got := a.Header.Get(rest.ReasonHeader)
		if a.Status != c.status || !strings.Contains(got, c.reason) || (c.reason == "") != (got == "") {
			t.Errorf("%s %s: %d %q, want %d %q\n%s", c.method, c.path, a.Status, got, c.status, c.reason, a.Body)
		}
		if a.Status == http.StatusForbidden && a.Text("hint") != got {
			t.Errorf("%s %s: hint %q, reason %q", c.method, c.path, a.Text("hint"), got)
		}
	}
	if a := s.Do(t, "GET", "/rest/v1/letters", nil); a.Status != 401 || !strings.Contains(a.Header.Get(rest.ReasonHeader), "grant select") {
		t.Errorf("without a token: %d %v", a.Status, a.Header)
	}
	if n := s.Value(t, `select count(*) from public.letters where body = 'b'`); n != "0" {
		t.Errorf("%s rows were changed", n)
	}
}

// The reason is that of the session, in the organization which is active there now.
func TestReasonsKnowTheActiveOrganization(t *testing.T) {
	t.Parallel()
	s, bob := reasonBed(t, direct)
	s.Exec(t, `
		create table public.plans (id bigint primary key, org_id uuid, body text);
		select auth.protect('public.plans', 'tenant', p_active_org => true);
		select auth.create_organization(slug, slug, 'bob@example.com') from unnest(array['north', 'south']) slug;
		insert into public.plans select row_number() over (order by slug), id from auth.organizations`)
	s.Exec(t, `select fluxbase.reload()`)
	for _, c := range []struct {
		org        any
		id, reason string
	}{
		{nil, "1", "denied: read: no permissive policy is true"},
		{"north", "1", ""},
		{"north", "2", "denied: read: no permissive policy is true"},
		{"south", "2", ""},
	} {
		s.Exec(t, `update auth.sessions set org_id = (select id from auth.organizations where slug = $1)`, c.org)
		a := s.Do(t, "PATCH", "/rest/v1/plans?id=eq."+c.id, map[string]any{"body": "b"}, "Prefer: return=representation", bob.Bearer())
		got := a.Header.Get(rest.ReasonHeader)
		if a.Status != 200 || !strings.HasPrefix(got, c.reason) || (c.reason == "") != (got == "") {
			t.Errorf("active in %v: %d %q, want %q\n%s", c.org, a.Status, got, c.reason, a.Body)
		}
	}
	south := s.Value(t, `select id from auth.organizations where slug = 'south'`)
	s.Exec(t, `update auth.sessions set org_id = (select id from auth.organizations where slug = 'north')`)
	if a := s.Do(t, "PATCH", "/rest/v1/plans?id=eq.1", map[string]any{"org_id": south}, bob.Bearer()); !strings.HasPrefix(a.Header.Get(rest.ReasonHeader), "denied: changed row") {
		t.Errorf("to another organization: %d %v", a.Status, a.Header)
	}
	// One membership is no choice: who has not chosen it is told so.
	s.Exec(t, `delete from auth.organizations where slug = 'south'; update auth.sessions set org_id = null`)
	if a := s.Do(t, "DELETE", "/rest/v1/plans?id=eq.1", nil, bob.Bearer()); !strings.HasPrefix(a.Header.Get(rest.ReasonHeader), "denied: read") {
		t.Errorf("active in none: %d %v", a.Status, a.Header)
	}
}

// The answer of production, and of a server that knows no login that could explain, carries no reason.
func TestNoReasonsInProduction(t *testing.T) {
	t.Parallel()
	for name, variables := range map[string]func(pgtest.DB) []string{
		"production": func(db pgtest.DB) []string {
			return append(direct(db), "FLUXBASE_MODE=production", "FLUXBASE_SERVER_TLS_TERMINATED_BY_PROXY=true", "FLUXBASE_SERVER_TRUSTED_PROXIES=10.0.0.1", "FLUXBASE_RATE_LIMITING_ENABLED=false")
		},
		"no direct_url": func(pgtest.DB) []string { return nil },
	} {
		s, bob := reasonBed(t, variables)
		before := s.Value(t, `select count(*) from audit.log`)
		for _, r := range [][2]string{{"PATCH", "/rest/v1/letters?id=eq.1"}, {"POST", "/rest/v1/letters"}} {
			a := s.Do(t, r[0], r[1], map[string]any{"user_id": nil, "id": 9}, bob.Bearer())
			if a.Header.Get(rest.ReasonHeader) != "" || a.Text("hint") != "" {
				t.Errorf("%s: %s %s: %v %s", name, r[0], r[1], a.Header, a.Body)
			}
			if a.Status == http.StatusForbidden && a.Code() != "42501" {
				t.Errorf("%s: code %q", name, a.Code())
			}
		}
		if after := s.Value(t, `select count(*) from audit.log`); after != before {
			t.Errorf("%s: something was asked: %s rows, %s before", name, after, before)
		}
	}
}
