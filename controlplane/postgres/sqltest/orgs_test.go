package sqltest

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestOrganizationsInPsql(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	newUser(t, admin, "ann@example.com")
	bob := newUser(t, admin, "bob@example.com")
	acme := one[uuid.UUID](t, admin, `select auth.create_organization('acme', 'Acme', 'Ann@example.com')`)
	exec(t, admin, `select auth.add_member('acme', 'bob@example.com')`)
	members := func() string {
		t.Helper()
		return one[string](t, admin, `select string_agg(email || ' ' || role, ', ' order by email) from auth.admin_members where slug = 'acme'`)
	}
	if got := members(); got != "ann@example.com owner, bob@example.com member" {
		t.Errorf("members: %s", got)
	}
	for _, c := range []struct{ sqlstate, text, call string }{
		{"23505", "slug", `auth.create_organization('acme', 'x', 'ann@example.com')`},
		{"22023", "63 characters", `auth.create_organization('Acme', 'x', 'ann@example.com')`},
		{"22023", "63 characters", `auth.create_organization(null, 'x', 'ann@example.com')`},
		{"P0002", "nobody@example.com", `auth.create_organization('b', 'x', 'nobody@example.com')`},
		{"P0002", "admin_organizations", `auth.add_member('b', 'bob@example.com')`},
		{"23505", "already", `auth.add_member('` + acme.String() + `', 'bob@example.com')`},
		{"22023", "create_role", `auth.set_member_role('acme', 'bob@example.com', 'system_admin')`},
		{"22023", "create_role", `auth.set_member_role('acme', 'bob@example.com', null)`},
		{"55000", "owner", `auth.set_member_role('acme', 'ann@example.com', 'member')`},
		{"55000", "owner", `auth.remove_member('acme', 'ann@example.com')`},
		{"P0002", "no member", `auth.transfer_ownership('acme', 'bob@example.com', 'ann@example.com')`},
		{"22023", "create_role", `auth.invite_member('acme', 'x@example.com', 'nonsense')`},
		{"22023", "not valid", `auth.invite_member('acme', 'x')`},
		{"22023", "future", `auth.invite_member('acme', 'x@example.com', p_lifetime => '-1 s')`},
		{"23505", "already", `auth.invite_member('acme', 'BOB@example.com')`},
		{"P0002", "admin_invitations", `auth.revoke_invitation(gen_random_uuid())`},
		{"22023", "name", `auth.create_role('No Name')`},
		{"22023", "scope", `auth.create_role('x', 'galaxy')`},
		{"23505", "exists", `auth.create_role('member')`},
		{"55000", "cannot", `auth.drop_role('owner')`},
		{"23503", "held", `auth.drop_role('member')`},
		{"P0002", "role", `auth.drop_role('x')`},
		{"22023", "name", `auth.create_permission('No Name')`},
		{"22023", "name", `auth.create_permission(null)`},
		{"55000", "cannot", `auth.drop_permission('org.update')`},
		{"22023", "system.admin", `auth.grant_permission('admin', 'system.admin')`},
		{"P0002", "permission", `auth.grant_permission('admin', 'x')`},
		{"P0002", "role", `auth.grant_permission('x', 'org.update')`},
		{"22023", "scope system", `auth.grant_role('bob@example.com', 'owner')`},
	} {
		refused(t, admin, c.sqlstate, []string{c.text}, `select `+c.call)
	}
	exec(t, admin, `select auth.transfer_ownership('acme', 'ann@example.com', 'bob@example.com')`)
	if got := members(); got != "ann@example.com admin, bob@example.com owner" {
		t.Errorf("after the transfer: %s", got)
	}
	exec(t, admin, `select auth.remove_member('acme', 'ann@example.com')`)
	exec(t, admin, `select auth.update_organization('acme', p_name => 'Acme Inc.')`)

	token := one[string](t, admin, `select auth.invite_member('acme', 'ann@example.com', 'admin')`)
	if got := one[string](t, admin, `select concat_ws(' ', email, role, open, invited_by is null) from auth.admin_invitations`); got != "ann@example.com admin t t" || len(token) != 53 {
		t.Errorf("invitation: %s, token of %d characters", got, len(token))
	}
	if !one[bool](t, admin, `select auth.revoke_invitation(id) from auth.admin_invitations`) || one[bool](t, admin, `select auth.revoke_invitation(id) from auth.admin_invitations`) {
		t.Error("revoke_invitation is true once")
	}

	// Roles and permissions act on the next statement.
	exec(t, admin, `select auth.create_role('auditor', 'organization', 'reads books'), auth.create_permission('books.read')`)
	exec(t, admin, `select auth.invite_member('acme', 'late@example.com', 'auditor', '1 hour')`)
	refused(t, admin, "23503", []string{"invitations"}, `select auth.drop_role('auditor')`)
	exec(t, admin, `select auth.revoke_invitation(id) from auth.admin_invitations where email = 'late@example.com'`)
	if !one[bool](t, admin, `select auth.grant_permission('auditor', 'books.read')`) || one[bool](t, admin, `select auth.grant_permission('auditor', 'books.read')`) {
		t.Error("grant_permission is true once")
	}
	exec(t, admin, `select auth.add_member('acme', 'ann@example.com', 'auditor')`)
	if got := one[string](t, admin, `select array_to_string(permissions, ',') from auth.admin_roles where name = 'auditor'`); got != "books.read" {
		t.Errorf("permissions: %s", got)
	}
	as(t, admin, "ann@example.com", func() {
		asks := func(want string) {
			t.Helper()
			if got := one[string](t, admin, `select concat_ws(' ', auth.current_org_id() is not null, auth.current_org_role(), auth.has_permission('books.read'),
				auth.has_org_permission($1, 'books.read'), auth.has_org_permission($1, 'org.update'))`, acme); got != want {
				t.Errorf("asked %q, want %q", got, want)
			}
		}
		asks("f f t f")
		exec(t, admin, `select auth.set_active_org($1)`, acme)
		asks("t auditor t t f")
		exec(t, admin, `select auth.set_active_org(null)`)
		asks("f f t f")
		exec(t, admin, `savepoint s`)
		refused(t, admin, "P0002", nil, `select auth.set_active_org(gen_random_uuid())`)
		exec(t, admin, `rollback to s`)
	})
	as(t, admin, "", func() {
		exec(t, admin, `savepoint s`)
		refused(t, admin, "42501", []string{"signed in"}, `select auth.set_active_org($1)`, acme)
		exec(t, admin, `rollback to s`)
	})
	if !one[bool](t, admin, `select auth.revoke_permission('auditor', 'books.read')`) || one[bool](t, admin, `select auth.revoke_permission('auditor', 'books.read')`) {
		t.Error("revoke_permission is true once")
	}
	if !one[bool](t, admin, `select auth.grant_role('ann@example.com', 'system_admin')`) || one[bool](t, admin, `select auth.grant_role('ann@example.com', 'system_admin')`) {
		t.Error("grant_role is true once")
	}
	as(t, admin, "ann@example.com", func() {
		if !one[bool](t, admin, `select auth.is_admin() and auth.has_org_permission($1, 'org.delete')`, acme) {
			t.Error("an administrator may do everything in every organization")
		}
	})
	if !one[bool](t, admin, `select auth.revoke_role('ann@example.com', 'system_admin')`) || one[bool](t, admin, `select auth.revoke_role('ann@example.com', 'system_admin')`) {
		t.Error("revoke_role is true once")
	}

	// A deleted user leaves organizations behind, seen by their empty list of owners.
	exec(t, admin, `select auth.delete_user($1)`, bob.String())
	if got := one[string](t, admin, `select slug || ' ' || members || ' ' || cardinality(owners) from auth.admin_organizations`); got != "acme 1 0" {
		t.Errorf("without owner: %s", got)
	}
	exec(t, admin, `select auth.set_member_role('acme', 'ann@example.com', 'owner')`)
	exec(t, admin, `select auth.drop_role('auditor'), auth.drop_permission('books.read')`)
	exec(t, admin, `select auth.delete_organization('acme')`)
	for _, action := range []string{"organization.created", "organization.updated", "organization.transferred", "organization.deleted", "member.removed",
		"member.role_changed", "invitation.created", "invitation.revoked", "role.created", "role.dropped", "role.granted", "role.revoked",
		"permission.created", "permission.dropped", "permission.granted", "permission.revoked"} {
		want := 1
		if strings.HasPrefix(action, "invitation.") {
			want = 2
		}
		if n := audited(t, super, action); n != want {
			t.Errorf("%d audit rows of %s", n, action)
		}
	}
}
