package authn_test

import (
	"strings"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

func TestKeysOfUsersAndOrganizations(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob, carl)
	path, org := p.found(t, ann, "acme")
	p.join(t, ann, path, bob, "member")
	p.Exec(t, `create table public.documents (id bigint generated always as identity, org_id uuid default auth.current_org_id(), user_id uuid default auth.current_user_id(), body text)`)
	p.Exec(t, `insert into public.documents (org_id, user_id, body) values ($1, $2, 'ours')`, org, p.ids[ann])
	p.Exec(t, `select auth.protect('public.documents', 'owner', p_scope => 'documents')`)
	p.Exec(t, `create policy by_org on public.documents for select to authenticated using (org_id = (select auth.current_org_id()))`)
	p.Exec(t, `select fluxbase.reload()`)
	for end := time.Now().Add(10 * time.Second); p.Do(t, "GET", "/rest/v1/documents", nil, p.tokens[ann].Bearer()).Status == 404; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the server does not notice the table")
		}
	}
	create := func(email string, body map[string]any) (key, id string) {
		t.Helper()
		a := p.as(t, email, "POST", "/api-keys", body)
		expect(t, a, 201, "")
		return a.Text("key"), a.Text("id")
	}
	read := func(key string) servertest.Answer {
		t.Helper()
		return p.Do(t, "GET", "/rest/v1/documents?select=body", nil, "Authorization: Bearer "+key)
	}
	sees := func(key, want string) {
		t.Helper()
		if a := read(key); a.Status != 200 || string(a.Body) != want {
			t.Errorf("with the key: %d %s, want %s", a.Status, a.Body, want)
		}
	}

	// Scopes bind what a key may do, on top of what its user may.
	reader, readerID := create(ann, map[string]any{"name": "reader", "scopes": []string{"documents:read"}})
	writer, _ := create(ann, map[string]any{"name": "writer", "scopes": []string{"documents:read", "documents:write"}})
	bare, _ := create(ann, map[string]any{"name": "bare"})
	sees(reader, `[{"body":"ours"}]`)
	sees(bare, `[]`)
	post := func(key string) int {
		t.Helper()
		return p.Do(t, "POST", "/rest/v1/documents", map[string]string{"body": "new"}, "X-API-Key: "+key).Status
	}
	if r, w := post(reader), post(writer); r != 403 || w != 201 {
		t.Errorf("writing: %d with the scope to read, %d with the scope to write", r, w)
	}
	p.Exec(t, `delete from public.documents where body = 'new'`)

	// Keys of an organization: by whoever manages them, with the rows of the organization.
	shared, sharedID := create(ann, map[string]any{"name": "sync", "organization_id": org, "scopes": []string{"documents:read"}})
	sees(shared, `[{"body":"ours"}]`)
	expect(t, p.as(t, bob, "POST", "/api-keys", map[string]any{"name": "x", "organization_id": org}), 403, "insufficient_permissions")
	expect(t, p.as(t, bob, "GET", "/api-keys?organization_id="+org, nil), 403, "insufficient_permissions")
	if list := p.as(t, ann, "GET", "/api-keys?organization_id="+org, nil); !strings.Contains(string(list.Body), `"created_by": "`+p.ids[ann]+`"`) {
		t.Errorf("who made it is not said: %s", list.Body)
	}
	expect(t, p.as(t, carl, "POST", "/api-keys", map[string]any{"name": "x", "organization_id": org}), 404, "organization_not_found")
	for _, email := range []string{bob, carl} {
		for _, id := range []string{readerID, sharedID, "x"} {
			expect(t, p.as(t, email, "DELETE", "/api-keys/"+id, nil), 404, "api_key_not_found")
			expect(t, p.as(t, email, "POST", "/api-keys/"+id+"/rotate", map[string]any{}), 404, "api_key_not_found")
		}
		if a := p.as(t, email, "GET", "/api-keys", nil); string(a.Body) != "[]" {
			t.Errorf("%s's keys: %s", email, a.Body)
		}
	}
	service := p.Value(t, `select auth.create_api_key('service', 'test')`)
	serviceID := p.Value(t, `select id from auth.api_keys where kind = 'service'`)
	expect(t, p.as(t, ann, "DELETE", "/api-keys/"+serviceID, nil), 404, "api_key_not_found")
	// A key makes no keys.
	for _, key := range []string{reader, service, shared} {
		expect(t, p.Do(t, "POST", "/auth/v1/api-keys", map[string]any{"name": "x"}, "apikey: "+key), 401, "no_authorization")
	}
	if a := p.as(t, ann, "GET", "/api-keys", nil); a.Status != 200 || strings.Contains(string(a.Body), reader) || !strings.Contains(string(a.Body), reader[:12]) ||
		strings.Contains(string(a.Body), "sync") {
		t.Errorf("list: %s", a.Body)
	}
	if n := p.Value(t, `select count(*) from auth.api_keys k, audit.log l where to_jsonb(k)::text || to_jsonb(l)::text like '%' || $1 || '%'`, reader[12:]); n != "0" {
		t.Error("the key itself is stored")
	}

	// Rotating: both work during the overlap, the old one ends after it.
	a := p.as(t, ann, "POST", "/api-keys/"+readerID+"/rotate", map[string]any{"overlap_seconds": 3600})
	expect(t, a, 201, "")
	next, nextID := a.Text("key"), a.Text("id")
	sees(reader, `[{"body":"ours"}]`)
	sees(next, `[{"body":"ours"}]`)
	p.Exec(t, `update auth.api_keys set expires_at = now() where id = $1 and expires_at between now() + interval '59 minutes' and now() + interval '1 hour'`, readerID)
	expect(t, read(reader), 401, "invalid_api_key")
	expect(t, p.as(t, ann, "POST", "/api-keys/"+readerID+"/rotate", map[string]any{}), 404, "api_key_not_found")
	a = p.as(t, ann, "POST", "/api-keys/"+nextID+"/rotate", map[string]any{"overlap_seconds": 0})
	expect(t, a, 201, "")
	expect(t, read(next), 401, "invalid_api_key")
	sees(a.Text("key"), `[{"body":"ours"}]`)

	// Revoking acts on the next request.
	expect(t, p.as(t, ann, "DELETE", "/api-keys/"+a.Text("id"), nil), 204, "")
	expect(t, read(a.Text("key")), 401, "invalid_api_key")
	expect(t, p.as(t, ann, "DELETE", "/api-keys/"+a.Text("id"), nil), 404, "api_key_not_found")
	expect(t, p.as(t, ann, "DELETE", "/api-keys/"+sharedID, nil), 204, "")
	expect(t, read(shared), 401, "invalid_api_key")

	for _, body := range []map[string]any{
		{}, {"name": " "}, {"name": strings.Repeat("x", 201)}, {"name": "a\x1b[2J"}, {"name": "a\nb"}, {"name": "x", "expires_at": "tomorrow"}, {"name": "x", "expires_at": "2020-01-01T00:00:00Z"},
		{"name": "x", "scopes": []any{"No"}}, {"name": "x", "scopes": []any{nil}}, {"name": "x", "scopes": []any{`a","b`}}, {"name": "x", "organization_id": "acme"},
	} {
		expect(t, p.as(t, ann, "POST", "/api-keys", body), 400, "validation_failed")
	}
	expect(t, p.as(t, ann, "POST", "/api-keys/"+nextID+"/rotate", map[string]any{"overlap_seconds": -1}), 400, "validation_failed")
	for action, n := range map[string]string{"api_key.created": "5", "api_key.rotated": "2", "api_key.revoked": "2"} {
		if got := p.Value(t, `select count(*) from audit.log where action = $1`, action); got != n {
			t.Errorf("%s audit rows of %s, want %s", got, action, n)
		}
	}
}

// Whoever has a second factor administers and makes keys only in a session that has shown it.
func TestPowersNeedTheSecondFactor(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann)
	p.Exec(t, `select auth.grant_role($1, 'system_admin')`, ann)
	body := map[string]any{"name": "x"}
	expect(t, p.as(t, ann, "GET", "/admin/users", nil), 200, "")
	a := p.as(t, ann, "POST", "/api-keys", body)
	expect(t, a, 201, "")
	rotate := "/api-keys/" + a.Text("id") + "/rotate"

	other := p.Login(t, ann)
	raised := stepUp(t, p.Server, other, enroll(t, p.Server, other, "phone"))
	weak := p.Login(t, ann)
	for _, c := range []struct {
		tokens servertest.Tokens
		status [3]int
		code   string
	}{
		{weak, [3]int{403, 403, 403}, "insufficient_aal"},
		{raised, [3]int{200, 201, 201}, ""},
	} {
		expect(t, p.Do(t, "GET", "/auth/v1/admin/users", nil, c.tokens.Bearer()), c.status[0], c.code)
		expect(t, p.Do(t, "POST", "/auth/v1/api-keys", body, c.tokens.Bearer()), c.status[1], c.code)
		expect(t, p.Do(t, "POST", "/auth/v1"+rotate, map[string]any{}, c.tokens.Bearer()), c.status[2], c.code)
	}
	expect(t, p.Do(t, "GET", "/auth/v1/api-keys", nil, weak.Bearer()), 200, "") // looking is no power
}
