package clienttest

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

const (
	suites = "../../testdata/clients"
	schema = "../../testdata/golden/rest/schema.sql"
	email  = "ann@example.com"

	sealKey = "clients-Kz7wQ3xR9mT5vB2nL8pJ4hF6dS1g"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// nodePath finds node and the packages. Without them the test is skipped, unless FLUXBASE_TEST_CLIENTS says that they must
// be there.
func nodePath(t *testing.T) string {
	t.Helper()
	missing := t.Skipf
	if os.Getenv("FLUXBASE_TEST_CLIENTS") != "" {
		missing = t.Fatalf
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing("no node: %v", err)
	}
	if _, err := os.Stat(filepath.Join(suites, "node_modules", "maildev")); err != nil {
		missing("no packages (npm ci in testdata/clients): %v", err)
	}
	return node
}

// TestClients runs each suite against a server of its own.
func TestClients(t *testing.T) {
	t.Parallel()
	node := nodePath(t)
	files, err := filepath.Glob(filepath.Join(suites, "*.test.mjs"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no suites: %v", err)
	}
	application, err := os.ReadFile(schema)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			variables := []string{"FLUXBASE_REST_SCHEMAS=public,other", "FLUXBASE_REST_AGGREGATES=true",
				"FLUXBASE_REST_TX_END=commit-allow-override", "FLUXBASE_REST_PLAN_ENABLED=true", "FLUXBASE_AUTH_ENCRYPTION_KEY=" + sealKey}
			var p provider
			page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
			}))
			defer page.Close()
			pageURL := strings.Replace(page.URL, "127.0.0.1", "localhost", 1) // to browsers another site than the server
			if strings.HasPrefix(filepath.Base(file), "oauth.") {
				host := "127.0.0.1"
				if strings.Contains(file, ".browser.") {
					host = "localhost"
					variables = append(variables, "FLUXBASE_AUTH_SITE_URL="+pageURL)
				}
				p = startProvider(t, "keycloak", "ID_TOKEN_CLAIMS=1", "HOST="+host)
				variables = append(variables, configured(p))
			}
			var m maildev
			if base := filepath.Base(file); strings.HasPrefix(base, "mail.") || strings.HasPrefix(base, "anonymous.") {
				m = startMaildev(t)
				variables = append(variables, m.variables()...)
			}
			s := servertest.Start(t, variables...)
			s.Exec(t, `select auth.set_setting('mail_resend_interval', '0'), auth.set_setting('anonymous_users_enabled', 'true')`)
			s.CreateUser(t, email)
			s.Exec(t, string(application))
			s.Exec(t, `grant select on public.owned to service_role`)
			s.Exec(t, `select pg_notify('fluxbase_reload', '')`)
			for end := time.Now().Add(30 * time.Second); s.Do(t, "HEAD", "/rest/v1/tasks", nil).Status == 404; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("the server does not see the tables")
				}
			}
			if filepath.Base(file) == "claims.test.mjs" {
				signWithPair(t, s)
			}
			command := exec.CommandContext(t.Context(), node, "--test", "--test-reporter=spec", filepath.Base(file))
			command.Dir = suites
			command.Env = append(os.Environ(), "API_URL="+s.URL, "EMAIL="+email, "PASSWORD="+servertest.Password,
				"APP_URL="+pageURL, "MAIL_API="+m.API, "SITE_URL="+mailSite, "ISSUER="+p.Issuer, "CLIENT_ID="+p.ClientID, "CLIENT_SECRET="+p.ClientSecret,
				"ANON_KEY="+s.Value(t, `auth.create_api_key(p_kind => 'anon', p_name => 'clients')`),
				"SERVICE_KEY="+s.Value(t, `auth.create_api_key(p_kind => 'service', p_name => 'clients')`))
			out, err := command.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// signWithPair makes the server sign with ES256 and returns when it does.
func signWithPair(t *testing.T, s *servertest.Server) {
	t.Helper()
	s.Exec(t, `select auth.set_setting('signing_key_lead_time', '5 seconds')`)
	key := s.Value(t, `auth.rotate_signing_key()`)
	for end := time.Now().Add(30 * time.Second); s.Value(t, `select state from auth.admin_signing_keys where id = $1::uuid`, key) != "signing"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no key pair signs")
		}
	}
}
