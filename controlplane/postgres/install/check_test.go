package install_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// changed returns the embedded files with some replaced; empty text removes one.
func changed(t *testing.T, changes map[string]string) fs.FS {
	t.Helper()
	m := fstest.MapFS{}
	err := fs.WalkDir(fluxbase.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fluxbase.Files.ReadFile(path)
		m[path] = &fstest.MapFile{Data: body}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range changes {
		if text == "" {
			delete(m, path)
			continue
		}
		m[path] = &fstest.MapFile{Data: []byte(text)}
	}
	for _, name := range install.Packages {
		text, err := install.ChecksumSQL(m, name)
		if err != nil {
			t.Fatal(err)
		}
		m[name+"/checksum.sql"] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

func TestChecksumsAreCurrent(t *testing.T) {
	t.Parallel()
	for _, name := range install.Packages {
		want, err := install.ChecksumSQL(fluxbase.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := fluxbase.Files.ReadFile(name + "/checksum.sql")
		if err != nil || string(got) != want {
			t.Errorf("%s/checksum.sql is stale: go generate ./controlplane/postgres/install (%v)", name, err)
		}
		script, err := fluxbase.Files.ReadFile(name + "/install.sql")
		if err != nil || !strings.HasSuffix(strings.TrimSpace(string(script)), `{{ template "checksum.sql" . }}`) {
			t.Errorf("%s/install.sql does not end with checksum.sql (%v)", name, err)
		}
	}
}

func TestChecksumCoversEverything(t *testing.T) {
	t.Parallel()
	base := fstest.MapFS{"sql/a.sql": {Data: []byte("select 1;")}, "sql/b/c.sql": {Data: []byte("select 2;")}}
	sum := func(m fstest.MapFS) string {
		t.Helper()
		s, err := install.Checksum(m, "sql")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := sum(base)
	for name, other := range map[string]fstest.MapFS{
		"content":         {"sql/a.sql": {Data: []byte("select 2;")}, "sql/b/c.sql": base["sql/b/c.sql"]},
		"name":            {"sql/aa.sql": base["sql/a.sql"], "sql/b/c.sql": base["sql/b/c.sql"]},
		"border of files": {"sql/a.sql": {Data: []byte("select 1;b/c.sql\n9\nselect 2;")}},
		"one more":        {"sql/a.sql": base["sql/a.sql"], "sql/b/c.sql": base["sql/b/c.sql"], "sql/d.sql": {}},
	} {
		if sum(other) == want {
			t.Errorf("%s does not change the checksum", name)
		}
	}
	base["sql/checksum.sql"] = &fstest.MapFile{Data: []byte("anything")}
	if sum(base) != want {
		t.Error("checksum.sql itself changes the checksum")
	}
}

// The server refuses a database that is not its own release, and says which command mends it.
func TestCheck(t *testing.T) {
	t.Parallel()
	files := changed(t, nil)
	db := pgtest.Database(t)
	installer, server := db.Conn(t, "installer"), db.Conn(t, "fluxbase_server")
	if _, err := install.Migrate(t.Context(), installer, files, latest); err != nil {
		t.Fatal(err)
	}
	if err := install.Check(t.Context(), server, files); err != nil {
		t.Fatalf("the same release: %v", err)
	}
	s, err := install.ReadStatus(t.Context(), installer, files)
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(files, "schema/0*.sql")
	if err != nil {
		t.Fatal(err)
	}
	fewer := changed(t, map[string]string{names[len(names)-1]: ""})
	more := changed(t, map[string]string{"schema/" + pad(s.Latest+1) + "_more.sql": "select 1;\n---- create above / drop below ----\nselect 1;\n"})
	other := changed(t, map[string]string{"policies/examples/other.sql": "select 1;"})
	stale := changed(t, nil)
	stale.(fstest.MapFS)["sql/new.sql"] = &fstest.MapFile{Data: []byte("select 1;")}
	check := func(what string, conn install.Querier, files fs.FS, want string) {
		t.Helper()
		if err := install.Check(t.Context(), conn, files); !errors.Is(err, install.ErrNotReady) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", what, err, want)
		}
	}
	check("older database", server, more, "run: fluxbase migrate")
	check("newer database", server, fewer, "upgrade the server")
	check("other functions", server, other, "package policies is of another release; run the fluxbase migrate")
	check("stale build", server, stale, "go generate")
	if _, err := install.Migrate(t.Context(), installer, fewer, latest); err == nil || !strings.Contains(err.Error(), "use the newer program") {
		t.Errorf("an older program migrates a newer database: %v", err)
	}

	super := db.Conn(t, "superuser")
	exec1(t, super, `delete from fluxbase.packages where name = 'sql'`)
	check("half installed", server, files, "package sql is missing; run: fluxbase migrate")
	exec1(t, super, `revoke all on function fluxbase.installed() from fluxbase_server`)
	check("no right", server, files, "run: fluxbase migrate")
	if err := install.Uninstall(t.Context(), super, false); err != nil {
		t.Fatal(err)
	}
	check("nothing installed", server, files, "is not installed in it, or not completely; run: fluxbase migrate")
	if err := install.Check(t.Context(), gone{}, files); err == nil || errors.Is(err, install.ErrNotReady) {
		t.Errorf("an unreachable database: %v", err)
	}
}

func pad(n int32) string { return fmt.Sprintf("%03d", n) }

type gone struct{}

func (gone) QueryRow(context.Context, string, ...any) pgx.Row { return goneRow{} }

type goneRow struct{}

func (goneRow) Scan(...any) error { return errors.New("connection refused") }
