package server

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/guard"
	"github.com/wayli-app/fluxbase/controlplane/metrics"
)

func (s *Server) openMetrics(version string) {
	s.metrics = metrics.New(version, func() []metrics.Pool {
		var list []metrics.Pool
		for _, p := range s.gateway.Stats() {
			list = append(list, metrics.Pool(p))
		}
		return list
	})
}

// routeKind is the kind of a route in metrics.
func routeKind(c echo.Context) string { return pathKind(c.Path()) }

func pathKind(path string) string {
	switch {
	case below(path, dataPrefixes):
		return "data"
	case below(path, authPrefixes):
		return "auth"
	case path == "":
		return "none"
	}
	return "other"
}

// protections are the codes of refusals that are counted one by one.
var protections = map[string]bool{"csrf_failed": true, "cross_site_request": true, "origin_not_allowed": true, "method_override": true, "uri_too_long": true,
	"captcha_failed": true}

// metricsHandler is what the listener for Prometheus answers.
func (s *Server) metricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler())
	return guard.Protect(s.config.Server, mux)
}
