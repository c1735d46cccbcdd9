// Package pgtest gives tests a real PostgreSQL. Database hands out clones of a database in which everything is
// installed, one a test, so that tests run in parallel and leave nothing behind; Cluster hands out private, empty
// clusters for tests that need roles of their own, other settings, or a crash.
//
// One cluster serves all tests of a process; it is started at the first use without fsync and removed when the process
// ends, however it ends. With TEST_DATABASE_URL (of a superuser) that cluster is used instead, by several test
// processes at once if need be, and the databases of failed tests are kept there. FLUXBASE_TEST_PGBIN names the
// directory of the server binaries to use instead of the newest found.
package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
)

// Installer is the login that owns the test databases and installed everything: no superuser, no CREATEROLE.
const Installer = "fluxbase_test_installer"

// logins have passwords; every other role is reached from a superuser's session.
var logins = []string{Installer, "fluxbase_api", "fluxbase_service", "fluxbase_server"}

// Password returns the password of a login on test clusters.
func Password(login string) string { return "pgtest-" + login }

// shared is the cluster of this process with its template, made once.
type shared struct {
	superuser string // connection string of the maintenance database
	template  string
	external  bool
}

var prepare = sync.OnceValues(func() (*shared, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	s := &shared{superuser: os.Getenv("TEST_DATABASE_URL"), external: true}
	if s.superuser == "" {
		c, err := startReaped(ctx, Options{})
		if err != nil {
			return nil, err
		}
		s.superuser, s.external = c.SuperuserURL("postgres"), false
	}
	return s, s.makeTemplate(ctx)
})

// Main runs the tests of a package and stops the shared cluster before the process ends. Tests work without it; then
// the cluster ends a moment after the process.
func Main(m *testing.M) {
	code := m.Run()
	reapAll()
	os.Exit(code)
}

// A DB is one test's database.
type DB struct {
	Name   string
	shared *shared
}

var sequence atomic.Int64

// Database returns a clone of the installed template. It is dropped when the test passes.
func Database(t testing.TB) *DB {
	t.Helper()
	s, err := prepare()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	db := &DB{Name: fmt.Sprintf("fluxbase_test_%d_%d", os.Getpid(), sequence.Add(1)), shared: s}
	create := fmt.Sprintf(`create database %s template %s owner %s`, db.Name, s.template, Installer)
	if !s.external {
		create += ` strategy file_copy` // twice as fast where a checkpoint costs no fsync
	}
	if err := s.exec(t.Context(), create); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() && s.external {
			t.Logf("the database was kept: psql '%s'", db.URL("superuser"))
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.exec(ctx, `drop database if exists `+db.Name+` with (force)`); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return db
}

// URL returns a connection string for "superuser", "installer" or one of the logins fluxbase_api, fluxbase_service and
// fluxbase_server. Any other name gives a superuser's session that starts in that role: right for looking at a
// database through its eyes, wrong for proving what it cannot do, because its session user may become anyone.
func (db *DB) URL(role string) string {
	dsn, err := postgres.WithDatabase(db.shared.superuser, db.Name)
	if err == nil {
		dsn, err = asRole(dsn, role)
	}
	if err != nil {
		panic(err) // TEST_DATABASE_URL was parsed before
	}
	return dsn
}

func asRole(dsn, role string) (string, error) {
	if role == "superuser" {
		return dsn, nil
	}
	if role == "installer" {
		role = Installer
	}
	for _, login := range logins {
		if role == login {
			return postgres.WithUser(dsn, login, Password(login))
		}
	}
	return postgres.WithParam(dsn, "role", role)
}

// Conn connects as URL says and closes the connection when the test ends.
func (db *DB) Conn(t testing.TB, role string) *pgx.Conn {
	t.Helper()
	return connect(t, db.URL(role))
}

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (s *shared) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.superuser)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was left open
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// templateLock serialises the making of templates among the test processes of one cluster. It spells pgtest.
const templateLock int64 = 0x706774657374

// makeTemplate finds or makes the database from which tests clone. Its name carries the hash of all SQL, and it gets
// that name when it is complete.
func (s *shared) makeTemplate(ctx context.Context) error {
	sum, err := hashFiles(fluxbase.Files)
	if err != nil {
		return err
	}
	s.template = "fluxbase_template_" + sum[:16]
	conn, err := pgx.Connect(ctx, s.superuser)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the session's lock goes with it
	if _, err := conn.Exec(ctx, `select pg_advisory_lock($1)`, templateLock); err != nil {
		return err
	}
	var exists bool
	if err := conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, s.template).Scan(&exists); err != nil {
		return err
	}
	if exists {
		return nil
	}
	building := s.template + "_building"
	for _, sql := range []string{
		`drop database if exists ` + building + ` with (force)`,
		`do $$ begin create role ` + Installer + ` login; exception when duplicate_object then null; end $$`,
		`alter role ` + Installer + ` login password '` + Password(Installer) + `'`,
		`create database ` + building + ` owner ` + Installer + ` template template0 encoding 'UTF8'`,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	if err := s.install(ctx, building); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, `alter database `+building+` rename to `+s.template)
	return err
}

// install does what a DBA and then a plain owner of the database do.
func (s *shared) install(ctx context.Context, database string) error {
	dsn, err := postgres.WithDatabase(s.superuser, database)
	if err != nil {
		return err
	}
	dba, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer dba.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was left open
	if err := install.Roles(ctx, dba, fluxbase.Files, Installer); err != nil {
		return err
	}
	for _, login := range logins {
		if _, err := dba.Exec(ctx, `alter role `+login+` password '`+Password(login)+`'`); err != nil {
			return err
		}
	}
	if dsn, err = asRole(dsn, "installer"); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was left open
	_, err = install.Migrate(ctx, conn, fluxbase.Files, install.Options{To: install.Latest})
	return err
}

// hashFiles covers names and contents of all SQL.
func hashFiles(files fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".sql") {
			return err
		}
		body, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %d\n%s", path, len(body), body)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), err
}
