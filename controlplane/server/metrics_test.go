package server_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// freeAddress is one on which nobody listens for the moment.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // only asked for its address
	return l.Addr().String()
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	s := start(t, "FLUXBASE_SERVER_METRICS_LISTEN="+address, "FLUXBASE_RATE_LIMITING_ENABLED=true",
		"FLUXBASE_SERVER_CORS_ALLOWED_ORIGINS=https://app.example.com")
	user := s.CreateUser(t, ann)
	k := s.Login(t, ann)
	s.Exec(t, `select ratelimit.set_rule('one "nap"', 'global', 1, '15 days', '/api/v1/rest/rpc/nap')`)
	wait(t, "the rule", func() bool { return s.Do(t, "POST", "/rest/v1/rpc/nap", map[string]int{"seconds": 0}).Status == 429 })
	s.Do(t, "GET", "/rest/v1/notes", nil, k.Bearer())
	s.Do(t, "GET", "/nothing/"+user, nil)
	s.Do(t, "OPTIONS", "/rest/v1/notes", nil, "Origin: https://evil.example", "Access-Control-Request-Method: GET")
	s.Do(t, "POST", "/rest/v1/notes", map[string]string{}, "X-HTTP-Method-Override: DELETE")
	s.Do(t, "GET", "/auth/v1/user", nil, "Cookie: "+accessCookie+"="+k.Access, "Sec-Fetch-Site: cross-site")

	get := func(method, path string) (int, string, http.Header) {
		t.Helper()
		r, err := http.NewRequest(method, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close() //nolint:errcheck // read to its end
		text, _ := io.ReadAll(a.Body)
		return a.StatusCode, string(text), a.Header
	}
	status, text, header := get("GET", "/metrics")
	if status != 200 || header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v", status, header)
	}
	for _, line := range []string{
		`fluxbase_http_requests_total{route="auth",status="200"} 1`,
		`fluxbase_http_requests_total{route="auth",status="403"} 1`,
		`fluxbase_http_requests_total{route="data",status="200"} `,
		`fluxbase_http_request_duration_seconds_count{route="data"} `,
		`fluxbase_http_refused_total{code="origin_not_allowed"} 1`,
		`fluxbase_http_refused_total{code="method_override"} 1`,
		`fluxbase_http_refused_total{code="cross_site_request"} 1`,
		`fluxbase_rate_limited_total{rule="one \"nap\""} 1`,
		`fluxbase_pool_size{pool="api"} `, `fluxbase_pool_connections{pool="server",state="idle"} `,
		`fluxbase_info{version="test"} 1`, "go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("missing: %s", line)
		}
	}
	for _, secret := range []string{user, k.Access, k.Refresh, ann, "127.0.0.1", "evil", "/nothing", servertest.Secret} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in the metrics", secret)
		}
	}
	if status, _, header := get("GET", "/rest/v1/notes"); status != 404 || header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("another path: %d", status)
	}
	if status, _, _ := get("POST", "/metrics"); status != 405 {
		t.Errorf("POST: %d", status)
	}
	if a := s.Do(t, "GET", "/metrics", nil); a.Status != 404 {
		t.Errorf("on the API's listener: %d", a.Status)
	}
	if t.Failed() {
		t.Log(text)
	}
}
