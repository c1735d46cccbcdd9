package sqltest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

const notesSQL = `create table public.notes (id bigint generated always as identity primary key,
	user_id uuid not null default auth.current_user_id(), body text not null);
	select auth.enable_rls('public.notes');
	grant select, insert, update, delete on public.notes to authenticated, service_role;
	grant select on public.notes to anon;
	create policy notes_owner on public.notes to authenticated
	  using (user_id = (select auth.current_user_id())) with check (user_id = (select auth.current_user_id()))`

// A DBA as the documentation tells: a login that is a member of fluxbase_admin and inherits nothing.
func TestLoginAs(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	exec(t, db.Conn(t, "installer"), notesSQL)
	ann, bob := newUser(t, admin, "ann@example.com"), newUser(t, admin, "bob@example.com")
	exec(t, super, `insert into public.notes (user_id, body) values ($1, 'a1'), ($1, 'a2'), ($2, 'b1')`, ann, bob)
	dba := role(t, super, "dba", "noinherit")
	exec(t, super, `grant fluxbase_admin to `+dba)
	conn := db.Conn(t, "superuser")
	exec(t, conn, `set session authorization `+dba)
	refused(t, conn, "42501", []string{"permission denied"}, `select auth.login_as('ann@example.com')`)
	exec(t, conn, `set role fluxbase_admin`)

	who := func() string {
		t.Helper()
		return one[string](t, conn, `select concat_ws(' ', current_user, auth.uid(), auth.role(), auth.aal(), auth.email(), auth.jwt() ->> 'sub', auth.session_id())`)
	}
	count := func() int {
		t.Helper()
		return one[int](t, conn, `select count(*)::int from public.notes`)
	}
	exec(t, conn, `begin`)
	exec(t, conn, `select auth.login_as('Ann@example.com')`)
	if got, want := who(), fmt.Sprintf("authenticated %s authenticated aal1 ann@example.com %[1]s", ann); got != want {
		t.Errorf("as ann: %s, want %s", got, want)
	}
	if n := count(); n != 2 {
		t.Errorf("ann sees %d notes", n)
	}
	exec(t, conn, `insert into public.notes (body) values ('a3')`)
	exec(t, conn, `savepoint s`)
	refused(t, conn, "42501", []string{"row-level security"}, `insert into public.notes (user_id, body) values ($1, 'forged')`, bob)
	exec(t, conn, `rollback to s`)
	refused(t, conn, "42501", nil, `select auth.login_as('bob@example.com')`)
	exec(t, conn, `rollback to s`)
	exec(t, conn, `select auth.login_reset()`)
	if got := who(); got != "fluxbase_admin" {
		t.Errorf("after the reset: %s", got)
	}
	exec(t, conn, `select auth.login_as()`)
	if got := who(); got != "anon anon" {
		t.Errorf("without token: %s", got)
	}
	if n := count(); n != 0 {
		t.Errorf("anon sees %d notes", n)
	}
	exec(t, conn, `select auth.login_reset()`)
	exec(t, conn, `select auth.login_as($1, 'aal2', 'service_role')`, bob.String())
	if got := who(); !strings.HasPrefix(got, "service_role "+bob.String()+" service_role aal2") {
		t.Errorf("as service_role: %s", got)
	}
	if n := count(); n != 4 {
		t.Errorf("service_role sees %d notes", n)
	}
	exec(t, conn, `commit`)
	if got := who(); got != "fluxbase_admin" {
		t.Errorf("after the transaction: %s", got)
	}
	if got := one[string](t, super, `select string_agg(concat_ws(' ', db_user = $1, role, subject_id = $2, details ->> 'role', details ->> 'aal'), ', ' order by id)
		from audit.log where action = 'context.signed'`, dba, ann); got != "t fluxbase_admin t authenticated aal1, t fluxbase_admin anon, t fluxbase_admin f service_role aal2" {
		t.Errorf("audit: %s", got)
	}

	for _, c := range []struct{ sqlstate, call string }{
		{"P0002", `auth.login_as('nobody@example.com')`},
		{"22023", `auth.login_as('ann@example.com', 'aal9')`},
		{"22023", `auth.login_as('ann@example.com', null)`},
		{"22023", `auth.login_as('ann@example.com', p_role => 'fluxbase_owner')`},
		{"22023", `auth.login_as('ann@example.com', p_role => 'none')`},
	} {
		refused(t, conn, c.sqlstate, nil, `select `+c.call)
	}
	// The signature covers everything: what the caller edits is refused, what it erases is nobody.
	exec(t, conn, `begin`)
	exec(t, conn, `select auth.login_as('ann@example.com')`)
	exec(t, conn, `select set_config('fluxbase.context', replace(current_setting('fluxbase.context'), $1, $2), true)`, ann.String(), bob.String())
	refused(t, conn, "42501", []string{"context was changed"}, `select count(*) from public.notes`)
	exec(t, conn, `rollback`)
}

// The organization is chosen with the user; one that is chosen afterwards takes its place.
func TestLoginAsInAnOrganization(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	admin := db.Conn(t, "fluxbase_admin")
	newUser(t, admin, "ann@example.com")
	newUser(t, admin, "bob@example.com")
	oak := one[string](t, admin, `select auth.create_organization('oak', 'Oak', 'ann@example.com')::text`)
	elm := one[string](t, admin, `select auth.create_organization('elm', 'Elm', 'ann@example.com')::text`)
	ash := one[string](t, admin, `select auth.create_organization('ash', 'Ash', 'bob@example.com')::text`)
	conn := db.Conn(t, "superuser")
	exec(t, conn, `set role fluxbase_admin`)
	for _, c := range []struct{ call, then, want string }{
		{`auth.login_as('ann@example.com')`, `select`, ""},
		{`auth.login_as('bob@example.com')`, `select`, ""},
		{`auth.login_as('bob@example.com', p_org => null)`, `select`, ash},
		{`auth.login_as('ann@example.com', p_org => null)`, `select`, ""}, // two are not the only one
		{`auth.login_as('ann@example.com', p_org => 'elm')`, `select`, elm},
		{`auth.login_as('ann@example.com', p_org => '` + oak + `')`, `select`, oak},
		{`auth.login_as('ann@example.com', p_org => 'elm')`, `select auth.set_active_org('` + oak + `')`, oak},
		{`auth.login_as('ann@example.com', p_org => 'elm')`, `select auth.login_reset()`, ""},
		{`auth.login_as()`, `select`, ""},
	} {
		exec(t, conn, `begin`)
		exec(t, conn, `select `+c.call)
		exec(t, conn, c.then)
		if got := one[string](t, conn, `select coalesce(auth.current_org_id()::text, '')`); got != c.want {
			t.Errorf("%s, %s: active in %q, want %q", c.call, c.then, got, c.want)
		}
		exec(t, conn, `rollback`)
	}
	refused(t, conn, "P0002", []string{"none of the user"}, `select auth.login_as('ann@example.com', p_org => 'ash')`)
	refused(t, conn, "P0002", []string{"does not exist"}, `select auth.login_as('ann@example.com', p_org => 'yew')`)
	refused(t, conn, "22023", []string{"without being a user"}, `select auth.login_as(p_org => 'oak')`)
}
