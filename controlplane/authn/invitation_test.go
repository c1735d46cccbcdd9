package authn_test

import (
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// invite sends an invitation and returns its answer.
func (p *people) invite(t testing.TB, inviter, path, email, role string) servertest.Answer {
	t.Helper()
	a := p.as(t, inviter, "POST", path+"/invitations", map[string]string{"email": email, "role": role})
	expect(t, a, 201, "")
	return a
}

// accept presents an invitation by its token or its id.
func (p *people) accept(t testing.TB, email, by, value string) servertest.Answer {
	t.Helper()
	return p.as(t, email, "POST", "/organizations/invitations/accept", map[string]string{by: value})
}

// An address that nobody proved opens no invitation: sign-up with automatic confirmation, and the change of the own
// address, only claim it. The token is proof enough, and so is the word of an administrator.
func TestInvitationsTrustProvenAddresses(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob)
	autoconfirm(t, p.Server)
	path, _ := p.found(t, ann, "acme")
	listed := func(email string) bool {
		t.Helper()
		a := p.as(t, email, "GET", "/organizations/invitations", nil)
		expect(t, a, 200, "")
		return string(a.Body) != "[]"
	}
	refused := func(email, id string) {
		t.Helper()
		if listed(email) {
			t.Errorf("%s is shown the invitation", email)
		}
		expect(t, p.accept(t, email, "id", id), 404, "invitation_not_found")
	}

	// Signed up with the invited address.
	invitation := p.invite(t, ann, path, carl, "admin")
	a := p.Do(t, "POST", "/auth/v1/signup", map[string]string{"email": carl, "password": servertest.Password})
	expect(t, a, 200, "")
	p.tokens[carl] = a.Tokens()
	refused(carl, invitation.Text("id"))

	// Changed to the invited address by its holder, who had proven another one.
	moved := p.invite(t, ann, path, "boss@example.com", "admin")
	expect(t, p.as(t, bob, "PUT", "/user", map[string]string{"email": "boss@example.com"}), 200, "")
	refused(bob, moved.Text("id"))
	p.Exec(t, `update auth.users set email = 'Bob@example.com' where email = 'boss@example.com'`)
	p.Exec(t, `update auth.users set email = 'boss@example.com' where email = 'Bob@example.com'`)
	refused(bob, moved.Text("id"))
	expect(t, p.accept(t, bob, "token", moved.Text("token")), 200, "")

	// Confirmed by an administrator, in psql and over HTTP.
	p.Exec(t, `select auth.confirm_user($1)`, carl)
	if !listed(carl) {
		t.Error("carl is not shown his invitation")
	}
	p.Exec(t, `update auth.users set email = 'CARL@example.com' where email = $1`, carl) // the same address
	if !listed(carl) {
		t.Error("another spelling ended the proof")
	}
	key := "apikey: " + p.Value(t, `select auth.create_api_key('service', 'test')`)
	admin := func(method, path string, body any) servertest.Answer {
		t.Helper()
		a := p.Do(t, method, "/auth/v1/admin/users"+path, body, key)
		expect(t, a, 200, "")
		return a
	}
	dave, dora := "dave@example.com", "dora@example.com"
	id := admin("POST", "", map[string]any{"email": dave, "password": servertest.Password}).Text("id")
	p.invite(t, ann, path, dora, "member")
	p.invite(t, ann, path, dave, "member")
	proven := func(want string) {
		t.Helper()
		if got := p.Value(t, `select (email_proven_at is not null)::text from auth.users where id = $1`, id); got != want {
			t.Errorf("proven: %s, want %s", got, want)
		}
	}
	proven("false")
	admin("PUT", "/"+id, map[string]any{"email_confirm": true})
	proven("true")
	admin("PUT", "/"+id, map[string]any{"email": dora})
	proven("false")
	admin("PUT", "/"+id, map[string]any{"email": dave, "email_confirm": true})
	proven("true")
	p.tokens[dave] = p.Login(t, dave)
	if !listed(dave) {
		t.Error("dave is not shown his invitation")
	}
	expect(t, p.accept(t, carl, "id", invitation.Text("id")), 200, "")
}

// An invitation stands on the authority that its maker has when it is accepted.
func TestInvitationsEndWithTheirMaker(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob, carl)
	path, _ := p.found(t, ann, "acme")
	for name, step := range map[string]struct{ end, undo string }{
		"permission taken from the role": {`select auth.revoke_permission('admin', 'org.members.manage')`, `select auth.grant_permission('admin', 'org.members.manage')`},
		"banned":                         {`update auth.users set banned_until = 'infinity' where email = 'bob@example.com'`, `update auth.users set banned_until = null where email = 'bob@example.com'`},
	} {
		p.Exec(t, `delete from auth.memberships where user_id in ($1, $2)`, p.ids[bob], p.ids[carl])
		p.Exec(t, `select auth.add_member('acme', $1, 'admin')`, bob)
		invitation := p.invite(t, bob, path, carl, "member")
		p.Exec(t, step.end)
		if a := p.accept(t, carl, "token", invitation.Text("token")); a.Status != 404 || a.Code() != "invitation_not_found" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		if a := p.as(t, carl, "GET", "/organizations/invitations", nil); string(a.Body) != "[]" {
			t.Errorf("%s: listed %s", name, a.Body)
		}
		p.Exec(t, step.undo)
		expect(t, p.accept(t, carl, "token", invitation.Text("token")), 200, "")
	}

	// Deleted: a member, and an administrator of the system who is none.
	for _, grant := range []string{`select auth.add_member('acme', $1, 'admin')`, `select auth.grant_role($1, 'system_admin')`} {
		const eve = "eve@example.com"
		p.Exec(t, `delete from auth.memberships where user_id = $1`, p.ids[carl])
		p.ids[eve] = p.CreateUser(t, eve)
		p.tokens[eve] = p.Login(t, eve)
		p.Exec(t, grant, eve)
		invitation := p.invite(t, eve, path, carl, "member")
		p.Exec(t, `delete from auth.users where email = $1`, eve)
		expect(t, p.accept(t, carl, "token", invitation.Text("token")), 404, "invitation_not_found")
		if open := p.Value(t, `select open::text from auth.admin_invitations where id = $1`, invitation.Text("id")); open != "false" {
			t.Errorf("the invitation of a deleted user is open: %s", open)
		}
	}

	// One that was made in psql has no maker who could end.
	token := p.Value(t, `select auth.invite_member('acme', $1)`, carl)
	expect(t, p.accept(t, carl, "token", token), 200, "")
}

// A member who presents the token leaves the invitation to whom it was meant for.
func TestMembersDoNotUseUpInvitations(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob, carl)
	path, _ := p.found(t, ann, "acme")
	p.join(t, ann, path, bob, "member")
	invitation := p.invite(t, ann, path, carl, "admin")
	a := p.accept(t, bob, "token", invitation.Text("token"))
	expect(t, a, 422, "already_member")
	if role := p.Value(t, `select role from auth.memberships where user_id = $1`, p.ids[bob]); role != "member" {
		t.Errorf("bob is %s now", role)
	}
	expect(t, p.accept(t, carl, "token", invitation.Text("token")), 200, "")
	expect(t, p.accept(t, carl, "token", invitation.Text("token")), 404, "invitation_not_found")
	if n := p.Value(t, `select count(*) from audit.log where action = 'invitation.accepted'`); n != "2" || strings.Contains(p.Log.String(), invitation.Text("token")) {
		t.Errorf("%s acceptances in the audit log", n)
	}
}

// Policies may trust a role by its name alone, so a role without permissions is no small one: who manages members hands
// out admin and member, and nobody but an owner gives himself another role.
func TestRolesOfTheApplicationAreGivenByOwners(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann, bob, carl)
	path, _ := p.found(t, ann, "acme")
	p.join(t, ann, path, bob, "admin")
	p.join(t, ann, path, carl, "member")
	p.Exec(t, `select auth.create_role('approver')`) // carries nothing
	set := func(by, email, role string) servertest.Answer {
		t.Helper()
		return p.as(t, by, "PATCH", path+"/members/"+p.ids[email], map[string]string{"role": role})
	}
	const no = "insufficient_permissions"
	expect(t, set(bob, bob, "approver"), 403, no)
	expect(t, set(bob, bob, "member"), 403, no)
	expect(t, set(bob, carl, "approver"), 403, no)
	expect(t, p.as(t, bob, "POST", path+"/invitations", map[string]string{"email": "x@example.com", "role": "approver"}), 403, no)
	expect(t, set(bob, carl, "admin"), 200, "")
	expect(t, set(bob, carl, "member"), 200, "")
	expect(t, set(ann, carl, "approver"), 200, "")
	expect(t, set(bob, carl, "member"), 200, "") // to take it away needs no more than before
	p.invite(t, ann, path, "x@example.com", "approver")

	// An owner steps down when another stays.
	expect(t, set(ann, carl, "owner"), 200, "")
	expect(t, set(ann, ann, "approver"), 200, "")
	expect(t, set(ann, ann, "owner"), 403, no)
}
