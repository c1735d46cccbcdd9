package config_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

const postgrestSecret = "rT6nYb0JmHs5dGfCa9eUi2oVx7tRqpZ3vQ8kXw1L"

// An environment of PostgREST is understood, beside the secret that signs our own tokens.
func TestPostgRESTEnvironment(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "", []string{
		"FLUXBASE_AUTH_JWT_SECRET=" + goodSecret,
		"PGRST_DB_URI=postgres://authenticator@db/app", "PGRST_DB_SCHEMAS=api, public", "PGRST_DB_ANON_ROLE=anon", "PGRST_DB_MAX_ROWS=50",
		"PGRST_DB_EXTRA_SEARCH_PATH=public, extensions", "PGRST_DB_PRE_REQUEST=auth_pre.check", "PGRST_DB_TX_END=rollback-allow-override", "PGRST_DB_AGGREGATES_ENABLED=true", "PGRST_DB_PLAN_ENABLED=true",
		"PGRST_JWT_SECRET=" + postgrestSecret, "PGRST_JWT_AUD=api", "PGRST_JWT_ROLE_CLAIM_KEY=.app.role", "PGRST_OPENAPI_MODE=disabled",
		"PGRST_SERVER_HOST=!4", "PGRST_SERVER_PORT=3001", "PGRST_APP_SETTINGS_REGION=eu", "PGRST_LOG_LEVEL=info",
	})
	if len(c.Auth.TrustedIssuers) != 1 {
		t.Fatalf("issuers: %+v", c.Auth.TrustedIssuers)
	}
	i := c.Auth.TrustedIssuers[0]
	checks := map[string]bool{
		"url":        c.Database.URL.Reveal() == "postgres://authenticator@db/app" && strings.HasPrefix(c.Database.ServerURL.Reveal(), "postgres://fluxbase_server@"),
		"schemas":    slices.Equal(c.REST.Schemas, []string{"api", "public"}),
		"path":       slices.Equal(c.REST.ExtraSearchPath, []string{"public", "extensions"}),
		"rows":       c.REST.MaxRows == 50,
		"end":        c.REST.TxEnd == "rollback-allow-override",
		"aggregates": c.REST.Aggregates,
		"plans":      c.REST.PlanEnabled,
		"before":     c.REST.PreRequest == "auth_pre.check",
		"openapi":    c.REST.OpenAPIMode == "disabled",
		"listen":     c.Server.Listen == ":3001" && c.Server.Port == 3001,
		"secret":     i.Secret.Reveal() == postgrestSecret && slices.Equal(i.Algorithms, []string{"HS256"}),
		"issuer":     i.Name == "postgrest" && i.Audience == "api" && i.RoleClaim == ".app.role" && i.Issuer == "" && i.DefaultRole == "anon" && !i.SubjectIsUser,
		"claims":     i.RequiredClaims != nil && len(i.RequiredClaims) == 0,
		"settings":   len(c.Warnings()) == 1 && strings.Contains(c.Warnings()[0], "alter role fluxbase_api set app.settings.region"),
	}
	for name, ok := range checks {
		if !ok {
			t.Errorf("%s: %+v, %q", name, i, c.Warnings())
		}
	}
	for _, v := range c.Values() {
		if v.Key == "rest.max_rows" && v.Source != "PGRST_DB_MAX_ROWS" || strings.Contains(v.Text, postgrestSecret) {
			t.Errorf("%s comes from %s and is shown as %s", v.Key, v.Source, v.Text)
		}
	}
}

func TestPostgRESTEnvironmentIsSecond(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "rest:\n  max_rows: 7\n", good("PGRST_DB_MAX_ROWS=50", "PGRST_SERVER_HOST=127.0.0.1", "PGRST_DB_URI=postgres://authenticator@other/app", "PGRST_DB_SCHEMAS=api",
		"FLUXBASE_REST_SCHEMAS=public"))
	if c.REST.MaxRows != 7 || c.Server.Listen != "127.0.0.1:3000" || c.Database.URL.User() != "fluxbase_api" || c.REST.Schemas[0] != "public" {
		t.Errorf("%d %s %s %s", c.REST.MaxRows, c.Server.Listen, c.Database.URL, c.REST.Schemas)
	}
}

func TestPostgRESTSecrets(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(postgrestSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	encoded := base64.URLEncoding.EncodeToString([]byte(postgrestSecret))
	for name, environ := range map[string][]string{
		"plain": {"PGRST_JWT_SECRET=" + postgrestSecret}, "file": {"PGRST_JWT_SECRET=@" + file},
		"base64": {"PGRST_JWT_SECRET=" + encoded, "PGRST_JWT_SECRET_IS_BASE64=true"},
	} {
		if c := mustLoad(t, "", good(environ...)); c.Auth.TrustedIssuers[0].Secret.Reveal() != postgrestSecret {
			t.Errorf("%s: another secret", name)
		}
	}
	c := mustLoad(t, "", good(`PGRST_JWT_SECRET={"kty":"RSA","n":"x","e":"AQAB"}`))
	if !slices.Contains(c.Auth.TrustedIssuers[0].Algorithms, "RS256") {
		t.Errorf("a JWK: %s", c.Auth.TrustedIssuers[0].Algorithms)
	}
}

func TestPostgRESTRefuses(t *testing.T) {
	t.Parallel()
	for variable, want := range map[string]string{
		"PGRST_DB_ANON_ROLE=web_anon":                           "PGRST_DB_ANON_ROLE: must be anon",
		"PGRST_DB_URI=host=db dbname=app":                       "database.url (PGRST_DB_URI): must be a URL",
		"PGRST_DB_TX_END=never":                                 "rest.tx_end (PGRST_DB_TX_END): must be one of",
		"PGRST_SERVER_UNIX_SOCKET=/tmp/x":                       "PGRST_SERVER_UNIX_SOCKET: is not supported",
		"PGRST_JWT_SECRET=short":                                "has a secret of 5 bytes",
		"PGRST_JWT_SECRET=@/nowhere":                            "PGRST_JWT_SECRET: names a file that can't be read",
		"PGRST_JWT_SECRET=" + goodSecret:                        "same secret as auth.jwt_secret",
		"PGRST_DB_SCHEMAS=auth":                                 "rest.schemas (PGRST_DB_SCHEMAS): names a schema that is never exposed",
		"PGRST_DB_EXTRA_SEARCH_PATH=pg_catalog, auth, fluxbase": "rest.extra_search_path (PGRST_DB_EXTRA_SEARCH_PATH): names a schema that requests never search",
	} {
		_, err := config.Load(write(t, ""), good(variable))
		if strings.HasPrefix(variable, "PGRST_DB_URI") {
			_, err = config.Load(write(t, ""), []string{"FLUXBASE_AUTH_JWT_SECRET=" + goodSecret, variable})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", variable, err)
		}
	}
	_, err := config.Load(write(t, ""), good("PGRST_JWT_SECRET="+postgrestSecret, `PGRST_JWT_ROLE_CLAIM_KEY=.roles[?(@ == "x")]`))
	if err == nil || !strings.Contains(err.Error(), "PGRST_JWT_ROLE_CLAIM_KEY: must be a path") {
		t.Errorf("a comparison: %v", err)
	}
}

func TestTrustedIssuers(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, `
auth:
  trusted_issuers:
    - name: idp
      issuer: https://idp.example.com
      jwks_url: https://idp.example.com/jwks.json
      audience: api
      algorithms: [ES256, RS256]
      role_claim: .realm_access.roles[0]
      allowed_roles: [anon, authenticated]
      without_session: true
    - {name: old, secret: `+postgrestSecret+`, required_claims: none, without_session: true}
`, good())
	a := c.Auth.TrustedIssuers
	if len(a) != 2 || !slices.Equal(a[0].Algorithms, []string{"ES256", "RS256"}) || !slices.Equal(a[0].RequiredClaims, []string{"exp"}) ||
		len(a[1].RequiredClaims) != 0 || a[1].RoleClaim != ".role" {
		t.Errorf("%+v", a)
	}
	for _, v := range c.Values() {
		if strings.Contains(v.Text, postgrestSecret) {
			t.Errorf("%s shows the secret", v.Key)
		}
	}
	idp := `{"name":"idp","issuer":"https://idp.example.com","jwks_url":"https://idp.example.com/jwks.json","audience":"api","algorithms":"ES256","without_session":true}`
	for change, want := range map[[2]string]string{
		{`"without_session":true`, `"without_session":false`}:                  "refuses every token",
		{`,"without_session":true`, ``}:                                        "without_session (FLUXBASE_AUTH_TRUSTED_ISSUERS): is missing",
		{`"jwks_url":"https`, `"jwks_url":"http`}:                              "must be an https:// address",
		{`"audience":"api",`, ``}:                                              "needs issuer, audience and algorithms",
		{`"issuer":"https://idp.example.com",`, ``}:                            "needs issuer, audience and algorithms",
		{`"issuer":"https://idp.example.com"`, `"issuer":"fluxbase"`}:          "our own issuer",
		{`ES256`, `HS256`}:                                                     "shared secrets",
		{`ES256`, `none`}:                                                      "must be of HS256",
		{`"audience"`, `"secret":"` + postgrestSecret + `","audience"`}:        "no keys, or two kinds",
		{`"jwks_url":"https://idp.example.com/jwks.json"`, `"secret":"short"`}: "bytes; at least 32",
		{`"audience"`, `"allowed_roles":"anon,service_role","audience"`}:       "a role that no token may ask for",
		{`"audience"`, `"default_role":"fluxbase_owner","audience"`}:           "a role that no token may ask for",
		{`"audience"`, `"role_claim":"role","audience"`}:                       "must be a path",
		{`"name":"idp"`, `"name":"I D P"`}:                                     "must be lower-case",
		{`"name":"idp"`, `"name":["idp"]`}:                                     "must be one value",
		{`"algorithms":"ES256","without_session":true}`, `"algorithms":"ES256","without_session":true},{"name":"idp","secret":"` + postgrestSecret + `","without_session":true}`}: "second issuer of this name",
	} {
		text := strings.Replace(idp, change[0], change[1], 1)
		_, err := config.Load(os.DevNull, good("FLUXBASE_AUTH_TRUSTED_ISSUERS=["+text+"]"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", change[1], err, want)
		}
		if err != nil && (strings.Contains(err.Error(), postgrestSecret) || strings.Contains(err.Error(), `"short"`)) {
			t.Errorf("%s: the error shows the secret: %v", change[1], err)
		}
	}
}

// The extra search path is public unless it is named, and may be empty.
func TestExtraSearchPath(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"": {"public"}, "rest: {extra_search_path: []}": {}, "rest: {extra_search_path: [extensions, Public]}": {"extensions", "Public"},
	} {
		if got := mustLoad(t, text, good()).REST.ExtraSearchPath; !slices.Equal(got, want) {
			t.Errorf("%q: %q", text, got)
		}
	}
	for text, want := range map[string]string{
		"[pg_temp]": "never search, or always", "['$user']": "never search, or always", "[fluxbase]": "never search, or always",
		"[a, a]": "twice", "['']": "names of schemas",
	} {
		_, err := config.Load(write(t, "rest: {extra_search_path: "+text+"}"), good())
		if err == nil || !strings.Contains(err.Error(), "rest.extra_search_path (") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
