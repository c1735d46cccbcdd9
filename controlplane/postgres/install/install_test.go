package install_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

var latest = install.Options{To: install.Latest}

func exec1(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func migrate(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	if _, err := install.Migrate(t.Context(), conn, fluxbase.Files, latest); err != nil {
		t.Fatal(err)
	}
}

// application is what a database may hold before we come: tables, data, and a version table of its own for tern.
const application = `
create table public.schema_version (version integer not null);
insert into public.schema_version values (17);
create table public.users (id bigint generated always as identity primary key, email text);
insert into public.users (email) select 'user' || n from generate_series(1, 100) n;
create function public.current_user_id() returns bigint language sql as 'select 1::bigint';`

const applicationData = `select (select version from public.schema_version) * 1000 + (select count(*) from public.users)`

// Whoever may install ends with the same catalog, and nothing in public is touched.
func TestInstallers(t *testing.T) {
	t.Parallel()
	installed := make([][]string, 3)
	t.Run("by", func(t *testing.T) {
		for i, tc := range []struct{ name, attributes string }{
			{"superuser", "superuser"},
			{"owner with CREATEROLE", "createrole"},
			{"plain owner after the DBA ran roles.sql", "nocreaterole"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				t.Parallel()
				c := pgtest.Cluster(t, pgtest.Options{})
				exec1(t, c.Superuser(t, "postgres"), `create role app login password 'app' `+tc.attributes)
				exec1(t, c.Superuser(t, "postgres"), `create database shop owner app`)
				conn := c.Conn(t, "app", "app", "shop")
				exec1(t, conn, application)
				super := c.Superuser(t, "shop")
				before := public(snapshot(t, super, catalog))

				if tc.attributes == "nocreaterole" {
					wholeBefore, rolesBefore := snapshot(t, super, catalog), snapshot(t, super, roles)
					_, err := install.Migrate(t.Context(), conn, fluxbase.Files, latest)
					var refusal *install.Refusal
					if !errors.As(err, &refusal) || !strings.Contains(refusal.Statements, "create role fluxbase_owner nologin") {
						t.Fatalf("before the DBA came: %v", err)
					}
					differ(t, "a refused installation", wholeBefore, snapshot(t, super, catalog))
					differ(t, "a refused installation", rolesBefore, snapshot(t, super, roles))
					if out, err := psql(t, c.SuperuserURL("shop"), "-c", "set fluxbase.installer = 'app'", "-f", "schema/roles.sql"); err != nil {
						t.Fatalf("%v: %s", err, out)
					}
				}
				migrate(t, conn)
				migrate(t, conn)

				after := snapshot(t, super, catalog)
				differ(t, "public", before, public(after))
				var data int
				if err := super.QueryRow(t.Context(), applicationData).Scan(&data); err != nil || data != 17100 {
					t.Errorf("the application's data: %d, %v", data, err)
				}
				installed[i] = append(after, snapshot(t, super, roles)...)
				for j, line := range installed[i] {
					if strings.HasPrefix(line, "role app ") {
						installed[i][j] = "role app"
					}
				}
			})
		}
	})
	differ(t, "owner with CREATEROLE", installed[0], installed[1])
	differ(t, "plain owner", installed[0], installed[2])
}

// The library, the tern command and the printed script through psql end with the same catalog.
func TestWays(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t, pgtest.Options{})
	fresh := func(name string) string {
		exec1(t, c.Superuser(t, "postgres"), `create database `+name)
		return c.SuperuserURL(name)
	}
	fresh("library")
	migrate(t, c.Superuser(t, "library"))
	want := snapshot(t, c.Superuser(t, "library"), catalog)

	t.Run("tern", func(t *testing.T) {
		dsn := fresh("by_hand")
		tern, err := ternBinary()
		if err != nil {
			t.Fatalf("%v: %s", err, tern)
		}
		if out, err := psql(t, dsn, "-f", "schema/roles.sql"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, args := range [][]string{{"migrate", "-m", "schema"}, {"code", "install", "sql"}, {"code", "install", "policies"}} {
			cmd := exec.CommandContext(t.Context(), tern, append(args, "-c", "schema/tern.conf")...)
			cmd.Dir = root(t)
			cmd.Env = append(os.Environ(), "PGHOST=127.0.0.1", fmt.Sprintf("PGPORT=%d", c.Port), "PGUSER=postgres", "PGDATABASE=by_hand",
				"PGPASSWORD="+c.Superuser(t, "postgres").Config().Password, "PGSSLMODE=disable")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("tern %v: %v: %s", args, err, out)
			}
		}
		differ(t, "tern", want, snapshot(t, c.Superuser(t, "by_hand"), catalog))
		current(t, c.Superuser(t, "by_hand"))
	})
	t.Run("psql alone", func(t *testing.T) {
		dsn := fresh("by_psql")
		if out, err := psql(t, dsn, "-f", "schema/roles.sql"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		files, err := filepath.Glob(filepath.Join(root(t), "schema/0*.sql"))
		if err != nil {
			t.Fatal(err)
		}
		for n, file := range files {
			if out, err := psql(t, dsn, "-1", "-c", "set role fluxbase_owner", "-c", "\\set QUIET on", "-f", file); err != nil {
				t.Fatalf("%s: %v: %s", file, err, out)
			}
			exec1(t, c.Superuser(t, "by_psql"), fmt.Sprintf(`update fluxbase.schema_version set version = %d`, n+1))
		}
		for _, name := range install.Packages {
			if out, err := psql(t, dsn, "-1", "-c", "set role fluxbase_owner", "-f", name+"/install.sql"); err != nil {
				t.Fatalf("%s: %v: %s", name, err, out)
			}
		}
		differ(t, "psql", want, snapshot(t, c.Superuser(t, "by_psql"), catalog))
	})
	t.Run("print", func(t *testing.T) {
		for _, tc := range []struct {
			name string
			to   int32
		}{{"from nothing", -2}, {"from roles", 0}, {"from version 2", 2}} {
			t.Run(tc.name, func(t *testing.T) {
				name := fmt.Sprintf("printed_%d", tc.to+2)
				dsn := fresh(name)
				conn := c.Superuser(t, name)
				if tc.to >= 0 {
					if _, err := install.Migrate(t.Context(), conn, fluxbase.Files, install.Options{To: tc.to}); err != nil {
						t.Fatal(err)
					}
				}
				before := snapshot(t, conn, catalog)
				var script bytes.Buffer
				if err := install.Print(t.Context(), &script, conn, fluxbase.Files, "postgres", false); err != nil {
					t.Fatal(err)
				}
				differ(t, "printing", before, snapshot(t, conn, catalog))
				if has := strings.Contains(script.String(), "create schema auth;"); has != (tc.to < 1) {
					t.Errorf("the script has migration 1: %v", has)
				}
				file := filepath.Join(t.TempDir(), "script.sql")
				if err := os.WriteFile(file, script.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
				if out, err := psql(t, dsn, "-f", file); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				differ(t, "print", want, snapshot(t, conn, catalog))
				current(t, conn)
				if out, err := psql(t, dsn, "-f", file); err == nil || !strings.Contains(out, "this script was made for version") {
					t.Errorf("an old script ran again: %v: %s", err, out)
				}
				script.Reset()
				if err := install.Print(t.Context(), &script, conn, fluxbase.Files, "postgres", false); err != nil || strings.TrimSpace(script.String()) != "-- Nothing is pending." {
					t.Errorf("after all: %v\n%.500s", err, script.String())
				}
			})
		}
	})
}

// current fails unless the database says itself that it holds this build.
func current(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	s, err := install.ReadStatus(t.Context(), conn, fluxbase.Files)
	if err != nil || !s.Current() {
		t.Errorf("status %+v, %v", s, err)
	}
}

// Twenty installations at once end in one.
func TestTwentyAtOnce(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t, pgtest.Options{})
	conns := make([]*pgx.Conn, 20)
	for i := range conns {
		conns[i] = c.Superuser(t, "postgres")
	}
	var g errgroup.Group
	var first atomic.Int32
	for _, conn := range conns {
		g.Go(func() error {
			r, err := install.Migrate(t.Context(), conn, fluxbase.Files, latest)
			if r.From == 0 {
				first.Add(1)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if first.Load() != 1 {
		t.Errorf("%d of 20 found an empty database", first.Load())
	}
	current(t, conns[0])
}

// Our lock is one of the database, but roles belong to the cluster: an installation in another database may change
// them at the same moment.
func TestTwoDatabasesAtOnce(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t, pgtest.Options{})
	other, watch := c.Superuser(t, "postgres"), c.Superuser(t, "postgres")
	exec1(t, other, `create role fluxbase_owner; create role anon nologin noinherit; create role authenticated nologin noinherit;
		create role service_role nologin noinherit; create role fluxbase_admin nologin noinherit; create role fluxbase_auditor nologin noinherit;
		create role fluxbase_author nologin noinherit; create role fluxbase_api login noinherit; create role fluxbase_service login noinherit;
		create role fluxbase_server login noinherit`)
	exec1(t, other, `create database shop`)
	exec1(t, other, `begin; alter role fluxbase_owner noinherit`)
	conn := c.Superuser(t, "shop")
	done := make(chan error, 1)
	go func() {
		_, err := install.Migrate(t.Context(), conn, fluxbase.Files, latest)
		done <- err
	}()
	for waits := false; !waits; time.Sleep(10 * time.Millisecond) {
		err := watch.QueryRow(t.Context(), `select exists (select from pg_stat_activity where datname = 'shop' and wait_event_type = 'Lock')`).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
	}
	exec1(t, other, `commit`)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	current(t, conn)
}

// Every migration goes down and up again, with the packages installed in between.
func TestDownAndUp(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t, pgtest.Options{})
	conn := c.Superuser(t, "postgres")
	migrate(t, conn)
	installed := snapshot(t, conn, catalog)
	to := func(n int32) []string {
		t.Helper()
		r, err := install.Migrate(t.Context(), conn, fluxbase.Files, install.Options{To: n})
		if err != nil || r.To != n {
			t.Fatalf("to %d: %+v, %v", n, r, err)
		}
		return snapshot(t, conn, catalog)
	}
	s, err := install.ReadStatus(t.Context(), conn, fluxbase.Files)
	if err != nil {
		t.Fatal(err)
	}
	to(0)
	at := [][]string{to(0)}
	for n := int32(1); n < s.Latest; n++ {
		at = append(at, to(n))
		differ(t, fmt.Sprintf("down from %d", n), at[n-1], to(n-1))
		differ(t, fmt.Sprintf("up again to %d", n), at[n], to(n))
	}
	migrate(t, conn)
	differ(t, "down to nothing and up", installed, snapshot(t, conn, catalog))
	to(s.Latest - 1)
	migrate(t, conn)
	differ(t, "down by one and up", installed, snapshot(t, conn, catalog))
	if _, err := install.Migrate(t.Context(), conn, fluxbase.Files, install.Options{To: s.Latest + 1}); err == nil {
		t.Error("a version that does not exist was accepted")
	}
}

// Going down keeps the functions that policies of the users call, with what these functions need.
func TestDownKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	conn := db.Conn(t, "installer")
	exec1(t, conn, `create table public.notes (user_id uuid default auth.current_user_id());
		alter table public.notes enable row level security;
		create policy own on public.notes using (user_id = (select auth.uid()))`)
	s, err := install.ReadStatus(t.Context(), conn, fluxbase.Files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := install.Migrate(t.Context(), conn, fluxbase.Files, install.Options{To: s.Latest - 1}); err != nil {
		t.Fatal(err)
	}
	exec1(t, conn, `insert into public.notes default values`)
	if _, err := install.Migrate(t.Context(), conn, fluxbase.Files, install.Options{To: 0}); err == nil {
		t.Error("version 0 was reached although a policy needs a function")
	}
	migrate(t, conn)
	current(t, conn)
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t, pgtest.Options{})
	conn := c.Superuser(t, "postgres")
	var steps []string
	dry := func(to int32) install.Result {
		t.Helper()
		steps = nil
		catalogBefore, rolesBefore := snapshot(t, conn, catalog), snapshot(t, conn, roles)
		r, err := install.DryRun(t.Context(), conn, fluxbase.Files, install.Options{To: to, Report: func(format string, args ...any) {
			steps = append(steps, fmt.Sprintf(format, args...))
		}})
		if err != nil {
			t.Fatal(err)
		}
		differ(t, "dry run", catalogBefore, snapshot(t, conn, catalog))
		differ(t, "dry run", rolesBefore, snapshot(t, conn, roles))
		return r
	}
	r := dry(install.Latest)
	if r.From != 0 || r.To < 1 || len(steps) != int(r.To)+len(install.Packages) {
		t.Errorf("%+v: %v", r, steps)
	}
	migrate(t, conn)
	if r := dry(0); r.To != 0 || !strings.HasPrefix(steps[len(steps)-1], "down 001_") {
		t.Errorf("%+v: %v", r, steps)
	}
	// What a dry run cannot do, migrate cannot do either.
	exec1(t, conn, `create table public.t (id uuid references auth.users (id))`)
	if _, err := install.DryRun(t.Context(), conn, fluxbase.Files, install.Options{To: 0}); err == nil {
		t.Error("a dry run dropped a table that a foreign key needs")
	}
}

// A schema of our name that is not ours stops everything before any change.
func TestForeignSchema(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"auth", "audit", "ratelimit", "fluxbase"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Database(t)
			conn := db.Conn(t, "superuser")
			if err := install.Uninstall(t.Context(), conn, false); err != nil {
				t.Fatal(err)
			}
			exec1(t, conn, `create schema `+name+`; create table `+name+`.mine (id integer)`)
			before := snapshot(t, conn, catalog)
			check := func(what string, err error) {
				t.Helper()
				if err == nil || !strings.Contains(err.Error(), "schema "+name+" is owned by postgres") {
					t.Errorf("%s: %v", what, err)
				}
				differ(t, what, before, snapshot(t, conn, catalog))
			}
			_, err := install.Migrate(t.Context(), conn, fluxbase.Files, latest)
			check("migrate", err)
			_, err = install.DryRun(t.Context(), conn, fluxbase.Files, latest)
			check("dry run", err)
			out, err := psql(t, db.URL("superuser"), "-f", "schema/roles.sql")
			if err != nil {
				err = errors.New(out)
			}
			check("psql", err)
			findings, err := install.Preflight(t.Context(), conn, fluxbase.Files)
			if err != nil || len(findings) != 1 {
				t.Fatalf("preflight: %+v, %v", findings, err)
			}
			check("preflight", errors.New(findings[0].Problem))
		})
	}
}

// Migrations and packages refuse any role but the owner, so that nothing of ours ever belongs to somebody else.
func TestOnlyTheOwner(t *testing.T) {
	t.Parallel()
	conn := pgtest.Database(t).Conn(t, "superuser")
	for _, file := range []string{"schema/001_schemas.sql", "sql/install.sql", "policies/install.sql"} {
		body, err := fluxbase.Files.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// Up to the end of the first statement: what comes before it are comments.
		head, _, ok := strings.Cut(string(body), "end $$;")
		if !ok {
			t.Fatalf("%s does not begin with a block", file)
		}
		if _, err := conn.Exec(t.Context(), head+"end $$;"); err == nil || !strings.Contains(err.Error(), "run this as fluxbase_owner") {
			t.Errorf("%s as a superuser: %v", file, err)
		}
	}
}

// A migration that runs outside of a transaction works in every way but the dry run, which says so.
func TestOutsideTransaction(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	conn := db.Conn(t, "installer")
	s, err := install.ReadStatus(t.Context(), conn, fluxbase.Files)
	if err != nil {
		t.Fatal(err)
	}
	next := pad(s.Latest+1) + "_later.sql"
	files := changed(t, map[string]string{"schema/" + next: "---- tern: disable-tx ----\n" +
		"create index concurrently if not exists users_later_idx on auth.users (created_at);\n" +
		"---- create above / drop below ----\ndrop index auth.users_later_idx;\n"})
	var steps []string
	o := install.Options{To: install.Latest, Report: func(format string, args ...any) { steps = append(steps, fmt.Sprintf(format, args...)) }}
	r, err := install.DryRun(t.Context(), conn, files, o)
	if err != nil || r.To != s.Latest || len(steps) != 1 || !strings.Contains(steps[0], "not tried, because it runs outside of a transaction: "+next) {
		t.Errorf("dry run: %+v, %v, %v", r, steps, err)
	}
	var script bytes.Buffer
	if err := install.Print(t.Context(), &script, conn, files, "", false); err != nil {
		t.Fatal(err)
	}
	index := func() (n int) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), `select count(*) from pg_indexes where indexname = 'users_later_idx'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	// Others wait for the lock meanwhile; they must not hold a snapshot that the index waits for.
	var g errgroup.Group
	for range 4 {
		other := db.Conn(t, "installer")
		g.Go(func() error {
			_, err := install.Migrate(t.Context(), other, files, latest)
			return err
		})
	}
	if err := g.Wait(); err != nil || index() != 1 {
		t.Fatalf("migrate: %d indexes, %v", index(), err)
	}
	if _, err := install.Migrate(t.Context(), conn, files, install.Options{To: s.Latest}); err != nil || index() != 0 {
		t.Fatalf("down: %d indexes, %v", index(), err)
	}
	file := filepath.Join(t.TempDir(), "script.sql")
	if err := os.WriteFile(file, script.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := psql(t, db.URL("installer"), "-f", file); err != nil || index() != 1 {
		t.Errorf("psql: %d indexes, %v: %s", index(), err, out)
	}
}

// --verified-context=off replaces helper bodies, a plain migrate puts the verified ones back.
func TestPlainContext(t *testing.T) {
	t.Parallel()
	conn := pgtest.Database(t).Conn(t, "installer")
	files := changed(t, map[string]string{"sql/context/plain.sql": `create or replace function auth.uid() returns uuid language sql stable
		return (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;`})
	plain := func() (is bool) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), `select pg_get_functiondef('auth.uid()'::regprocedure) ~ 'request.jwt.claims'`).Scan(&is); err != nil {
			t.Fatal(err)
		}
		return is
	}
	for _, off := range []bool{true, false, true} {
		if _, err := install.Migrate(t.Context(), conn, files, install.Options{To: install.Latest, PlainContext: off}); err != nil || plain() != off {
			t.Fatalf("off %v: plain %v, %v", off, plain(), err)
		}
	}
	without := changed(t, map[string]string{"sql/context/plain.sql": ""})
	if _, err := install.Migrate(t.Context(), conn, without, install.Options{To: install.Latest, PlainContext: true}); err == nil {
		t.Error("off was accepted by a build that has no plain helpers")
	}
}
