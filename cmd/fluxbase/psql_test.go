package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/postgres"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// Every macro of the startup file runs, and shows what it is for.
func TestPsqlCommand(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "own's psqlrc")
	if err := os.WriteFile(own, []byte(`\set mine 'select 42 as mine;'`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PSQLRC", own)
	t.Setenv("TMPDIR", dir)
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	if _, err := super.Exec(t.Context(), `
		select auth.create_user('ann@example.com', 'a long enough passphrase');
		insert into auth.sessions (user_id, expires_at, ip) select id, now() + interval '1 day', '192.0.2.7' from auth.users;
		set role fluxbase_owner; select audit.record('login', 'denied', id) from auth.users; reset role;
		create table public.t (id bigint, user_id uuid); select auth.protect('public.t', 'owner');
		-- What others made in public is not for the administrator to run.
		create function public.spied(name, name) returns text language plpgsql as $$ begin raise 'spied'; end $$;
		create operator public.|| (leftarg = name, rightarg = name, function = public.spied);
		create function public.cardinality(integer[]) returns integer language plpgsql as $$ begin raise 'spied'; end $$;
		insert into ratelimit.counters select id, 'ip:192.0.2.9', now(), 3, 1 from ratelimit.rules where name = 'login'`); err != nil {
		t.Fatal(err)
	}
	// The installing user reads the audit log on PostgreSQL 15 alone, where it inherits the rights of the owner.
	const auditor = "psql_auditor"
	if _, err := super.Exec(t.Context(), `create role `+auditor+` login password 'x' in role fluxbase_auditor`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = super.Exec(context.Background(), `drop role `+auditor) })
	do := func(role, input string, code int, want ...string) {
		t.Helper()
		cmd := newPsqlCommand()
		cmd.SetIn(strings.NewReader(input))
		dsn := db.URL(role)
		if role == auditor {
			var err error
			if dsn, err = postgres.WithUser(db.URL("superuser"), auditor, "x"); err != nil {
				t.Fatal(err)
			}
		}
		out, got := outcome(t, cmd, "--database="+dsn, "--", "-At", "-v", "ON_ERROR_STOP=1")
		if got != code {
			t.Errorf("%s: exit status %d, want %d", input, got, code)
		}
		for _, w := range want {
			if !regexp.MustCompile(w).MatchString(out) {
				t.Errorf("%s: no %s in\n%s", input, w, out)
			}
		}
	}
	do("installer", ":users", 0, `(?m)^ann@example.com\|`)
	do("installer", ":sessions", 0, `ann@example.com\|.*192.0.2.7`)
	do("installer", ":denied", 0, `\|login\|ann@example.com\|`)
	do("installer", ":policies", 0, `public.t\|protect_owner\|permissive\|all\|`)
	if _, err := super.Exec(t.Context(), `create table public."Odd; T" (id int); create policy p on public."Odd; T" to authenticated using (true)`); err != nil {
		t.Fatal(err)
	}
	do("installer", ":policies", 0, `(?m)^public."Odd; T"\|p\|`) // a name to paste
	do("installer", ":locks", 0, `^$`)
	do("installer", ":limits", 0, `login\|ip:192.0.2.9\|3\|`)
	do("installer", ":mine", 0, `^42\n$`)
	do(auditor, ":audit", 0, `\|login\|denied\|`)
	for _, macro := range []string{":users", ":sessions", ":denied", ":limits", ":audit"} {
		do("fluxbase_server", macro, 3, `^$`)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "fluxbase-psqlrc-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestPsqlSaysWhereItsArgumentsGo(t *testing.T) {
	t.Parallel()
	if out, code := outcome(t, newPsqlCommand(), "-c", "select 1"); code != 1 || !strings.Contains(out, "fluxbase psql -- -c") {
		t.Errorf("exit status %d, %s", code, out)
	}
}

// libpq would take any database that is there.
func TestPsqlWantsADatabase(t *testing.T) {
	for _, name := range []string{"FLUXBASE_DATABASE_DIRECT_URL", "FLUXBASE_DATABASE_URL", "FLUXBASE_CONFIG", fallbackVariable} {
		t.Setenv(name, "") // which restores it afterwards
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("a.sql", []byte("select 1;"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := outcome(t, newPsqlCommand()); code != 1 || !strings.HasPrefix(out, "which database?") {
		t.Errorf("psql: %d, %s", code, out)
	}
	if out, code := outcome(t, newPolicyCommand(), "test", "."); code != 1 || !strings.HasPrefix(out, "which database?") {
		t.Errorf("policy test: %d, %s", code, out)
	}
}
