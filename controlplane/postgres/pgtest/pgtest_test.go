package pgtest_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestMain(m *testing.M) {
	if os.Getenv("PGTEST_VICTIM") != "" {
		os.Exit(m.Run()) // without Main, and killed: the reaper must do it
	}
	pgtest.Main(m)
}

func TestClonesAreSeparate(t *testing.T) {
	t.Parallel()
	one, two := pgtest.Database(t), pgtest.Database(t)
	if _, err := one.Conn(t, "installer").Exec(t.Context(), `create table public.mine (id integer)`); err != nil {
		t.Fatal(err)
	}
	var there bool
	err := two.Conn(t, "superuser").QueryRow(t.Context(), `select to_regclass('public.mine') is not null`).Scan(&there)
	if err != nil || there {
		t.Fatalf("table seen in the other clone: %v, %v", there, err)
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	for role, want := range map[string]string{
		"superuser":        "postgres postgres",
		"installer":        pgtest.Installer + " " + pgtest.Installer,
		"fluxbase_api":     "fluxbase_api fluxbase_api",
		"fluxbase_service": "fluxbase_service fluxbase_service",
		"fluxbase_server":  "fluxbase_server fluxbase_server",
		"anon":             "postgres anon",
	} {
		var got string
		if err := db.Conn(t, role).QueryRow(t.Context(), `select session_user || ' ' || current_user`).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if role != "superuser" && role != "anon" && got != want || !strings.HasSuffix(got, strings.Fields(want)[1]) {
			t.Errorf("%s: got %q, want %q", role, got, want)
		}
	}
}

func TestClusterSurvivesKill(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t, pgtest.Options{Durable: true, Settings: map[string]string{"work_mem": "3MB"}})
	if _, err := c.Superuser(t, "postgres").Exec(t.Context(), `create table kept as select 42 as v`); err != nil {
		t.Fatal(err)
	}
	port := c.Port
	c.Kill()
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	var v int
	var mem string
	err := c.Superuser(t, "postgres").QueryRow(t.Context(), `select v, current_setting('work_mem') from kept`).Scan(&v, &mem)
	if err != nil || v != 42 || mem != "3MB" || c.Port != port {
		t.Fatalf("v=%d work_mem=%s port=%d/%d err=%v", v, mem, c.Port, port, err)
	}
}

// A test process that is killed leaves neither a running PostgreSQL nor files.
func TestNothingIsLeftAfterKill(t *testing.T) {
	t.Parallel()
	if os.Getenv("PGTEST_VICTIM") != "" {
		c := pgtest.Cluster(t, pgtest.Options{})
		if err := os.WriteFile(os.Getenv("PGTEST_VICTIM"), []byte(fmt.Sprint(c.Pid())), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		return
	}
	note := filepath.Join(t.TempDir(), "note")
	cmd := exec.Command(os.Args[0], "-test.run=^TestNothingIsLeftAfterKill$")
	cmd.Env = append(os.Environ(), "PGTEST_VICTIM="+note)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() //nolint:errcheck // it is gone when all went well
	var pid int
	wait(t, "the victim's cluster", func() bool {
		raw, _ := os.ReadFile(note)
		pid, _ = strconv.Atoi(string(raw))
		return pid != 0
	})
	files, err := filepath.Glob("/tmp/pgtest-*/*/data/postmaster.pid")
	if err != nil {
		t.Fatal(err)
	}
	var dir string
	for _, file := range files {
		if raw, _ := os.ReadFile(file); strings.HasPrefix(string(raw), fmt.Sprintln(pid)) {
			dir = filepath.Dir(filepath.Dir(filepath.Dir(file)))
		}
	}
	if dir == "" {
		t.Fatalf("no data directory belongs to process %d", pid)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	wait(t, "the removal of "+dir, func() bool {
		_, err := os.Stat(dir)
		return os.IsNotExist(err)
	})
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d still runs: %v", pid, err)
	}
}

func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}
