package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/cluster"
)

const password = "it's a 'secret'"

// The test binary plays the owner that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CLUSTER_OWNER"); dir != "" {
		ctx := context.Background()
		b, err := cluster.Find(ctx)
		if err == nil {
			_, err = cluster.Start(ctx, cluster.Options{Binaries: b, Dir: dir, Volatile: true})
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("started")
		time.Sleep(time.Minute)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// initialised makes a cluster in a directory that PostgreSQL's account can reach.
func initialised(t *testing.T) cluster.Options {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "cluster-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := cluster.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := cluster.Options{Binaries: b, Dir: dir, Password: password, Volatile: true}
	if err := cluster.Init(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

func start(t *testing.T, o cluster.Options) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop(context.Background()) })
	return c
}

func query(t *testing.T, dsn, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var v string
	if err := conn.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestStartStopAgain(t *testing.T) {
	t.Parallel()
	o := initialised(t)
	c := start(t, o)
	for _, dsn := range []string{c.URL("postgres", password, "postgres"), c.SocketURL("postgres", password, "postgres")} {
		if got := query(t, dsn, `select current_setting('server_encoding') || current_setting('listen_addresses')`); got != "UTF8127.0.0.1" {
			t.Errorf("got %s", got)
		}
	}
	if _, err := pgx.Connect(t.Context(), c.SocketURL("postgres", "wrong", "postgres")); err == nil {
		t.Error("the Unix socket lets in without the password")
	}
	if _, err := cluster.Start(t.Context(), o); !errors.Is(err, cluster.ErrInUse) {
		t.Errorf("second start: %v, want ErrInUse", err)
	}
	if err := cluster.Init(t.Context(), o); err != nil {
		t.Errorf("Init of an existing cluster: %v", err)
	}
	query(t, c.URL("postgres", password, "postgres"), `with x as (select set_config('a.b', 'c', false)) select 'x' from x`)
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Errorf("second Stop: %v", err)
	}
	select {
	case <-c.Done():
	default:
		t.Error("Done is open after Stop")
	}
	start(t, o)
}

func TestOwnerKilled(t *testing.T) {
	t.Parallel()
	o := initialised(t)
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), "CLUSTER_OWNER="+o.Dir)
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, _ := out.Read(buf)
	if got := strings.TrimSpace(string(buf[:n])); got != "started" {
		t.Fatalf("owner says %q", got)
	}
	_ = owner.Process.Kill()
	_ = owner.Wait()
	c := start(t, o) // PostgreSQL still runs
	// A backend that computes does not notice the end of its postmaster, and keeps the shared memory.
	busy, err := pgx.Connect(t.Context(), c.URL("postgres", password, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close(t.Context())
	computing := make(chan error, 1)
	go func() {
		_, err := busy.Exec(t.Context(), `do $$ declare t timestamptz := clock_timestamp();
			begin while clock_timestamp() < t + interval '2 seconds' loop end loop; end $$`)
		computing <- err
	}()
	time.Sleep(300 * time.Millisecond)
	c.Kill()
	c = start(t, o)
	<-computing
	query(t, c.URL("postgres", password, "postgres"), `select 'alive'`)
}

// After a reboot the number in postmaster.pid may belong to another program.
func TestRecycledPid(t *testing.T) {
	t.Parallel()
	o := initialised(t)
	other := exec.Command("sleep", "60")
	if os.Geteuid() == 0 {
		// PostgreSQL only fears processes of its own user.
		info, err := os.Stat(filepath.Join(o.Dir, "data"))
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: st.Uid, Gid: st.Gid}}
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Wait()         //nolint:errcheck // it was killed
	defer other.Process.Kill() //nolint:errcheck // it was alive a moment ago
	for _, content := range []string{fmt.Sprintf("%d\n%s/data\n", other.Process.Pid, o.Dir), ""} {
		if err := os.WriteFile(filepath.Join(o.Dir, "data/postmaster.pid"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		c := start(t, o)
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the other program was stopped: %v", err)
	}
}

func TestLongPath(t *testing.T) {
	t.Parallel()
	o := initialised(t)
	long := filepath.Join(o.Dir, strings.Repeat("d", 100))
	if err := os.Mkdir(long, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(o.Dir, "data"), filepath.Join(long, "data")); err != nil {
		t.Fatal(err)
	}
	o.Dir = long
	c := start(t, o)
	query(t, c.SocketURL("postgres", password, "postgres"), `select 'alive'`)
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.SocketDir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", c.SocketDir, err)
	}
}

func TestFailuresSayWhy(t *testing.T) {
	t.Parallel()
	o := initialised(t)
	bad := o
	bad.Settings = map[string]string{"work_mem": "much"}
	if _, err := cluster.Start(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "work_mem") {
		t.Errorf("bad setting: %v", err)
	}
	other := o
	other.Binaries.Version++
	if err := cluster.Init(t.Context(), other); err == nil || !strings.Contains(err.Error(), "was made by PostgreSQL") {
		t.Errorf("other version: %v", err)
	}
	other.Dir, other.Password = t.TempDir(), ""
	if err := cluster.Init(t.Context(), other); err == nil || !strings.Contains(err.Error(), "password") {
		t.Errorf("no password: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := cluster.Start(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled start: %v", err)
	}
	start(t, o)
}

func TestPlace(t *testing.T) {
	t.Parallel()
	open := filepath.Join("/tmp", "fluxbase-place", "x")
	if got, err := cluster.Place(open); err != nil || got != open {
		t.Errorf("Place(%s) = %s, %v", open, got, err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root has places that PostgreSQL's account cannot reach")
	}
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	one, err := cluster.Place(filepath.Join(closed, "one"))
	if err != nil {
		t.Fatal(err)
	}
	again, _ := cluster.Place(filepath.Join(closed, "one"))
	two, _ := cluster.Place(filepath.Join(closed, "two"))
	if !strings.HasPrefix(one, "/var/lib/fluxbase/") || one != again || one == two {
		t.Errorf("one=%s again=%s two=%s", one, again, two)
	}
}
