package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/authn"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
)

type healthBody struct {
	Status string `json:"status"`
}

// health says that the process answers.
func (s *Server) health(c echo.Context) error {
	authn.WriteJSON(c.Response(), http.StatusOK, healthBody{"ok"})
	return nil
}

// readyz says whether requests can be served: the database answers, carries this release and finds itself in order.
// Why it is not ready is in the log.
func (s *Server) readyz(c echo.Context) error {
	if s.draining.Load() {
		authn.WriteJSON(c.Response(), http.StatusServiceUnavailable, healthBody{"stopping"})
		return nil
	}
	if err := s.ready.ask(s.clock(), s.checkReady); err != nil {
		s.log.Warn("not ready", "request_id", requestID(c), "error", err)
		c.Response().Header().Set("Retry-After", "2")
		authn.WriteJSON(c.Response(), http.StatusServiceUnavailable, healthBody{"unavailable"})
		return nil
	}
	authn.WriteJSON(c.Response(), http.StatusOK, healthBody{"ok"})
	return nil
}

// readiness keeps an answer for a moment, so that nobody can keep the database busy by asking.
type readiness struct {
	mu    sync.Mutex
	asked time.Time
	err   error
}

const (
	readyInterval = time.Second
	readyTimeout  = 3 * time.Second
)

func (r *readiness) ask(now time.Time, check func(context.Context) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked.IsZero() || now.Sub(r.asked) >= readyInterval {
		ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
		defer cancel()
		r.err, r.asked = check(ctx), now
	}
	return r.err
}

const sqlReady = `select fluxbase.ready()`

func (s *Server) checkReady(ctx context.Context) error {
	if err := install.Check(ctx, entryQuerier{s}, s.files); err != nil {
		return err
	}
	text, err := s.gateway.Entry(ctx, own, sqlReady, nil)
	if err != nil {
		return err
	}
	var answer struct {
		OK       bool     `json:"ok"`
		Problems []string `json:"problems"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("fluxbase.ready: %w", err)
	}
	if !answer.OK {
		return fmt.Errorf("fluxbase.ready: %s", strings.Join(answer.Problems, "; "))
	}
	return nil
}

// entryQuerier asks through the gateway what install.Check wants to know.
type entryQuerier struct{ server *Server }

// QueryRow runs a statement without arguments that selects one jsonb value.
func (q entryQuerier) QueryRow(ctx context.Context, sql string, _ ...any) pgx.Row {
	text, err := q.server.gateway.Entry(ctx, own, sql, nil)
	return entryRow{text, err}
}

type entryRow struct {
	text []byte
	err  error
}

// Scan stores the one value.
func (r entryRow) Scan(into ...any) error {
	if r.err != nil {
		return r.err
	}
	target, ok := into[0].(*[]byte)
	if !ok || len(into) != 1 {
		return fmt.Errorf("an entry point has one value, for a *[]byte")
	}
	*target = r.text
	return nil
}
