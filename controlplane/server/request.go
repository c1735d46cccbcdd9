package server

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/authn"
	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/guard"
	"github.com/wayli-app/fluxbase/controlplane/logging"
)

const requestIDHeader = "X-Request-Id"

// prepare gives every request its id and puts the guard before the routes. An id that a client sent is not read.
func (s *Server) prepare(next http.Handler) http.Handler {
	guarded := s.guard.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set(requestIDHeader, rand.Text())
		if s.draining.Load() {
			h.Set("Connection", "close")
		}
		guarded.ServeHTTP(w, r)
	})
}

// refuseRequest answers a request that the guard keeps from the routes.
func (s *Server) refuseRequest(w http.ResponseWriter, r *http.Request, why *guard.Refusal) {
	s.metrics.Refused(why.Code)
	s.answer(w, r, &authn.Error{Status: why.Status, Code: why.Code, Message: why.Message})
}

// requestID is the id that prepare gave the request.
func requestID(c echo.Context) string { return c.Response().Header().Get(requestIDHeader) }

// origin is what we know of a request ourselves.
func (s *Server) origin(c echo.Context) authn.Origin {
	client := s.guard.Client(c.Request())
	if s.guard.Trusted(client) {
		// Limits and blocks would meet all people behind it together.
		s.unnamed.Do(func() {
			s.log.Warn("a request from a trusted proxy names no client: behind a proxy that does not, all clients are one address, with one rate limit",
				"proxy", client.String(), "header", string(s.config.Server.AddressHeader))
		})
	}
	return authn.Origin{RequestID: requestID(c), IP: client}
}

// observe counts a request, logs it at level debug and turns a panic into an answer. Neither the query nor a header nor the body
// is logged: any of them may hold a secret.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		defer func() {
			if cause := recover(); cause != nil {
				s.recovered(c, cause)
			}
			s.metrics.Request(routeKind(c), c.Response().Status, time.Since(started))
			if s.log.Enabled(c.Request().Context(), slog.LevelDebug) {
				s.log.Debug("request", "request_id", requestID(c), "method", c.Request().Method, "route", c.Path(),
					"status", c.Response().Status, "duration", time.Since(started))
			}
		}()
		if err := next(c); err != nil {
			s.fail(err, c)
		}
		return nil
	}
}

// recovered answers 500, or breaks the connection when an answer has begun.
func (s *Server) recovered(c echo.Context, cause any) {
	if cause == http.ErrAbortHandler {
		panic(cause)
	}
	s.log.Error("panic", "request_id", requestID(c), "method", c.Request().Method, "route", c.Path(),
		"panic", cause, "stack", string(debug.Stack()))
	if c.Response().Committed {
		panic(http.ErrAbortHandler)
	}
	s.answer(c.Response(), c.Request(), errUnexpected)
}

// withRequestID makes what is logged with the request's context carry its id.
func withRequestID(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		c.SetRequest(r.WithContext(logging.WithRequestID(r.Context(), requestID(c))))
		return next(c)
	}
}

type callerKey struct{}

// withCaller puts the caller of a data request where callerOf finds it.
func withCaller(r *http.Request, caller *gateway.Caller) *http.Request {
	ctx := logging.WithRequestID(r.Context(), caller.RequestID)
	return r.WithContext(context.WithValue(ctx, callerKey{}, caller))
}

// callerOf is the caller that withCaller has put into a request. Without one it is nobody: the empty role is refused.
func callerOf(r *http.Request) gateway.Caller {
	if caller, ok := r.Context().Value(callerKey{}).(*gateway.Caller); ok {
		return *caller
	}
	return gateway.Caller{}
}
