package authn_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

const carl = "carl@example.com"

// people is a server with users who are logged in, by the first part of their address.
type people struct {
	*servertest.Server
	ids    map[string]string
	tokens map[string]servertest.Tokens
}

func newPeople(t testing.TB, emails ...string) *people {
	t.Helper()
	p := &people{servertest.Start(t, sealKey), map[string]string{}, map[string]servertest.Tokens{}}
	for _, email := range emails {
		p.ids[email] = p.CreateUser(t, email)
		p.tokens[email] = p.Login(t, email)
	}
	return p
}

// as sends a request of a user below the auth routes.
func (p *people) as(t testing.TB, email, method, path string, body any) servertest.Answer {
	t.Helper()
	return p.Do(t, method, "/api/v1/auth"+path, body, p.tokens[email].Bearer())
}

// found makes an organization of the user and returns its path and id.
func (p *people) found(t testing.TB, email, slug string) (path, id string) {
	t.Helper()
	a := p.as(t, email, "POST", "/organizations", map[string]string{"slug": slug, "name": "The " + slug})
	expect(t, a, 201, "")
	id = a.Text("id")
	return "/organizations/" + id, id
}

// join makes a user a member through an invitation.
func (p *people) join(t testing.TB, inviter, path, email, role string) {
	t.Helper()
	a := p.as(t, inviter, "POST", path+"/invitations", map[string]string{"email": email, "role": role})
	expect(t, a, 201, "")
	expect(t, p.as(t, email, "POST", "/organizations/invitations/accept", map[string]string{"token": a.Text("token")}), 200, "")
}

// sees is what a data request of the user gets from the table of secrets: the texts, or the error code.
func (p *people) sees(t testing.TB, email string) string {
	t.Helper()
	a := p.Do(t, "GET", "/rest/v1/secrets?select=body&order=body", nil, p.tokens[email].Bearer())
	if a.Status != 200 {
		return fmt.Sprint(a.Status, " ", a.Code())
	}
	var rows []struct{ Body string }
	if err := json.Unmarshal(a.Body, &rows); err != nil {
		t.Fatal(err)
	}
	texts := make([]string, len(rows))
	for i, r := range rows {
		texts[i] = r.Body
	}
	return strings.Join(texts, ",")
}

// secrets makes a table of the organization with one row, seen by whoever has it active.
func (p *people) secrets(t testing.TB, org, using string) {
	t.Helper()
	p.Exec(t, `create table public.secrets (org_id uuid not null, body text not null)`)
	p.Exec(t, `select auth.enable_rls('public.secrets')`)
	p.Exec(t, `grant select on public.secrets to authenticated`)
	p.Exec(t, `create policy secrets_read on public.secrets for select to authenticated using (`+using+`)`)
	p.Exec(t, `insert into public.secrets values ($1, 'plan')`, org)
	p.Exec(t, `select fluxbase.reload()`)
	for end := time.Now().Add(10 * time.Second); strings.HasPrefix(p.sees(t, ann), "404"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the server does not notice the table")
		}
	}
}

// claims are those of an access token.
func claims(t testing.TB, token string) (members map[string]any) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err == nil {
		err = json.Unmarshal(payload, &members)
	}
	if err != nil {
		t.Fatal(err)
	}
	return members
}

func TestOrganizationsAreManagedByRole(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob, carl)
	path, id := p.found(t, ann, "acme")

	// Whoever is not in it gets the answer of one that does not exist.
	ghost := "/organizations/00000000-0000-4000-8000-0000000000ff"
	for _, r := range []struct {
		method, path string
		body         any
	}{
		{"GET", "", nil},
		{"PATCH", "", map[string]string{"name": "Mine"}},
		{"DELETE", "", nil},
		{"POST", "/leave", nil},
		{"POST", "/transfer", map[string]string{"user_id": p.ids[bob]}},
		{"GET", "/members", nil},
		{"PATCH", "/members/" + p.ids[ann], map[string]string{"role": "member"}},
		{"DELETE", "/members/" + p.ids[ann], nil},
		{"DELETE", "/members/" + p.ids[bob], nil},
		{"GET", "/invitations", nil},
		{"POST", "/invitations", map[string]string{"email": bob, "role": "owner"}},
		{"DELETE", "/invitations/" + id, nil},
	} {
		hidden := p.as(t, bob, r.method, path+r.path, r.body)
		expect(t, hidden, 404, "organization_not_found")
		if missing := p.as(t, bob, r.method, ghost+r.path, r.body); string(missing.Body) != string(hidden.Body) {
			t.Errorf("%s %s tells an organization that is hidden from one that is not there: %s", r.method, r.path, hidden.Body)
		}
		expect(t, p.as(t, ann, r.method, "/organizations/ACME"+r.path, r.body), 404, "organization_not_found")
		expect(t, p.Do(t, r.method, "/auth/v1"+path+r.path, r.body), 401, "no_authorization")
	}
	if a := p.as(t, bob, "GET", "/organizations", nil); string(a.Body) != "[]" {
		t.Errorf("bob's organizations: %s", a.Body)
	}

	p.join(t, ann, path, bob, "admin")
	p.join(t, bob, path, carl, "member")

	// A member sees the members and manages nothing.
	var members []struct{ Email, Role string }
	if err := json.Unmarshal(p.as(t, carl, "GET", path+"/members", nil).Body, &members); err != nil || fmt.Sprint(members) !=
		"[{ann@example.com owner} {bob@example.com admin} {carl@example.com member}]" {
		t.Errorf("members: %v %v", members, err)
	}
	expect(t, p.as(t, carl, "PATCH", path, map[string]string{"name": "Mine"}), 403, "insufficient_permissions")
	expect(t, p.as(t, carl, "GET", path+"/invitations", nil), 403, "insufficient_permissions")
	expect(t, p.as(t, carl, "POST", path+"/invitations", map[string]string{"email": "x@example.com"}), 403, "insufficient_permissions")
	expect(t, p.as(t, carl, "DELETE", path+"/members/"+p.ids[bob], nil), 403, "insufficient_permissions")
	expect(t, p.as(t, carl, "PATCH", path+"/members/"+p.ids[carl], map[string]string{"role": "admin"}), 403, "insufficient_permissions")

	// An admin manages, and makes nobody more than himself.
	expect(t, p.as(t, bob, "PATCH", path, map[string]string{"name": "Acme Inc."}), 200, "")
	expect(t, p.as(t, bob, "DELETE", path, nil), 403, "insufficient_permissions")
	expect(t, p.as(t, bob, "POST", path+"/transfer", map[string]string{"user_id": p.ids[bob]}), 403, "insufficient_permissions")
	expect(t, p.as(t, bob, "PATCH", path+"/members/"+p.ids[bob], map[string]string{"role": "owner"}), 403, "insufficient_permissions")
	expect(t, p.as(t, bob, "PATCH", path+"/members/"+p.ids[carl], map[string]string{"role": "owner"}), 403, "insufficient_permissions")
	expect(t, p.as(t, bob, "PATCH", path+"/members/"+p.ids[ann], map[string]string{"role": "member"}), 403, "insufficient_permissions")
	expect(t, p.as(t, bob, "DELETE", path+"/members/"+p.ids[ann], nil), 403, "insufficient_permissions")
	expect(t, p.as(t, bob, "POST", path+"/invitations", map[string]string{"email": "x@example.com", "role": "owner"}), 403, "insufficient_permissions")
	p.Exec(t, `select auth.create_role('auditor'), auth.create_permission('books.read'), auth.grant_permission('auditor', 'books.read')`)
	expect(t, p.as(t, bob, "PATCH", path+"/members/"+p.ids[carl], map[string]string{"role": "auditor"}), 403, "insufficient_permissions")
	expect(t, p.as(t, ann, "PATCH", path+"/members/"+p.ids[carl], map[string]string{"role": "auditor"}), 200, "")
	expect(t, p.as(t, ann, "PATCH", path+"/members/"+p.ids[carl], map[string]string{"role": "system_admin"}), 422, "role_not_found")
	expect(t, p.as(t, ann, "PATCH", path+"/members/"+p.ids[carl], map[string]string{"role": ""}), 422, "role_not_found")
	expect(t, p.as(t, carl, "GET", path+"/members", nil), 403, "insufficient_permissions") // the role has no such permission

	// The last owner stays.
	expect(t, p.as(t, ann, "POST", path+"/leave", nil), 422, "last_owner")
	expect(t, p.as(t, ann, "DELETE", path+"/members/"+p.ids[ann], nil), 422, "last_owner")
	expect(t, p.as(t, ann, "PATCH", path+"/members/"+p.ids[ann], map[string]string{"role": "member"}), 422, "last_owner")
	a := p.as(t, ann, "POST", path+"/transfer", map[string]string{"user_id": p.ids[bob]})
	expect(t, a, 200, "")
	if a.Text("role") != "admin" {
		t.Errorf("after handing over: %s", a.Body)
	}
	expect(t, p.as(t, ann, "POST", path+"/transfer", map[string]string{"user_id": p.ids[ann]}), 403, "insufficient_permissions")
	expect(t, p.as(t, bob, "POST", path+"/transfer", map[string]string{"user_id": p.ids[bob]}), 400, "validation_failed")
	expect(t, p.as(t, bob, "POST", path+"/transfer", map[string]string{"user_id": ghost[len("/organizations/"):]}), 404, "member_not_found")
	expect(t, p.as(t, ann, "POST", path+"/leave", nil), 204, "")
	expect(t, p.as(t, ann, "GET", path, nil), 404, "organization_not_found")
	expect(t, p.as(t, bob, "DELETE", path+"/members/"+p.ids[ann], nil), 404, "member_not_found")

	// Slugs.
	expect(t, p.as(t, carl, "POST", "/organizations", map[string]string{"slug": "acme", "name": "x"}), 422, "organization_exists")
	for _, slug := range []string{"", "Acme", "a b", "-a", strings.Repeat("a", 64)} {
		expect(t, p.as(t, carl, "POST", "/organizations", map[string]string{"slug": slug, "name": "x"}), 400, "validation_failed")
	}
	p.found(t, ann, "other")
	expect(t, p.as(t, bob, "PATCH", path, map[string]string{"slug": "other"}), 422, "organization_exists")

	// An administrator of the system manages what is not his.
	p.Exec(t, `select auth.grant_role($1, 'system_admin')`, ann)
	expect(t, p.as(t, ann, "PATCH", path+"/members/"+p.ids[carl], map[string]string{"role": "owner"}), 200, "")
	p.Exec(t, `select auth.revoke_role($1, 'system_admin')`, ann)
	expect(t, p.as(t, ann, "PATCH", path+"/members/"+p.ids[carl], map[string]string{"role": "member"}), 404, "organization_not_found")

	p.Exec(t, `create table public.bills (org_id uuid references auth.organizations (id))`)
	p.Exec(t, `insert into public.bills values ($1)`, id)
	expect(t, p.as(t, bob, "DELETE", path, nil), 422, "organization_in_use")
	p.Exec(t, `drop table public.bills`)
	expect(t, p.as(t, bob, "DELETE", path, nil), 204, "")
	expect(t, p.as(t, bob, "GET", path, nil), 404, "organization_not_found")

	p.Exec(t, `select auth.set_setting('organization_creation_enabled', 'false')`)
	expect(t, p.as(t, bob, "POST", "/organizations", map[string]string{"slug": "late", "name": "x"}), 403, "insufficient_permissions")
	key := p.Value(t, `select auth.create_api_key('user', 'x', $1)`, bob)
	expect(t, p.Do(t, "GET", "/auth/v1/organizations", nil, "apikey: "+key), 401, "no_authorization")

	for action, n := range map[string]string{
		"organization.created": "2", "organization.updated": "1", "organization.transferred": "1", "organization.deleted": "1", "invitation.created": "2",
		"invitation.accepted": "2", "member.role_changed": "2", "member.left": "1", "role.granted": "1", "role.revoked": "1", "role.created": "1", "permission.granted": "1",
	} {
		if got := p.Value(t, `select count(*) from audit.log where action = $1`, action); got != n {
			t.Errorf("%s rows of %s in the audit log, want %s", got, action, n)
		}
	}
}

// The active organization acts at once, is in the token after the next refresh, and ends with the membership: on the
// next request with the same token.
func TestActiveOrganization(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob)
	path, id := p.found(t, ann, "acme")
	other, otherID := p.found(t, bob, "other")
	p.join(t, ann, path, bob, "member")
	p.secrets(t, id, `org_id = (select auth.current_org_id())`)

	active := func(email string, org any) servertest.Answer {
		t.Helper()
		return p.as(t, email, "PUT", "/organizations/active", map[string]any{"organization_id": org})
	}
	if got := p.sees(t, bob); got != "" {
		t.Errorf("without an active organization bob sees %q", got)
	}
	expect(t, active(ann, otherID), 404, "organization_not_found")
	expect(t, active(bob, "acme"), 400, "validation_failed")
	expect(t, active(bob, otherID), 204, "")
	if got := p.sees(t, bob); got != "" {
		t.Errorf("in another organization bob sees %q", got)
	}
	expect(t, active(bob, id), 204, "")
	if got := p.sees(t, bob); got != "plan" {
		t.Errorf("with the same token bob sees %q", got)
	}
	p.tokens[bob] = refresh(t, p.Server, p.tokens[bob].Refresh).Tokens()
	if got := claims(t, p.tokens[bob].Access)["org_id"]; got != id {
		t.Errorf("the refreshed token says org_id %v, want %s", got, id)
	}
	if got := p.sees(t, bob); got != "plan" {
		t.Errorf("with the new token bob sees %q", got)
	}
	expect(t, active(bob, nil), 204, "")
	if got := p.sees(t, bob); got != "" {
		t.Errorf("after leaving the organization for now bob sees %q", got)
	}
	expect(t, active(bob, id), 204, "")

	// Removed: over HTTP, and by a plain DELETE. Coming back makes nothing active.
	for _, remove := range []func(){
		func() { expect(t, p.as(t, ann, "DELETE", path+"/members/"+p.ids[bob], nil), 204, "") },
		func() { p.Exec(t, `delete from auth.memberships where user_id = $1 and org_id = $2`, p.ids[bob], id) },
	} {
		if got := p.sees(t, bob); got != "plan" {
			t.Errorf("bob sees %q", got)
		}
		remove()
		if got := p.sees(t, bob); got != "" {
			t.Errorf("after the removal, with the same token, bob sees %q", got)
		}
		p.Exec(t, `select auth.add_member('acme', $1)`, bob)
		if got := p.sees(t, bob); got != "" {
			t.Errorf("as a new member bob sees %q", got)
		}
		expect(t, active(bob, id), 204, "")
	}
	expect(t, p.as(t, ann, "DELETE", path, nil), 204, "")
	p.tokens[bob] = refresh(t, p.Server, p.tokens[bob].Refresh).Tokens()
	if got, is := claims(t, p.tokens[bob].Access)["org_id"]; is {
		t.Errorf("the token names %v, which is deleted", got)
	}
	expect(t, p.as(t, bob, "GET", other, nil), 200, "")
}

// A changed role, and a changed permission of a role, act on the next request with the same token.
func TestPermissionsAreReadPerRequest(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob)
	path, id := p.found(t, ann, "acme")
	p.join(t, ann, path, bob, "member")
	p.secrets(t, id, `org_id = (select auth.current_org_id()) and (select auth.has_permission('secrets.read'))`)
	expect(t, p.as(t, bob, "PUT", "/organizations/active", map[string]any{"organization_id": id}), 204, "")
	p.Exec(t, `select auth.create_permission('secrets.read'), auth.create_role('reader'), auth.grant_permission('reader', 'secrets.read')`)

	for i, step := range []struct {
		change func()
		want   string
	}{
		{func() {}, ""},
		{func() { p.as(t, ann, "PATCH", path+"/members/"+p.ids[bob], map[string]string{"role": "reader"}) }, "plan"},
		{func() { p.Exec(t, `select auth.revoke_permission('reader', 'secrets.read')`) }, ""},
		{func() { p.Exec(t, `select auth.grant_permission('member', 'secrets.read')`) }, ""},
		{func() { p.Exec(t, `select auth.set_member_role('acme', $1, 'member')`, bob) }, "plan"},
	} {
		step.change()
		if got := p.sees(t, bob); got != step.want {
			t.Errorf("step %d: bob sees %q, want %q", i, got, step.want)
		}
	}
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob, carl)
	path, id := p.found(t, ann, "acme")
	invite := func(by, email, role string) servertest.Answer {
		t.Helper()
		return p.as(t, by, "POST", path+"/invitations", map[string]string{"email": email, "role": role})
	}
	accept := func(email string, body map[string]string) servertest.Answer {
		t.Helper()
		return p.as(t, email, "POST", "/organizations/invitations/accept", body)
	}

	// The token is shown once and is stored nowhere.
	first := invite(ann, "Bob@example.com", "member")
	expect(t, first, 201, "")
	token := first.Text("token")
	if !strings.HasPrefix(token, "fb_invite_") || len(token) != len("fb_invite_")+43 {
		t.Errorf("token %q", token)
	}
	if n := p.Value(t, `select count(*) from auth.organization_invitations i, audit.log l
		where to_jsonb(i)::text || to_jsonb(l)::text like '%' || $1 || '%'`, token[10:]); n != "0" {
		t.Error("the token itself is stored")
	}
	if strings.Contains(p.Log.String(), token) {
		t.Error("the token is in the log")
	}
	if a := p.as(t, ann, "GET", path+"/invitations", nil); a.Status != 200 || strings.Contains(string(a.Body), token) || !strings.Contains(string(a.Body), "Bob@example.com") {
		t.Errorf("list: %s", a.Body)
	}

	// The next invitation for the same address supersedes it.
	second := invite(ann, bob, "admin")
	expect(t, accept(bob, map[string]string{"token": token}), 404, "invitation_not_found")
	// By id only for the address itself, and only while that is confirmed.
	expect(t, accept(carl, map[string]string{"id": second.Text("id")}), 404, "invitation_not_found")
	p.Exec(t, `update auth.users set email_confirmed_at = null where email = $1`, bob)
	if a := p.as(t, bob, "GET", "/organizations/invitations", nil); string(a.Body) != "[]" {
		t.Errorf("unconfirmed: %s", a.Body)
	}
	expect(t, accept(bob, map[string]string{"id": second.Text("id")}), 404, "invitation_not_found")
	p.Exec(t, `update auth.users set email_confirmed_at = now(), email_proven_at = now() where email = $1`, bob)
	if a := p.as(t, bob, "GET", "/organizations/invitations", nil); !strings.Contains(string(a.Body), second.Text("id")) || !strings.Contains(string(a.Body), id) {
		t.Errorf("bob's invitations: %s", a.Body)
	}
	if a := p.as(t, carl, "GET", "/organizations/invitations", nil); string(a.Body) != "[]" {
		t.Errorf("carl's invitations: %s", a.Body)
	}
	a := accept(bob, map[string]string{"id": second.Text("id")})
	expect(t, a, 200, "")
	if a.Text("id") != id || a.Text("role") != "admin" {
		t.Errorf("accepted: %s", a.Body)
	}
	expect(t, accept(bob, map[string]string{"id": second.Text("id")}), 404, "invitation_not_found")
	expect(t, accept(carl, map[string]string{"token": second.Text("token")}), 404, "invitation_not_found")
	expect(t, invite(ann, bob, "member"), 422, "already_member")

	// Revoked and expired.
	revoked := invite(ann, carl, "member")
	expect(t, p.as(t, ann, "DELETE", path+"/invitations/"+revoked.Text("id"), nil), 204, "")
	expect(t, p.as(t, ann, "DELETE", path+"/invitations/"+revoked.Text("id"), nil), 404, "invitation_not_found")
	expect(t, accept(carl, map[string]string{"token": revoked.Text("token")}), 404, "invitation_not_found")
	expired := invite(ann, carl, "member")
	p.Exec(t, `update auth.organization_invitations set expires_at = now() where id = $1`, expired.Text("id"))
	expect(t, accept(carl, map[string]string{"token": expired.Text("token")}), 404, "invitation_not_found")

	// Who is removed or demoted takes the own invitations along, however it happens.
	for _, end := range []string{
		`select auth.set_member_role('acme', 'bob@example.com', 'member')`,
		`select auth.remove_member('acme', 'bob@example.com')`,
		`delete from auth.memberships where user_id = (select id from auth.users where email = 'bob@example.com')`,
	} {
		p.Exec(t, `delete from auth.memberships where user_id = $1`, p.ids[bob])
		p.Exec(t, `select auth.add_member('acme', $1, 'admin')`, bob)
		back := invite(bob, "back@example.com", "admin")
		expect(t, back, 201, "")
		p.Exec(t, end)
		expect(t, accept(bob, map[string]string{"token": back.Text("token")}), 404, "invitation_not_found")
	}

	for _, body := range []map[string]string{{}, {"token": ""}, {"token": "x", "id": id}, {"id": "x"}} {
		expect(t, accept(carl, body), 400, "validation_failed")
	}
	expect(t, invite(ann, "nobody", "member"), 400, "validation_failed")
	expect(t, invite(ann, "", "member"), 400, "validation_failed")
	expect(t, invite(ann, "x@example.com", "nonsense"), 422, "role_not_found")
}

// Of many who accept one invitation at once, one gets in; of owners who leave at once, one stays.
func TestRacesInOrganizations(t *testing.T) {
	t.Parallel()
	const many = 8
	emails := make([]string, many)
	for i := range emails {
		emails[i] = fmt.Sprintf("user%d@example.com", i)
	}
	p := newPeople(t, append(emails, ann)...)
	path, id := p.found(t, ann, "acme")

	together := func(do func(email string) int) map[int]int {
		var mu sync.Mutex
		var all sync.WaitGroup
		start, got := make(chan struct{}), map[int]int{}
		for _, email := range emails {
			all.Go(func() {
				<-start
				status := do(email)
				mu.Lock()
				defer mu.Unlock()
				got[status]++
			})
		}
		close(start)
		all.Wait()
		return got
	}
	for range 5 {
		token := p.as(t, ann, "POST", path+"/invitations", map[string]string{"email": "new@example.com"}).Text("token")
		got := together(func(email string) int {
			a, _ := p.Try("POST", "/auth/v1/organizations/invitations/accept", map[string]string{"token": token}, p.tokens[email].Bearer())
			return a.Status
		})
		if got[200] != 1 || got[404] != many-1 {
			t.Errorf("one invitation, statuses and how often: %v", got)
		}
		p.Exec(t, `delete from auth.memberships where org_id = $1 and user_id <> $2`, id, p.ids[ann])
	}
	for range 5 {
		for _, email := range emails {
			p.Exec(t, `select auth.add_member('acme', $1, 'owner')`, email)
		}
		p.Exec(t, `delete from auth.memberships where org_id = $1 and user_id = $2`, id, p.ids[ann])
		got := together(func(email string) int {
			a, _ := p.Try("POST", "/auth/v1"+path+"/leave", nil, p.tokens[email].Bearer())
			return a.Status
		})
		if owners := p.Value(t, `select count(*) from auth.memberships where org_id = $1 and role = 'owner'`, id); owners != "1" || got[204] != many-1 || got[422] != 1 {
			t.Errorf("%s owners left; statuses and how often: %v", owners, got)
		}
		p.Exec(t, `delete from auth.memberships where org_id = $1`, id)
		p.Exec(t, `select auth.add_member('acme', $1, 'owner')`, ann)
	}
}

// Administrators name organizations by id or slug, and read names in terminals: nobody is called as another, or writes over what stands there.
func TestOrganizationNames(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob)
	path, id := p.found(t, ann, "acme")
	theirs, _ := p.found(t, bob, "other")
	for _, body := range []map[string]string{
		{"slug": id}, {"slug": "00000000-0000-4000-8000-000000000000"},
		{"name": "a\nb"}, {"name": "\x1b[2J"}, {"name": "a\u202eb"}, {"name": " "}, {"name": strings.Repeat("a", 201)},
	} {
		expect(t, p.as(t, bob, "PATCH", theirs, body), 400, "validation_failed")
		whole := map[string]string{"slug": "third", "name": "Third"}
		for k, v := range body {
			whole[k] = v
		}
		expect(t, p.as(t, bob, "POST", "/organizations", whole), 400, "validation_failed")
	}
	p.found(t, bob, id[:35]) // looks like none
	p.Exec(t, `select auth.delete_organization($1)`, id)
	expect(t, p.as(t, ann, "GET", path, nil), 404, "organization_not_found")
	expect(t, p.as(t, bob, "GET", theirs, nil), 200, "")
}

// A member who came by another way has an invitation left: it is no way back for whoever was removed.
func TestRemovedMembersHaveNoInvitationLeft(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob, carl)
	path, _ := p.found(t, ann, "acme")
	invite := func(email string) string {
		t.Helper()
		a := p.as(t, ann, "POST", path+"/invitations", map[string]string{"email": email})
		expect(t, a, 201, "")
		return a.Text("token")
	}
	bobs, carls := invite("BOB@example.com"), invite(carl)
	p.Exec(t, `select auth.add_member('acme', 'bob@example.com')`)
	expect(t, p.as(t, bob, "POST", "/organizations/invitations/accept", map[string]string{"token": bobs}), 422, "already_member")
	expect(t, p.as(t, ann, "DELETE", path+"/members/"+p.ids[bob], nil), 204, "")
	expect(t, p.as(t, bob, "POST", "/organizations/invitations/accept", map[string]string{"token": bobs}), 404, "invitation_not_found")
	expect(t, p.as(t, carl, "POST", "/organizations/invitations/accept", map[string]string{"token": carls}), 200, "")
	expect(t, p.as(t, bob, "POST", "/organizations/invitations/accept", map[string]string{"token": invite(bob)}), 200, "")
}
