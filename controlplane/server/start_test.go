package server_test

import (
	"bytes"
	"log/slog"
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
