package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

// runConfig runs the command as the command line does.
func runConfig(t *testing.T, args ...string) (out, errs string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	command := newConfigCommand()
	command.SilenceErrors, command.SilenceUsage = true, true
	command.SetOut(&o)
	command.SetErr(&e)
	command.SetArgs(args)
	err = command.Execute()
	return o.String(), e.String(), err
}

// configFile makes a configuration file named fluxbase.yaml in the working directory of the test.
func configFile(t *testing.T, text string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("fluxbase.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "FLUXBASE_") {
			t.Setenv(name, "") // restores it afterwards
			os.Unsetenv(name)
		}
	}
}

const configSecret = "pZ3vQ8kXw1LrT6nYb0JmHs5dGfCa9eUi2oVx7tRq"

func TestConfigTable(t *testing.T) {
	configFile(t, "database:\n  url: postgres://fluxbase_api:hidden1@db/app\nserver: {port: 9000}\n")
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte(configSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FLUXBASE_AUTH_JWT_SECRET_FILE", secretFile)
	t.Setenv("FLUXBASE_AUTH_PASSWORD_MIN_LENGTH", "14")
	t.Setenv("FLUXBASE_LOGGING_AUDIT_LOG_FILE", "/a")
	out, errs, err := runConfig(t)
	if err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	for _, line := range []string{
		`KEY +VALUE +DEFAULT +SOURCE`,
		`mode +production +production +default`,
		`server.listen +:9000 +:8080 +derived`,
		`server.port +9000 +- +fluxbase.yaml:3`,
		`server.tls.cert_file +- +- +default`,
		`database.url +postgres://fluxbase_api:xxxxx@db/app +- +fluxbase.yaml:2`,
		`database.server_url +postgres://fluxbase_server@db/app +- +derived`,
		`auth.jwt_secret +\*{8} +- +FLUXBASE_AUTH_JWT_SECRET_FILE`,
		`auth.password_min_length +14 +12 +FLUXBASE_AUTH_PASSWORD_MIN_LENGTH`,
	} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(out) {
			t.Errorf("no line %s in\n%s", line, out)
		}
	}
	if strings.Contains(out+errs, "hidden1") || strings.Contains(out+errs, configSecret) {
		t.Errorf("a secret is shown:\n%s%s", out, errs)
	}
	if !strings.Contains(errs, "warning: logging.audit_log_file (FLUXBASE_LOGGING_AUDIT_LOG_FILE)") {
		t.Errorf("no warning in %q", errs)
	}
}

func TestConfigInvalid(t *testing.T) {
	configFile(t, "server: {port: 70000}\nlogging: {level: debug}\n")
	out, errs, err := runConfig(t)
	var code exitError
	if !errors.As(err, &code) || code != 1 {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{"error: server.port (fluxbase.yaml:1)", "error: database.url: is missing", "error: auth.jwt_secret: is missing"} {
		if !strings.Contains(errs, want) {
			t.Errorf("no %q in\n%s", want, errs)
		}
	}
	if !regexp.MustCompile(`(?m)^server.port +\(invalid\) .*fluxbase.yaml:1$`).MatchString(out) || !regexp.MustCompile(`(?m)^logging.level +debug`).MatchString(out) {
		t.Errorf("the rest is not listed:\n%s", out)
	}
}

func TestConfigJSON(t *testing.T) {
	configFile(t, "auth: {jwt_secret: "+configSecret+"}\nmode: wrong\n")
	out, errs, err := runConfig(t, "--format", "json", "--config", "fluxbase.yaml")
	var list struct {
		Options []struct {
			Key, Source string
			Value       *string
			Invalid     bool
		}
		Problems []struct{ Key, Source, Message, Hint string }
	}
	if err == nil || errs != "" {
		t.Errorf("error %v, %q", err, errs)
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(list.Options) != len(config.Options()) || len(list.Problems) != 2 || list.Problems[0].Key != "mode" || list.Problems[0].Source != "fluxbase.yaml:2" {
		t.Errorf("got %+v", list)
	}
	if mode := list.Options[0]; mode.Key != "mode" || !mode.Invalid || mode.Value != nil {
		t.Errorf("mode: got %+v", mode)
	}
	if strings.Contains(out, configSecret) {
		t.Error("the secret is shown")
	}
}

func TestConfigFlags(t *testing.T) {
	configFile(t, "")
	if out, _, err := runConfig(t, "--markdown"); err != nil || out != config.Reference() {
		t.Errorf("--markdown: %v", err)
	}
	for _, args := range [][]string{{"--format", "xml"}, {"extra"}} {
		if _, _, err := runConfig(t, args...); err == nil {
			t.Errorf("%q passes", args)
		}
	}
}
