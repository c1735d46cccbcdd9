package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestPolicyCommand(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	owner := db.Conn(t, "installer")
	if _, err := owner.Exec(t.Context(), `create table public.notes (id bigint primary key, user_id uuid)`); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	database := "--database=" + db.URL("installer")
	do := func(code int, want string, args ...string) {
		t.Helper()
		out, got := outcome(t, newPolicyCommand(), append(args, database)...)
		if got != code || !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("policy %s: exit status %d, want %d and %s:\n%s", strings.Join(args, " "), got, code, want, out)
		}
	}
	do(1, regexp.QuoteMeta(dir)+`: there is no .sql file`, "plan", dir)
	do(1, `there is no directory .*/mistyped`, "apply", filepath.Join(dir, "mistyped"))
	write("notes.sql", `select auth.protect('public.notes', 'owner');`)
	do(2, `(?s)policies\n  \+ policy protect_owner on public.notes.*grants\n  \+ table.*flags\n.*indexes\n  \+ column.*changes`, "plan", dir)
	do(1, `there is no .*policies.lock`, "check", dir)
	do(0, `changes applied`, "apply", dir)
	do(0, `^no changes\n$`, "plan", dir)
	do(0, `^no drift, no findings\n$`, "check", dir)
	do(0, `^no changes\n$`, "plan", dir, "--against", db.URL("superuser"))
	do(0, `(?s)^-- policy lock 1, .*policy protect_owner`, "lock", "--lock-file=-")
	if _, err := owner.Exec(t.Context(), `grant select on public.notes to anon; alter table public.notes no force row level security`); err != nil {
		t.Fatal(err)
	}
	do(2, `(?s)^drift: .*\+ table public.notes: grant select to anon.*warning|error rls_not_forced`, "check", dir)
	do(0, `^$`, "lock", dir)
	do(2, `^error rls_not_forced`, "check", dir)
	write("tests/a.sql", "begin;\nselect auth.test_sees_nothing(null, 'select * from public.notes');\nselect auth.test_finish();\nrollback;\n")
	do(0, `(?m)^1 tests in 1 files, 0 failed$`, "test", filepath.Join(dir, "tests"), "--junit", filepath.Join(dir, "junit.xml"))
	write("tests/b.sql", "begin;\nselect auth.test_can(null, 'select * from public.notes');\nselect auth.test_finish();\nrollback;\n")
	do(1, `(?m)^2 tests in 2 files, 1 failed$`, "test", filepath.Join(dir, "tests"), "--junit", filepath.Join(dir, "junit.xml"))
	if xml, err := os.ReadFile(filepath.Join(dir, "junit.xml")); err != nil || !strings.Contains(string(xml), `failures="1"`) {
		t.Errorf("%s, %v", xml, err)
	}
	write("more.sql", `create table public.more ();`)
	do(1, `more than access rules`, "apply", dir)

	// Whoever uses a table is in the way: which one it is, and that it was tried.
	busy := db.Conn(t, "superuser")
	if _, err := busy.Exec(t.Context(), `begin; lock table public.notes in access share mode`); err != nil {
		t.Fatal(err)
	}
	do(1, `gave up after 1 attempts, a table is in use \(public.notes by process \d+ .*\): take away .* on public.notes, .*lock timeout`, "plan", dir, "--lock-timeout=20ms", "--retries=0")
	if _, err := busy.Exec(t.Context(), `rollback`); err != nil {
		t.Fatal(err)
	}
	database = "--database=" + db.URL("fluxbase_api")
	do(1, `no member of fluxbase_admin`, "check", dir)
	do(1, `no member of fluxbase_admin`, "lock", dir)
	if _, err := busy.Exec(t.Context(), `alter schema auth rename to other`); err != nil {
		t.Fatal(err)
	}
	do(1, `this database has no Fluxbase`, "check", dir)
}
