package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/postgres"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestKeysCommand(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	database := "--database=" + db.URL("installer")
	do := func(code int, want string, args ...string) string {
		t.Helper()
		out, got := outcome(t, newKeysCommand(), append(args, database)...)
		if got != code || !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("keys %s: exit status %d, want %d and %s:\n%s", strings.Join(args, " "), got, code, want, out)
		}
		return strings.TrimSpace(out)
	}
	anon := do(0, `^fb_live_[A-Za-z0-9_-]{43}\n$`, "create", "anon", "--name", "web")
	service := do(0, `^fb_live_[A-Za-z0-9_-]{43}\n$`, "create", "service", "--name", "worker", "--expires", "24h", "--scope", "documents:read")
	do(1, `name`, "create", "anon")
	do(1, `invalid argument "user": say anon or service`, "create", "user", "--name", "x")
	do(1, `invalid argument "anon web": .*--name`, "create", "anon", "web")
	for who, want := range map[string]string{"fluxbase_api": `is no member of fluxbase_admin`, "superuser": `has no Fluxbase`} {
		url := db.URL(who)
		if who == "superuser" {
			url, _ = postgres.WithDatabase(url, "postgres")
		}
		if out, code := outcome(t, newKeysCommand(), "list", "--database="+url); code != 1 || !strings.Contains(out, want) {
			t.Errorf("as %s: exit status %d, %s", who, code, out)
		}
	}
	do(1, `future`, "create", "anon", "--name", "x", "--expires", "-1h")
	list := do(0, `(?m)^\S+ +anon +web +fb_live_.{4} +never +never *$`, "list")
	if strings.Contains(list, anon) || !strings.Contains(list, service[:12]) {
		t.Errorf("list:\n%s", list)
	}
	id := regexp.MustCompile(`(?m)^(\S+) +anon`).FindStringSubmatch(list)[1]
	next := do(0, `^fb_live_`, "rotate", id, "--overlap", "0s")
	if list := do(0, `anon`, "list"); strings.Contains(list, id) || !strings.Contains(list, next[:12]) {
		t.Errorf("after rotating:\n%s", list)
	}
	do(1, `no living API key`, "rotate", id)
	id = regexp.MustCompile(`(?m)^(\S+) +service`).FindStringSubmatch(list)[1]
	do(0, `^revoked\n$`, "revoke", id, "--reason", "test")
	do(1, `before`, "revoke", id)
	do(1, `UUID`, "revoke", "x")
	do(1, `admin_api_keys`, "revoke", "00000000-0000-4000-8000-0000000000ff")
	if list := do(0, `ID`, "list"); strings.Contains(list, "service") {
		t.Errorf("after revoking:\n%s", list)
	}
}

// Users name their keys, and administrators list them: no name may write to the terminal what it likes.
func TestKeysListIsPlainText(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	if _, err := db.Conn(t, "superuser").Exec(t.Context(), `insert into auth.api_keys (kind, name, prefix, key_hash)
		values ('anon', E'a "c"\x1b[2J\nfake\u202e', 'fb_live_test', sha256('x'))`); err != nil {
		t.Fatal(err)
	}
	out, code := outcome(t, newKeysCommand(), "list", "--database="+db.URL("installer"))
	if code != 0 || !strings.Contains(out, `a "c"\x1b[2J\nfake\u202e  fb_live_test`) || strings.ContainsAny(out, "\x1b\u202e") || strings.Count(out, "\n") != 2 {
		t.Errorf("exit status %d: %q", code, out)
	}
}
