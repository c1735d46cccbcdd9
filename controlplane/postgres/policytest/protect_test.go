package policytest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

const docsSQL = `create table public.docs (id bigint generated always as identity primary key, user_id uuid, org_id uuid, team_id integer,
	title text not null default '', published boolean not null default false, deleted_at timestamptz)`

// step is one statement of a caller and what it does.
type step struct {
	who  caller
	sql  string
	want string // rows touched, or a SQLSTATE
}

func (b *bed) play(t *testing.T, steps []step) {
	t.Helper()
	conn := b.db.Conn(t, "superuser")
	for _, s := range steps {
		exec(t, conn, `begin`)
		become(t, conn, s.who)
		if got := try(t, conn, s.sql).String(); got != s.want {
			t.Errorf("%s as %v: %s, want %s", s.sql, s.who, got, s.want)
		}
		exec(t, conn, `commit`)
	}
}

func TestProtectOwner(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	ann, bob := b.user(0, 0), b.user(0, 1)
	exec(t, b.owner, docsSQL)
	exec(t, b.owner, `select auth.protect('public.docs', 'owner')`)
	b.play(t, []step{
		{ann, `insert into docs (title) values ('a'), ('b')`, "2"},
		{bob, `insert into docs (title) values ('c') returning *`, "1"},
		{bob, `select * from docs`, "1"},
		{bob, `delete from docs where title = 'a'`, "0"},
		{bob, `update docs set title = 'x'`, "1"},
		{bob, fmt.Sprintf(`insert into docs (user_id) values ('%s')`, ann.user), "42501"},
		{ann, fmt.Sprintf(`update docs set user_id = '%s'`, bob.user), "42501"},
		{bob, `delete from docs`, "1"},
		{ann, `select * from docs for update`, "2"},
		{caller{}, `select * from docs`, "42501"},
		{caller{role: "service_role"}, `select * from docs`, "2"},
		{caller{role: "authenticated"}, `select * from docs`, "0"},
	})
	if n := one[int](t, b.owner, `select count(*)::int from docs`); n != 0 {
		t.Errorf("the owner of the table sees %d rows: FORCE is off", n)
	}
	exec(t, b.owner, `select auth.protect('public.docs', 'owner', p_maintenance_roles => array['`+pgtest.Installer+`'])`)
	if n := one[int](t, b.owner, `select count(*)::int from docs`); n != 2 {
		t.Errorf("maintenance sees %d rows", n)
	}
	exec(t, b.owner, `select auth.unprotect('public.docs')`)
	b.play(t, []step{{ann, `select * from docs`, "0"}, {caller{role: "service_role"}, `select * from docs`, "2"}})
}

func TestProtectTenant(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, docsSQL)
	exec(t, b.owner, `select auth.protect('public.docs', 'tenant')`)
	left := b.user(1, 2)
	b.play(t, []step{
		{b.user(0, 1), `insert into docs (title) values ('north')`, "1"},
		{b.user(1, 2), `insert into docs (title) values ('south')`, "1"},
		{b.user(0, 2), `select * from docs`, "1"},
		{b.user(0, 2), `update docs set title = 'n' returning *`, "1"},
		{b.user(0, 2), `delete from docs where title = 'south'`, "0"},
		{b.user(0, 2), fmt.Sprintf(`update docs set org_id = '%s'`, b.orgs[1]), "42501"},
		{b.user(0, 2), fmt.Sprintf(`insert into docs (org_id) values ('%s')`, b.orgs[1]), "42501"},
	})
	// A membership that ends is over for the very next statement, whatever the context says.
	exec(t, b.super, `delete from auth.memberships where user_id = $1`, left.user)
	b.play(t, []step{{left, `select * from docs`, "0"}, {left, `insert into docs (title) values ('late')`, "42501"}})

	exec(t, b.owner, `select auth.protect('public.docs', 'tenant', p_write_org_roles => '{owner}')`)
	b.play(t, []step{
		{b.user(0, 1), `select * from docs`, "1"},
		{b.user(0, 1), `update docs set title = 'x'`, "0"},
		{b.user(0, 1), `delete from docs`, "0"},
		{b.user(0, 1), `insert into docs (title) values ('x')`, "42501"},
		{b.user(0, 0), `update docs set title = 'x'`, "1"},
		{b.user(0, 0), `delete from docs`, "1"},
	})
}

// In the active organization alone, whatever else the user belongs to.
func TestProtectActiveOrg(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, docsSQL)
	exec(t, b.owner, `select auth.protect('public.docs', 'tenant', p_active_org => true)`)
	both := b.user(0, 1)
	exec(t, b.super, `insert into auth.memberships (org_id, user_id, role) values ($1, $2, 'owner')`, b.orgs[1], both.user)
	south, none := both, both
	south.org, none.org = b.orgs[1], uuid.Nil
	b.play(t, []step{
		{both, `insert into docs (title) values ('north')`, "1"},
		{south, `insert into docs (title) values ('south') returning *`, "1"},
		{both, `select * from docs where title = 'north'`, "1"},
		{both, `select * from docs`, "1"},
		{south, `select * from docs where title = 'south'`, "1"},
		{south, `select * from docs`, "1"},
		{none, `select * from docs`, "0"},
		{none, `insert into docs (title) values ('x')`, "42501"},
		{both, fmt.Sprintf(`insert into docs (org_id) values ('%s')`, b.orgs[1]), "42501"},
		{both, fmt.Sprintf(`update docs set org_id = '%s'`, b.orgs[1]), "42501"},
		{both, `delete from docs where title = 'south'`, "0"},
		{b.user(0, 2), `update docs set title = 'n' returning *`, "1"},
		{caller{}, `select * from docs`, "42501"},
	})
	// A session's organization is the one of its row: removed members are out, and a token that names another is not asked.
	session := one[uuid.UUID](t, b.super, `insert into auth.sessions (user_id, org_id, expires_at) values ($1, $2, now() + interval '1 hour') returning id`, both.user, b.orgs[1])
	inSession := func(want int) {
		t.Helper()
		inTx(t, b.super, func() {
			exec(t, b.super, `select set_config('fluxbase.context', c, true), set_config('fluxbase.context_mac', fluxbase.context_mac(p_context => c), true), set_config('role', 'authenticated', true)
				from (select jsonb_build_array(1, $1::text, $2::text, $3::text, 'aal1', 'authenticated', null, null, null, null, extract(epoch from now())::bigint, null)::text c) x`,
				both.user.String(), session.String(), b.orgs[0].String())
			if got := one[int](t, b.super, `select count(*)::int from docs where title = 'south'`); got != want {
				t.Errorf("the session sees %d rows of its organization, want %d", got, want)
			}
			if got := one[int](t, b.super, `select count(*)::int from docs`); got != want {
				t.Errorf("the session sees %d rows, want %d", got, want)
			}
		})
	}
	inSession(1)
	exec(t, b.owner, `select auth.protect('public.docs', 'tenant', p_active_org => true, p_write_org_roles => '{owner}')`)
	b.play(t, []step{
		{both, `select * from docs`, "1"},
		{both, `update docs set title = 'x'`, "0"},
		{both, `delete from docs`, "0"},
		{both, `insert into docs (title) values ('x')`, "42501"},
		{b.user(0, 0), `update docs set title = 'x'`, "1"},
		{none, `update docs set title = 'x'`, "0"},
	})
	exec(t, b.super, `delete from auth.memberships where user_id = $1 and org_id = $2`, both.user, b.orgs[1])
	inSession(0)

	exec(t, b.owner, `select auth.protect('public.docs', 'members_write', p_active_org => true)`)
	b.play(t, []step{
		{both, `select * from docs`, "2"},
		{both, `update docs set title = 'x'`, "1"},
		{none, `delete from docs`, "0"},
	})
	exec(t, b.owner, `select auth.protect('public.docs', 'tenant', p_active_org => true)`)
	if got := leaks(t, b.db.Conn(t, "fluxbase_admin"), `'public.docs', 'org_id'`); got != "" {
		t.Errorf("test_isolation: %s", got)
	}
}

// One organization is planned like a constant: an index gives the first rows in order, where those of an array are collected and sorted.
func TestProtectActiveOrgPlan(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, docsSQL)
	exec(t, b.super, `insert into docs (org_id, title) select case n % 2 when 0 then $1::uuid else $2 end, n::text from generate_series(1, 20000) n`,
		b.orgs[0], b.orgs[1])
	exec(t, b.owner, `create index docs_org_title_idx on docs (org_id, title); analyze docs`)
	for _, c := range []struct {
		option string
		sorted bool
	}{{`false`, true}, {`true`, false}} {
		exec(t, b.owner, `select auth.protect('public.docs', 'tenant', p_active_org => `+c.option+`)`)
		as(t, b.super, b.user(0, 1), func() {
			exec(t, b.super, `set local enable_seqscan = off`)
			plan := strings.Join(lines(t, b.super, `explain (costs off) select id from docs order by title limit 10`), "\n")
			if strings.Contains(plan, "Sort") != c.sorted || strings.Count(plan, "  InitPlan") != 1 {
				t.Errorf("p_active_org %s:\n%s", c.option, plan)
			}
		})
	}
}

func TestProtectMembersWrite(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, docsSQL)
	exec(t, b.owner, `select auth.protect('public.docs', 'members_write', p_read_roles => '{anon,authenticated}', p_published_column => 'published')`)
	b.play(t, []step{
		{b.user(0, 1), `insert into docs (title, published) values ('out', true), ('draft', false) returning *`, "2"},
		{b.user(1, 1), `select * from docs`, "1"},
		{b.user(0, 2), `select * from docs`, "2"},
		{caller{}, `select * from docs`, "1"},
		{caller{}, `insert into docs (title) values ('x')`, "42501"},
		{b.user(1, 1), `update docs set title = 'x'`, "0"},
		{b.user(1, 1), `delete from docs`, "0"},
		{b.user(0, 2), `update docs set title = 'x'`, "2"},
	})
}

func TestProtectPublicRead(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, docsSQL)
	exec(t, b.owner, `select auth.protect('public.docs', 'public_read', p_aal => 'aal2')`)
	strong := b.user(0, 0)
	strong.aal = "aal2"
	b.play(t, []step{
		{b.user(0, 0), `insert into docs (title) values ('x')`, "42501"},
		{strong, `insert into docs (title) values ('x')`, "1"},
		{caller{}, `select * from docs`, "1"},
		{b.user(1, 0), `select * from docs`, "1"},
		{b.user(1, 0), `update docs set title = 'y'`, "0"},
		{b.user(0, 0), `delete from docs`, "0"},
		{strong, `delete from docs`, "1"},
	})
}

func TestProtectTeam(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, docsSQL)
	exec(t, b.owner, `create table public.team_members (team_id integer, user_id uuid, expires_at timestamptz, primary key (team_id, user_id));
		grant all on public.team_members to authenticated`)
	exec(t, b.super, `insert into public.team_members values (1, $1, null), (1, $2, now() + interval '1 hour'), (1, $3, now() - interval '1 hour'), (2, $4, null)`,
		b.users[0][0], b.users[0][1], b.users[0][2], b.users[1][0])
	exec(t, b.owner, `select auth.protect('public.docs', 'team', p_members => 'public.team_members', p_expires_column => 'expires_at')`)
	b.play(t, []step{
		{b.user(0, 0), `insert into docs (team_id) values (1)`, "1"},
		{b.user(0, 1), `select * from docs`, "1"},
		{b.user(0, 2), `select * from docs`, "0"},
		{b.user(1, 0), `select * from docs`, "0"},
		{b.user(1, 0), `insert into docs (team_id) values (1)`, "42501"},
		{b.user(0, 0), `update docs set team_id = 2`, "42501"},
		// Who could write the table of members could join any team.
		{b.user(1, 0), fmt.Sprintf(`insert into team_members values (1, '%s', null)`, b.users[1][0]), "42501"},
		{b.user(0, 2), `update team_members set expires_at = null`, "0"},
		{b.user(0, 0), `select * from team_members`, "1"},
	})
	refused(t, b.owner, "22023", "recurses", `select auth.protect('public.docs', 'team', p_members => 'public.docs')`)
	exec(t, b.owner, `create policy by_docs on public.team_members for select to authenticated using (exists (select from public.docs d where d.team_id = team_members.team_id))`)
	refused(t, b.owner, "42P17", "recurse", `select auth.protect('public.docs', 'team', p_members => 'public.team_members')`)
}

func TestProtectShared(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, docsSQL)
	exec(t, b.owner, `grant all on public.docs to authenticated`)
	for range 2 {
		exec(t, b.owner, `select auth.protect('public.docs', 'shared')`)
	}
	ann, bob, cara := b.user(0, 0), b.user(0, 1), b.user(1, 0)
	share := func(who caller, with string) string {
		return fmt.Sprintf(`insert into docs_shares (row_id, user_id, can_write, expires_at) values (1, '%s', %s)`, who.user, with)
	}
	b.play(t, []step{
		{ann, `insert into docs (title) values ('plan') returning id`, "1"},
		{bob, share(bob, `true, null`), "23503"}, // not his: the foreign key wants him to own the row
		{bob, fmt.Sprintf(`insert into docs_shares (row_id, owner_id, user_id) values (1, '%s', '%s')`, ann.user, bob.user), "42501"},
		{bob, `select * from docs`, "0"},
		{ann, share(bob, `false, null`), "1"},
		{ann, share(cara, `true, now() + interval '1 hour'`), "1"},
		{bob, `select * from docs`, "1"},
		{bob, `update docs set title = 'x'`, "0"},
		{bob, `update docs_shares set can_write = true`, "0"},
		{cara, `update docs set title = 'x' returning *`, "1"},
		{cara, `delete from docs`, "0"},
		// The checks of two policies are OR-ed: without the column grants cara passes the owner's check with her own id.
		{cara, fmt.Sprintf(`update docs set user_id = '%s'`, cara.user), "42501"},
		{cara, `update docs_shares set expires_at = null`, "0"},
		{bob, `select * from docs_shares`, "1"},
		{ann, `select * from docs_shares`, "2"},
		{ann, `update docs_shares set expires_at = now() where can_write`, "1"},
		{cara, `select * from docs`, "0"},
		{ann, `delete from docs`, "1"},
	})
	if n := one[int](t, b.super, `select count(*)::int from docs_shares`); n != 0 {
		t.Errorf("%d shares outlive their row", n)
	}
	refused(t, b.owner, "22023", "grants", `select auth.protect('public.docs', 'shared', p_grants => false)`)
	exec(t, b.owner, `create table public.keyless (user_id uuid)`)
	refused(t, b.owner, "42704", "primary key", `select auth.protect('public.keyless', 'shared')`)
	// Nor does it help to revoke from a role what PUBLIC has.
	exec(t, b.owner, `create table public.drafts (id integer primary key, user_id uuid not null, body text); grant update on public.drafts to public`)
	refused(t, b.owner, "42501", "revoke update on table public.drafts from public", `select auth.protect('public.drafts', 'shared')`)
	exec(t, b.owner, `revoke update on public.drafts from public; select auth.protect('public.drafts', 'shared')`)
	// The attack works when the grant that stops it is given.
	exec(t, b.owner, `grant update on public.docs to authenticated`)
	b.play(t, []step{
		{ann, `insert into docs (title) values ('again')`, "1"},
		{ann, strings.Replace(share(cara, `true, null`), "(1,", "(2,", 1), "1"},
		{cara, fmt.Sprintf(`update docs set user_id = '%s' returning *`, cara.user), "1"},
	})
}

// What the table of shares would let by: a table without the key that holds a share to the owner, sessions and keys that may not
// see the row itself, and a key whose violation tells with whom somebody else shares.
func TestProtectShares(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	ann, bob, cara := b.user(0, 0), b.user(0, 1), b.user(1, 0)
	exec(t, b.owner, docsSQL+`; create table public.loose (row_id bigint, owner_id uuid default auth.current_user_id(), user_id uuid, can_write boolean, expires_at timestamptz);
		alter table docs add unique (id, user_id), add unique (id, org_id)`)
	for _, key := range []string{
		``, `(row_id) references docs (id)`, `(row_id, owner_id) references docs (id, org_id)`,
		`(row_id, owner_id) references docs (id, user_id) deferrable`, `(row_id, owner_id) references docs (id, user_id) on delete set null`,
		`(row_id, owner_id) references docs (id, user_id) not valid`,
	} {
		exec(t, b.owner, `alter table loose drop constraint if exists held`)
		if key != "" {
			exec(t, b.owner, `alter table loose add constraint held foreign key `+key)
		}
		refused(t, b.owner, "42830", "with himself", `select auth.protect('public.docs', 'shared', p_shares => 'public.loose')`)
	}
	exec(t, b.owner, `alter table loose drop constraint held, add constraint held foreign key (owner_id, row_id) references docs (user_id, id) on delete cascade;
		select auth.protect('public.docs', 'shared', p_shares => 'public.loose')`)
	exec(t, b.owner, `create table made (id integer primary key, data jsonb, user_id uuid generated always as ((data ->> 'user')::uuid) stored)`)
	refused(t, b.owner, "42P17", "generated", `select auth.protect('public.made', 'shared')`)

	exec(t, b.owner, `select auth.protect('public.docs', 'shared', p_aal => 'aal2', p_scope => 'docs', p_deleted_column => 'deleted_at')`)
	share := func(with caller) string {
		return fmt.Sprintf(`insert into docs_shares (row_id, user_id, can_write) values (1, '%s', true)`, with.user)
	}
	weak, reader := ann, ann
	ann.aal, bob.aal, cara.aal, reader.aal = "aal2", "aal2", "aal2", "aal2"
	reader.key = one[uuid.UUID](t, b.super, `insert into auth.api_keys (kind, name, prefix, key_hash, user_id, scopes) values ('user', 'k', 'p', sha256('k'), $1, '{docs:read}') returning id`, ann.user)
	b.play(t, []step{
		{ann, `insert into docs (title) values ('plan')`, "1"},
		{weak, share(bob), "42501"},
		{reader, share(bob), "42501"},
		{ann, share(bob), "1"},
		{weak, `select * from docs_shares`, "0"},
		{weak, `update docs_shares set user_id = owner_id`, "0"},
		{weak, `delete from docs_shares`, "0"},
		{reader, `select * from docs_shares`, "1"},
		{reader, `delete from docs_shares`, "0"},
		// Whether she shares it with bob is nobody's business: the same error as for somebody with whom she does not.
		{cara, share(bob), "23503"},
		{cara, share(cara), "23503"},
		// A guest writes and does not delete, so he does not hide either: only service_role could undo it.
		{bob, `update docs set title = 'y' returning *`, "1"},
		{bob, `update docs set deleted_at = now()`, "42501"},
		{bob, `update docs set deleted_at = '2001-01-01'`, "42501"},
		{bob, `delete from docs`, "0"},
		{ann, `update docs set deleted_at = now() returning *`, "1"},
		{bob, `update docs set deleted_at = null`, "0"},
	})
}

// A policy for a role applies to all that have its rights.
func TestProtectMaintenanceIsNoRequest(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, docsSQL)
	for _, roles := range []string{`{authenticated}`, `{anon}`} {
		refused(t, b.owner, "22023", "every row would be open", `select auth.protect('public.docs', 'owner', p_maintenance_roles => '`+roles+`')`)
	}
	refused(t, b.owner, "22023", "every row would be open", `select auth.protect('public.docs', 'owner', p_roles => array[$1], p_maintenance_roles => array[$1])`, pgtest.Installer)
}

// Drafts are not for everybody, so a session and a key need for them what they need for rows of other templates.
func TestProtectDrafts(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, docsSQL)
	exec(t, b.owner, `select auth.protect('public.docs', 'public_read', p_published_column => 'published', p_aal => 'aal2', p_scope => 'docs')`)
	weak, strong := b.user(0, 0), b.user(0, 0)
	strong.aal = "aal2"
	key, reader := strong, strong
	key.key = one[uuid.UUID](t, b.super, `insert into auth.api_keys (kind, name, prefix, key_hash, user_id) values ('user', 'k', 'p', sha256('k'), $1) returning id`, weak.user)
	reader.key = one[uuid.UUID](t, b.super, `insert into auth.api_keys (kind, name, prefix, key_hash, user_id, scopes) values ('user', 'r', 'p', sha256('r'), $1, '{docs:read}') returning id`, weak.user)
	b.play(t, []step{
		{strong, `insert into docs (title, published) values ('draft', false), ('news', true)`, "2"},
		{strong, `select * from docs`, "2"},
		{weak, `select * from docs`, "1"},
		{key, `select * from docs`, "1"},
		{reader, `select * from docs`, "2"},
	})
}

func TestProtectSoftDelete(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, docsSQL)
	exec(t, b.owner, `select auth.protect('public.docs', 'tenant', p_deleted_column => 'deleted_at')`)
	b.play(t, []step{
		{b.user(0, 0), `insert into docs (title) values ('a'), ('b')`, "2"},
		{b.user(0, 0), `update docs set deleted_at = now() where title = 'a' returning *`, "1"},
		{b.user(0, 0), `select * from docs`, "1"},
		{b.user(0, 1), `update docs set deleted_at = null`, "1"}, // not the hidden one
		{b.user(0, 1), `delete from docs where title = 'a'`, "0"},
		{b.user(0, 1), `delete from docs`, "1"}, // blind: the hidden row stays
		{caller{role: "service_role"}, `select * from docs`, "1"},
	})
	// As people write it by hand, hiding a row fails.
	exec(t, b.owner, `drop policy protect_not_deleted on docs; create policy hand on docs as restrictive for all to authenticated using (deleted_at is null) with check (true)`)
	b.play(t, []step{
		{b.user(0, 0), `insert into docs (title) values ('c')`, "1"},
		{b.user(0, 0), `update docs set deleted_at = now() where title = 'c'`, "42501"},
	})
}

func TestProtectScope(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, docsSQL)
	exec(t, b.owner, `select auth.protect('public.docs', 'owner', p_scope => 'docs')`)
	with := func(kind string, scopes ...string) caller {
		c := b.user(0, 0)
		var user any = c.user
		if kind == "anon" {
			user = nil
		}
		c.key = one[uuid.UUID](t, b.super, `insert into auth.api_keys (kind, name, prefix, key_hash, user_id, scopes) values ($1, 'k', 'p', sha256(gen_random_uuid()::text::bytea), $2, coalesce($3, '{}'::text[])) returning id`, kind, user, scopes)
		return c
	}
	reader, writer, none, session := with("user", "docs:read"), with("user", "docs:write", "docs:read"), with("user"), b.user(0, 0)
	unknown := session
	unknown.key = uuid.New()
	b.play(t, []step{
		{session, `insert into docs (title) values ('a')`, "1"},
		{with("anon"), `select * from docs`, "1"},
		{reader, `select * from docs`, "1"},
		{reader, `insert into docs (title) values ('b')`, "42501"},
		{reader, `update docs set title = 'b'`, "0"},
		{reader, `delete from docs`, "0"},
		{writer, `update docs set title = 'b' where title = 'a' returning *`, "1"},
		{none, `select * from docs`, "0"},
		{none, `delete from docs`, "0"},
		{unknown, `select * from docs`, "0"},
		{writer, `delete from docs`, "1"},
	})
}

// A key may be a domain over uuid, and a table may have nothing beside its keys.
func TestProtectAwkwardTables(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, `create domain public.user_ref as uuid not null;
		create table public.owned (id integer primary key, "user" public.user_ref);
		select auth.protect('public.owned', 'owner', p_user_column => 'user');
		create table public.bare (id integer primary key, user_id uuid not null);
		select auth.protect('public.bare', 'shared')`)
	ann, bob := b.user(0, 0), b.user(0, 1)
	b.play(t, []step{
		{ann, `insert into owned (id) values (1)`, "1"},
		{bob, `select * from owned`, "0"},
		{ann, `update owned set id = 2 returning *`, "1"},
		{ann, `insert into bare (id) values (1)`, "1"},
		{bob, `select * from bare`, "0"},
		{ann, fmt.Sprintf(`insert into bare_shares (row_id, user_id) values (1, '%s')`, bob.user), "1"},
		{bob, `select * from bare`, "1"},
	})
}

func TestProtectKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, docsSQL+`; create index by_user on docs (user_id, title); alter table docs alter user_id set default gen_random_uuid();
		create view docs_view as select * from docs; create policy mine on docs for select to anon using (published); create table "Odd ""T" ("User" uuid, s serial)`)
	printed := lines(t, b.owner, `select auth.protect('public.docs', 'owner', p_dry_run => true)`)
	if n := one[int](t, b.super, `select count(*)::int from pg_policy where polrelid = 'docs'::regclass`); n != 1 {
		t.Errorf("a dry run made %d policies", n-1)
	}
	ran := lines(t, b.owner, `select auth.protect('public.docs', 'owner')`)
	if strings.Join(printed, "\n") != strings.Join(ran, "\n") {
		t.Errorf("printed\n%s\nran\n%s", strings.Join(printed, "\n"), strings.Join(ran, "\n"))
	}
	text := strings.Join(ran, "\n")
	for _, never := range []string{"create index", "set default", " mine"} {
		if strings.Contains(text, never) {
			t.Errorf("%q in\n%s", never, text)
		}
	}
	if !one[bool](t, b.super, `select reloptions @> '{security_invoker=true}' from pg_class where oid = 'docs_view'::regclass`) {
		t.Error("the view runs as its owner")
	}
	// What a dry run prints is a migration: it does the same on another database.
	exec(t, b.owner, `select auth.unprotect('public.docs')`)
	for _, s := range printed {
		exec(t, b.owner, s)
	}
	exec(t, b.owner, `select auth.protect('public."Odd ""T"', 'owner', p_user_column => 'User')`)
	as(t, b.super, b.user(0, 0), func() { exec(t, b.super, `insert into "Odd ""T" default values returning *`) })
	for _, c := range []struct{ code, text, call string }{
		{"22023", "owner, tenant", `auth.protect('public.docs', 'ownr')`},
		{"22023", "owner, tenant", `auth.protect('public.docs', null)`},
		{"42703", "no column", `auth.protect('public.docs', 'owner', p_user_column => 'usr')`},
		{"42804", "of type text, not uuid", `auth.protect('public.docs', 'owner', p_user_column => 'title')`},
		{"42804", "policy-guide.md", `auth.protect('public.docs', 'tenant', p_org_column => 'team_id')`},
		{"42804", "timestamp", `auth.protect('public.docs', 'owner', p_deleted_column => 'published')`},
		{"42602", "schema.table", `auth.protect('public.docs', 'shared', p_shares => 'a.b.c')`},
		{"42704", "name them", `auth.protect('public.docs', 'owner', p_roles => '{public}')`},
		{"42704", "does not exist", `auth.protect('public.docs', 'owner', p_roles => '{nobody_at_all}')`},
		{"22023", "names its roles", `auth.protect('public.docs', 'owner', p_roles => '{}')`},
		{"22023", "aal1, aal2", `auth.protect('public.docs', 'owner', p_aal => 'aal9')`},
		{"22023", "p_scope", `auth.protect('public.docs', 'owner', p_scope => 'a''b')`},
		{"22023", "p_members", `auth.protect('public.docs', 'team')`},
		{"22023", "p_published_column", `auth.protect('public.docs', 'owner', p_published_column => 'published')`},
		{"42P01", "null", `auth.protect(null, 'owner')`},
		{"42809", "not a table", `auth.protect('public.docs_view', 'owner')`},
		{"42501", "no table of the application", `auth.protect('auth.users', 'owner', p_dry_run => true)`},
	} {
		refused(t, b.owner, c.code, c.text, `select `+c.call)
	}
	refused(t, b.db.Conn(t, "authenticated"), "42501", "must be owner", `select auth.protect('public.docs', 'owner')`)
}

// Indexes that were built before, without locking the table, are found; what is left of one that failed is none.
func TestProtectFindsIndexes(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, docsSQL+`; create table parts (org_id uuid, day date) partition by range (day);
		create table parts_25 partition of parts for values from ('2025-01-01') to ('2026-01-01'); create index parts_idx on only parts (org_id)`)
	exec(t, b.owner, `create index concurrently docs_org_id_idx on docs (org_id)`)
	exec(t, b.owner, `create unique index concurrently docs_id_user_id_idx on docs (id, user_id)`)
	exec(t, b.owner, `create index concurrently docs_user_id_idx on docs (user_id)`)
	builds := func(call string) string {
		t.Helper()
		return strings.Join(lines(t, b.owner, `select s from auth.protect(`+call+`, p_dry_run => true) s where s ~ '^create index on (docs|parts|public.docs|public.parts) ' or s ~ 'add unique'`), "\n")
	}
	for _, c := range []struct{ call, before, left, after string }{
		{`'public.docs', 'tenant'`, "", `update pg_index set indisvalid = false where indexrelid = 'docs_org_id_idx'::regclass`, "create index on public.docs (org_id);"},
		{`'public.docs', 'shared'`, "", `update pg_index set indisvalid = false where indexrelid = 'docs_id_user_id_idx'::regclass`, "alter table public.docs add unique (id, user_id);"},
		{`'public.parts', 'tenant'`, "create index on public.parts (org_id);", `create index parts_25_idx on parts_25 (org_id); alter index parts_idx attach partition parts_25_idx`, ""},
	} {
		if got := builds(c.call); got != c.before {
			t.Errorf("%s builds %q, want %q", c.call, got, c.before)
		}
		exec(t, b.super, c.left)
		if got := builds(c.call); got != c.after {
			t.Errorf("%s after %s builds %q, want %q", c.call, c.left, got, c.after)
		}
	}
}

// The index is used, and identity is asked once: no template puts a condition into the plan that hides the column.
func TestProtectPlansUseTheIndex(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.owner, docsSQL+`; create table team_members (team_id integer, user_id uuid)`)
	exec(t, b.super, `insert into docs (user_id, org_id, team_id) select gen_random_uuid(), gen_random_uuid(), n from generate_series(1, 5000) n; analyze docs`)
	for template, options := range map[string]string{
		"owner": `, p_deleted_column => 'deleted_at', p_aal => 'aal1', p_scope => 'docs'`, "tenant": ``, "team": `, p_members => 'public.team_members'`, "shared": ``,
	} {
		exec(t, b.owner, `select auth.protect('public.docs', '`+template+`'`+options+`)`)
		as(t, b.super, b.user(0, 0), func() {
			plan := strings.Join(lines(t, b.super, `explain select * from docs`), "\n")
			if strings.Contains(plan, "Seq Scan on docs") || !strings.Contains(plan, "InitPlan") {
				t.Errorf("%s:\n%s", template, plan)
			}
		})
	}
}

// template with its options, and who may read and write which row: the model that the random operations are held to.
type model struct {
	options string
	reads   func(c caller, org, user int) bool
	writes  func(c caller, org, user int) bool
}

// Two tenants of three users, each template, each command, random operations: no foreign row is returned or changed.
func TestProtectIsolatesRandomOperations(t *testing.T) {
	t.Parallel()
	operations := 60
	if long() {
		operations = 17000
	}
	b := newBed(t)
	own := func(c caller, o, u int) bool { return c.user == b.users[o][u] }
	member := func(c caller, o, _ int) bool { return c.org == b.orgs[o] && c.user != uuid.Nil }
	anybody := func(caller, int, int) bool { return true }
	models := map[string]model{
		"owner":         {``, own, own},
		"tenant":        {``, member, member},
		"public_read":   {``, anybody, own},
		"members_write": {`, p_read_roles => '{anon,authenticated}'`, anybody, member},
		"team":          {`, p_members => 'public.team_members'`, member, member},
		"shared":        {``, own, own},
	}
	exec(t, b.owner, docsSQL+`; create table public.team_members (team_id integer, user_id uuid)`)
	for o := range b.users {
		for u := range b.users[o] {
			exec(t, b.super, `insert into team_members values ($1, $2)`, o, b.users[o][u])
			for range 3 {
				exec(t, b.super, `insert into docs (user_id, org_id, team_id) values ($1, $2, $3)`, b.users[o][u], b.orgs[o], o)
			}
		}
	}
	for template, m := range models {
		exec(t, b.owner, `select auth.protect('public.docs', '`+template+`'`+m.options+`)`)
		random := rand.New(rand.NewPCG(1, uint64(len(template))))
		changed := 0
		for range operations {
			c := b.user(random.IntN(2), random.IntN(3))
			if random.IntN(7) == 0 {
				c = caller{}
			}
			exec(t, b.super, `begin`)
			changed += b.operate(t, random, template, m, c)
			exec(t, b.super, `rollback`)
		}
		if changed == 0 {
			t.Errorf("%s: no operation changed anything: the test tests nothing", template)
		}
	}
}

// operate does one random statement as the caller and compares every row before and after.
func (b *bed) operate(t *testing.T, random *rand.Rand, template string, m model, c caller) (changed int) {
	t.Helper()
	where := []string{``, ` where id > 0`, fmt.Sprintf(` where id = %d`, 1+random.IntN(18)), ` where title = '' and user_id is not null`}[random.IntN(4)]
	returning := []string{``, ` returning *`}[random.IntN(2)]
	org := random.IntN(2)
	to := b.user(org, random.IntN(3))
	sql := []string{
		`select * from docs` + where,
		`select * from docs` + where + ` for update`,
		`update docs set title = 'x'` + where + returning,
		`delete from docs` + where + returning,
		fmt.Sprintf(`update docs set user_id = '%s', org_id = '%s', team_id = %d%s%s`, to.user, to.org, org, where, returning),
		fmt.Sprintf(`insert into docs (user_id, org_id, team_id) values ('%s', '%s', %d)%s`, to.user, to.org, org, returning),
		fmt.Sprintf(`insert into docs (id, user_id, org_id, team_id) overriding system value values (%d, '%s', '%s', %d) on conflict (id) do update set title = 'taken'%s`, 1+random.IntN(18), to.user, to.org, org, returning),
		`with d as (delete from docs` + where + ` returning *) select * from d`,
	}[random.IntN(8)]
	const all = `select id, user_id, org_id, to_jsonb(d)::text from docs d order by id`
	before := b.rows(t, all)
	become(t, b.super, c)
	exec(t, b.super, `savepoint op`)
	rows, err := b.super.Query(t.Context(), sql)
	if err == nil {
		isSelect := strings.Contains(sql, "returning") || strings.HasPrefix(sql, "select") || strings.HasPrefix(sql, "with")
		for rows.Next() {
			values, _ := rows.Values()
			user := uuid.UUID(values[1].([16]byte))
			if o, u := b.find(user); isSelect && !m.reads(c, o, u) && !m.writes(c, o, u) {
				t.Errorf("%s, %v: %s returned a row of %d.%d", template, c, sql, o, u)
			}
		}
		err = rows.Err()
	}
	if err != nil {
		exec(t, b.super, `rollback to op`)
	}
	exec(t, b.super, `set local role none`)
	after := b.rows(t, all)
	for id, was := range before {
		if is, here := after[id]; !here || is.text != was.text {
			changed++
			if o, u := b.find(was.user); !m.writes(c, o, u) {
				t.Errorf("%s, %v: %s changed row %d of %d.%d: %s -> %s", template, c, sql, id, o, u, was.text, is.text)
			}
		}
	}
	return changed
}

type docRow struct {
	user uuid.UUID
	text string
}

func (b *bed) rows(t *testing.T, sql string) map[int64]docRow {
	t.Helper()
	found := map[int64]docRow{}
	rows, err := b.super.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	var id int64
	var user, org uuid.UUID
	var text string
	if _, err := pgx.ForEachRow(rows, []any{&id, &user, &org, &text}, func() error { found[id] = docRow{user, text}; return nil }); err != nil {
		t.Fatal(err)
	}
	return found
}

func (b *bed) find(user uuid.UUID) (org, number int) {
	for o := range b.users {
		for u := range b.users[o] {
			if b.users[o][u] == user {
				return o, u
			}
		}
	}
	return -1, -1
}

// Each helper checks the signature a fixed number of times, however many memberships there are: on a table of one page
// PostgreSQL would ask for every row.
func TestHelpersAskOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	exec(t, b.super, `insert into auth.organizations (slug, name) select 'o' || n, 'x' from generate_series(1, 40) n;
		insert into auth.memberships (org_id, user_id, role) select o.id, u.id, 'member' from auth.organizations o cross join auth.users u on conflict do nothing;
		analyze auth.memberships; set track_functions = 'all'`)
	const checks = `select coalesce(sum(calls), 0)::bigint from pg_stat_xact_user_functions where funcname = 'verified_context_text'`
	for _, call := range []string{
		`auth.org_ids()`, `array(select unnest(auth.org_ids()))`, `auth.current_org_id()`, `auth.org_ids_with_role('{owner}')`, `auth.has_org_role(auth.current_org_id(), 'owner')`, `auth.current_org_role()`,
		`auth.has_permission('x')`, `auth.has_org_permission(auth.current_org_id(), 'x')`, `auth.is_admin()`,
	} {
		inTx(t, b.super, func() {
			exec(t, b.super, `set local enable_indexscan = off; set local enable_bitmapscan = off; set local enable_indexonlyscan = off`)
			become(t, b.super, b.user(0, 0))
			before := one[int64](t, b.super, checks) // of transactions before, too, until they are reported
			exec(t, b.super, `select `+call)
			if n := one[int64](t, b.super, checks) - before; n < 1 || n > 4 {
				t.Errorf("%s checks the signature %d times", call, n)
			}
		})
	}
}
