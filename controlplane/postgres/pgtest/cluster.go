package pgtest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/cluster"
)

// Options of a private cluster.
type Options struct {
	Settings map[string]string
	Durable  bool // with fsync and everything else that a crash of PostgreSQL alone does not need
}

// A PrivateCluster is an empty cluster of one test: no roles but the superuser postgres, no database of ours.
type PrivateCluster struct {
	*cluster.Cluster
	options cluster.Options
}

const superuserPassword = "pgtest-postgres"

// Cluster starts a private cluster that is removed when the test ends. It takes a second or two.
func Cluster(t testing.TB, o Options) *PrivateCluster {
	t.Helper()
	c, err := startReaped(t.Context(), o)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() { reap(c) })
	return c
}

// SuperuserURL returns a connection string of the superuser postgres.
func (c *PrivateCluster) SuperuserURL(database string) string {
	return c.URL("postgres", superuserPassword, database)
}

// Conn connects and closes the connection when the test ends.
func (c *PrivateCluster) Conn(t testing.TB, user, password, database string) *pgx.Conn {
	t.Helper()
	return connect(t, c.URL(user, password, database))
}

// Superuser connects as the superuser and closes the connection when the test ends.
func (c *PrivateCluster) Superuser(t testing.TB, database string) *pgx.Conn {
	t.Helper()
	return connect(t, c.SuperuserURL(database))
}

// Restart starts the cluster again on its port, after Stop or Kill.
func (c *PrivateCluster) Restart(ctx context.Context) error {
	o := c.options
	o.Port = c.Port
	next, err := cluster.Start(ctx, o)
	if err != nil {
		return err
	}
	c.Cluster = next
	return nil
}

// Bin is the directory of the client and server programs of the cluster's version.
func (c *PrivateCluster) Bin() string { return c.options.Binaries.Dir }

// Version is the major version of PostgreSQL.
func (c *PrivateCluster) Version() int { return c.options.Binaries.Version }

// pristine is a directory with a fresh data directory to copy, which is far cheaper than another initdb.
var pristine = sync.OnceValues(func() (cluster.Options, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var o cluster.Options
	var err error
	if dir := os.Getenv("FLUXBASE_TEST_PGBIN"); dir != "" {
		o.Binaries, err = cluster.At(ctx, dir)
	} else {
		o.Binaries, err = cluster.Find(ctx)
	}
	if err != nil {
		return o, err
	}
	root, err := scratch()
	if err != nil {
		return o, err
	}
	o.Dir = filepath.Join(root, "0")
	o.Password, o.Volatile = superuserPassword, true
	return o, cluster.Init(ctx, o)
})

var clusters struct {
	sync.Mutex
	count int
	all   map[*PrivateCluster]bool
}

func startReaped(ctx context.Context, o Options) (*PrivateCluster, error) {
	base, err := pristine()
	if err != nil {
		return nil, err
	}
	root, err := scratch()
	if err != nil {
		return nil, err
	}
	clusters.Lock()
	clusters.count++
	dir := filepath.Join(root, strconv.Itoa(clusters.count))
	clusters.Unlock()
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, "cp", "-Rp", filepath.Join(base.Dir, "data"), dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("copy the data directory: %w: %s", err, out)
	}
	c := &PrivateCluster{options: base}
	c.options.Dir = dir
	c.options.Volatile = !o.Durable
	c.options.Settings = map[string]string{"max_connections": "200", "shared_buffers": "64MB"}
	for k, v := range o.Settings {
		c.options.Settings[k] = v
	}
	if c.Cluster, err = cluster.Start(ctx, c.options); err != nil {
		return nil, err
	}
	clusters.Lock()
	defer clusters.Unlock()
	if clusters.all == nil {
		clusters.all = map[*PrivateCluster]bool{}
	}
	clusters.all[c] = true
	return c, nil
}

// reap stops a cluster and removes its files. Nothing in them is worth a clean shutdown.
func reap(c *PrivateCluster) {
	clusters.Lock()
	delete(clusters.all, c)
	clusters.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_ = c.Stop(ctx)
	_ = os.RemoveAll(c.options.Dir)
}

// reapAll stops what still runs and removes everything of this process.
func reapAll() {
	clusters.Lock()
	left := make([]*PrivateCluster, 0, len(clusters.all))
	for c := range clusters.all {
		left = append(left, c)
	}
	clusters.Unlock()
	for _, c := range left {
		reap(c)
	}
	if undertaker.stdin != nil {
		_ = undertaker.stdin.Close()
		_ = undertaker.cmd.Wait()
	}
}

// undertaker is a shell that outlives this process, sees its end as the end of its input, and then stops and removes
// what is left. So a panic, a timeout of the tests or a kill leaves no cluster behind.
var undertaker struct {
	stdin io.WriteCloser
	cmd   *exec.Cmd
}

const undertakerScript = `
while read -r line; do :; done
for f in "$1"/*/data/postmaster.pid; do
  [ -f "$f" ] && pid=$(head -n 1 "$f") && kill -INT "$pid" && pids="$pids $pid"
done
for pid in $pids; do
  n=0
  while kill -0 "$pid" && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done
done
rm -rf "$1"
`

var scratch = sync.OnceValues(func() (string, error) {
	// Not os.TempDir: on some systems its path is too long for a socket, or closed to the account of PostgreSQL.
	root, err := os.MkdirTemp("/tmp", "pgtest-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(root, 0o755); err != nil {
		return "", err
	}
	cmd := exec.Command("/bin/sh", "-c", undertakerScript, "pgtest", root)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start the process that cleans up: %w", err)
	}
	undertaker.stdin, undertaker.cmd = stdin, cmd
	return root, nil
})
