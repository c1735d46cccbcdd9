package server_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// raw is a connection whose client does what it likes. It ends with the test.
func raw(t testing.TB, s *servertest.Server, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// A body that is too large is refused before the rest of it has come, and so are headers.
func TestRequestLimits(t *testing.T) {
	t.Parallel()
	s := start(t, "FLUXBASE_SERVER_MAX_BODY_BYTES=10kB", "FLUXBASE_SERVER_MAX_HEADER_BYTES=8kB", "FLUXBASE_REST_MAX_BULK_BYTES=0")
	for _, path := range []string{"/rest/v1/rpc/nap", "/rest/v1/notes", "/auth/v1/login"} {
		conn := raw(t, s, "127.0.0.1")
		_, _ = io.WriteString(conn, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n{\"a\":\""+strings.Repeat("x", 100<<10))
		a, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		_ = a.Body.Close()
		if a.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	for size, want := range map[int]int{4 << 10: http.StatusOK, 20 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		conn := raw(t, s, "127.0.0.1")
		_, _ = io.WriteString(conn, "GET /auth/v1/settings HTTP/1.1\r\nHost: x\r\nX-Padding: "+strings.Repeat("x", size)+"\r\n\r\n")
		a, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil && want != http.StatusOK {
			continue // it was closed with some of the headers unread, and the answer lost
		}
		if err != nil || a.StatusCode != want {
			t.Errorf("headers of %d bytes: %v %v", size, a, err)
		}
	}
}

// The form of a page is read for its CSRF token, and no further than forms go.
func TestFormsAreBounded(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.CreateUser(t, ann)
	b := newBrowser(t, s)
	b.login(t, ann)
	form := "Content-Type: application/x-www-form-urlencoded"
	expectStatus(t, "a form", b.do(t, "POST", "/rest/v1/notes", "csrf_token="+b.token+"&body="+strings.Repeat("x", 900<<10), form), 201, "")
	expectStatus(t, "one too large", b.do(t, "POST", "/rest/v1/notes", "csrf_token="+b.token+"&body="+strings.Repeat("x", 1<<20), form), 413, "")
}

// Whoever does not read the answer does not keep it waiting for ever.
func TestSlowReadersAreCut(t *testing.T) {
	t.Parallel()
	const size = 40_000_000 // more than the buffers of two sockets hold
	s := start(t, "FLUXBASE_SERVER_WRITE_TIMEOUT=1s", "FLUXBASE_REST_COMPRESSION=false")
	s.Exec(t, `create function public.large() returns text language sql stable as $$ select repeat('x', 40000000) $$;
		grant execute on function public.large() to anon; select pg_notify('fluxbase_reload', '')`)
	wait(t, "the function", func() bool { return s.Do(t, "HEAD", "/rest/v1/rpc/large", nil).Status != 404 })
	conn := raw(t, s, "127.0.0.1")
	_, _ = io.WriteString(conn, "GET /rest/v1/rpc/large HTTP/1.1\r\nHost: x\r\n\r\n")
	time.Sleep(4 * time.Second)
	n, err := io.Copy(io.Discard, conn)
	if n >= size || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %d bytes, %v", n, err)
	}
}

// One address has so many connections to a server and no more, and others have theirs.
func TestConnectionsOfAServer(t *testing.T) {
	t.Parallel()
	metrics := freeAddress(t)
	s := servertest.Start(t, "FLUXBASE_SERVER_MAX_CONNECTIONS_PER_ADDRESS=3", "FLUXBASE_SERVER_METRICS_LISTEN="+metrics)
	answers := func(from string) bool {
		conn := raw(t, s, from)
		_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err := http.ReadResponse(bufio.NewReader(conn), nil)
		return err == nil
	}
	for i, want := range []bool{true, true, true, false, false} {
		if answers("127.0.0.2") != want {
			t.Errorf("connection %d: answered is %t", i+1, !want)
		}
	}
	if !answers("127.0.0.3") {
		t.Error("another address is refused")
	}
	if n := counted(t, metrics, `fluxbase_http_refused_total{code="too_many_connections"}`); n != 2 {
		t.Errorf("%d refusals are counted", n)
	}
}
