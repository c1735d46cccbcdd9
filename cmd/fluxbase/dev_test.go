package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// asCommand makes the test binary behave as the command, so that a test can start, interrupt and kill a real process.
const asCommand = "FLUXBASE_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	pgtest.Main(m)
}

// A devProcess is one running fluxbase dev.
type devProcess struct {
	cmd    *exec.Cmd
	output *servertest.Log
	env    map[string]string // of dev.env
	done   chan error
}

func startDev(t *testing.T, dir string, args ...string) *devProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	envFile := filepath.Join(dir, "dev.env")
	_ = os.Remove(envFile)
	p := &devProcess{output: new(servertest.Log), env: map[string]string{}, done: make(chan error, 1)}
	p.cmd = exec.Command(self, append([]string{"dev", "--data-dir", dir, "--listen", "127.0.0.1:0"}, args...)...)
	p.cmd.Env = append(os.Environ(), asCommand+"=1")
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(os.Interrupt)
		select {
		case <-p.done:
		case <-time.After(30 * time.Second):
			_ = p.cmd.Process.Kill()
		}
	})
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if text, err := os.ReadFile(envFile); err == nil {
			for line := range strings.Lines(string(text)) {
				key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				p.env[key] = value
			}
			return p
		}
		select {
		case err := <-p.done:
			p.done <- err
			t.Fatalf("dev ended: %v\n%s", err, p.output)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("dev does not serve after 90 s:\n%s", p.output)
		}
	}
}

// interrupt is Ctrl-C: the process must end by itself, and orderly.
func (p *devProcess) interrupt(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(os.Interrupt)
	select {
	case err := <-p.done:
		p.done <- err
		if err != nil {
			t.Fatalf("after Ctrl-C: %v\n%s", err, p.output)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("dev did not end after Ctrl-C:\n%s", p.output)
	}
}

func (p *devProcess) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	p.done <- <-p.done
}

func (p *devProcess) call(t *testing.T, method, path, bearer, body string) (int, string) {
	t.Helper()
	status, text, err := request(method, p.env["API_URL"]+path, bearer, body)
	if err != nil {
		t.Fatal(err)
	}
	return status, text
}

func (p *devProcess) login(t *testing.T, email string) string {
	t.Helper()
	status, body := p.call(t, "POST", "/auth/login", "", fmt.Sprintf(`{"email":%q,"password":%q}`, email, p.env["DEMO_PASSWORD"]))
	var session struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &session); err != nil || status != http.StatusOK {
		t.Fatalf("login of %s: %d %s", email, status, body)
	}
	return session.AccessToken
}

func (p *devProcess) database(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.env["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// notesInSQL reads as somebody in psql would: the same functions and policies as over HTTP.
func notesInSQL(t *testing.T, conn *pgx.Conn, email string) string {
	t.Helper()
	var text string
	err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `select auth.login_as(p_user => $1)`, email); err != nil {
			return err
		}
		return tx.QueryRow(t.Context(), `select json_agg(n)::text from (select id, body from public.notes order by id limit 5) n`).Scan(&text)
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestDev(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "dev")
	const notes = "/rest/notes?select=id,body&order=id&limit=5"

	p := startDev(t, dir)
	ann, bob := p.login(t, "ann@example.com"), p.login(t, "bob@example.com")
	_, annSees := p.call(t, "GET", notes, ann, "")
	_, bobSees := p.call(t, "GET", notes, bob, "")
	if !strings.Contains(annSees, "of ann") || strings.Contains(annSees, "of bob") || annSees == bobSees {
		t.Fatalf("ann sees %s, bob sees %s", annSees, bobSees)
	}
	conn := p.database(t)
	if sees := notesInSQL(t, conn, "ann@example.com"); sees != annSees {
		t.Errorf("ann sees over HTTP %s, in SQL %s", annSees, sees)
	}
	if sees := notesInSQL(t, conn, "bob@example.com"); sees != bobSees {
		t.Errorf("bob sees over HTTP %s, in SQL %s", bobSees, sees)
	}
	if status, body := p.call(t, "POST", "/rest/notes", bob, `{"body":"kept"}`); status != http.StatusCreated {
		t.Errorf("bob's note: %d %s", status, body)
	}
	if _, err := conn.Exec(t.Context(), `select auth.revoke_user('ann@example.com')`); err != nil {
		t.Fatal(err)
	}
	if status, body := p.call(t, "GET", notes, ann, ""); status != http.StatusUnauthorized {
		t.Errorf("after revoke_user: %d %s", status, body)
	}
	if status, _ := p.call(t, "GET", notes, bob, ""); status != http.StatusOK {
		t.Errorf("bob was signed out with ann: %d", status)
	}
	email := `{"email":"new@example.com","password":"a password of her own"}`
	if status, body := p.call(t, "POST", "/auth/signup", "", email); status != http.StatusOK || !strings.Contains(body, "access_token") {
		t.Errorf("a sign-up is confirmed at once in development: %d %s", status, body)
	}
	// Another one in the same directory is told who is there, and leaves it alone; so is one whose database is not there.
	if out, code := outcome(t, newDevCommand(), "--data-dir", dir, "--listen", "127.0.0.1:0"); code != 1 || !strings.Contains(out, "in use by another process") {
		t.Errorf("a second one at once: exit status %d, %s", code, out)
	}
	if out, code := outcome(t, newDevCommand(), "--data-dir", t.TempDir(), "--database", "postgres://nobody@127.0.0.1:1/none"); code != 1 || !strings.Contains(out, "connect to nobody@127.0.0.1:1/none") {
		t.Errorf("without its database: exit status %d, %s", code, out)
	}
	if status, _ := p.call(t, "GET", notes, bob, ""); status != http.StatusOK {
		t.Errorf("the first one was disturbed: %d", status)
	}
	p.interrupt(t)

	// The second start keeps data, tokens and keys; then nobody gets to clean up.
	again := startDev(t, dir)
	if again.env["ANON_KEY"] != p.env["ANON_KEY"] || again.env["SERVICE_KEY"] != p.env["SERVICE_KEY"] {
		t.Error("the keys changed with the second start")
	}
	if status, body := again.call(t, "GET", "/rest/notes?select=body&body=eq.kept", bob, ""); status != http.StatusOK || body != `[{"body":"kept"}]` {
		t.Errorf("bob's note after the second start: %d %s", status, body)
	}
	if status, body := again.call(t, "GET", "/rest/notes?select=id&limit=1", again.env["SERVICE_KEY"], ""); status != http.StatusOK {
		t.Errorf("service key: %d %s", status, body)
	}
	again.kill()

	last := startDev(t, dir)
	if status, body := last.call(t, "GET", "/rest/notes?select=body&body=eq.kept", bob, ""); status != http.StatusOK || body != `[{"body":"kept"}]` {
		t.Errorf("bob's note after kill -9: %d %s", status, body)
	}
	last.interrupt(t)

	for _, secret := range []string{p.env["DEMO_PASSWORD"], p.env["JWT_SECRET"], p.env["SERVICE_KEY"], bob} {
		for _, run := range []*devProcess{p, again, last} {
			if strings.Contains(run.output.String(), secret) {
				t.Errorf("the output holds a secret:\n%s", run.output)
			}
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "dev.env")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("dev.env: %v, %v", info.Mode(), err)
	}
}

func TestDevUsesAnExistingDatabase(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t, pgtest.Options{})
	if _, err := c.Superuser(t, "postgres").Exec(t.Context(), `create database app encoding 'UTF8' template template0`); err != nil {
		t.Fatal(err)
	}
	conn := c.Superuser(t, "app")
	if _, err := conn.Exec(t.Context(), `create table public.customers (id int); insert into public.customers values (1)`); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "dev")
	p := startDev(t, dir, "--database", c.SuperuserURL("app"))
	if p.env["DEMO_EMAIL"] != "" {
		t.Error("the demo was loaded without being asked for")
	}
	var tables string
	if err := conn.QueryRow(t.Context(), `select string_agg(relname, ',') from pg_class
		where relnamespace = 'public'::regnamespace and relkind = 'r'`).Scan(&tables); err != nil || tables != "customers" {
		t.Errorf("public holds %q, %v", tables, err)
	}
	p.interrupt(t)

	p = startDev(t, dir, "--database", c.SuperuserURL("app"), "--demo")
	if status, body := p.call(t, "GET", "/rest/notes?select=id&limit=1", p.login(t, p.env["DEMO_EMAIL"]), ""); status != http.StatusOK {
		t.Errorf("demo: %d %s", status, body)
	}
	p.interrupt(t)
}

// Without a mail server the developer sees what would be mailed, and what is shown works.
func TestDevShowsMails(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	p := startDev(t, filepath.Join(t.TempDir(), "dev"), "--listen", address)
	if status, body := p.call(t, "POST", "/auth/recover", "", `{"email":"ann@example.com"}`); status != http.StatusOK {
		t.Fatalf("recover: %d %s", status, body)
	}
	link := regexp.MustCompile(`(?s)Mail to ann@example.com: Reset your password\n.*http://` + address + `/auth/v1/verify\?token=([^&]*)&type=recovery`)
	var token string
	for deadline := time.Now().Add(30 * time.Second); token == ""; time.Sleep(50 * time.Millisecond) {
		if found := link.FindStringSubmatch(p.output.String()); found != nil {
			token = found[1]
		} else if time.Now().After(deadline) {
			t.Fatalf("no mail is shown:\n%s", p.output)
		}
	}
	if !strings.Contains(p.output.String(), "Mails are printed here") {
		t.Errorf("nothing says so:\n%s", p.output)
	}
	if status, body := p.call(t, "POST", "/auth/verify", "", fmt.Sprintf(`{"type":"recovery","token_hash":%q}`, token)); status != http.StatusOK {
		t.Errorf("the link: %d %s", status, body)
	}
	var listed string
	conn := p.database(t)
	for deadline := time.Now().Add(30 * time.Second); listed != "recovery sent" && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err := conn.QueryRow(t.Context(), `select kind || ' ' || status from auth.outbox`).Scan(&listed); err != nil {
			t.Fatal(err)
		}
	}
	if listed != "recovery sent" {
		t.Errorf("psql lists %s", listed)
	}
}
