package server_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
	"github.com/wayli-app/fluxbase/controlplane/server"
	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// Every answer has the headers: of each kind of route, and each kind of refusal.
func TestProtectiveHeaders(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.CreateUser(t, ann)
	k := s.Login(t, ann)
	for _, c := range []struct {
		method, path string
		body         any
		status       int
		headers      []string
	}{
		{"GET", "/healthz", nil, 200, nil},
		{"GET", "/readyz", nil, 200, nil},
		{"GET", "/.well-known/security.txt", nil, 200, nil},
		{"GET", "/rest/v1/notes", nil, 200, []string{k.Bearer()}},
		{"POST", "/rest/v1/notes", map[string]string{"body": "x"}, 201, []string{k.Bearer()}},
		{"GET", "/rest/v1/notes", nil, 401, nil},
		{"GET", "/rest/v1/nothing", nil, 404, nil},
		{"GET", "/rest/v1/notes?body=nonsense", nil, 400, nil},
		{"GET", "/auth/v1/user", nil, 200, []string{k.Bearer()}},
		{"GET", "/auth/v1/user", nil, 401, nil},
		{"POST", "/auth/v1/token?grant_type=password", map[string]string{"email": ann, "password": "wrong wrong wrong"}, 400, nil},
		{"PATCH", "/auth/v1/user", nil, 405, nil},
		{"GET", "/nothing", nil, 404, nil},
		{"GET", "/auth/v1/" + strings.Repeat("x", 17<<10), nil, 414, nil},
		{"POST", "/rest/v1/notes", map[string]string{}, 400, []string{"X-HTTP-Method-Override: DELETE"}},
		{"OPTIONS", "/rest/v1/notes", nil, 403, []string{"Origin: https://evil.example", "Access-Control-Request-Method: GET"}},
		{"OPTIONS", "/rest/v1/notes", nil, 204, []string{"Origin: http://localhost:5173", "Access-Control-Request-Method: GET"}},
	} {
		a := s.Do(t, c.method, c.path, c.body, c.headers...)
		if a.Status != c.status {
			t.Errorf("%s %.40s: %d %s, want %d", c.method, c.path, a.Status, a.Body, c.status)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"X-Xss-Protection": "0", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			"Cache-Control": "no-store", "Server": "", "Strict-Transport-Security": ""} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s %.40s: %s: %q", c.method, c.path, name, got)
			}
		}
		if !strings.Contains(a.Header.Get("Content-Security-Policy"), "default-src 'none'") || a.Header.Get("Permissions-Policy") == "" ||
			a.Header.Get("X-Request-Id") == "" || !strings.Contains(a.Header.Get("Vary"), "Origin") {
			t.Errorf("%s %.40s: %v", c.method, c.path, a.Header)
		}
	}
	// The one request that has no path.
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // only closed
	_, _ = io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if answer, _ := io.ReadAll(conn); !strings.Contains(string(answer), " 404 ") || !strings.Contains(string(answer), "X-Frame-Options: DENY") {
		t.Errorf("OPTIONS *: %s", answer)
	}
}

// What a browser does for supabase-js on another origin.
func TestBrowser(t *testing.T) {
	t.Parallel()
	const origin = "https://app.example.com"
	s := start(t, "FLUXBASE_SERVER_CORS_ALLOWED_ORIGINS="+origin)
	s.CreateUser(t, ann)
	k := s.Login(t, ann)
	for _, prefix := range []string{"/rest/v1/notes", "/auth/v1/user", "/api/v1/auth/login", "/rest/v1/rpc/nap"} {
		a := s.Do(t, "OPTIONS", prefix, nil, "Origin: "+origin, "Access-Control-Request-Method: POST",
			"Access-Control-Request-Headers: apikey,authorization,content-profile,content-type,prefer,x-client-info")
		if a.Status != 204 || a.Header.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "x-client-info") {
			t.Errorf("%s: %d %v", prefix, a.Status, a.Header)
		}
	}
	a := s.Do(t, "GET", "/rest/v1/notes?select=body", nil, "Origin: "+origin, "Prefer: count=exact", k.Bearer())
	if a.Status != 200 || a.Header.Get("Access-Control-Allow-Origin") != origin || a.Header.Get("Content-Range") == "" ||
		!strings.Contains(a.Header.Get("Access-Control-Expose-Headers"), "content-range") {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	// A page may read why it was refused.
	if a := s.Do(t, "GET", "/rest/v1/notes", nil, "Origin: "+origin, "Authorization: Bearer x"); a.Status != 401 || a.Header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("%d %v", a.Status, a.Header)
	}
}

// The audit log has the client, and not who says that it is somebody else.
func TestClientAddress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		variables []string
		headers   []string
		want      string
	}{
		"no proxy":        {nil, []string{"X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9", "X-Real-IP: 203.0.113.9"}, "127.0.0.1"},
		"another proxy":   {[]string{"FLUXBASE_SERVER_TRUSTED_PROXIES=10.0.0.0/8"}, []string{"X-Forwarded-For: 203.0.113.9"}, "127.0.0.1"},
		"proxy":           {[]string{"FLUXBASE_SERVER_TRUSTED_PROXIES=127.0.0.1,10.0.0.0/8"}, []string{"X-Forwarded-For: 1.1.1.1, 203.0.113.9, 10.1.1.1"}, "203.0.113.9"},
		"proxy, RFC 7239": {[]string{"FLUXBASE_SERVER_TRUSTED_PROXIES=127.0.0.1", "FLUXBASE_SERVER_TRUSTED_PROXY_HEADER=Forwarded"}, []string{`Forwarded: for="[2001:db8::1]:80"`, "X-Forwarded-For: 1.1.1.1"}, "2001:db8::1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, c.variables...)
			s.CreateUser(t, ann)
			if a := s.Do(t, "POST", "/auth/v1/login", map[string]string{"email": ann, "password": servertest.Password}, c.headers...); a.Status != 200 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			if got := s.Value(t, `select host(ip) from audit.log where action = 'login'`); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestProductionNeedsTLS(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	try := func(variables ...string) error {
		s, err := server.New(t.Context(), server.Options{Config: servertest.Config(t, db, append(variables, "FLUXBASE_MODE=production")...),
			Files: fluxbase.Files, Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			s.Close(t.Context())
		}
		return err
	}
	if err := try(); !errors.Is(err, config.ErrPlainHTTP) {
		t.Errorf("got %v", err)
	}
	if err := try("FLUXBASE_SERVER_TLS_TERMINATED_BY_PROXY=true", "FLUXBASE_SERVER_TRUSTED_PROXIES=127.0.0.1"); err != nil {
		t.Errorf("behind a proxy: %v", err)
	}
	if err := try("FLUXBASE_SERVER_TLS_ENABLED=true", "FLUXBASE_SERVER_TLS_CERT_FILE=/none", "FLUXBASE_SERVER_TLS_KEY_FILE=/none"); err == nil || !strings.Contains(err.Error(), "/none") {
		t.Errorf("without its files: %v", err)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pool := certificate(t, dir)
	second := freeAddress(t)
	s := servertest.Start(t, "FLUXBASE_SERVER_TLS_ENABLED=true", "FLUXBASE_SERVER_TLS_CERT_FILE="+filepath.Join(dir, "cert.pem"),
		"FLUXBASE_SERVER_TLS_KEY_FILE="+filepath.Join(dir, "key.pem"), "FLUXBASE_SERVER_TLS_REDIRECT_LISTEN="+second,
		"FLUXBASE_SERVER_TLS_REDIRECT_HOST=localhost:443")
	address := strings.TrimPrefix(s.URL, "http://")
	client := func(pool *x509.CertPool) *http.Client {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"}, ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	first := client(pool)
	get := func(c *http.Client, url string) (*http.Response, error) {
		answer, err := c.Get(url)
		if err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			_ = answer.Body.Close()
		}
		return answer, err
	}
	a, err := get(first, "https://"+address+"/readyz")
	if err != nil {
		t.Fatal(err)
	}
	if a.StatusCode != 200 || a.ProtoMajor != 2 || a.TLS.Version != tls.VersionTLS13 || a.Header.Get("Strict-Transport-Security") != "max-age=31536000" {
		t.Errorf("%d %s %v", a.StatusCode, a.Proto, a.Header)
	}
	// Whoever speaks plain HTTP to it is told so, and nothing else.
	if a, err := get(first, "http://"+address+"/healthz"); err == nil && a.StatusCode != 400 {
		t.Errorf("plain HTTP: %d", a.StatusCode)
	}
	a, err = get(first, "http://"+second+"/rest/v1/notes?select=id")
	if err != nil || a.StatusCode != 308 || a.Header.Get("Location") != "https://localhost/rest/v1/notes?select=id" || a.Header.Get("Strict-Transport-Security") != "" {
		t.Errorf("redirect: %v %v", a, err)
	}
	if a, err = get(first, "http://"+second+"/healthz"); err != nil || a.StatusCode != 200 {
		t.Errorf("healthz: %v %v", a, err)
	}
	next := certificate(t, dir)
	wait(t, "the new certificate", func() bool { _, err := get(client(next), "https://"+address+"/healthz"); return err == nil })
	if a, err := get(first, "https://"+address+"/healthz"); err != nil || a.StatusCode != 200 {
		t.Errorf("the connection from before: %v", err)
	}
}

// certificate writes cert.pem and key.pem for localhost.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), DNSNames: []string{"localhost"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"key.pem": {Type: "PRIVATE KEY", Bytes: private}, "cert.pem": {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	return pool
}

// Clients that send their request byte by byte, or do not read, or never ask again, are cut; others are served meanwhile.
func TestSlowClientsAreCut(t *testing.T) {
	t.Parallel()
	// Without a time for the whole request, so that the other times are not covered by it.
	s := servertest.Start(t, "FLUXBASE_SERVER_READ_HEADER_TIMEOUT=1s", "FLUXBASE_SERVER_READ_TIMEOUT=0", "FLUXBASE_SERVER_IDLE_TIMEOUT=1s")
	whole := servertest.Start(t, "FLUXBASE_SERVER_READ_TIMEOUT=1s")
	open := func(s *servertest.Server, text string) net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_, _ = io.WriteString(conn, text)
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		return conn
	}
	begun := time.Now()
	slow := map[string]net.Conn{
		"headers": open(s, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "),
		"body":    open(whole, "POST /auth/v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"),
		"idle":    open(s, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
	}
	for _, name := range []string{"headers", "body"} {
		go func() {
			for range 50 { // a byte now and then does not help
				if _, err := slow[name].Write([]byte("a")); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		}()
	}
	if a := s.Do(t, "GET", "/healthz", nil); a.Status != 200 {
		t.Errorf("others: %d", a.Status)
	}
	for name, conn := range slow {
		_, err := io.Copy(io.Discard, bufio.NewReader(conn))
		if wait := time.Since(begun); errors.Is(err, os.ErrDeadlineExceeded) || wait > 10*time.Second {
			t.Errorf("%s: %v after %s", name, err, wait)
		}
	}
}

// A blocked address gets nothing, within moments, and everybody else everything.
func TestBlockedAddress(t *testing.T) {
	t.Parallel()
	s := start(t, "FLUXBASE_SERVER_TRUSTED_PROXIES=127.0.0.1")
	from := func(ip, path string) servertest.Answer { return s.Do(t, "GET", path, nil, "X-Forwarded-For: "+ip) }
	s.Exec(t, `select auth.block_address('203.0.113.0/24', now() + interval '1 hour', 'test'), auth.allow_address('203.0.113.7')`)
	wait(t, "the block", func() bool { return from("203.0.113.9", "/auth/v1/settings").Status == 403 })
	for _, path := range []string{"/auth/v1/settings", "/rest/v1/notes", "/healthz", "/nothing"} {
		if a := from("203.0.113.9", path); a.Status != 403 || a.Code() != "address_blocked" || a.Header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	for _, ip := range []string{"203.0.113.7", "203.0.114.9"} {
		if a := from(ip, "/auth/v1/settings"); a.Status != 200 {
			t.Errorf("%s: %d", ip, a.Status)
		}
	}
	s.Exec(t, `select auth.forget_address('203.0.113.0/24')`)
	wait(t, "the end of the block", func() bool { return from("203.0.113.9", "/auth/v1/settings").Status == 200 })
}
