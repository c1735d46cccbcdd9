package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

const tenantTemplate = `
	insert into auth.organizations (slug, name) values ('north', 'N'), ('south', 'S');
	insert into auth.memberships (org_id, user_id, role)
	select o.id, u.id, 'member' from auth.organizations o join auth.users u on u.email = case o.slug when 'north' then 'ann@example.com' else 'bob@example.com' end;
	create schema tenant_template;
	create table tenant_template.docs (id bigint generated always as identity primary key, title text not null);
	create table tenant_template.empty (id bigint primary key);
	alter table tenant_template.docs enable row level security;
	create policy members on tenant_template.docs to authenticated using (true);
	grant usage on schema tenant_template to authenticated, anon;
	grant select, insert, update, delete on tenant_template.docs, tenant_template.empty to authenticated;
	select auth.create_tenant_schema('north'); select auth.create_tenant_schema('south')`

// Each tenant reaches the own schema by its name. For the schema of another every request is answered as for one that does
// not exist, whatever it asks.
func TestTenantSchemasOverHTTP(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, "FLUXBASE_REST_SCHEMAS=public,tenant_*", "FLUXBASE_REST_AGGREGATES=true")
	s.CreateUser(t, "ann@example.com")
	s.CreateUser(t, "bob@example.com")
	s.Exec(t, tenantTemplate)
	ann, bob := s.Login(t, "ann@example.com").Bearer(), s.Login(t, "bob@example.com").Bearer()
	do := func(method, path, schema, bearer string, body any, headers ...string) servertest.Answer {
		t.Helper()
		name := "Accept-Profile: "
		if method != "GET" && method != "HEAD" && method != "OPTIONS" {
			name = "Content-Profile: "
		}
		if bearer != "" {
			headers = append(headers, bearer)
		}
		return s.Do(t, method, "/rest/v1"+path, body, append(headers, name+schema)...)
	}
	for end := time.Now().Add(time.Minute); do("GET", "/docs", "tenant_north", ann, nil).Status != 200; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("a new schema is not reached: %+v", do("GET", "/docs", "tenant_north", ann, nil))
		}
	}
	if a := do("POST", "/docs", "tenant_north", ann, map[string]string{"title": "Plan"}, "Prefer: return=representation"); a.Status != 201 || string(a.Body) != `[{"id":1,"title":"Plan"}]` {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := do("GET", "/docs", "tenant_north", ann, nil); string(a.Body) != `[{"id":1,"title":"Plan"}]` {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if n := s.RoundTrips(func() { do("GET", "/docs", "tenant_north", ann, nil) }); n != 1 {
		t.Errorf("a read takes %d round trips", n)
	}
	if a := do("GET", "/nothing", "tenant_north", ann, nil); a.Code() != "PGRST205" {
		t.Errorf("members are told what is wrong: %d %s", a.Status, a.Body)
	}
	if n := s.RoundTrips(func() { do("GET", "/empty", "tenant_north", ann, nil) }); n != 1 {
		t.Errorf("a read of nothing takes %d round trips", n)
	}
	// What a migration makes besides tables has no row security: views of a superuser, materialized views, functions.
	s.Exec(t, `select auth.in_tenant_schemas($$
		create table seen (id bigint generated always as identity primary key); create view counted as select 1 as n; grant select on counted to authenticated;
		create materialized view kept as select 1 as n; grant select on kept to authenticated, anon;
		create function hello() returns text language sql stable as 'select ''hello''::text';
		create function note() returns bigint language sql volatile security definer set search_path from current as 'insert into seen default values returning id'$$)`)
	for end := time.Now().Add(time.Minute); do("GET", "/rpc/hello", "tenant_north", ann, nil).Status != 200; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("a new function is not reached: %+v", do("GET", "/rpc/hello", "tenant_north", ann, nil))
		}
	}
	for _, path := range []string{"/counted", "/kept"} {
		if a := do("GET", path, "tenant_north", ann, nil); a.Status != 200 {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	// A service key reaches all of them, empty or not.
	service := "apikey: " + s.Value(t, `select auth.create_api_key('service', 'jobs')`)
	s.Exec(t, `grant usage on schema tenant_north to service_role; grant select on tenant_north.docs, tenant_north.empty to service_role`)
	for path, want := range map[string]int{"/docs": 200, "/empty": 200, "/docs?id=eq.99": 200, "/nothing": 404, "/": 200} {
		if a := s.Do(t, "GET", "/rest/v1"+path, nil, service, "Accept-Profile: tenant_north"); a.Status != want {
			t.Errorf("%s with a service key: %d %s", path, a.Status, a.Body)
		}
	}
	row := map[string]any{"title": "x"}
	for _, r := range []struct {
		method, path string
		body         any
		headers      []string
	}{
		{"GET", "/docs", nil, nil}, {"GET", "/docs?select=nothing", nil, nil}, {"GET", "/nothing", nil, nil}, {"GET", "/empty", nil, nil},
		{"GET", "/empty?select=count()", nil, nil}, {"HEAD", "/empty?select=count()", nil, nil}, {"GET", "/empty?select=id.max()", nil, nil}, {"GET", "/docs?select=count()&id=gt.99", nil, nil},
		{"GET", "/docs?id=eq.99", nil, nil}, {"GET", "/docs?id=eq.x", nil, nil}, {"GET", "/docs", nil, []string{"Accept: application/vnd.pgrst.object+json"}},
		{"GET", "/docs", nil, []string{"Prefer: count=exact"}}, {"GET", "/docs", nil, []string{"Range-Unit: items", "Range: 50-60"}},
		{"GET", "/counted", nil, nil}, {"HEAD", "/counted", nil, nil}, {"GET", "/kept", nil, nil}, {"GET", "/rpc/hello", nil, nil}, {"POST", "/rpc/hello", map[string]any{}, nil},
		{"POST", "/rpc/note", map[string]any{}, nil}, {"HEAD", "/rpc/hello", nil, nil},
		{"GET", "/rpc/nothing", nil, nil}, {"POST", "/rpc/nothing", row, nil}, {"GET", "/", nil, nil}, {"OPTIONS", "/docs", nil, nil}, {"OPTIONS", "/nothing", nil, nil},
		{"POST", "/docs", row, nil}, {"POST", "/empty", map[string]any{"id": 1}, nil}, {"POST", "/docs", []any{}, nil}, {"POST", "/docs", map[string]any{"nothing": 1}, nil},
		{"PATCH", "/docs?id=eq.1", row, nil}, {"PATCH", "/empty?id=eq.1", map[string]any{"id": 2}, nil}, {"DELETE", "/docs", nil, nil}, {"DELETE", "/empty", nil, nil},
		{"PUT", "/docs?id=eq.1", map[string]any{"id": 1, "title": "x"}, nil},
	} {
		for _, bearer := range []string{bob, ""} {
			foreign := do(r.method, r.path, "tenant_north", bearer, r.body, r.headers...)
			missing := do(r.method, r.path, "tenant_nirth", bearer, r.body, r.headers...)
			want := strings.ReplaceAll(string(missing.Body), "nirth", "north")
			if foreign.Status != missing.Status || string(foreign.Body) != want {
				t.Errorf("%s %s: %d %s, and of a schema that is not there %d %s", r.method, r.path, foreign.Status, foreign.Body, missing.Status, missing.Body)
			}
			for name := range foreign.Header {
				if missing.Header.Get(name) == "" {
					t.Errorf("%s %s: header %s tells them apart", r.method, r.path, name)
				}
			}
			if strings.Contains(string(missing.Body), "tenant_north") || strings.Contains(string(missing.Body), "tenant_south") {
				t.Errorf("names of tenants: %s", missing.Body)
			}
		}
	}
	if rows := s.Value(t, `select count(*) from tenant_north.docs where title = 'Plan'`); rows != "1" {
		t.Errorf("%s rows", rows)
	}
	if rows := s.Value(t, `select count(*) from tenant_north.seen`); rows != "0" {
		t.Errorf("others ran a function %s times", rows)
	}
	if a := do("GET", "/docs", "tenant_template", ann, nil); a.Status != 406 {
		t.Errorf("the template is reached: %d", a.Status)
	}
	// A member who leaves is out at the next request, with the same token.
	s.Exec(t, fmt.Sprintf(`delete from auth.memberships where user_id = (select id from auth.users where email = '%s')`, "ann@example.com"))
	if a := do("GET", "/docs", "tenant_north", ann, nil); a.Status != 406 {
		t.Errorf("after leaving: %d %s", a.Status, a.Body)
	}
}
