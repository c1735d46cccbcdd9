package config

import (
	"io/fs"
	"strings"
	"testing"
)

// FuzzLoad reads arbitrary files. Nothing may panic, no error, warning or listing of a secret may show a secret of
// the environment, and what loads must keep its promises.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", "server: {port: 80}", "auth: {jwt_secret: '${SECRET}'}", "server: {port: '${SECRET}'}", "a: &a [*a]", "? [a]\n: b",
		"database:\n  url: postgres://u:${SECRET}@h/db\n", "${SECRET}: 1", "rest: {schemas: [a, '${SECRET}']}", "auth: {jwt_issuer: '$${${SECRET}}'}",
		"monitoring: {alerts: [{name: '${SECRET}', condition: x > 1, action: block, '${SECRET}': 1}]}", "auth: {jwt_secret_file: '${SECRET}'}",
		"rate_limiting: {endpoints: [{path: /a, per_minute: 5, method: GET}]}", "---\n...\n---\n", "a: !!binary x", "\ufeffmode: development",
		"server: {tls: {enabled: true, cert_file: a, key_file: b}, listen: '[::1]:0'}", "mode: ${MODE:-development}\nlogging: {level: *x}",
	} {
		f.Add([]byte(seed), "x")
	}
	f.Add([]byte(""), `[{"name":"a","condition":"x > 1","action":"block"}]`)
	const secret = "sWk3!zQ9_vTb7@Lm2#Xc5$Rn8%Gp4^Hd6&"
	f.Fuzz(func(t *testing.T, data []byte, alerts string) {
		if strings.Contains(string(data)+alerts, "zQ9") {
			t.Skip("the secret is not the environment's alone")
		}
		read := func(path string, _ int64) ([]byte, fs.FileMode, error) {
			if path == "f.yaml" {
				return data, 0o644, nil
			}
			return nil, 0, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		environ := []string{
			"SECRET=" + secret, "MODE=production", "FLUXBASE_DATABASE_SERVICE_URL=postgres://u:" + secret + "@h/db",
			"FLUXBASE_MONITORING_ALERTS=" + alerts, "FLUXBASE_LOGGING_LEVEL=" + secret, "FLUXBASE_UNKNOWN=" + secret,
		}
		c, problems := resolve("f.yaml", environ, toServe, read)
		shown := problems.Error() + strings.Join(c.Warnings(), "\n")
		for _, v := range c.Values() {
			if v.Secret {
				shown += v.Text
			}
		}
		if strings.Contains(shown, secret) || strings.Contains(shown, "zQ9") {
			t.Errorf("a secret is shown: %s", shown)
		}
		for _, line := range strings.Split(shown, "\n") {
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("a control character is shown: %q", line)
			}
		}
		if c, problems = resolve("f.yaml", append(environ[:2:2], "FLUXBASE_DATABASE_URL=postgres://h/db", "FLUXBASE_AUTH_JWT_SECRET="+secret), toServe, read); len(problems) == 0 {
			if c.Auth.JWTSecret.Reveal() != secret || len(c.REST.Schemas) == 0 || c.Auth.AccessTokenLifetime <= 0 || c.Server.Listen == "" {
				t.Errorf("loaded without a part: %+v", c)
			}
		}
	})
}
