package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/guard"
)

// adminPrefix is below which administration is, by the name of ours.
var adminPrefix = []string{authPrefixes[0] + "/admin"}

type adminKey struct{}

// openAdmin prepares the listener for administration, if there is one.
func (s *Server) openAdmin() (err error) {
	c := s.config.Server.Admin
	if c.Listen == "" {
		return nil
	}
	if s.adminCertificate, err = guard.LoadCertificate(c.CertFile, c.KeyFile, s.log); err != nil {
		return fmt.Errorf("server.admin: %w", err)
	}
	clients, err := guard.CAs(c.ClientCAFile)
	if err != nil {
		return fmt.Errorf("server.admin.client_ca_file: %w", err)
	}
	s.adminTLS = s.adminCertificate.Mutual(clients)
	return nil
}

// adminHandler is what that listener answers: the routes of administration, metrics and health.
func (s *Server) adminHandler() (http.Handler, *tls.Config) {
	numbers := guard.Protect(s.config.Server, s.metrics.Handler())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" && r.Method == http.MethodGet {
			numbers.ServeHTTP(w, r)
			return
		}
		s.handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), adminKey{}, true)))
	}), s.adminTLS
}

// separate keeps the routes of administration apart from the others when they have a listener of their own. It comes
// after routing, so no spelling of a path passes by it.
func (s *Server) separate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if s.adminTLS == nil {
			return next(c)
		}
		admin := below(canonical(c.Path()), adminPrefix)
		if inside := c.Request().Context().Value(adminKey{}) != nil; inside != admin && (!inside || c.Path() != "/healthz") {
			return errNotFound
		}
		return next(c)
	}
}
