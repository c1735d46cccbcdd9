// Package cluster finds PostgreSQL's server binaries and runs a private cluster for development and tests. It starts
// postgres itself, as an unprivileged user when we are root, and owns it: one process at a time holds a cluster, a
// cluster that a killed owner left running is stopped before the next start, and Stop ends it cleanly.
package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrInUse says that another process holds the cluster.
var ErrInUse = errors.New("the cluster is in use by another process")

// Options describe one cluster. Dir is its directory: the data lie in Dir/data, PostgreSQL's log in
// Dir/postgres.log.
type Options struct {
	Binaries Binaries
	Dir      string
	Password string            // of the superuser postgres; needed by Init only
	Port     int               // 0 takes a free one
	Settings map[string]string // configuration parameters, given on the command line
	Volatile bool              // for tests: no fsync; a crash of the machine loses the data, a crash of PostgreSQL does not
}

func (o Options) data() string { return filepath.Join(o.Dir, "data") }

// A Cluster is a running PostgreSQL. Its methods may be called concurrently.
type Cluster struct {
	Port      int
	SocketDir string

	cmd      *exec.Cmd
	done     chan struct{} // closed when postgres has ended
	lock     *os.File
	tempSock string // socket directory to remove, if it is a temporary one
	release  sync.Once
}

// Start runs the cluster of o.Dir and returns when it accepts connections on 127.0.0.1 and on a Unix socket. ctx
// bounds the start alone. A cluster left running by an owner that was killed is stopped first; a cluster whose owner
// lives is ErrInUse.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	a, err := unprivileged()
	if err != nil {
		return nil, err
	}
	lock, err := acquire(filepath.Join(o.Dir, "owner.lock"))
	if err != nil {
		return nil, err
	}
	c := &Cluster{lock: lock}
	if err := stopOrphan(ctx, o.data()); err != nil {
		c.free()
		return nil, err
	}
	if err := c.makeSocketDir(a, o.Dir); err != nil {
		c.free()
		return nil, err
	}
	for attempt := 0; ; attempt++ {
		retry, err := c.launch(ctx, a, o)
		if err == nil {
			return c, nil
		}
		if !retry || attempt == 40 || ctx.Err() != nil {
			c.free()
			return nil, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// launch starts postgres once and waits until it is ready. retry says that the cause goes away by itself: a port that
// somebody else took meanwhile, or backends of a killed postmaster that have not noticed yet.
func (c *Cluster) launch(ctx context.Context, a *account, o Options) (retry bool, err error) {
	c.Port = o.Port
	if c.Port == 0 {
		if c.Port, err = freePort(); err != nil {
			return false, err
		}
	}
	log, err := os.OpenFile(filepath.Join(o.Dir, "postgres.log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return false, err
	}
	defer log.Close()
	before, err := log.Seek(0, 2)
	if err != nil {
		return false, err
	}
	// Not CommandContext: the cluster outlives the context of its start.
	c.cmd = a.command(context.WithoutCancel(ctx), o.Binaries.path("postgres"), c.arguments(o)...)
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := c.cmd.Start(); err != nil {
		return false, fmt.Errorf("start postgres: %w", err)
	}
	done := make(chan struct{})
	c.done = done
	go func() {
		_ = c.cmd.Wait()
		close(done)
	}()
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			out, _ := os.ReadFile(log.Name())
			out = out[min(int(before), len(out)):]
			retry = bytes.Contains(out, []byte("pre-existing shared memory block")) ||
				o.Port == 0 && bytes.Contains(out, []byte("could not create any TCP/IP sockets"))
			return retry, fmt.Errorf("postgres did not start: %s", lastLines(out, 4))
		case <-ctx.Done():
			c.end(context.WithoutCancel(ctx), syscall.SIGINT, 10*time.Second)
			return false, fmt.Errorf("start postgres: %w", ctx.Err())
		case <-tick.C:
			if p, err := readPidFile(o.data()); err == nil && p.pid == c.cmd.Process.Pid && p.ready {
				return false, nil
			}
		}
	}
}

func (c *Cluster) arguments(o Options) []string {
	args := []string{"-D", o.data()}
	set := func(k, v string) { args = append(args, "-c", k+"="+v) }
	set("listen_addresses", "127.0.0.1")
	set("port", strconv.Itoa(c.Port))
	set("unix_socket_directories", c.SocketDir)
	set("logging_collector", "off")
	if o.Volatile {
		set("fsync", "off")
		set("synchronous_commit", "off")
		set("full_page_writes", "off")
		set("wal_level", "minimal")
		set("max_wal_senders", "0")
	}
	names := make([]string, 0, len(o.Settings))
	for name := range o.Settings {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		set(name, o.Settings[name])
	}
	return args
}

// makeSocketDir uses Dir/run, or a short temporary directory when the path would not fit into a socket address,
// which on the smallest system holds 103 bytes.
func (c *Cluster) makeSocketDir(a *account, dir string) error {
	c.SocketDir = filepath.Join(dir, "run")
	if len(c.SocketDir)+len("/.s.PGSQL.65535") > 103 {
		tmp, err := os.MkdirTemp("/tmp", "fluxbase-")
		if err != nil {
			return err
		}
		c.SocketDir, c.tempSock = tmp, tmp
	}
	return a.mkdir(c.SocketDir)
}

// Done is closed when postgres has ended, for whatever reason.
func (c *Cluster) Done() <-chan struct{} { return c.done }

// Pid is the process id of the postmaster.
func (c *Cluster) Pid() int { return c.cmd.Process.Pid }

// URL returns a connection string over TCP.
func (c *Cluster) URL(user, password, database string) string {
	return (&url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)),
		Path: "/" + database, RawQuery: "sslmode=disable"}).String()
}

// SocketURL returns a connection string over the Unix socket.
func (c *Cluster) SocketURL(user, password, database string) string {
	q := url.Values{"host": {c.SocketDir}, "port": {strconv.Itoa(c.Port)}}
	return (&url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Path: "/" + database, RawQuery: q.Encode()}).String()
}

// Stop ends the cluster: connections are cut, committed work is on disk. When ctx ends first, or after a minute, it
// is ended as a crash would. A second call does nothing.
func (c *Cluster) Stop(ctx context.Context) error {
	clean := c.end(ctx, syscall.SIGINT, time.Minute)
	c.free()
	if !clean {
		return errors.New("postgres did not stop in time and was killed; it recovers at the next start")
	}
	return nil
}

// Kill ends postgres as kill -9 does, for tests of recovery. The cluster can be started again.
func (c *Cluster) Kill() {
	_ = c.cmd.Process.Kill()
	<-c.done
	c.free()
}

// end signals postgres and waits; it says whether postgres went by itself.
func (c *Cluster) end(ctx context.Context, sig syscall.Signal, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = c.cmd.Process.Signal(sig)
	select {
	case <-c.done:
		return true
	case <-ctx.Done():
	}
	_ = c.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-c.done:
	case <-time.After(5 * time.Second):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
	return false
}

// free gives up the ownership of the cluster.
func (c *Cluster) free() {
	c.release.Do(func() {
		if c.tempSock != "" {
			_ = os.RemoveAll(c.tempSock)
		}
		_ = c.lock.Close()
	})
}

// freePort asks the system for a port that is free now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// acquire takes the lock that says who owns the cluster. The kernel gives it back when the owner dies.
func acquire(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	// A process that we start holds a copy of a lock for the moment between fork and exec, also of one that we have given
	// back meanwhile.
	for patience := 20; patience > 0 && errors.Is(err, syscall.EWOULDBLOCK); patience-- {
		time.Sleep(50 * time.Millisecond)
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		owner := make([]byte, 32)
		n, _ := f.ReadAt(owner, 0)
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w (process %s, %s)", ErrInUse, strings.TrimSpace(string(owner[:n])), filepath.Dir(path))
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := f.Truncate(0); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
