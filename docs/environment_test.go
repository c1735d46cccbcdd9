package docs

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// What the blocks of a page find around them.

const (
	template      = "installed"
	demoPassword  = "correct horse battery staple"
	serverTimeout = 2 * time.Minute
)

// installed is the cluster of SQL blocks. The login app owns its database and has installed Fluxbase after a DBA made
// the roles; the demo is loaded. Pages get clones of that database.
type installed struct {
	cluster *pgtest.PrivateCluster
	clones  int
}

func newInstalled(t *testing.T) *installed {
	t.Helper()
	c := pgtest.Cluster(t, pgtest.Options{})
	admin := c.Superuser(t, "postgres")
	run(t, admin, `create role app login password 'app'`)
	run(t, admin, `create database `+template+` owner app encoding 'UTF8' template template0`)
	dba := c.Superuser(t, template)
	if err := install.Roles(t.Context(), dba, fluxbase.Files, "app"); err != nil {
		t.Fatal(err)
	}
	app := c.Conn(t, "app", "app", template)
	if _, err := install.Migrate(t.Context(), app, fluxbase.Files, install.Options{To: install.Latest}); err != nil {
		t.Fatal(err)
	}
	run(t, dba, `grant fluxbase_author to app`)
	run(t, dba, `set fluxbase.demo_password = '`+demoPassword+`'`)
	files, err := filepath.Glob(filepath.Join(root, "testdata/demo/*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no demo: %v", err)
	}
	for _, file := range files { // in the order of their names
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		run(t, dba, string(text))
	}
	run(t, dba, `alter table public.notes owner to app; alter table public.projects owner to app; alter table public.tasks owner to app`)
	for _, conn := range []*pgx.Conn{dba, app} { // nobody may be connected to a template
		if err := conn.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return &installed{cluster: c}
}

// clone makes a database for one page and returns its name.
func (i *installed) clone(t *testing.T) string {
	t.Helper()
	i.clones++
	name := fmt.Sprintf("app_%d", i.clones)
	run(t, i.cluster.Superuser(t, "postgres"), `create database `+name+` template `+template+` owner app`)
	return name
}

// run executes a text of one or more statements.
func run(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatal(err)
	}
}

// buildPrograms returns the directory of the programs fluxbase and tern.
func buildPrograms(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, source := range map[string]string{"fluxbase": "./cmd/fluxbase", "tern": "github.com/jackc/tern/v2"} {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, name), source)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build %s: %v\n%s", source, err, out)
		}
	}
	return dir
}

// place is where shell blocks run.
type place struct {
	dir     string // working directory
	env     []string
	address string // on which the server of the place listens; pages show shownAddress
}

// newPlace makes a place whose programs are found in the directories of path first.
func newPlace(t *testing.T, path string) *place {
	t.Helper()
	// Not t.TempDir: the account of PostgreSQL must be able to look into it.
	dir, err := os.MkdirTemp("/tmp", "fluxbase-docs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// Commands are shown as they are typed in the root of the repository.
	for _, name := range []string{"schema", "sql", "policies", "testdata"} {
		from, err := filepath.Abs(filepath.Join(root, name))
		if err == nil {
			err = os.Symlink(from, filepath.Join(dir, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return &place{dir: dir, address: freeAddress(t),
		env: []string{"PATH=" + path + ":" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C.UTF-8", "PAGER=cat"}}
}

// startDemo starts what `make run` starts.
func (p *place) startDemo(t *testing.T) {
	t.Helper()
	p.background(t, fmt.Sprintf("exec fluxbase dev --listen %s --data-dir %s/.fluxbase", p.address, p.dir))
}

// makeApplication makes the cluster of somebody who is about to install. The login app may make roles and owns the
// database app, which has a table, and the empty databases printed and byhand; shop owns the database shop and is
// nothing else. psql and fluxbase find them through the environment.
func (p *place) makeApplication(t *testing.T) {
	t.Helper()
	c := pgtest.Cluster(t, pgtest.Options{})
	admin := c.Superuser(t, "postgres")
	run(t, admin, `create role app login createrole password 'app'; create role shop login password 'shop'`)
	for _, d := range []struct{ name, owner string }{{"app", "app"}, {"printed", "app"}, {"byhand", "app"}, {"shop", "shop"}} {
		run(t, admin, `create database `+d.name+` owner `+d.owner+` encoding 'UTF8' template template0`)
	}
	run(t, c.Conn(t, "app", "app", "app"), `create table public.orders (id bigint primary key, total numeric not null)`)
	passwords := fmt.Sprintf("*:*:*:postgres:%s\n*:*:*:app:app\n*:*:*:shop:shop\n", admin.Config().Password)
	if err := os.WriteFile(filepath.Join(p.dir, ".pgpass"), []byte(passwords), 0o600); err != nil {
		t.Fatal(err)
	}
	p.env = append(p.env, "PGHOST=127.0.0.1", fmt.Sprintf("PGPORT=%d", c.Port), "PGUSER=app", "PGDATABASE=app", "PGSSLMODE=disable",
		"FLUXBASE_SERVER_LISTEN="+p.address)
}

// background runs a text until the test ends and waits until the server that it started is ready.
func (p *place) background(t *testing.T, text string) {
	t.Helper()
	log, err := os.Create(filepath.Join(p.dir, ".server.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() //nolint:errcheck // the process has its own descriptor
	cmd := exec.Command("bash", "-c", text)
	cmd.Dir, cmd.Env = p.dir, p.env
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			t.Error("the server does not stop")
		}
	})
	for end := time.Now().Add(serverTimeout); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		select {
		case <-ended:
			output, _ := os.ReadFile(log.Name())
			t.Fatalf("the server ended: %s\n%s", cmd.ProcessState, output)
		default:
		}
		if answer, err := http.Get("http://" + p.address + "/readyz"); err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
	}
	t.Fatalf("the server is not ready after %s", serverTimeout)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
