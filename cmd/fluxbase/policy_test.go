package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

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
	do(2, `(?s)policies\n  \+ policy protect_owner on public.notes.*grants\n  \+ table.*flags\n.*indexes, comments\n  \+ column.*changes`, "plan", dir)
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

// Whoever is stopped in the middle leaves no session behind that goes on and holds its locks.
func TestPolicyApplyIsStopped(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	if _, err := super.Exec(t.Context(), `create table public.notes (id bigint primary key)`); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.sql": `create policy p on public.notes to anon using (false);`,
		"b.sql": `set application_name = 'in b.sql'; select pg_sleep(100);`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sessions := func(name string) (n int) {
		t.Helper()
		if err := super.QueryRow(t.Context(), `select count(*)::int from pg_stat_activity where datname = current_database() and application_name = $1`, name).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		cmd := exec.Command(self, "policy", "apply", dir, "--database", db.URL("superuser"))
		cmd.Env = append(os.Environ(), asCommand+"=1")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		for deadline := time.Now().Add(30 * time.Second); sessions("in b.sql") == 0; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the files do not run")
			}
		}
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if got := stderr.String(); signal == syscall.SIGINT && got != "fluxbase: stopped\n" {
			t.Errorf("says %s", got)
		}
		for deadline := time.Now().Add(20 * time.Second); sessions("in b.sql") > 0; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%v: the session goes on", signal)
			}
		}
	}
}

// What enable_rls and the like remark reaches whoever applies. Nothing is prepared: poolers in transaction mode lose it.
func TestPolicyNotices(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	if _, err := db.Conn(t, "installer").Exec(t.Context(), `create table public.notes (id bigint primary key)`); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text := `drop policy if exists p on public.notes; do $$ begin raise notice 'a remark, % prepared', (select count(*) from pg_prepared_statements) using hint = 'a hint'; end $$;`
	if err := os.WriteFile(filepath.Join(dir, "a.sql"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := newPolicyCommand()
	cmd.SetArgs([]string{"plan", dir, "--database", db.URL("installer")})
	cmd.SetOut(&stderr)
	cmd.SetErr(&stderr)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^notice: a remark, 0 prepared\nhint: a hint\n0 tables were locked .*\nno changes\n$`).MatchString(stderr.String()) {
		t.Errorf("%s", stderr.String())
	}
}
