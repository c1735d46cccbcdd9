package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// outcome runs one command as the program does and returns its output with the error's text, and its exit code.
func outcome(t *testing.T, cmd *cobra.Command, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	if code, ok := err.(exitError); ok {
		return out.String(), int(code)
	}
	if err != nil {
		return out.String() + err.Error(), 1
	}
	return out.String(), 0
}

func TestInstallCommands(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t, pgtest.Options{})
	super := c.Superuser(t, "postgres")
	for _, sql := range []string{`create role app login password 'app'`, `create database shop owner app`} {
		if _, err := super.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	app, dba := "--database="+c.URL("app", "app", "shop"), "--database="+c.SuperuserURL("shop")
	passwords := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(passwords, []byte("fluxbase_api=a good long password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		cmd  *cobra.Command
		args []string
		code int
		want []string
	}{
		{"preflight of a plain owner", newPreflightCommand(), []string{app}, 1, []string{"-- app may not make the roles of Fluxbase", "\ncreate role fluxbase_owner nologin noinherit;"}},
		{"migrate of a plain owner", newMigrateCommand(), []string{app}, 1, []string{"create role fluxbase_owner nologin noinherit;"}},
		{"status of nothing", newMigrateCommand(), []string{"status", dba}, 2, []string{"not installed", "pending   001_schemas.sql", "sql       missing"}},
		{"dry run", newMigrateCommand(), []string{"--dry-run", dba}, 0, []string{"up 001_schemas.sql", "everything was rolled back"}},
		{"print", newMigrateCommand(), []string{"--print", dba}, 0, []string{"set fluxbase.installer = 'postgres';", "create schema auth;"}},
		{"bad file of passwords", newMigrateCommand(), []string{dba, "--login-passwords-from", "/nonexistent"}, 1, []string{"/nonexistent"}},
		{"bad context", newMigrateCommand(), []string{dba, "--verified-context=maybe"}, 1, []string{"--verified-context is on or off"}},
		{"migrate to a version", newMigrateCommand(), []string{dba, "--to", "1"}, 0, []string{"up 001_schemas.sql", "version 1"}},
		{"migrate", newMigrateCommand(), []string{dba, "--login-passwords-from", passwords}, 0, []string{"installed policies", "set the passwords"}},
		{"preflight afterwards", newPreflightCommand(), []string{dba}, 0, []string{"ready"}},
		{"uninstall without a terminal", newUninstallCommand(), []string{dba}, 1, []string{"--yes deletes all users", "nothing was changed"}},
		{"uninstall", newUninstallCommand(), []string{dba, "--yes", "--roles"}, 0, []string{"removed"}},
		{"uninstall again", newUninstallCommand(), []string{dba, "--yes"}, 1, []string{"not installed"}},
		{"no server", newPreflightCommand(), []string{"--database=postgres://app:Tr0ub4dor@127.0.0.1:1/shop"}, 1, []string{"connect to app@127.0.0.1:1/shop"}},
	} {
		step.cmd.SetIn(strings.NewReader("")) // no terminal, wherever the test runs
		out, code := outcome(t, step.cmd, step.args...)
		if code != step.code {
			t.Errorf("%s: exit code %d, want %d", step.name, code, step.code)
		}
		for _, want := range step.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: %q is not in\n%.300s", step.name, want, out)
			}
		}
		if strings.Contains(out, "Tr0ub4dor") || strings.Contains(out, "a good long password") {
			t.Errorf("%s: shows a password", step.name)
		}
	}
}

func TestDatabaseURL(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fluxbase.yaml")
	if err := os.WriteFile(file, []byte("database:\n  direct_url: postgres://file@h/d\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		env  map[string]string
		args []string
		want string
	}{
		{"nothing", nil, nil, ""},
		{"fallback", map[string]string{"DATABASE_URL": "postgres://fall@h/d"}, nil, "postgres://fall@h/d"},
		{"data login without its user", map[string]string{"FLUXBASE_DATABASE_URL": "postgres://fluxbase_api:p@h/d", "DATABASE_URL": "postgres://fall@h/d"}, nil, "postgres://h/d"},
		{"direct", map[string]string{"FLUXBASE_DATABASE_URL": "postgres://x@h/d", "FLUXBASE_DATABASE_DIRECT_URL": "postgres://dba@h/d"}, nil, "postgres://dba@h/d"},
		{"file", map[string]string{"DATABASE_URL": "postgres://fall@h/d"}, []string{"--config=" + file}, "postgres://file@h/d"},
		{"flag", map[string]string{"FLUXBASE_DATABASE_DIRECT_URL": "postgres://dba@h/d"}, []string{"--database=host=h user=me"}, "host=h user=me"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, name := range []string{"DATABASE_URL", "FLUXBASE_DATABASE_URL", "FLUXBASE_DATABASE_DIRECT_URL"} {
				t.Setenv(name, tc.env[name])
				if tc.env[name] == "" {
					os.Unsetenv(name)
				}
			}
			cmd := newPreflightCommand()
			if err := cmd.ParseFlags(tc.args); err != nil {
				t.Fatal(err)
			}
			if got, err := databaseURL(cmd); err != nil || got != tc.want {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
		})
	}
	t.Run("a broken file is not passed over", func(t *testing.T) {
		t.Setenv("DATABASE_URL", "postgres://fall@h/d")
		if err := os.WriteFile(file, []byte("database:\n  direct_ulr: x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := newPreflightCommand()
		if err := cmd.ParseFlags([]string{"--config=" + file}); err != nil {
			t.Fatal(err)
		}
		if got, err := databaseURL(cmd); err == nil || !strings.Contains(err.Error(), "direct_ulr") {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

// A password that was not encoded ends up in the host: it is told to nobody, and the message says what to write.
func TestPasswordInTheHostIsNotShown(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"postgres://app:one@hunter2@127.0.0.1:1/app", "postgres://app:one@two#hunter2@127.0.0.1:1/app", "postgres://app:one/hunter2@127.0.0.1:1/app"} {
		out, code := outcome(t, newPreflightCommand(), "--database="+dsn)
		if code != 1 || strings.Contains(out, "hunter2") || !strings.Contains(out, "@ as %40") {
			t.Errorf("%s: exit status %d, %s", dsn, code, out)
		}
	}
}
