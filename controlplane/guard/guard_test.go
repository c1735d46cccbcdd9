package guard_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/guard"
)

// load is the server section of a configuration.
func load(t testing.TB, variables ...string) config.Server {
	t.Helper()
	c, err := config.Load(os.DevNull, append([]string{
		"FLUXBASE_DATABASE_URL=postgres://db/app", "FLUXBASE_AUTH_JWT_SECRET=n4vVq0dXcJ2mEw8rTz6uYb1aKs5hLf3g-guard"}, variables...))
	if err != nil {
		t.Fatal(err)
	}
	return c.Server
}

// handler is a guard before a route that answers 200.
func handler(t testing.TB, variables ...string) http.Handler {
	g := guard.New(guard.Options{Server: load(t, variables...), Refuse: func(w http.ResponseWriter, _ *http.Request, why *guard.Refusal) {
		http.Error(w, why.Code, why.Status)
	}})
	return g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
}

func ask(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

const proxied = "FLUXBASE_SERVER_TLS_TERMINATED_BY_PROXY=true"

func TestHeaders(t *testing.T) {
	t.Parallel()
	byDefault := map[string]string{
		"Cache-Control":                "no-store",
		"Content-Security-Policy":      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy":           "camera=(), display-capture=(), fullscreen=(), geolocation=(), microphone=(), payment=(), usb=()",
		"Referrer-Policy":              "no-referrer",
		"Strict-Transport-Security":    "",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"X-Xss-Protection":             "0",
		"Server":                       "",
		"X-Powered-By":                 "",
		"Vary":                         "",
		"Access-Control-Allow-Origin":  "",
	}
	for name, c := range map[string]struct {
		variables []string
		want      map[string]string
	}{
		"defaults": {},
		"TLS":      {[]string{proxied, "FLUXBASE_SERVER_TRUSTED_PROXIES=10.0.0.1"}, map[string]string{"Strict-Transport-Security": "max-age=31536000"}},
		"TLS, all": {[]string{proxied, "FLUXBASE_SERVER_TRUSTED_PROXIES=10.0.0.1", "FLUXBASE_SERVER_TLS_HSTS_INCLUDE_SUBDOMAINS=true",
			"FLUXBASE_SERVER_TLS_HSTS_PRELOAD=true", "FLUXBASE_SERVER_TLS_HSTS_MAX_AGE=17520h"},
			map[string]string{"Strict-Transport-Security": "max-age=63072000; includeSubDomains; preload"}},
		"no HSTS": {[]string{proxied, "FLUXBASE_SERVER_TRUSTED_PROXIES=10.0.0.1", "FLUXBASE_SERVER_TLS_HSTS_MAX_AGE=0"}, nil},
		"changed": {[]string{"FLUXBASE_SERVER_HEADERS_FRAME_OPTIONS=SAMEORIGIN", "FLUXBASE_SERVER_HEADERS_REFERRER_POLICY=same-origin",
			"FLUXBASE_SERVER_HEADERS_PERMISSIONS_POLICY=off", "FLUXBASE_SERVER_HEADERS_CONTENT_SECURITY_POLICY=default-src 'self'",
			"FLUXBASE_SERVER_HEADERS_CROSS_ORIGIN_OPENER_POLICY=off", "FLUXBASE_SERVER_HEADERS_CROSS_ORIGIN_RESOURCE_POLICY=same-site"},
			map[string]string{"X-Frame-Options": "SAMEORIGIN", "Referrer-Policy": "same-origin", "Permissions-Policy": "",
				"Content-Security-Policy": "default-src 'self'", "Cross-Origin-Opener-Policy": "", "Cross-Origin-Resource-Policy": "same-site"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := handler(t, c.variables...)
			for target, status := range map[string]int{"/": 200, "/" + strings.Repeat("x", 17<<10): 414} {
				w := ask(h, "GET", target)
				if w.Code != status {
					t.Errorf("got %d, want %d", w.Code, status)
				}
				for header, want := range byDefault {
					if changed, ok := c.want[header]; ok {
						want = changed
					}
					if got := strings.Join(w.Header().Values(header), "|"); got != want {
						t.Errorf("%d: %s: got %q, want %q", w.Code, header, got, want)
					}
				}
			}
		})
	}
}

// What one answer adds to a header is not in the next.
func TestHeadersAreNotShared(t *testing.T) {
	t.Parallel()
	g := guard.New(guard.Options{Server: load(t, "FLUXBASE_SERVER_CORS_ALLOWED_ORIGINS=https://a.example")})
	h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Vary", "Accept")
		w.Header().Set("Cache-Control", "private")
	}))
	for range 2 {
		if w := ask(h, "GET", "/"); strings.Join(w.Header()["Vary"], "|") != "Origin|Accept" || w.Header().Get("Cache-Control") != "private" {
			t.Errorf("got %v", w.Header())
		}
	}
	if w := ask(handler(t), "GET", "/"); w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("got %v", w.Header())
	}
}

func TestMethodOverrideIsRefused(t *testing.T) {
	t.Parallel()
	h := handler(t)
	for _, name := range []string{"X-HTTP-Method-Override", "x-http-method", "X-Method-Override"} {
		if w := ask(h, "POST", "/", name+": DELETE"); w.Code != 400 || strings.TrimSpace(w.Body.String()) != "method_override" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestURLLength(t *testing.T) {
	t.Parallel()
	h := handler(t, "FLUXBASE_SERVER_MAX_URL_BYTES=1kB")
	for target, want := range map[string]int{
		"/?q=" + strings.Repeat("x", 1020): 200, "/?q=" + strings.Repeat("x", 1021): 414, "/" + strings.Repeat("%41", 341): 200, "/" + strings.Repeat("%41", 342): 414,
	} {
		if w := ask(h, "GET", target); w.Code != want {
			t.Errorf("%d bytes: got %d, want %d", len(target), w.Code, want)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.com"
	h := handler(t, "FLUXBASE_SERVER_CORS_ALLOWED_ORIGINS="+app+",http://localhost:5173", "FLUXBASE_SERVER_CORS_ALLOWED_HEADERS=X-Trace",
		"FLUXBASE_SERVER_CORS_EXPOSED_HEADERS=X-Cost")
	list := func(h http.Header, name string) map[string]bool {
		set := map[string]bool{}
		for item := range strings.SplitSeq(h.Get(name), ",") {
			set[strings.TrimSpace(item)] = true
		}
		return set
	}
	for _, origin := range []string{app, "http://localhost:5173"} {
		w := ask(h, "GET", "/", "Origin: "+origin)
		got := w.Header()
		if w.Code != 200 || got.Get("Access-Control-Allow-Origin") != origin || got.Get("Vary") != "Origin" || got.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %d %v", origin, w.Code, got)
		}
		exposed := list(got, "Access-Control-Expose-Headers")
		for _, name := range []string{"content-range", "x-cost", "retry-after", "ratelimit-remaining", "x-request-id"} {
			if !exposed[name] {
				t.Errorf("%s is not exposed", name)
			}
		}
	}
	w := ask(h, "OPTIONS", "/rest/v1/notes", "Origin: "+app, "Access-Control-Request-Method: PATCH", "Access-Control-Request-Headers: authorization,prefer")
	got := w.Header()
	if w.Code != 204 || got.Get("Access-Control-Allow-Origin") != app || got.Get("Access-Control-Max-Age") != "7200" ||
		got.Get("Vary") != "Origin, Access-Control-Request-Method, Access-Control-Request-Headers" || w.Body.Len() != 0 {
		t.Errorf("preflight: %d %v %s", w.Code, got, w.Body)
	}
	allowed := list(got, "Access-Control-Allow-Headers")
	for _, name := range []string{"authorization", "apikey", "content-type", "x-client-info", "x-supabase-api-version", "prefer", "range", "range-unit",
		"accept-profile", "content-profile", "x-trace"} {
		if !allowed[name] {
			t.Errorf("%s is not allowed", name)
		}
	}
	methods := list(got, "Access-Control-Allow-Methods")
	for _, name := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		if !methods[name] {
			t.Errorf("%s is not allowed", name)
		}
	}
	for _, origin := range []string{"null", "https://evil.example", "http://app.example.com", "https://app.example.com:8443", "https://app.example.com.evil.example",
		"https://xapp.example.com", "https://example.com", "https://APP.example.com", "https://app.example.com/", app + ", " + app, "*", ""} {
		if w := ask(h, "GET", "/", "Origin: "+origin); w.Code != 200 || w.Header().Get("Access-Control-Allow-Origin") != "" || w.Header().Get("Vary") != "Origin" {
			t.Errorf("%q: %d %v", origin, w.Code, w.Header())
		}
		w := ask(h, "OPTIONS", "/", "Origin: "+origin, "Access-Control-Request-Method: GET")
		if w.Code != 403 {
			t.Errorf("preflight of %q: %d", origin, w.Code)
		}
		for name := range w.Header() {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("preflight of %q: %s", origin, name)
			}
		}
	}
	if w := ask(h, "GET", "/", "Origin: "+app, "Origin: "+app); w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("two origins: %v", w.Header())
	}
	if w := ask(h, "GET", "/"); w.Header().Get("Vary") != "Origin" || w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("without an origin: %v", w.Header())
	}
	// A question without the method is an ordinary request.
	if w := ask(h, "OPTIONS", "/", "Origin: "+app); w.Code != 200 {
		t.Errorf("OPTIONS: %d", w.Code)
	}
	// Without a list nobody is let in, and nothing is said.
	if w := ask(handler(t), "GET", "/", "Origin: "+app); w.Header().Get("Access-Control-Allow-Origin")+w.Header().Get("Vary") != "" {
		t.Errorf("without a list: %v", w.Header())
	}
}

func TestCORSCredentials(t *testing.T) {
	t.Parallel()
	h := handler(t, "FLUXBASE_SERVER_CORS_ALLOWED_ORIGINS=https://a.example", "FLUXBASE_SERVER_CORS_ALLOW_CREDENTIALS=true")
	for origin, want := range map[string]string{"https://a.example": "true", "https://b.example": "", "null": ""} {
		for _, method := range []string{"GET", "OPTIONS"} {
			if got := ask(h, method, "/", "Origin: "+origin, "Access-Control-Request-Method: POST").Header().Get("Access-Control-Allow-Credentials"); got != want {
				t.Errorf("%s %s: got %q", method, origin, got)
			}
		}
	}
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	files := []string{"FLUXBASE_SERVER_TLS_ENABLED=true", "FLUXBASE_SERVER_TLS_CERT_FILE=c", "FLUXBASE_SERVER_TLS_KEY_FILE=k", "FLUXBASE_SERVER_TLS_REDIRECT_LISTEN=:80"}
	h := guard.Redirect(load(t, append(files, "FLUXBASE_SERVER_TLS_REDIRECT_HOST=api.example.com:443")...), nil)
	for target, want := range map[string]string{
		"/":                            "https://api.example.com/",
		"/rest/v1/a%2fb?x=1&y=%20":     "https://api.example.com/rest/v1/a%2fb?x=1&y=%20",
		"//evil.example/x":             "https://api.example.com//evil.example/x",
		"http://evil.example/x":        "https://api.example.com/x",
		"http://evil.example":          "https://api.example.com/",
		"/x?next=http://evil.example/": "https://api.example.com/x?next=http://evil.example/",
	} {
		r := httptest.NewRequest("POST", "/", nil)
		if err := parseTarget(r, target); err != nil {
			t.Fatal(err)
		}
		r.Host = "evil.example"
		r.Header.Set("X-Forwarded-Host", "evil.example")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 308 || w.Header().Get("Location") != want {
			t.Errorf("%s: %d %s, want %s", target, w.Code, w.Header().Get("Location"), want)
		}
		if w.Header().Get("Strict-Transport-Security") != "" || w.Header().Get("X-Frame-Options") == "" {
			t.Errorf("headers: %v", w.Header())
		}
	}
	if w := ask(h, "GET", "/healthz"); w.Code != 200 || w.Body.String() != `{"status":"ok"}` {
		t.Errorf("healthz: %d %s", w.Code, w.Body)
	}
	h = guard.Redirect(load(t, append(files, "FLUXBASE_SERVER_TLS_REDIRECT_HOST=[2001:db8::1]:8443")...), nil)
	if got := ask(h, "GET", "/x").Header().Get("Location"); got != "https://[2001:db8::1]:8443/x" {
		t.Errorf("got %s", got)
	}
}

func parseTarget(r *http.Request, target string) error {
	u, err := r.URL.Parse(target)
	if strings.HasPrefix(target, "//") { // a path, as net/http reads it
		u, err = r.URL.Parse("/" + target[2:])
		u.Path = "/" + u.Path
	}
	r.URL = u
	return err
}

// The cost of the guard for each request.
func BenchmarkHandler(b *testing.B) {
	h := handler(b, "FLUXBASE_SERVER_CORS_ALLOWED_ORIGINS=https://a.example")
	r := httptest.NewRequest("GET", "/rest/v1/notes", nil)
	r.Header.Set("Origin", "https://a.example")
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(discard{make(http.Header, 16)}, r)
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
