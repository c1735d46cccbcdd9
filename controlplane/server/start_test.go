package server_test

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
	"github.com/wayli-app/fluxbase/controlplane/server"
	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// What the server says at start about a configuration that is valid and does not do what somebody expects: a misspelled schema is
// an API without tables, and without a mail server nobody confirms an address.
func TestSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		variable, setting, text string
		said                    bool
	}{
		{"FLUXBASE_REST_SCHEMAS=public,Public,tenant_*", "true", "do not exist\" schemas=[Public]", true},
		{"FLUXBASE_REST_SCHEMAS=public", "true", "do not exist", false},
		{"FLUXBASE_REST_SCHEMAS=public", "false", "no mail.host", true},
		{"FLUXBASE_REST_SCHEMAS=public", "true", "no mail.host", false},
	} {
		var log bytes.Buffer
		db := pgtest.Database(t)
		if _, err := db.Conn(t, "superuser").Exec(t.Context(), `select auth.set_setting('signup_autoconfirm', $1)`, c.setting); err != nil {
			t.Fatal(err)
		}
		s, err := server.New(t.Context(), server.Options{Config: servertest.Config(t, db, c.variable), Files: fluxbase.Files, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		s.Close(t.Context())
		if strings.Contains(log.String(), c.text) != c.said {
			t.Errorf("%+v: %s", c, &log)
		}
	}
}

// A proxy that does not say who its clients are makes them share one rate limit: said once, and never of one that does.
func TestSaysThatAProxyNamesNoClient(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]int{"": 1, "203.0.113.9": 0} {
		var log bytes.Buffer
		s, err := server.New(t.Context(), server.Options{Config: servertest.Config(t, pgtest.Database(t), "FLUXBASE_SERVER_TRUSTED_PROXIES=192.0.2.0/24"),
			Files: fluxbase.Files, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			r := httptest.NewRequest("GET", "/rest/v1/nothing", nil) // from 192.0.2.1
			if header != "" {
				r.Header.Set("X-Forwarded-For", header)
			}
			s.Handler().ServeHTTP(httptest.NewRecorder(), r)
		}
		s.Close(t.Context())
		if got := strings.Count(log.String(), "names no client"); got != want {
			t.Errorf("%q: %d times in %s", header, got, &log)
		}
	}
}
