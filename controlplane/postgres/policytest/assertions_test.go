package policytest

import (
	"strconv"
	"strings"
	"testing"
)

// Each assertion says ok when it holds and not ok when it does not.
func TestAssertions(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	dba := b.dba(t)
	exec(t, b.owner, docsSQL)
	exec(t, b.owner, `select auth.protect('public.docs', 'owner')`)
	exec(t, b.super, `alter table docs add foreign key (user_id) references auth.users`)
	exec(t, b.super, `insert into docs (user_id, title) values ($1, 'a'), ($1, 'b'), ($2, 'c')`, b.users[0][0], b.users[0][1])
	exec(t, dba, `begin`)
	for i, c := range []struct {
		call string
		ok   bool
	}{
		{`test_ok(true, 'fine')`, true},
		{`test_ok(null, 'null is not true')`, false},
		{`test_sees('u0.0@example.com', 'select * from docs', 2)`, true},
		{`test_sees('u0.0@example.com', 'select * from docs', 3)`, false},
		{`test_sees(null, 'select * from docs', 0)`, false}, // refused is not empty
		{`test_sees_nothing(null, 'select * from docs')`, true},
		{`test_sees_nothing('u0.1@example.com', 'select * from docs')`, false},
		{`test_sees_nothing('u0.1@example.com', 'select * from dogs')`, false}, // a typo proves nothing
		{`test_sees_exactly('u0.0@example.com', 'select title from docs', '[{"title": "b"}, {"title": "a"}]')`, true},
		{`test_sees_exactly('u0.0@example.com', 'select title from docs', '[{"title": "a"}]')`, false},
		{`test_sees_exactly('u1.0@example.com', 'select title from docs', '[]')`, true},
		{`test_sees_exactly(null, 'select title from docs', '[]')`, false},
		{`test_can('u0.0@example.com', 'delete from docs')`, true},
		{`test_can('u1.0@example.com', 'delete from docs')`, false},
		{`test_cannot('u1.0@example.com', 'delete from docs')`, true},
		{`test_cannot('u0.0@example.com', 'delete from docs')`, false},
		{`test_cannot('u0.0@example.com', 'insert into docs (user_id) values (''00000000-0000-4000-8000-000000000001'')')`, true},
		{`test_cannot('u0.0@example.com', 'insert into docs (title) values (null)')`, false},
		{`test_changes('u0.0@example.com', 'update docs set title = ''x''', 2)`, true},
		{`test_changes('u0.0@example.com', 'update docs set title = ''x''', 1)`, false},
		{`test_throws(null, 'select * from docs', '42501')`, true},
		{`test_throws('u0.0@example.com', 'select * from docs', '42501')`, false},
		{`test_isolated('public.docs', 'user_id')`, true},
		{`test_isolated('public.docs', 'user_id', 'u0.0@example.com', 'u1.1@example.com')`, false},
		{`test_sound('public.docs')`, true},
	} {
		got := lines(t, dba, `select auth.`+c.call)
		word := map[bool]string{true: "ok ", false: "not ok "}[c.ok]
		if !strings.HasPrefix(got[0], word) || !strings.Contains(got[0], " "+strconv.Itoa(i+1)+" - ") {
			t.Errorf("%s: %q", c.call, got)
		}
		if !c.ok && i > 1 && (len(got) < 2 || !strings.HasPrefix(got[1], "# ")) {
			t.Errorf("%s: no diagnosis: %q", c.call, got)
		}
	}
	if got := strings.Join(lines(t, dba, `select auth.test_finish()`), " "); got != "1..25 # 13 of 25 failed" {
		t.Errorf("at the end: %s", got)
	}
	exec(t, dba, `rollback`)
	if n := one[int](t, b.super, `select count(*)::int from docs where title in ('a', 'b', 'c')`); n != 3 {
		t.Errorf("%d of 3 rows are as they were", n)
	}
	exec(t, b.super, `alter table docs no force row level security`)
	if got := lines(t, dba, `select auth.test_sound('public.docs')`); !strings.HasPrefix(got[0], "not ok") {
		t.Errorf("not forced: %q", got)
	}
	for _, who := range []string{"authenticated", "service_role", "fluxbase_api"} {
		refused(t, b.db.Conn(t, who), "42501", "permission denied", `select auth.test_run(null, 'select 1')`)
	}
}

// Each assertion asks in the organization that it names.
func TestAssertionsInAnOrganization(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	dba := b.dba(t)
	exec(t, b.owner, docsSQL)
	exec(t, b.owner, `select auth.protect('public.docs', 'tenant', p_active_org => true)`)
	exec(t, b.super, `insert into docs (org_id, title) values ($1, 'a')`, b.orgs[1])
	exec(t, b.super, `insert into auth.memberships (org_id, user_id, role) values ($1, $2, 'member')`, b.orgs[1], b.users[0][1])
	exec(t, dba, `begin`)
	for _, call := range []string{
		`test_sees('u0.1@example.com', 'select * from docs', 1`,
		`test_sees_exactly('u0.1@example.com', 'select title from docs', '[{"title": "a"}]'`,
		`test_can('u0.1@example.com', 'delete from docs'`,
		`test_changes('u0.1@example.com', 'update docs set title = ''x''', 1`,
		`test_throws('u0.1@example.com', 'update docs set title = null', '23502'`,
		`test_sees_nothing('u0.1@example.com', 'select 1 where not exists (select from docs)'`,
		`test_cannot('u0.1@example.com', 'select 1 where not exists (select from docs)'`,
	} {
		for org, want := range map[string]string{"'org1'": "ok ", "'org0'": "not ok ", "''": "not ok ", "null": "not ok "} {
			if got := lines(t, dba, `select auth.`+call+`, p_org => `+org+`)`); !strings.HasPrefix(got[0], want) {
				t.Errorf("%s in %s: %q, want %s", call, org, got, want)
			}
		}
	}
	refused(t, dba, "P0002", "none of the user", `select auth.test_can('u0.2@example.com', 'delete from docs', p_org => 'org1')`)
}
