package logging_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/logging"
)

const canary = "c4n4ry"

// valuer logs itself as a URL.
type valuer struct{ Hidden string }

func (valuer) LogValue() slog.Value { return slog.StringValue("postgres://ann:" + canary + "@host") }

func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	type pair struct{ Name, Value string }
	cases := map[string]slog.Attr{
		"password":           slog.String("password", canary),
		"camel case":         slog.String("userPassword", canary),
		"secret":             slog.String("auth.jwt_secret", canary),
		"token":              slog.String("refresh_token", canary),
		"authorization":      slog.String("Authorization", canary),
		"cookie":             slog.String("Set-Cookie", canary),
		"api key":            slog.String("apikey", canary),
		"api key, hyphen":    slog.String("X-API-Key", canary),
		"one-time code":      slog.String("otp", canary),
		"MAC":                slog.String("context_mac", canary),
		"value of any type":  slog.Any("password", pair{"x", canary}),
		"bytes":              slog.Any("body", []byte(canary)),
		"raw JSON":           slog.Any("body", json.RawMessage(`{"password":"`+canary+`"}`)),
		"texts":              slog.Any("lines", []string{"Bearer " + canary}),
		"valuer in a map":    slog.Any("m", map[string]any{"a": valuer{canary}}),
		"group":              slog.Group("user", slog.String("password", canary)),
		"group by its name":  slog.Group("credentials", slog.String("value", canary)),
		"header":             slog.Any("header", http.Header{"Authorization": {canary}, "Cookie": {canary}}),
		"map":                slog.Any("body", map[string]any{"user": map[string]string{"password": canary}}),
		"URL":                slog.String("url", "postgres://ann:"+canary+"@host/db"),
		"URL, @ in password": slog.String("url", "postgres://ann:a@"+canary+"@host/db"),
		"URL parameter":      slog.String("url", "postgres://host/db?password="+canary),
		"error with a URL":   slog.Any("error", errors.New("dial postgres://ann:"+canary+"@host/db: refused")),
		"bearer":             slog.String("line", "Bearer "+canary),
		"JSON web token":     slog.String("line", "got eyJhbGciOi."+canary+".x"),
		"key":                slog.String("line", "got fb_live_"+canary),
		"invitation":         slog.String("line", "got fb_invite_"+canary),
		"bcrypt hash": slog.String("detail", "Failing row contains (ann, $2a$10$"+
			(canary + strings.Repeat("x", 53))[:53]+", t)."),
	}
	for name, attr := range cases {
		for _, format := range []string{"json", "text"} {
			t.Run(name+" "+format, func(t *testing.T) {
				t.Parallel()
				var out bytes.Buffer
				log := logging.New(&out, slog.LevelInfo, format)
				log.Info("event", attr)
				log.With(attr).Info("event")
				log.WithGroup("g").With(attr).Info("event", attr)
				if strings.Contains(out.String(), canary) {
					t.Errorf("the secret is in the log:\n%s", &out)
				}
				if strings.Count(out.String(), "event") != 3 {
					t.Errorf("a line is missing:\n%s", &out)
				}
			})
		}
	}
}

func TestMessageIsCleaned(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logging.New(&out, slog.LevelInfo, "json").Info("open postgres://ann:" + canary + "@host/db")
	if strings.Contains(out.String(), canary) {
		t.Error(out.String())
	}
}

func TestOrdinaryValuesStay(t *testing.T) {
	t.Parallel()
	cases := map[string]slog.Attr{
		`"user_id":"u1"`:                      slog.String("user_id", "u1"),
		`"prototype":"x"`:                     slog.String("prototype", "x"),
		`"machine":"x"`:                       slog.String("machine", "x"),
		`"key":"database.url"`:                slog.String("key", "database.url"),
		`"url":"http://127.0.0.1:8080/a@b"`:   slog.String("url", "http://127.0.0.1:8080/a@b"),
		`"url":"postgres://ann@host:5432/db"`: slog.String("url", "postgres://ann@host:5432/db"),
		`"password_required":true`:            slog.Bool("password_required", true),
		`"rows":12`:                           slog.Int("rows", 12),
		`"error":"no"`:                        slog.Any("error", errors.New("no")),
		`"header":{"Accept":["a"]}`:           slog.Any("header", http.Header{"Accept": {"a"}}),
		`"nothing":null`:                      slog.Any("nothing", nil),
	}
	for want, attr := range cases {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			logging.New(&out, slog.LevelInfo, "json").Info("event", attr)
			if !strings.Contains(out.String(), want) {
				t.Errorf("want %s in\n%s", want, &out)
			}
		})
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	ctx := logging.WithRequestID(context.Background(), "r1")
	if got := logging.RequestID(ctx); got != "r1" {
		t.Errorf("RequestID = %q", got)
	}
	if got := logging.RequestID(context.Background()); got != "" {
		t.Errorf("RequestID without one = %q", got)
	}
	var out bytes.Buffer
	log := logging.New(&out, slog.LevelInfo, "json").With("a", 1).WithGroup("g").With("b", 2)
	log.InfoContext(ctx, "event", "c", 3)
	log.Info("event")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var first struct {
		A         int    `json:"a"`
		RequestID string `json:"request_id"`
		G         struct{ B, C int }
	}
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
		t.Fatal(err)
	}
	if first.RequestID != "r1" || first.A != 1 || first.G.B != 2 || first.G.C != 3 {
		t.Errorf("got %s", lines[0])
	}
	if strings.Contains(lines[1], "request_id") {
		t.Errorf("got %s", lines[1])
	}
	out.Reset()
	logging.New(&out, slog.LevelInfo, "json").InfoContext(ctx, "event", "request_id", "r1")
	if strings.Count(out.String(), `"request_id":"r1"`) != 1 {
		t.Errorf("a line that names it itself: %s", &out)
	}
}

func TestLevelFormatAndTime(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logging.New(&out, slog.LevelWarn, "text")
	log.Info("quiet")
	log.Warn("a line\nlevel=ERROR forged")
	if strings.Contains(out.String(), "quiet") || !strings.Contains(out.String(), "level=WARN") {
		t.Errorf("got %s", &out)
	}
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("a line break passed: %s", &out)
	}
	out.Reset()
	record := slog.NewRecord(time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)), slog.LevelError, "m", 0)
	if err := logging.New(&out, slog.LevelWarn, "json").Handler().Handle(context.Background(), record); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"time":"2026-01-02T02:04:05Z"`) {
		t.Errorf("got %s", &out)
	}
}
