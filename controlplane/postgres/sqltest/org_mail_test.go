package sqltest

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// A mail that waits is sent only while its invitation stands, and what was rolled back is never sent.
func TestMailsOfInvitationsEndWithThem(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin, server := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin"), db.Conn(t, "fluxbase_server")
	exec(t, admin, `select auth.set_setting('site_url', 'https://app.example.com'), auth.set_setting('public_url', 'https://api.example.com')`)
	newUser(t, admin, "ann@example.com")
	exec(t, admin, `select auth.create_organization('acme', 'Win http://evil.example now', 'ann@example.com')`)
	invite := func() (id, mail uuid.UUID) {
		t.Helper()
		exec(t, admin, `select auth.invite_member('acme', 'guest@example.com')`)
		id = one[uuid.UUID](t, admin, `select id from auth.admin_invitations where open`)
		return id, one[uuid.UUID](t, admin, `select auth.mail_invitation($1)`, id)
	}
	for name, end := range map[string]string{
		"revoked":  `select auth.revoke_invitation($1)`,
		"expired":  `update auth.organization_invitations set expires_at = now() where id = $1`,
		"accepted": `update auth.organization_invitations set accepted_at = now() where id = $1`,
	} {
		id, mail := invite()
		exec(t, super, end, id)
		if _, says := begun(t, server); !strings.HasPrefix(says, "mail_not_found") {
			t.Errorf("%s: %s", name, says)
		}
		if got := one[string](t, admin, `select status || ': ' || last_error from auth.outbox where id = $1`, mail); !strings.HasPrefix(got, "cancelled: the invitation") {
			t.Errorf("%s: %s", name, got)
		}
		if one[bool](t, super, `select mail_token_hash is not null from auth.organization_invitations where id = $1`, id) {
			t.Errorf("%s: it has got a token", name)
		}
		refused(t, admin, "P0002", []string{"no open invitation"}, `select auth.mail_invitation($1)`, id)
	}

	exec(t, super, `delete from auth.mail_outbox`)
	inTx(t, admin, func() { invite() })
	if n := one[int](t, super, `select count(*)::int from auth.mail_outbox`); n != 0 {
		t.Errorf("%d mails of what was rolled back", n)
	}

	// What is sent is what is previewed, but for the names of the example; what its maker wrote freely is not in it.
	invite()
	got, recipient := begun(t, server)
	var want mail
	if err := admin.QueryRow(t.Context(), `select subject, body, html from auth.preview_mail('organization_invite', 'guest@example.com')`).Scan(&want.Subject, &want.Text, &want.HTML); err != nil {
		t.Fatal(err)
	}
	if got != want || recipient != "guest@example.com" || strings.Contains(got.Subject+got.Text+got.HTML, "evil") ||
		!strings.Contains(got.Text, "https://app.example.com#invitation_token="+previewToken+"\n") {
		t.Errorf("to %s:\n%+v\npreviewed\n%+v", recipient, got, want)
	}
	// Whoever deletes the organization takes the mail's reason away.
	exec(t, admin, `select auth.delete_organization('acme')`)
	if n := one[int](t, super, `select count(*)::int from auth.mail_outbox where invitation_id is not null`); n != 0 {
		t.Errorf("%d mails refer to what is gone", n)
	}
}
