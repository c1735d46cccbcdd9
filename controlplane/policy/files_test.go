package policy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestReadFiles(t *testing.T) {
	t.Parallel()
	dir := fstest.MapFS{}
	for _, name := range []string{"b.sql", "a.sql", "B.SQL", "sub/c.sql", "tests/t.sql", "sub/test/t.sql", ".hidden/h.sql", ".h.sql", "readme.md", "policies.lock"} {
		dir[name] = &fstest.MapFile{Data: []byte("\ufeff" + name)}
	}
	files, err := ReadFiles(dir)
	if want := []File{{"B.SQL", "B.SQL"}, {"a.sql", "a.sql"}, {"b.sql", "b.sql"}, {"sub/c.sql", "sub/c.sql"}}; err != nil || !slices.Equal(files, want) {
		t.Errorf("%v, %v; want %v", files, err, want)
	}
	if _, err := ReadFiles(fstest.MapFS{"readme.md": &fstest.MapFile{}}); err == nil {
		t.Error("an empty directory would take away all rules")
	}
	if _, err := ReadFiles(os.DirFS("/nonexistent")); err == nil {
		t.Error("no directory, no error")
	}
}

func TestReadFilesOfALink(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	for _, name := range []string{filepath.Join(dir, "a.sql"), filepath.Join(other, "b.sql")} {
		if err := os.WriteFile(name, []byte("select 1"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link(other, "tests")
	link(filepath.Join(other, "b.sql"), "b.sql")
	if files, err := ReadFiles(os.DirFS(dir)); err != nil || len(files) != 2 {
		t.Errorf("%v, %v", files, err)
	}
	link(other, "team")
	if files, err := ReadFiles(os.DirFS(dir)); err == nil || !strings.Contains(err.Error(), "team is a link to a directory") {
		t.Errorf("%v, %v: the rules below the link would go", files, err)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "a.sql"), []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var seen []string
	Watch(ctx, os.DirFS(dir), func(files []File, err error) {
		switch {
		case err != nil:
			seen = append(seen, "error")
			write("one")
		case files[0].Text == "one":
			seen = append(seen, "one")
			write("two")
		default:
			seen = append(seen, files[0].Text)
			cancel()
		}
	})
	if got := strings.Join(seen, " "); got != "error one two" {
		t.Errorf("saw %s", got)
	}
}

// An editor empties a file, or moves it away, before it writes the new one.
func TestWatchWaitsForTheWholeFile(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	readings, n := []string{"one", "one", "", "two", "gone", "three", "three", "three", "one", "three", ""}, 0
	var seen []string
	watch(ctx, func() ([]File, error) {
		text := readings[min(n, len(readings)-1)]
		n++
		if text == "gone" {
			return nil, errors.New("gone")
		}
		return file(text), nil
	}, func(files []File, err error) {
		if err != nil {
			t.Error(err)
			return
		}
		if seen = append(seen, files[0].Text); files[0].Text == "" {
			cancel()
		}
	})
	if got := strings.Join(seen, ","); got != "one,three," {
		t.Errorf("saw %s", got)
	}
}

func TestLockFile(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	name := filepath.Join(t.TempDir(), LockFile)
	if _, err := Drift(t.Context(), b.owner, name); err == nil || !strings.Contains(err.Error(), "fluxbase policy lock") {
		t.Errorf("no lock file: %v", err)
	}
	for range 2 { // a new one, and one in the place of another
		text, err := Lock(t.Context(), b.owner)
		if err == nil {
			err = WriteLock(name, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if drift, err := Drift(t.Context(), b.owner, name); err != nil || len(drift) != 0 {
		t.Errorf("%v, %v", drift, err)
	}
	b.exec(t, `grant select on public.notes to anon`)
	if drift, err := Drift(t.Context(), b.owner, name); err != nil || len(drift) != 1 || drift[0].String() != "+ table public.notes: grant select to anon" {
		t.Errorf("%v, %v", drift, err)
	}
	findings, err := Check(t.Context(), b.owner)
	if err != nil || len(findings) == 0 || findings[0].Code != "rls_disabled" {
		t.Errorf("%v, %v", findings, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(name), ".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWriteLockFollowsLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{os.DevNull, file} {
		link := filepath.Join(dir, "to "+filepath.Base(target))
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if err := WriteLock(link, "new"); err != nil {
			t.Errorf("%s: %v", target, err)
		}
		if got, err := os.Readlink(link); err != nil || got != target {
			t.Errorf("the link to %s was replaced: %s, %v", target, got, err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "new" {
		t.Errorf("%s, %v", text, err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%v, %v", info, err)
	}
}

// A pooler gives the session to somebody else after the transaction: nothing of ours may be left in it.
func TestSessionIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	state := func() (text string) {
		if err := b.owner.QueryRow(t.Context(), `
			select current_user || coalesce(string_agg(' ' || s.name || '=' || s.setting, '' order by s.name), '') from pg_settings s where s.setting is distinct from s.reset_val`).Scan(&text); err != nil {
			t.Fatal(err)
		}
		return text
	}
	before := state()
	err := AsAdmin(t.Context(), b.owner, func(tx pgx.Tx) error {
		var who string
		if err := tx.QueryRow(t.Context(), `select current_user`).Scan(&who); err != nil || who != "fluxbase_admin" {
			t.Errorf("%s, %v", who, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	b.apply(t, `set role fluxbase_admin; set search_path = auth; set row_security = off; set statement_timeout = '1h'; reset role; grant select on public.notes to anon;`)
	if after := state(); after != before {
		t.Errorf("%s\nwas\n%s", after, before)
	}
}
