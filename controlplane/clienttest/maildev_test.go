package clienttest

import (
	"context"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// mailSite is the application that mailed links lead to.
const mailSite = "https://app.example.com"

// maildev is an SMTP server that shows over HTTP what it has got.
type maildev struct {
	Port int
	API  string
}

// variables are the environment of a server that sends its mails there.
func (m maildev) variables() []string {
	return []string{"FLUXBASE_MAIL_HOST=127.0.0.1", "FLUXBASE_MAIL_PORT=" + strconv.Itoa(m.Port), "FLUXBASE_MAIL_TLS=none",
		"FLUXBASE_MAIL_FROM=Acme <no-reply@acme.test>", "FLUXBASE_AUTH_SITE_URL=" + mailSite, "FLUXBASE_SERVER_PUBLIC_URL=https://api.example.com"}
}

// startMaildev starts one for the time of the test.
func startMaildev(t *testing.T) maildev {
	t.Helper()
	node := nodePath(t)
	m := maildev{Port: freePort(t)}
	web := freePort(t)
	m.API = "http://127.0.0.1:" + strconv.Itoa(web)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	command := exec.CommandContext(ctx, node, "node_modules/maildev/bin/maildev", "--ip", "127.0.0.1", "--smtp", strconv.Itoa(m.Port),
		"--web", strconv.Itoa(web), "--web-ip", "127.0.0.1", "--mail-directory", t.TempDir(), "--silent")
	command.Dir = suites
	log := new(servertest.Log)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("log of maildev:\n%s", log)
		}
	})
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if response, err := http.Get(m.API + "/email"); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			return m
		}
		if time.Now().After(end) {
			t.Fatalf("maildev does not start:\n%s", log)
		}
	}
}

// freePort is a port that nobody listens on yet.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // nobody has used it
	return listener.Addr().(*net.TCPAddr).Port
}
