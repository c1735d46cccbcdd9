package server

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/guard"
	"github.com/wayli-app/fluxbase/controlplane/logging"
	"github.com/wayli-app/fluxbase/controlplane/metrics"
)

// A panic is answered 500 without a word about it; the log has the stack and nothing of the request's body or headers.
func TestPanic(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := &Server{log: logging.New(&log, nil, "json"), clock: time.Now, metrics: metrics.New("test", nil), guard: guard.New(guard.Options{Server: config.Server{MaxURLBytes: 1 << 10}})}
	e := echo.New()
	e.HTTPErrorHandler = s.fail
	e.Use(s.observe)
	e.POST("/auth/v1/early", func(echo.Context) error { panic(errors.New("broken inside")) })
	e.POST("/auth/v1/late", func(c echo.Context) error {
		_ = c.String(200, "begun")
		panic("late")
	})
	handler := s.prepare(e)
	send := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", path, strings.NewReader("c4n4ry body"))
		r.Header.Set("X-Secret", "c4n4ry header")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	w := send("/auth/v1/early")
	if w.Code != 500 || !strings.Contains(w.Body.String(), `"error_code":"unexpected_failure"`) || strings.Contains(w.Body.String(), "inside") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "broken inside") || !strings.Contains(log.String(), "panic_test.go") ||
		!strings.Contains(log.String(), w.Header().Get("X-Request-Id")) || strings.Contains(log.String(), "c4n4ry") {
		t.Errorf("log: %s", &log)
	}
	defer func() {
		if cause := recover(); cause != http.ErrAbortHandler {
			t.Errorf("an answer that has begun ends with %v", cause)
		}
	}()
	send("/auth/v1/late")
}
