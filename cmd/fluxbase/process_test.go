package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

const (
	userPassword  = "a password for crash tests"
	loginPassword = "crash-password-of-" // and what follows fluxbase_ in the name of the login
)

// installed makes the database app in a private cluster, installs everything and sets the passwords of the logins.
func installed(t *testing.T, c *pgtest.PrivateCluster) *pgx.Conn {
	t.Helper()
	ctx := t.Context()
	if _, err := c.Superuser(t, "postgres").Exec(ctx, `create database app encoding 'UTF8' template template0`); err != nil {
		t.Fatal(err)
	}
	conn := c.Superuser(t, "app")
	if _, err := install.Migrate(ctx, conn, fluxbase.Files, install.Options{To: install.Latest}); err != nil {
		t.Fatal(err)
	}
	if err := install.SetPasswords(ctx, conn, install.Passwords{API: loginPassword + "api", Service: loginPassword + "service", Server: loginPassword + "server"}); err != nil {
		t.Fatal(err)
	}
	return conn
}

// startServe runs fluxbase serve for the database app of a private cluster and returns its base URL; see installed.
func startServe(t *testing.T, c *pgtest.PrivateCluster, variables ...string) string {
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
		dsn, err := postgres.WithUser(c.SuperuserURL("app"), "fluxbase_"+login, loginPassword+login)
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

// request sends one request, of JSON when it has a body, and returns status and body of the answer.
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

// ask posts JSON and reads the tokens of the answer; not ok without.
func ask(base, path, body string) (t tokens, ok bool) {
	status, text, err := request("POST", base+path, "", body)
	return t, err == nil && status == http.StatusOK && json.Unmarshal([]byte(text), &t) == nil
}
