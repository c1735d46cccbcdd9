package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres"
)

// people is how many users log in and refresh.
const people = 64

// bareStatement is what the secured read asks PostgreSQL, as the owner of the table would write it.
const bareStatement = `select coalesce(json_agg(t), '[]')::text from (select id, body, created_at from public.notes where id = $1) t`

type bench struct {
	duration time.Duration
	rounds   int
	dir      string
	env      map[string]string // of dev.env
	address  string            // of the server
	socket   string            // URL of the superuser over the socket that the server uses too
	token    string            // of the demo user
	ids      []int64           // of the demo user's notes
	procs    []*exec.Cmd
}

func newBench(ctx context.Context, duration time.Duration, rounds int) (_ *bench, err error) {
	b := &bench{duration: duration, rounds: rounds, env: map[string]string{}}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.dir, err = os.MkdirTemp("", "fluxbase-bench"); err != nil {
		return nil, err
	}
	// PostgreSQL runs as another user when we are root.
	if err := os.Chmod(b.dir, 0o755); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.path("fluxbase"), "./cmd/fluxbase").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the server: %w\n%s", err, out)
	}
	server := exec.Command(b.path("fluxbase"), "dev", "--data-dir", b.path("data"), "--listen", "127.0.0.1:0")
	server.Env = append(os.Environ(), "FLUXBASE_LOGGING_LEVEL=warn")
	if err := b.start(server, os.Stderr); err != nil {
		return nil, err
	}
	if err := b.readEnv(ctx); err != nil {
		return nil, err
	}
	return b, b.prepare(ctx)
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) start(cmd *exec.Cmd, stderr io.Writer) error {
	cmd.Stderr = stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches us first; close ends it
	if err := cmd.Start(); err != nil {
		return err
	}
	b.procs = append(b.procs, cmd)
	return nil
}

// readEnv waits for the server to write dev.env, which it does when it serves.
func (b *bench) readEnv(ctx context.Context) error {
	deadline := time.Now().Add(time.Minute)
	for {
		text, err := os.ReadFile(b.path("data/dev.env"))
		if err == nil {
			for line := range strings.Lines(string(text)) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				b.env[key] = value
			}
			b.address = strings.TrimPrefix(b.env["SUPABASE_URL"], "http://")
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return errors.New("the server did not start")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (b *bench) prepare(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, b.env["DATABASE_URL"])
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var sockets string
	if err := conn.QueryRow(ctx, `select current_setting('unix_socket_directories')`).Scan(&sockets); err != nil {
		return err
	}
	if b.socket, err = overSocket(b.env["DATABASE_URL"], sockets); err != nil {
		return err
	}
	// People who share Ann's password, so that parallel logins are not those of one account.
	_, err = conn.Exec(ctx, `insert into auth.users (email, encrypted_password, email_confirmed_at)
		select format('bench%s@example.com', n), u.encrypted_password, now()
		from auth.users u cross join generate_series(0, $2 - 1) n where u.email = $1`, b.env["DEMO_EMAIL"], people)
	if err != nil {
		return err
	}
	rows, err := conn.Query(ctx, `select n.id from public.notes n join auth.users u on u.id = n.user_id where u.email = $1`, b.env["DEMO_EMAIL"])
	if err != nil {
		return err
	}
	if b.ids, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
		return err
	}
	session, err := b.login(b.env["DEMO_EMAIL"])
	b.token = session.AccessToken
	return err
}

// overSocket returns dsn with the first socket directory as its host.
func overSocket(dsn, directories string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", err
	}
	directory, _, _ := strings.Cut(directories, ",")
	query := u.Query()
	query.Set("host", strings.TrimSpace(directory))
	query.Set("port", u.Port())
	u.Host, u.RawQuery = "", query.Encode()
	return u.String(), nil
}

type session struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
}

func (b *bench) login(email string) (s session, err error) {
	response, err := http.Post(b.env["API_URL"]+"/auth/login", "application/json", strings.NewReader(b.credentials(email)))
	if err != nil {
		return s, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("login: %d %s", response.StatusCode, body)
	}
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(body, &s)
}

func (b *bench) credentials(email string) string {
	return fmt.Sprintf(`{"email":%q,"password":%q}`, email, b.env["DEMO_PASSWORD"])
}

// bare starts the bare handler of the secured read.
func (b *bench) bare(connections int) (address string, stop func(), err error) {
	return b.bareOf(bareStatement, connections)
}

// end stops a process that we started and waits for it.
func (b *bench) end(cmd *exec.Cmd) {
	if cmd.ProcessState != nil {
		return
	}
	_ = cmd.Process.Signal(os.Interrupt)
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	timer.Stop()
}

func (b *bench) close() {
	for i := len(b.procs) - 1; i >= 0; i-- {
		b.end(b.procs[i])
	}
	b.procs = nil
	_ = os.RemoveAll(b.dir)
}

// pool is the size of the data pool, the server's and the bare handler's.
func pool() int { return 4 * runtime.NumCPU() }

// serverURL returns the URL of one of the server's logins at another address.
func (b *bench) serverURL(login, address string) (string, error) {
	text, err := os.ReadFile(b.path("data/secrets.json"))
	if err != nil {
		return "", err
	}
	var secrets map[string]string
	if err := json.Unmarshal(text, &secrets); err != nil {
		return "", err
	}
	u, err := url.Parse(b.env["DATABASE_URL"])
	if err != nil {
		return "", err
	}
	u.Host = address
	return postgres.WithUser(u.String(), "fluxbase_"+login, secrets[login+"_password"])
}
