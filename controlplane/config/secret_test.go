package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry"
	url, err := config.ParseURL("postgres://ann:" + canary + "@db/app?sslpassword=" + canary + "&application_name=x")
	if err != nil {
		t.Fatal(err)
	}
	secret := config.NewSecret(canary)
	if secret.Reveal() != canary || !strings.Contains(url.Reveal(), ":"+canary+"@") {
		t.Fatal("Reveal does not")
	}
	hidden := struct { // fmt walks unexported fields without calling methods
		url    config.URL
		secret config.Secret
	}{url, secret}
	whole := config.Config{Database: config.Database{URL: url}, Auth: config.Auth{JWTSecret: secret}}
	for _, value := range []any{secret, &secret, url, &url, hidden, whole, &whole, []config.URL{url}, map[string]config.Secret{"a": secret}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			if text := fmt.Sprintf(verb, value); strings.Contains(text, canary) || strings.Contains(text, fmt.Sprintf("%x", canary)) {
				t.Errorf("%s of %T: %s", verb, value, text)
			}
		}
		text, err := json.Marshal(value)
		if err != nil || bytes.Contains(text, []byte(canary)) {
			t.Errorf("JSON of %T: %s, %v", value, text, err)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", value)
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", value)
		if strings.Contains(log.String(), canary) {
			t.Errorf("log of %T: %s", value, &log)
		}
	}
	if got, want := url.String(), "postgres://ann:xxxxx@db/app?application_name=x&sslpassword=xxxxx"; got != want {
		t.Errorf("String = %s, want %s", got, want)
	}
	if got := url.WithUser("bob").Reveal(); strings.Contains(got, ":"+canary) || !strings.HasPrefix(got, "postgres://bob@db/app") {
		t.Errorf("WithUser = %s", got)
	}
}

func TestZeroSecrets(t *testing.T) {
	t.Parallel()
	var (
		secret config.Secret
		url    config.URL
	)
	if secret.String()+secret.Reveal()+url.String()+url.Reveal()+url.User() != "" || !secret.IsZero() || !url.WithUser("a").IsZero() {
		t.Error("a zero value is not empty")
	}
}
