package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

// Each case is one fault and what its error must say.
func TestProblems(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty, short, long := file("empty", "\n"), file("short", "tooshort"), file("long", strings.Repeat("x", 70<<10))
	lines := file("lines", goodSecret+"\n"+goodSecret)
	cases := map[string]struct {
		yaml    string
		environ []string
		want    []string
	}{
		"unknown key":               {"server:\n  prot: 80", nil, []string{"server.prot (", "fluxbase.yaml:2)", "is not a key", "did you mean server.port?"}},
		"unknown key, wrong place":  {"password_min_length: 9", nil, []string{"did you mean auth.password_min_length?"}},
		"unknown section":           {"\nauht:\n  jwt_secret: x", nil, []string{"auht (", "yaml:2)", "did you mean auth?"}},
		"other case":                {"Server: {port: 80}", nil, []string{"Server (", "did you mean server?"}},
		"dotted key":                {"server.port: 80", nil, []string{"server.port (", "a name has no dots"}},
		"nothing near":              {"zzzzzzzzz: 1", nil, []string{"fluxbase config lists all keys"}},
		"duplicate key":             {"server:\n  port: 80\n  port: 81", nil, []string{"server.port (", "yaml:3)", "is there twice"}},
		"duplicate section":         {"server: {port: 80}\nserver: {port: 81}", nil, []string{"server (", "yaml:2)", "is there twice"}},
		"section without keys":      {"server: 80", nil, []string{"server (", "must be a section"}},
		"no mapping":                {"- a", nil, []string{"must be a section"}},
		"list for a value":          {"server: {port: [80]}", nil, []string{"server.port (", "must be one value"}},
		"section for a value":       {"server: {port: {a: 1}}", nil, []string{"server.port (", "must be one value"}},
		"no value":                  {"server: {port: }", nil, []string{"server.port (", "empty value"}},
		"tilde":                     {"auth: {jwt_issuer: ~}", nil, []string{"auth.jwt_issuer (", "empty value"}},
		"empty text":                {"auth: {jwt_issuer: ''}", nil, []string{"auth.jwt_issuer (", "empty value"}},
		"empty variable":            {"", []string{"FLUXBASE_SERVER_PORT="}, []string{"server.port (FLUXBASE_SERVER_PORT)", "empty value"}},
		"empty list of groups":      {"", []string{"FLUXBASE_MONITORING_ALERTS="}, []string{"monitoring.alerts (", "empty value"}},
		"binary":                    {"auth: {jwt_issuer: !!binary aGk=}", nil, []string{"YAML tag"}},
		"anchor":                    {"server: &a {port: 80}", nil, []string{"yaml:1", "anchor"}},
		"alias of nothing":          {"server: {port: *zzz}", nil, []string{"has an anchor or an alias"}},
		"two documents":             {"server: {port: 80}\n---\nserver: {port: 81}", nil, []string{"more than one document"}},
		"bad YAML":                  {"server:\n\t- [", nil, []string{"not well-formed YAML"}},
		"large file":                {strings.Repeat("#", 1<<20+1), nil, []string{"larger than"}},
		"port":                      {"server: {port: 70000}", nil, []string{"server.port (", "whole number from 1 to 65535"}},
		"port, number form":         {"server: {port: 0x50}", nil, []string{"whole number"}},
		"boolean":                   {"server: {tls: {enabled: yes}}", nil, []string{"server.tls.enabled (", "true or false"}},
		"duration without unit":     {"server: {read_timeout: 30}", nil, []string{"server.read_timeout (", "30s"}},
		"duration too long":         {"auth: {access_token_lifetime: 25h}", nil, []string{"1m to 24h"}},
		"negative duration":         {"server: {read_timeout: -5s}", nil, []string{"1s to 24h or 0"}},
		"size":                      {"server: {max_body_bytes: 9999999999GB}", nil, []string{"server.max_body_bytes (", "1kB to 1GB"}},
		"size unit":                 {"server: {max_body_bytes: 1mb}", nil, []string{"kB, MB or GB"}},
		"word":                      {"mode: prod", nil, []string{"mode (", "production, development"}},
		"level":                     {"logging: {level: verbose}", nil, []string{"debug, info, warn, error"}},
		"listen":                    {"server: {listen: localhost}", nil, []string{"server.listen (", "host:port"}},
		"listen, odd host":          {"server: {listen: 'a b:80'}", nil, []string{"host:port"}},
		"listen and port":           {"server: {listen: ':80', port: 81}", nil, []string{"server.port (", "is not the port of server.listen", "set one of the two"}},
		"proxy without address":     {"server: {tls: {terminated_by_proxy: true}}", nil, []string{"server.tls.terminated_by_proxy", "trusted_proxies is empty"}},
		"redirect without TLS":      {"server: {tls: {redirect_listen: ':80'}}", nil, []string{"server.tls.redirect_listen", "server.tls.redirect_host"}},
		"preload without subdomain": {"server: {tls: {hsts_preload: true}}", nil, []string{"server.tls.hsts_preload"}},
		"proxies, all there are":    {"server: {trusted_proxies: [0.0.0.0/0]}", nil, []string{"server.trusted_proxies", "every address"}},
		"proxies, bits beyond":      {"server: {trusted_proxies: [10.0.0.1/8]}", nil, []string{"server.trusted_proxies", "CIDR"}},
		"proxies, mapped":           {"server: {trusted_proxies: ['::ffff:10.0.0.1']}", nil, []string{"server.trusted_proxies", "CIDR"}},
		"origin, any":               {"server: {cors: {allowed_origins: ['*']}}", nil, []string{"server.cors.allowed_origins"}},
		"origin, null":              {"server: {cors: {allowed_origins: ['null']}}", nil, []string{"server.cors.allowed_origins"}},
		"origin, pattern":           {"server: {cors: {allowed_origins: ['https://*.example.com']}}", nil, []string{"server.cors.allowed_origins"}},
		"origin, path":              {"server: {cors: {allowed_origins: ['https://example.com/']}}", nil, []string{"server.cors.allowed_origins"}},
		"origin, usual port":        {"server: {cors: {allowed_origins: ['https://example.com:443']}}", nil, []string{"server.cors.allowed_origins"}},
		"origin, upper case":        {"server: {cors: {allowed_origins: ['https://Example.com']}}", nil, []string{"server.cors.allowed_origins"}},
		"public URL, path":          {"server: {public_url: 'https://api.example.com/v1'}", nil, []string{"server.public_url"}},
		"public URL, clear text":    {"server: {public_url: 'http://api.example.com'}", nil, []string{"server.public_url"}},
		"site, clear text":          {"auth: {site_url: 'http://app.example.com'}", nil, []string{"auth.site_url", "plain http"}},
		"site, query":               {"auth: {site_url: 'https://app.example.com?a=b'}", nil, []string{"auth.site_url", "query"}},
		"redirect, any host":        {"auth: {redirect_urls: ['https://*.example.com/**']}", nil, []string{"auth.redirect_urls", "/**"}},
		"redirect, script":          {"auth: {redirect_urls: ['javascript://x/**']}", nil, []string{"auth.redirect_urls", "scheme"}},
		"mail without sender":       {"{mode: development, mail: {host: mail.example.com}}", nil, []string{"mail.from", "is missing"}},
		"mail that leads nowhere":   {"mail: {host: mail.example.com, from: a@example.com}", nil, []string{"server.public_url", "auth.site_url", "is missing"}},
		"mail, sender":              {"{mode: development, mail: {host: mail.example.com, from: 'a@example.com, b@example.com'}}", nil, []string{"mail.from", "one mail address"}},
		"mail, password alone":      {"{mode: development, mail: {host: mail.example.com, from: a@example.com, password: secret}}", nil, []string{"mail.password", "belong together"}},
		"mail, clear text":          {"{mode: development, mail: {host: mail.example.com, from: a@example.com, user: acme, password: secret, tls: none}}", nil, []string{"mail.tls", "network"}},
		"mail, links":               {"mail: {links: open}", nil, []string{"mail.links", "confirm_page, direct"}},
		"provider without issuer":   {"auth: {providers: [{name: okta, client_id: a}]}", nil, []string{"auth.providers[1] (", "has no issuer"}},
		"provider, clear text":      {"auth: {providers: [{name: okta, client_id: a, issuer: 'http://idp.example.com'}]}", nil, []string{"auth.providers[1] (", "plain http"}},
		"provider, foreign issuer":  {"auth: {providers: [{name: github, client_id: a, issuer: 'https://idp.example.com'}]}", nil, []string{"does not speak OpenID Connect"}},
		"provider, no name of one":  {"auth: {providers: [{name: email, client_id: a, issuer: 'https://idp.example.com'}]}", nil, []string{"no provider"}},
		"provider without client":   {"auth: {providers: [{name: google}]}", nil, []string{"auth.providers[1].client_id (", "is missing"}},
		"provider twice":            {"auth: {providers: [{name: azure, client_id: a}, {name: microsoft, client_id: a}]}", nil, []string{"auth.providers[2] (", "second provider"}},
		"provider, two secrets":     {"auth: {providers: [{name: google, client_id: a, client_secret: b, client_secret_file: c}]}", nil, []string{"both client_secret"}},
		"provider, no such file":    {"auth: {providers: [{name: google, client_id: a, client_secret_file: /nowhere}]}", nil, []string{"[1].client_secret_file names a file"}},
		"provider without key":      {"auth: {providers: [{name: google, client_id: a}]}", nil, []string{"auth.encryption_key", "server.public_url", "auth.providers is set"}},
		"headers, line break":       {"server: {cors: {allowed_headers: [\"x\\r\\ny: z\"]}}", nil, []string{"server.cors.allowed_headers"}},
		"policy, line break":        {"server: {headers: {content_security_policy: \"x\\r\\ny: z\"}}", nil, []string{"server.headers.content_security_policy"}},
		"ACME in clear text":        {"server: {tls: {enabled: true, acme: {hosts: [api.example.com], cache_dir: /x, directory_url: http://ca.internal/dir}}}", nil, []string{"server.tls.acme.directory_url", "https"}},
		"ACME, CA of nothing":       {"server: {tls: {enabled: true, acme: {hosts: [api.example.com], cache_dir: /x, ca_file: /y}}}", nil, []string{"server.tls.acme.ca_file", "directory_url"}},
		"TLS without certificate":   {"server: {tls: {enabled: true}}", nil, []string{"server.tls.cert_file", "server.tls.key_file", "is missing"}},
		"cost behind a pooler":      {"{rest: {max_cost: 1000}, database: {pooler: transaction}}", nil, []string{"rest.max_cost (", "database.pooler is transaction"}},
		"closed schema":             {"rest: {schemas: [public, auth]}", nil, []string{"rest.schemas (", "never exposed"}},
		"system schema":             {"rest: {schemas: pg_catalog}", nil, []string{"never exposed"}},
		"no schema":                 {"rest: {schemas: []}", nil, []string{"at least one"}},
		"schema twice":              {"rest: {schemas: 'a,a'}", nil, []string{"twice"}},
		"empty schema":              {"rest: {schemas: 'a,'}", nil, []string{"names of schemas"}},
		"URL, other form":           {"database: {url: 'host=db dbname=app'}", nil, []string{"database.url (", "postgres://"}},
		"URL, other scheme":         {"database: {url: 'mysql://db/app'}", nil, []string{"postgres://"}},
		"URL, hash in password":     {"database: {url: 'postgres://a:b#c@db/app'}", nil, []string{"well-formed", "%23"}},
		"URL, number, then hash":    {"database: {url: 'postgres://a:1#c@db/app'}", nil, []string{"well-formed", "%23"}},
		"URL, percent in password":  {"database: {url: 'postgres://a:b%zz@db/app'}", nil, []string{"well-formed"}},
		"URL, password alone":       {"database: {url: 'postgres://:b@db/app'}", nil, []string{"no user"}},
		"URL, user as password":     {"database: {direct_url: 'postgres://postgres:postgres@db/app'}", nil, []string{"database.direct_url (", "user's name as password"}},
		"field of a record":         {"monitoring:\n  alerts:\n    - name: a\n      condition: 'x > 1'\n      action: block\n      acton: x", nil, []string{"monitoring.alerts[1] (", "yaml:6)", "has no field acton", "name, condition, action"}},
		"field twice":               {"monitoring: {alerts: [{name: a, name: b, condition: 'x > 1', action: block}]}", nil, []string{"names name twice"}},
		"missing field":             {"monitoring: {alerts: [{name: a, action: block}]}", nil, []string{"monitoring.alerts[1].condition (", "is missing"}},
		"condition":                 {"monitoring: {alerts: [{name: a, condition: 'often', action: block}]}", nil, []string{"monitoring.alerts[1].condition (", "failed_logins > 10 in 5m"}},
		"action":                    {"monitoring: {alerts: [{name: a, condition: 'x > 1', action: explode}]}", nil, []string{"notify_admin, rate_limit, block"}},
		"alert twice":               {"monitoring: {alerts: [{name: a, condition: 'x > 1', action: block}, {name: a, condition: 'x > 1', action: block}]}", nil, []string{"monitoring.alerts[2] (", "second alert"}},
		"records of another form":   {"monitoring: {alerts: [a]}", nil, []string{"list of groups"}},
		"limit of nothing":          {"rate_limiting: {endpoints: [{path: /a}]}", nil, []string{"rate_limiting.endpoints[1] (", "sets no limit"}},
		"limit without path":        {"rate_limiting: {endpoints: [{per_minute: 5}]}", nil, []string{"endpoints[1].path (", "is missing"}},
		"limit twice":               {"rate_limiting: {endpoints: [{path: /a, per_minute: 5}, {path: /a, per_hour: 5}]}", nil, []string{"second entry"}},
		"limit path":                {"rate_limiting: {endpoints: [{path: 'a?b', per_minute: 5}]}", nil, []string{"begins with /"}},
		"JSON":                      {"", []string{`FLUXBASE_MONITORING_ALERTS={"a":1}`}, []string{"monitoring.alerts (FLUXBASE_MONITORING_ALERTS)", "JSON"}},
		"field in the environment":  {"", []string{`FLUXBASE_MONITORING_ALERTS=[{"name":"a"}]`}, []string{"alerts[1].action (FLUXBASE_MONITORING_ALERTS)"}},
		"undefined variable":        {"auth: {jwt_issuer: '${NOWHERE}'}", nil, []string{"auth.jwt_issuer (", "${NOWHERE}", "${NOWHERE:-text}"}},
		"undefined in a list":       {"rest:\n  schemas:\n    - '${NOWHERE}'", nil, []string{"rest.schemas (", "yaml:3)", "${NOWHERE}"}},
		"unclosed variable":         {"auth: {jwt_issuer: 'a${B'}", nil, []string{"without its }"}},
		"odd variable":              {"auth: {jwt_issuer: '${a-b}'}", nil, []string{"not a name of a variable"}},
		"unknown variable":          {"", []string{"FLUXBASE_AUTH_JWT_SECRETS=x"}, []string{"FLUXBASE_AUTH_JWT_SECRETS: is not a variable", "did you mean FLUXBASE_AUTH_JWT_SECRET?"}},
		"file of no secret":         {"", []string{"FLUXBASE_AUTH_JWT_ISSUER_FILE=/x"}, []string{"FLUXBASE_AUTH_JWT_ISSUER_FILE: is not a variable"}},
		"both variables":            {"", []string{"FLUXBASE_DATABASE_DIRECT_URL=postgres://a", "FLUXBASE_DATABASE_DIRECT_URL_FILE=/x"}, []string{"database.direct_url (", "are both set"}},
		"both keys":                 {"database: {direct_url: 'postgres://a', direct_url_file: /x}", nil, []string{"database.direct_url (", "are both set"}},
		"secret file missing":       {"", []string{"FLUXBASE_DATABASE_DIRECT_URL_FILE=" + dir + "/none"}, []string{"(FLUXBASE_DATABASE_DIRECT_URL_FILE)", "can't be read", "no such file"}},
		"secret file is a folder":   {"database: {direct_url_file: " + dir + "}", nil, []string{"database.direct_url (", "can't be read"}},
		"secret file empty":         {"database: {direct_url_file: " + empty + "}", nil, []string{"file that is empty"}},
		"secret file large":         {"database: {direct_url_file: " + long + "}", nil, []string{"larger than"}},
		"secret file with no value": {"database: {direct_url_file: }", nil, []string{"database.direct_url (", "empty value"}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ := good(test.environ...)
			if strings.Contains(test.yaml, "{url:") {
				environ = environ[1:]
			}
			_, err := config.Load(write(t, test.yaml), environ)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("want %q in\n%v", want, err)
				}
			}
		})
	}

	secrets := map[string]struct{ setting, want string }{
		"short":          {"FLUXBASE_AUTH_JWT_SECRET=" + goodSecret[:31], "is 31 bytes long; at least 32"},
		"short, in file": {"FLUXBASE_AUTH_JWT_SECRET_FILE=" + short, "is 8 bytes long; at least 32"},
		"empty":          {"FLUXBASE_AUTH_JWT_SECRET=", "empty value"},
		"two lines":      {"FLUXBASE_AUTH_JWT_SECRET_FILE=" + lines, "one line of printable text"},
		"white space":    {"FLUXBASE_AUTH_JWT_SECRET=" + goodSecret + " ", "white space"},
		"one character":  {"FLUXBASE_AUTH_JWT_SECRET=" + strings.Repeat("a", 40), "different characters"},
		"few characters": {"FLUXBASE_AUTH_JWT_SECRET=" + strings.Repeat("abcdacbd", 5) + "e", "different characters"},
		"repetition":     {"FLUXBASE_AUTH_JWT_SECRET=" + strings.Repeat("hQ3x9Kz7", 4) + "hQ3", "repetition"},
		"example":        {"FLUXBASE_AUTH_JWT_SECRET=your-secret-key-that-is-long-enough-123", "example out of a manual"},
		"known example":  {"FLUXBASE_AUTH_JWT_SECRET=super-secret-jwt-token-with-at-least-32-characters-long", "example out of a manual"},
		"tutorial":       {"FLUXBASE_AUTH_JWT_SECRET=reallyreallyreallyreallyverysafe", "example out of a manual"},
		"missing":        {"X=y", "is missing; at least 32 bytes"},
	}
	for name, test := range secrets {
		t.Run("secret "+name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(os.DevNull, append(good()[:1], test.setting))
			if err == nil || !strings.Contains(err.Error(), "auth.jwt_secret") || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v", err)
			}
			if _, value, _ := strings.Cut(test.setting, "="); len(value) > 1 && !strings.HasPrefix(value, "/") && strings.Contains(err.Error(), value) {
				t.Errorf("the error repeats the secret: %v", err)
			}
		})
	}
}

func TestProblemsAreReportedTogether(t *testing.T) {
	t.Parallel()
	_, err := config.Load(write(t, "mode: x\nserver: {port: y, prot: 1}\nlogging: {level: z}"), []string{"FLUXBASE_X=1"})
	var problems config.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %v", err)
	}
	keys := []string{}
	for _, p := range problems {
		keys = append(keys, p.Key)
	}
	if got := strings.Join(keys, " "); got != "server.prot mode server.port logging.level  database.url auth.jwt_secret" {
		t.Errorf("got %q", got)
	}
}

// No value may be repeated by an error, because each may hold what ${VAR} brought.
func TestErrorsNeverRepeatValues(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry"
	for _, option := range config.Options() {
		for _, value := range []string{canary, canary + "\n", "postgres://u:" + canary + "@[h/d", `[{"` + "name" + `":"` + canary + `"}]`} {
			_, err := config.Load(os.DevNull, []string{option.Variable + "=" + value})
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("%s: %v", option.Key, err)
			}
			section, key, nested := strings.Cut(option.Key, ".")
			yaml := section + ": ${V}"
			if nested {
				yaml = section + ": {" + key + ": '${V}'}"
			}
			if parent, leaf, deeper := strings.Cut(key, "."); deeper {
				yaml = section + ": {" + parent + ": {" + leaf + ": '${V}'}}"
			}
			inspection := config.Inspect(write(t, yaml), []string{"V=" + value})
			if text := inspection.Problems.Error(); strings.Contains(text, canary) {
				t.Errorf("%s: %s", option.Key, text)
			}
			for _, v := range inspection.Values {
				if v.Secret && strings.Contains(v.Text, canary) {
					t.Errorf("%s is listed as %s", v.Key, v.Text)
				}
			}
		}
	}
}

func TestKubernetesServiceLinks(t *testing.T) {
	t.Parallel()
	links := []string{
		"FLUXBASE_SERVICE_HOST=10.0.0.1", "FLUXBASE_SERVICE_PORT=8080", "FLUXBASE_SERVICE_PORT_HTTP=8080", "FLUXBASE_PORT=tcp://10.0.0.1:8080",
		"FLUXBASE_PORT_8080_TCP=tcp://10.0.0.1:8080", "FLUXBASE_PORT_8080_TCP_PROTO=tcp", "FLUXBASE_PORT_8080_TCP_PORT=8080", "FLUXBASE_PORT_8080_TCP_ADDR=10.0.0.1",
		"FLUXBASE_SERVER_SERVICE_HOST=10.0.0.2", "FLUXBASE_SERVER_SERVICE_PORT=8080", "FLUXBASE_SERVER_PORT=tcp://10.0.0.2:8080",
	}
	c, err := config.Load(os.DevNull, good(links...))
	if err != nil || c.Server.Port != 8080 {
		t.Fatalf("links of services: %v", err)
	}
	for name, environ := range map[string][]string{
		"host alone":     {"FLUXBASE_SERVICE_HOST=h"},
		"port alone":     {"FLUXBASE_SERVER_PORT=tcp://10.0.0.2:8080"},
		"port is no URL": {"FLUXBASE_SERVICE_HOST=h", "FLUXBASE_SERVICE_PORT=80", "FLUXBASE_PORT=80"},
		"another name":   append(links[:4:4], "FLUXBASE_PROT=80"),
	} {
		if _, err := config.Load(os.DevNull, good(environ...)); err == nil {
			t.Errorf("%s: passes", name)
		}
	}
}

func TestVariablesThatAreLeftAlone(t *testing.T) {
	t.Parallel()
	yaml := "auth: {jwt_issuer: '${FLUXBASE_MY_OWN:-x}'}"
	if _, err := config.Load(write(t, yaml), good("FLUXBASE_TEST_ANYTHING=1", "FLUXBASE_MY_OWN=me")); err != nil {
		t.Error(err)
	}
}

func TestEncryptionKeys(t *testing.T) {
	t.Parallel()
	const other = "another-key-Kz7wQ3xR9mT5vB2nL8pJ4hF6"
	for name, test := range map[string]struct {
		environ []string
		want    string // empty: accepted
	}{
		"one key":               {[]string{"FLUXBASE_AUTH_ENCRYPTION_KEY=" + other}, ""},
		"one key and the last":  {[]string{"FLUXBASE_AUTH_ENCRYPTION_KEY=" + other, "FLUXBASE_AUTH_ENCRYPTION_KEY_PREVIOUS=x" + other}, ""},
		"short":                 {[]string{"FLUXBASE_AUTH_ENCRYPTION_KEY=" + other[:31]}, "auth.encryption_key"},
		"only the last":         {[]string{"FLUXBASE_AUTH_ENCRYPTION_KEY_PREVIOUS=" + other}, "is missing, and auth.encryption_key_previous is set"},
		"the same twice":        {[]string{"FLUXBASE_AUTH_ENCRYPTION_KEY=" + other, "FLUXBASE_AUTH_ENCRYPTION_KEY_PREVIOUS=" + other}, "is the same as auth.encryption_key"},
		"the key of the tokens": {[]string{"FLUXBASE_AUTH_ENCRYPTION_KEY=" + goodSecret}, "is the same as auth.jwt_secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := config.Load(write(t, ""), good(test.environ...))
			switch {
			case test.want == "" && (err != nil || c.Auth.EncryptionKey.Reveal() != other):
				t.Errorf("refused: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), other)):
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
