package authn_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// mailedPeople is a server whose mails arrive, with users who are logged in.
func mailedPeople(t *testing.T, emails ...string) (*people, mailed) {
	t.Helper()
	m := startMailed(t)
	p := &people{m.Server, map[string]string{}, map[string]servertest.Tokens{}}
	for _, email := range emails {
		p.ids[email] = m.CreateUser(t, email)
		p.tokens[email] = m.Login(t, email)
	}
	return p, m
}

// invitation is the token of the mail that comes next, and the address of its link.
func (m mailed) invitation(t *testing.T, to string) (token, page string) {
	t.Helper()
	mail := m.inbox.Next(t, to)
	link := regexp.MustCompile(`https://\S+`).FindString(strings.ReplaceAll(mail.Text, "at "+site+" as", ""))
	u, err := url.Parse(link)
	if err != nil || u.RawQuery != "" || !strings.Contains(mail.HTML, `href="`+link+`"`) {
		t.Fatalf("link %s in\n%s\n%s", link, mail.Text, mail.HTML)
	}
	told, err := url.ParseQuery(u.Fragment)
	if err != nil || len(told.Get("invitation_token")) != 43 {
		t.Fatalf("link %s", link)
	}
	u.Fragment = ""
	return told.Get("invitation_token"), u.String()
}

func TestInvitationsAreMailed(t *testing.T) {
	t.Parallel()
	p, m := mailedPeople(t, ann, bob)
	path, org := p.found(t, ann, "acme")
	invite := func(body map[string]any) servertest.Answer {
		t.Helper()
		return p.as(t, ann, "POST", path+"/invitations", body)
	}

	// Somebody without an account: signs up, confirms, and accepts with what the mail brought.
	made := invite(map[string]any{"email": "Carl@example.com"})
	expect(t, made, 201, "")
	if !strings.Contains(string(made.Body), `"mailed":true`) || made.Text("token") == "" {
		t.Errorf("%s", made.Body)
	}
	token, page := m.invitation(t, carl)
	if page != site {
		t.Errorf("leads to %s", page)
	}
	if mail := m.inbox.All()[0]; !strings.Contains(mail.Text, "acme") || !strings.Contains(mail.Text, "as member") || strings.Contains(mail.Text+mail.HTML+mail.Subject, "The acme") {
		t.Errorf("it says %s\n%s", mail.Subject, mail.Text)
	}
	if got := m.Value(t, `select count(*) from auth.organization_invitations where mail_token_hash = sha256($1)`, []byte(token)); got != "1" {
		t.Error("the token is not stored as its SHA-256")
	}
	if a := p.Do(t, "GET", "/auth/v1/organizations/invitations/accept?token="+token, nil); a.Status < 400 {
		t.Errorf("opening accepts: %d %s", a.Status, a.Body)
	}
	expect(t, p.Do(t, "POST", "/auth/v1/organizations/invitations/accept", map[string]string{"token": token}), 401, "no_authorization")
	expect(t, m.ask(t, "signup", credentials(carl, servertest.Password)), 200, "")
	k := m.next(t, carl)
	confirmed := m.byLink(t, k.kind, k.token)
	expect(t, confirmed, 200, "")
	p.tokens[carl] = confirmed.Tokens()
	expect(t, p.accept(t, carl, "token", token), 200, "")
	for _, used := range []string{token, made.Text("token")} {
		expect(t, p.accept(t, bob, "token", used), 404, "invitation_not_found")
	}
	if got := m.Value(t, `select string_agg(u.email || ' ' || m.role, ', ' order by u.email) from auth.memberships m join auth.users u on u.id = m.user_id where org_id = $1::uuid`, org); got != "ann@example.com owner, carl@example.com member" {
		t.Errorf("members: %s", got)
	}
	if got := m.Value(t, `select details ->> 'by' from audit.log where action = 'invitation.accepted'`); got != "mail" {
		t.Errorf("audit: accepted by %s", got)
	}

	// The other token ends the mailed one, too; the next invitation supersedes, and time ends both.
	made = invite(map[string]any{"email": bob})
	first, _ := m.invitation(t, bob)
	invite(map[string]any{"email": bob, "role": "admin"})
	second, _ := m.invitation(t, bob)
	for _, superseded := range []string{first, made.Text("token")} {
		expect(t, p.accept(t, bob, "token", superseded), 404, "invitation_not_found")
	}
	m.Exec(t, `update auth.organization_invitations set expires_at = now() where accepted_at is null and revoked_at is null`)
	expect(t, p.accept(t, bob, "token", second), 404, "invitation_not_found")
	made = invite(map[string]any{"email": bob})
	third, _ := m.invitation(t, bob)
	expect(t, p.accept(t, bob, "token", made.Text("token")), 200, "")
	expect(t, p.accept(t, bob, "token", third), 404, "invitation_not_found")

	// No mail for what is refused, nor for who wants none.
	expect(t, invite(map[string]any{"email": "dora@example.com", "role": "nobody"}), 422, "role_not_found")
	expect(t, invite(map[string]any{"email": "no address"}), 400, "validation_failed")
	made = invite(map[string]any{"email": "dora@example.com", "mail": false})
	expect(t, made, 201, "")
	if !strings.Contains(string(made.Body), `"mailed":false`) {
		t.Errorf("%s", made.Body)
	}
	if got := m.Value(t, `select count(*) from auth.mail_outbox where recipient like 'dora%'`); got != "0" {
		t.Errorf("%s mails to dora", got)
	}

	// From psql, to a page of the application's own, twice with the same link.
	m.Exec(t, `select auth.set_setting('organization_invitation_url', 'https://app.example.com/join')`)
	m.Exec(t, `select auth.invite_member('acme', 'emil@example.com', 'admin')`)
	m.Exec(t, `select auth.mail_invitation(id), auth.mail_invitation(id) from auth.admin_invitations where email = 'emil@example.com'`)
	one, page := m.invitation(t, "emil@example.com")
	if again, _ := m.invitation(t, "emil@example.com"); again != one || page != "https://app.example.com/join" {
		t.Errorf("%s, and %s at %s", one, again, page)
	}
	p.ids["emil@example.com"] = m.CreateUser(t, "emil@example.com")
	p.tokens["emil@example.com"] = m.Login(t, "emil@example.com")
	expect(t, p.accept(t, "emil@example.com", "token", one), 200, "")
}

// Without somebody who sends mails nothing waits to be sent one day; the token is what there is.
func TestInvitationsWithoutMail(t *testing.T) {
	t.Parallel()
	p := newPeople(t, ann)
	path, _ := p.found(t, ann, "acme")
	made := p.as(t, ann, "POST", path+"/invitations", map[string]string{"email": carl})
	expect(t, made, 201, "")
	if !strings.Contains(string(made.Body), `"mailed":false`) || made.Text("token") == "" {
		t.Errorf("%s", made.Body)
	}
	if got := p.Value(t, `select count(*) from auth.mail_outbox`); got != "0" {
		t.Errorf("%s mails", got)
	}
}

// Anonymous users come in any number, and each would have mails of its own to send.
func TestAnonymousUsersMailNoInvitations(t *testing.T) {
	t.Parallel()
	p, m := mailedPeople(t)
	m.Exec(t, `select auth.set_setting('anonymous_users_enabled', 'true')`)
	a := m.ask(t, "signup", map[string]any{})
	expect(t, a, 200, "")
	p.tokens["nobody"] = a.Tokens()
	path, _ := p.found(t, "nobody", "acme")
	made := p.as(t, "nobody", "POST", path+"/invitations", map[string]string{"email": carl})
	expect(t, made, 201, "")
	if !strings.Contains(string(made.Body), `"mailed":false`) || made.Text("token") == "" {
		t.Errorf("%s", made.Body)
	}
	if got := m.Value(t, `select count(*) from auth.mail_outbox`); got != "0" {
		t.Errorf("%s mails", got)
	}
}

// Strangers are not mailed in great numbers: not by one user through many organizations, not by many users of one, and no
// address by many of both. What is refused is not made either.
func TestInvitationMailsAreLimited(t *testing.T) {
	t.Parallel()
	p, m := mailedPeople(t, ann, bob)
	var paths []string
	for i := range 4 {
		path, _ := p.found(t, ann, fmt.Sprintf("org-%d", i))
		paths = append(paths, path)
	}
	p.join(t, ann, paths[0], bob, "admin")
	count := func(email string, n int, path func(i int) string) (made, refused int) {
		t.Helper()
		var all sync.WaitGroup
		var mu sync.Mutex
		for i := range n {
			all.Go(func() {
				a, err := p.Try("POST", "/auth/v1"+path(i)+"/invitations", map[string]string{"email": fmt.Sprintf("%d-by-%s", i, email)}, p.tokens[email].Bearer())
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil && a.Status == 201:
					made++
				case err == nil && a.Status == 429 && a.Code() == "over_email_send_rate_limit" && a.Header.Get("Retry-After") != "":
					refused++
				default:
					t.Errorf("%d %s %v", a.Status, a.Body, err)
				}
			})
		}
		all.Wait()
		return made, refused
	}
	rule := func(name, scope string, limit int) {
		m.Exec(t, `select ratelimit.set_rule($1, $2, $3, '15 days', '/mail/organization_invite'), ratelimit.reset(p_rule => $1)`, name, scope, limit)
	}
	open := func() string {
		return m.Value(t, `select concat_ws(' ', (select count(*) from auth.organization_invitations where revoked_at is null and accepted_at is null), (select count(*) from auth.mail_outbox where kind = 'organization_invite'))`)
	}
	m.Exec(t, `delete from auth.organization_invitations; delete from auth.mail_outbox`)
	rule("invitations by a user", "user", 5)
	if made, refused := count(ann, 12, func(i int) string { return paths[i%4] }); made != 5 || refused != 7 || open() != "5 5" {
		t.Errorf("one user: %d invited, %d refused, %s", made, refused, open())
	}
	expect(t, p.as(t, ann, "POST", paths[1]+"/invitations", map[string]any{"email": "by-hand@example.com", "mail": false}), 201, "")
	rule("invitations by a user", "user", 100)
	rule("invitations of an organization", "org", 4)
	a, _ := count(ann, 3, func(int) string { return paths[0] })
	b, refused := count(bob, 3, func(int) string { return paths[0] })
	if a+b != 4 || refused != 2 {
		t.Errorf("one organization: %d and %d invited", a, b)
	}
	rule("invitations of an organization", "org", 100)
	m.Exec(t, `select auth.set_setting('mail_resend_interval', '1 minute')`)
	expect(t, p.as(t, ann, "POST", paths[1]+"/invitations", map[string]string{"email": "dora@example.com"}), 201, "")
	expect(t, p.as(t, bob, "POST", paths[0]+"/invitations", map[string]string{"email": "DORA@example.com"}), 429, "over_email_send_rate_limit")
	if got := m.Value(t, `select string_agg(distinct details ->> 'rule', ', ' order by details ->> 'rule') from audit.log where action = 'ratelimit.refused'`); got != "invitations by a user, invitations of an organization" {
		t.Errorf("audit: %s", got)
	}
}
