package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

const crashPassword = "a password for crash tests"

// startServe runs fluxbase serve for a database of a private cluster and returns its base URL.
func startServe(t *testing.T, c *pgtest.PrivateCluster, database string, variables ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	cmd := exec.Command(self, "serve")
	cmd.Dir = t.TempDir() // no fluxbase.yaml there
	cmd.Env = append(os.Environ(), asCommand+"=1", "FLUXBASE_SERVER_LISTEN="+address,
		"FLUXBASE_AUTH_JWT_SECRET="+rand.Text()+rand.Text(),
		"FLUXBASE_SERVER_TLS_TERMINATED_BY_PROXY=true", "FLUXBASE_SERVER_TRUSTED_PROXIES=192.0.2.1", "FLUXBASE_LOGGING_LEVEL=error")
	cmd.Env = append(cmd.Env, variables...)
	for login, variable := range map[string]string{"api": "URL", "service": "SERVICE_URL", "server": "SERVER_URL"} {
		dsn, err := postgres.WithUser(c.SuperuserURL(database), "fluxbase_"+login, "crash-password-of-"+login)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "FLUXBASE_DATABASE_"+variable+"="+dsn)
	}
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		timer.Stop()
		if t.Failed() {
			t.Logf("the server said:\n%s", output.String())
		}
	})
	awaitReady(t, "http://"+address, 60*time.Second)
	return "http://" + address
}

// awaitReady waits until the server says by itself that it serves.
func awaitReady(t *testing.T, base string, patience time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if status, _, err := request("GET", base+"/readyz", "", ""); err == nil && status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not ready after %s", patience)
		}
	}
}

func request(method, url, bearer, body string) (int, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// tokens is what a login or a refresh answered.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func ask(base, path, body string) (t tokens, ok bool) {
	status, text, err := request("POST", base+path, "", body)
	return t, err == nil && status == http.StatusOK && json.Unmarshal([]byte(text), &t) == nil
}

// PostgreSQL is killed under load, three times. What was answered with success must be there afterwards, nothing may be
// half done, and the server must come back by itself.
func TestPostgreSQLKilledUnderLoad(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := pgtest.Cluster(t, pgtest.Options{Durable: true})
	if _, err := c.Superuser(t, "postgres").Exec(ctx, `create database app encoding 'UTF8' template template0`); err != nil {
		t.Fatal(err)
	}
	conn := c.Superuser(t, "app")
	if _, err := install.Migrate(ctx, conn, fluxbase.Files, install.Options{To: install.Latest}); err != nil {
		t.Fatal(err)
	}
	passwords := install.Passwords{API: "crash-password-of-api", Service: "crash-password-of-service", Server: "crash-password-of-server"}
	if err := install.SetPasswords(ctx, conn, passwords); err != nil {
		t.Fatal(err)
	}
	_, err := conn.PgConn().Exec(ctx, `
		create table public.events (id uuid primary key, user_id uuid not null default auth.current_user_id());
		select auth.enable_rls(p_table => 'public.events');
		grant select, insert on public.events to authenticated;
		create policy events_owner on public.events to authenticated using (user_id = (select auth.current_user_id()));
		select auth.create_user(p_email => format('user%s@example.com', n), p_password => '`+crashPassword+`') from generate_series(1, 4) n`).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	base := startServe(t, c, "app", "FLUXBASE_RATE_LIMITING_ENABLED=false")

	var (
		mu       sync.Mutex
		events   []string // inserted, as the server said
		sessions []tokens // the newest tokens of each session
		wg       sync.WaitGroup
		stop     = make(chan struct{})
	)
	for n := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			credentials := fmt.Sprintf(`{"email":"user%d@example.com","password":%q}`, n+1, crashPassword)
			for {
				select {
				case <-stop:
					return
				default:
				}
				current, ok := ask(base, "/api/v1/auth/login", credentials)
				if !ok {
					time.Sleep(50 * time.Millisecond)
					continue
				}
				for range 20 {
					id := uuid.NewString()
					if status, _, err := request("POST", base+"/api/v1/rest/events", current.Access, fmt.Sprintf(`{"id":%q}`, id)); err == nil && status == http.StatusCreated {
						mu.Lock()
						events = append(events, id)
						mu.Unlock()
					}
					if next, ok := ask(base, "/api/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, current.Refresh)); ok {
						current = next
					}
				}
				mu.Lock()
				sessions = append(sessions, current)
				mu.Unlock()
			}
		}()
	}
	for range 3 {
		time.Sleep(1500 * time.Millisecond)
		c.Kill()
		time.Sleep(200 * time.Millisecond)
		if err := c.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		awaitReady(t, base, 20*time.Second)
	}
	time.Sleep(time.Second)
	close(stop)
	wg.Wait()
	if len(events) < 20 || len(sessions) < 2 {
		t.Fatalf("too little happened to prove anything: %d events, %d sessions", len(events), len(sessions))
	}

	conn = c.Superuser(t, "app")
	var lost, halfDone int
	if err := conn.QueryRow(ctx, `select count(*) from unnest($1::uuid[]) as a (id) where not exists
		(select from public.events e where e.id = a.id)`, events).Scan(&lost); err == nil && lost > 0 {
		t.Errorf("%d of %d acknowledged writes are lost", lost, len(events))
	} else if err != nil {
		t.Fatal(err)
	}
	// A login is a session, its refresh tokens without a gap, and its audit row.
	err = conn.QueryRow(ctx, `select count(*) from auth.sessions s
		where s.generation <> (select count(*) from auth.refresh_tokens r where r.session_id = s.id)
		   or not exists (select from auth.refresh_tokens r where r.session_id = s.id and r.generation = s.generation and r.used_at is null)
		   or not exists (select from audit.log l where l.session_id = s.id and l.action = 'login')`).Scan(&halfDone)
	if err != nil {
		t.Fatal(err)
	}
	if halfDone > 0 {
		t.Errorf("%d sessions are half done", halfDone)
	}
	for _, s := range sessions {
		if _, ok := ask(base, "/api/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, s.Refresh)); !ok {
			t.Error("a refresh token that was given out is refused")
		}
	}
	t.Logf("%d writes and %d sessions survived three crashes", len(events), len(sessions))
}
