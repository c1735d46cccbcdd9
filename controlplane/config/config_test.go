package config_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

// goodSecret is a fit signing secret of tests.
const goodSecret = "pZ3vQ8kXw1LrT6nYb0JmHs5dGfCa9eUi2oVx7tRq"

// good is an environment in which an empty file is valid.
func good(more ...string) []string {
	return append([]string{"FLUXBASE_DATABASE_URL=postgres://fluxbase_api@db/app", "FLUXBASE_AUTH_JWT_SECRET=" + goodSecret}, more...)
}

// write makes a configuration file named fluxbase.yaml.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fluxbase.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustLoad(t *testing.T, text string, environ []string) *config.Config {
	t.Helper()
	c, err := config.Load(write(t, text), environ)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "", good())
	checks := map[string]bool{
		"mode":               c.Mode == config.Production,
		"listen":             c.Server.Listen == ":8080" && c.Server.Port == 8080,
		"shutdown":           c.Server.ShutdownTimeout == 25*time.Second,
		"body":               c.Server.MaxBodyBytes == 10<<20,
		"audience":           c.Auth.JWTAudience == "authenticated",
		"lifetime":           c.Auth.AccessTokenLifetime == 15*time.Minute,
		"minimum length":     c.Auth.PasswordMinLength == 12,
		"cost":               c.Auth.PasswordBcryptCost == 10,
		"schemas":            slices.Equal(c.REST.Schemas, []string{"public"}),
		"error detail":       c.REST.ErrorDetail == config.MessageDetail,
		"log":                c.Logging.Format == "json" && c.Logging.Level == slog.LevelInfo,
		"pooler":             c.Database.Pooler == config.NoPooler,
		"connections":        c.Database.Connections() >= 4,
		"no warnings":        len(c.Warnings()) == 0,
		"no settings":        len(c.DatabaseSettings()) == 0,
		"not without TLS":    errors.Is(c.ServeError(), config.ErrPlainHTTP),
		"secret as given":    c.Auth.JWTSecret.Reveal() == goodSecret,
		"composition is off": !c.Auth.PasswordRequireSpecial && !c.Auth.PasswordRequireNumber,
	}
	for name, ok := range checks {
		if !ok {
			t.Errorf("%s: wrong in %+v", name, c)
		}
	}
}

func TestDevelopmentDefaults(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "mode: development", good())
	if c.Server.Listen != "127.0.0.1:8080" || c.REST.ErrorDetail != config.FullDetail || c.Logging.Format != "text" {
		t.Errorf("got %+v", c)
	}
	for _, v := range c.Values() {
		if v.Source == "default" && v.Text != v.Default {
			t.Errorf("%s: listed with default %q and value %q", v.Key, v.Default, v.Text)
		}
	}
	c = mustLoad(t, "mode: development\nrest: {error_detail: code}", good())
	if c.REST.ErrorDetail != config.CodeDetail {
		t.Errorf("got %s", c.REST.ErrorDetail)
	}
}

// Links to the server begin with what the configuration says; only in development that may be the listener.
func TestPublicURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"server: {listen: '127.0.0.1:9000'}":                                         "",
		"mode: development":                                                          "http://127.0.0.1:8080",
		"{mode: development, server: {listen: ':9000'}}":                             "http://127.0.0.1:9000",
		"{mode: development, server: {listen: '[::1]:9000'}}":                        "http://[::1]:9000",
		"{mode: development, server: {listen: '192.0.2.1:80'}}":                      "",
		"{mode: development, server: {listen: 'localhost:0'}}":                       "",
		"{mode: development, server: {public_url: 'https://api.example.com'}}":       "https://api.example.com",
		"{server: {listen: ':443', public_url: 'https://api.example.com:8443'}}":     "https://api.example.com:8443",
		"{mode: development, server: {listen: 'app.example.com:80', port: 80}}":      "",
		"{mode: development, server: {port: 81, public_url: 'http://localhost:81'}}": "http://localhost:81",
	} {
		if got := mustLoad(t, text, good()).Server.PublicURL; got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// The examples of the specification page, as printed there.
func TestSpecificationExamples(t *testing.T) {
	t.Parallel()
	const secrets = `
# ✅ GOOD: Use environment variables
database:
  url: ${DATABASE_URL}

auth:
  jwt_secret: ${JWT_SECRET}
`
	const tls = `
# fluxbase.yaml
server:
  port: 443
  tls:
    enabled: true
    cert_file: /path/to/cert.pem
    key_file: /path/to/key.pem
`
	const passwords = `
auth:
  password_min_length: 12
  password_require_uppercase: true
  password_require_lowercase: true
  password_require_number: true
  password_require_special: true
`
	const limits = `
rate_limiting:
  enabled: true
  per_minute: 60 # Global limit
  per_hour: 1000

  # Per-endpoint limits
  endpoints:
    - path: "/api/v1/auth/login"
      per_minute: 5 # Stricter limit for sensitive endpoints
`
	const logs = `
# fluxbase.yaml
logging:
  level: info
  audit_enabled: true
  audit_log_file: /var/log/fluxbase/audit.log
`
	const alerts = `
# Configure alerts for security events
monitoring:
  alerts:
    - name: "Failed Login Attempts"
      condition: "failed_logins > 10 in 5m"
      action: "notify_admin"

    - name: "Unusual API Activity"
      condition: "requests_per_minute > 1000"
      action: "rate_limit"
`
	c := mustLoad(t, secrets, []string{"DATABASE_URL=postgres://fluxbase_api:pw@db/app", "JWT_SECRET=" + goodSecret})
	if c.Auth.JWTSecret.Reveal() != goodSecret || c.Database.URL.Reveal() != "postgres://fluxbase_api:pw@db/app" {
		t.Errorf("secrets: got %v, %v", c.Auth.JWTSecret, c.Database.URL)
	}
	c = mustLoad(t, tls, good())
	if got := c.Server.TLS; c.Server.Listen != ":443" || !got.Enabled || got.CertFile != "/path/to/cert.pem" || got.KeyFile != "/path/to/key.pem" || c.ServeError() != nil {
		t.Errorf("tls: got %+v", c.Server)
	}
	c = mustLoad(t, passwords, good())
	if !c.Auth.PasswordRequireUppercase || !c.Auth.PasswordRequireLowercase || !c.Auth.PasswordRequireNumber || !c.Auth.PasswordRequireSpecial {
		t.Errorf("passwords: got %+v", c.Auth)
	}
	if got := len(c.DatabaseSettings()); got != 5 {
		t.Errorf("passwords: %d settings for the database", got)
	}
	c = mustLoad(t, limits, good())
	if c.RateLimiting.PerMinute != 60 || c.RateLimiting.PerHour != 1000 ||
		!slices.Equal(c.RateLimiting.Endpoints, []config.EndpointLimit{{Path: "/api/v1/auth/login", PerMinute: 5}}) {
		t.Errorf("limits: got %+v", c.RateLimiting)
	}
	if got := len(c.Warnings()); got != 0 {
		t.Errorf("limits: warnings %q", c.Warnings())
	}
	c = mustLoad(t, logs, good())
	if c.Logging.AuditLogFile != "/var/log/fluxbase/audit.log" || len(c.Warnings()) != 1 {
		t.Errorf("logs: got %+v, warnings %q", c.Logging, c.Warnings())
	}
	c = mustLoad(t, alerts, good())
	if len(c.Monitoring.Alerts) != 2 || c.Monitoring.Alerts[0].Condition != "failed_logins > 10 in 5m" || len(c.Warnings()) != 1 {
		t.Errorf("alerts: got %+v, warnings %q", c.Monitoring, c.Warnings())
	}
	_, err := config.Load(write(t, "database:\n  url: \"postgres://user:password@host/db\"\n\nauth:\n  jwt_secret: \"my-secret-key-123\"\n"), nil)
	if err == nil || !strings.Contains(err.Error(), "auth.jwt_secret") || strings.Contains(err.Error(), "my-secret") {
		t.Errorf("the example of how not to do it: %v", err)
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte("F"+goodSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := "FLUXBASE_DATABASE_URL=postgres://db/app"
	yaml := "auth: {jwt_secret: Y" + goodSecret + "}"
	cases := map[string]struct {
		yaml, want, source string
		environ            []string
	}{
		"file":                  {yaml: yaml, want: "Y" + goodSecret, source: "fluxbase.yaml:1"},
		"environment over file": {yaml: yaml, environ: []string{"FLUXBASE_AUTH_JWT_SECRET=E" + goodSecret}, want: "E" + goodSecret, source: "FLUXBASE_AUTH_JWT_SECRET"},
		"secret file over file": {yaml: yaml, environ: []string{"FLUXBASE_AUTH_JWT_SECRET_FILE=" + secretFile}, want: "F" + goodSecret, source: "FLUXBASE_AUTH_JWT_SECRET_FILE"},
		"secret file by key":    {yaml: "\nauth:\n  jwt_secret_file: " + secretFile, want: "F" + goodSecret, source: "fluxbase.yaml:3"},
		"expanded path":         {yaml: "auth: {jwt_secret_file: '${DIR}/secret'}", environ: []string{"DIR=" + filepath.Dir(secretFile)}, want: "F" + goodSecret, source: "fluxbase.yaml:1"},
		// What the environment overrides isn't expanded.
		"undefined but overridden": {yaml: "auth: {jwt_secret: '${NOWHERE}'}", environ: []string{"FLUXBASE_AUTH_JWT_SECRET=E" + goodSecret}, want: "E" + goodSecret, source: "FLUXBASE_AUTH_JWT_SECRET"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := mustLoad(t, test.yaml, append(test.environ, url))
			if got := c.Auth.JWTSecret.Reveal(); got != test.want {
				t.Errorf("got %q", got)
			}
			for _, v := range c.Values() {
				if v.Key == "auth.jwt_secret" && (!strings.HasSuffix(v.Source, test.source) || v.Text != "********") {
					t.Errorf("listed as %q from %q", v.Text, v.Source)
				}
			}
		})
	}
}

func TestFileIsFound(t *testing.T) {
	t.Parallel()
	path := write(t, "server: {port: 9999}")
	c, err := config.Load("", good("FLUXBASE_CONFIG="+path))
	if err != nil || c.Server.Port != 9999 {
		t.Errorf("by variable: %v", err)
	}
	c, err = config.Load(os.DevNull, good("FLUXBASE_CONFIG="+path))
	if err != nil || c.Server.Port != 8080 {
		t.Errorf("the command line does not win over the variable: %v", err)
	}
	if _, err := config.Load("", good()); err != nil {
		t.Errorf("without a file: %v", err)
	}
	for _, missing := range []string{filepath.Join(t.TempDir(), "none.yaml"), t.TempDir()} {
		if _, err := config.Load(missing, good()); err == nil || !strings.Contains(err.Error(), "can't be read") {
			t.Errorf("%s: %v", missing, err)
		}
	}
}

func TestEnvironmentOfEachShape(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "rest: {schemas: [public, shop]}", good(
		"FLUXBASE_REST_SCHEMAS=api, public",
		"FLUXBASE_SERVER_TLS_CERT_FILE=/c.pem",
		"FLUXBASE_SERVER_MAX_BODY_BYTES=2MB",
		"FLUXBASE_DATABASE_POOLER=transaction",
		`FLUXBASE_MONITORING_ALERTS=[{"name":"a: ${X}","condition":"failed_logins > 1","action":"block"}]`,
	))
	if !slices.Equal(c.REST.Schemas, []string{"api", "public"}) || c.Server.TLS.CertFile != "/c.pem" ||
		c.Server.MaxBodyBytes != 2<<20 || c.Database.Pooler != config.TransactionPooler ||
		!slices.Equal(c.Monitoring.Alerts, []config.Alert{{Name: "a: ${X}", Condition: "failed_logins > 1", Action: "block"}}) {
		t.Errorf("got %+v", c)
	}
}

func TestExpansion(t *testing.T) {
	t.Parallel()
	environ := good("WORD=plain", "NOTHING=", "TREE=x\n  injected: true # y", "NESTED=${WORD}", "PORT=9000", "LIST=a,b")
	cases := map[string]struct{ value, want string }{
		"variable":           {"${WORD}", "plain"},
		"inside a text":      {"a-${WORD}-${WORD}", "a-plain-plain"},
		"escaped":            {"$${WORD}", "${WORD}"},
		"escaped, then not":  {"$${WORD}${WORD}", "${WORD}plain"},
		"dollar alone":       {"p$ss$", "p$ss$"},
		"two dollars":        {"a$$b", "a$$b"},
		"default, unset":     {"${NOWHERE:-there}", "there"},
		"default, empty":     {"${NOTHING:-there}", "there"},
		"default, set":       {"${WORD:-there}", "plain"},
		"not expanded again": {"${NESTED}", "${WORD}"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := mustLoad(t, "auth: {jwt_issuer: '"+test.value+"'}", environ).Auth.JWTIssuer; got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	c := mustLoad(t, "server: {port: '${PORT}'}\nrest: {schemas: ['${WORD}', public]}", environ)
	if c.Server.Port != 9000 || !slices.Equal(c.REST.Schemas, []string{"plain", "public"}) {
		t.Errorf("numbers and lists: got %+v", c)
	}
	if c = mustLoad(t, "rest: {schemas: '${LIST}'}", environ); !slices.Equal(c.REST.Schemas, []string{"a", "b"}) {
		t.Errorf("a list out of one variable: got %q", c.REST.Schemas)
	}
	// A variable can't bring structure: line breaks stay in the one value, which then is refused.
	if _, err := config.Load(write(t, "auth: {jwt_issuer: '${TREE}'}"), environ); err == nil || !strings.Contains(err.Error(), "one line of printable text") {
		t.Errorf("injection: %v", err)
	}
}

func TestDerivedURLs(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ url, data, service, direct string }{
		"password is dropped": {"postgres://fluxbase_api:pw@db:5433/app?sslmode=require",
			"postgres://fluxbase_api:pw@db:5433/app?sslmode=require", "postgres://fluxbase_service@db:5433/app?sslmode=require", "postgres://db:5433/app?sslmode=require"},
		"no user":            {"postgresql://db/app", "postgresql://fluxbase_api@db/app", "postgresql://fluxbase_service@db/app", "postgresql://db/app"},
		"user as parameter":  {"postgres:///app?host=/run&user=me&password=pw", "postgres:///app?host=/run&user=me&password=pw", "postgres://fluxbase_service@/app?host=%2Frun", "postgres:///app?host=%2Frun"},
		"escaped characters": {"postgres://a%40b:p%3Aw@db/app", "postgres://a%40b:p%3Aw@db/app", "postgres://fluxbase_service@db/app", "postgres://db/app"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := mustLoad(t, "", []string{"FLUXBASE_AUTH_JWT_SECRET=" + goodSecret, "FLUXBASE_DATABASE_URL=" + test.url})
			db := c.Database
			if db.URL.Reveal() != test.data || db.ServiceURL.Reveal() != test.service || db.DirectURL.Reveal() != test.direct {
				t.Errorf("got\n%s\n%s\n%s", db.URL.Reveal(), db.ServiceURL.Reveal(), db.DirectURL.Reveal())
			}
		})
	}
	c := mustLoad(t, "database: {server_url: 'postgres://fluxbase_server:pw@other/app'}", good())
	if c.Database.ServerURL.Reveal() != "postgres://fluxbase_server:pw@other/app" {
		t.Errorf("an explicit URL is replaced: %v", c.Database.ServerURL)
	}
}

func TestDatabaseSettings(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "auth:\n  password_min_length: 12\n  access_token_lifetime: 1h30m\n", good("FLUXBASE_AUTH_PASSWORD_REQUIRE_NUMBER=false"))
	got := c.DatabaseSettings()
	for i := range got {
		got[i].Source = filepath.Base(got[i].Source)
	}
	want := []config.Setting{
		{Key: "access_token_lifetime", Value: "5400 seconds", Source: "fluxbase.yaml:3"},
		{Key: "password_min_length", Value: "12", Source: "fluxbase.yaml:2"},
		{Key: "password_require_number", Value: "false", Source: "FLUXBASE_AUTH_PASSWORD_REQUIRE_NUMBER"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestInstallNeedsLess(t *testing.T) {
	t.Parallel()
	c, err := config.LoadForInstall(os.DevNull, []string{"FLUXBASE_DATABASE_DIRECT_URL=postgres://dba@db/app"})
	if err != nil || c.Database.DirectURL.User() != "dba" {
		t.Errorf("direct_url alone: %v", err)
	}
	c, err = config.LoadForInstall(os.DevNull, []string{"FLUXBASE_DATABASE_URL=postgres://fluxbase_api:pw@db/app"})
	if err != nil || c.Database.DirectURL.Reveal() != "postgres://db/app" {
		t.Errorf("url alone: %v", err)
	}
	if _, err = config.LoadForInstall(os.DevNull, nil); err == nil || !strings.Contains(err.Error(), "database.direct_url: is missing") {
		t.Errorf("neither: %v", err)
	}
}

func TestWarnsOfReadableSecrets(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		mode os.FileMode
		yaml string
		want int
	}{
		"literal, for all":      {0o644, "auth: {jwt_secret: " + goodSecret + "}", 1},
		"literal, for me":       {0o600, "auth: {jwt_secret: " + goodSecret + "}", 0},
		"variable, for all":     {0o644, "auth: {jwt_secret: '${SECRET}'}", 0},
		"URL, password":         {0o644, "database: {url: 'postgres://a:b@db/app'}", 1},
		"URL, without password": {0o644, "database: {url: 'postgres://a@db/app'}", 0},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, test.yaml)
			if err := os.Chmod(path, test.mode); err != nil {
				t.Fatal(err)
			}
			environ := []string{"SECRET=" + goodSecret, "FLUXBASE_DATABASE_URL=postgres://db/app", "FLUXBASE_AUTH_JWT_SECRET=" + goodSecret}
			if strings.HasPrefix(test.yaml, "auth") {
				environ = environ[:2]
			} else {
				environ = environ[2:]
			}
			c, err := config.Load(path, environ)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Warnings(); len(got) != test.want {
				t.Errorf("warnings %q", got)
			}
		})
	}
}
