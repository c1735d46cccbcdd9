//go:build unix

package gateway

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/postgres"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// bouncer starts PgBouncer in transaction mode with one server connection per login, and returns its port.
func bouncer(t *testing.T, db *pgtest.DB) int {
	t.Helper()
	binary, err := exec.LookPath("pgbouncer")
	if err != nil {
		if binary, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			t.Skip("pgbouncer is not installed")
		}
	}
	server, err := pgconn.ParseConfig(db.URL("superuser"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()

	dir, err := os.MkdirTemp("", "pgbouncer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	users := ""
	for _, login := range []string{"fluxbase_api", "fluxbase_service", "fluxbase_server"} {
		users += fmt.Sprintf("%q %q\n", login, pgtest.Password(login))
	}
	ini := fmt.Sprintf(`[databases]
%s = host=%s port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = plain
auth_file = %s/users
pool_mode = transaction
default_pool_size = 1
max_client_conn = 100
logfile = %s/log
`, db.Name, server.Host, server.Port, port, dir, dir)
	for name, text := range map[string]string{"ini": ini, "users": users} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(binary, "-q", filepath.Join(dir, "ini"))
	if os.Getuid() == 0 { // it refuses to run as root
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Skip("no user to run pgbouncer as")
		}
		uid, _ := strconv.Atoi(nobody.Uid)
		gid, _ := strconv.Atoi(nobody.Gid)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitFor(t, func() bool {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return port
}

func TestBehindPgBouncer(t *testing.T) {
	t.Parallel()
	f := setupOn(t, pgtest.Database(t), func(db *pgtest.DB, c *Config) {
		port := bouncer(t, db)
		c.Pooler = PoolerTransaction
		for login, pool := range map[string]*PoolConfig{"fluxbase_api": &c.API, "fluxbase_service": &c.Service, "fluxbase_server": &c.Server} {
			url, err := postgres.WithUser(fmt.Sprintf("postgres://127.0.0.1:%d/%s?sslmode=disable", port, db.Name), login, pgtest.Password(login))
			if err != nil {
				t.Fatal(err)
			}
			pool.URL, pool.Size = url, 4
		}
	})
	if err := f.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}

	// Two tenants and nobody, interleaved over one server connection.
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			c, want := []Caller{annCaller(), bobCaller(), anonCaller()}[i%3], []string{"1,3,5,7,9", "2,4,6,8,10", ""}[i%3]
			for range 20 {
				got, err := f.query(t.Context(), c, []QueryOptions{read, write, rpc}[i%2], "select id from public.notes order by id")
				if err != nil || strings.Join(got, ",") != want {
					t.Errorf("%v, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := f.value(t, "select count(*) from pg_stat_activity where datname = current_database() and usename = 'fluxbase_api'"); got != "1" {
		t.Errorf("%s server connections", got)
	}

	f.wire.Reset()
	f.one(t, annCaller(), read, "select body from public.notes where id = $1", "1")
	if got := f.wire.Counts(); got.Writes != 1 || got.Ready != 1 || got.Frontend['P'] != 3 || got.Frontend['D'] != 0 {
		t.Errorf("on the wire: %+v", got)
	}
	if got := f.one(t, annCaller(), read, "select count(*) from pg_prepared_statements"); got != "0" {
		t.Errorf("%s prepared statements on the shared connection", got)
	}
	if _, err := f.Entry(t.Context(), annCaller(), "select to_jsonb(auth.uid())", nil); err != nil {
		t.Error(err)
	}
	_, err := f.query(t.Context(), annCaller(), read, "select 1/0")
	wantCode(t, err, "22012")
	_, err = f.query(t.Context(), annCaller(), QueryOptions{StatementTimeout: 50 * time.Millisecond}, "select pg_sleep(9)")
	wantCode(t, err, "57014")
	f.one(t, bobCaller(), rpc, run, "select set_config('search_path', 'pg_temp', false), set_config('role', 'anon', false), pg_advisory_lock(7)")
	if got := f.one(t, annCaller(), read, "select current_user || current_setting('search_path') || (select count(*) from pg_locks where locktype = 'advisory')"); got != `authenticated"$user", public0` {
		t.Errorf("leftovers: %s", got)
	}
}
