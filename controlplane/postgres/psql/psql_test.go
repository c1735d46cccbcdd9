package psql

import (
	"slices"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestCommand(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	cmd, err := Command(t.Context(), db.URL("installer"), "-XAtqc", "select current_database()")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.Join(cmd.Args, " "), pgtest.Password(pgtest.Installer)) || !slices.Contains(cmd.Env, "PGPASSWORD="+pgtest.Password(pgtest.Installer)) {
		t.Errorf("the password is in %v", cmd.Args)
	}
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != db.Name+"\n" {
		t.Errorf("%s, %v", out, err)
	}
	if cmd, err = Command(t.Context(), db.URL("installer"), "postgres", "-XAtqc", "select current_database()"); err != nil {
		t.Fatal(err)
	}
	if out, err := cmd.Output(); err != nil || string(out) != db.Name+"\n" {
		t.Errorf("with the name of a database: %s, %v", out, err)
	}
	if _, err := Command(t.Context(), "postgres://[", ""); err == nil {
		t.Error("what is no connection string is taken for one")
	}
}
