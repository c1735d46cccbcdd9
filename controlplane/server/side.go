package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"github.com/wayli-app/fluxbase/controlplane/guard"
)

// side is a listener beside the main one.
type side struct {
	key     string // of the configuration
	address string
	handler http.Handler
	tls     *tls.Config // nil for plain HTTP
}

// sides are the listeners beside the main one that the configuration asks for.
func (s *Server) sides() []side {
	c := s.config.Server
	admin, mutual := s.adminHandler()
	return []side{
		{"server.metrics_listen", c.MetricsListen, s.metricsHandler(), nil},
		{"server.admin.listen", c.Admin.Listen, admin, mutual},
		{"server.tls.redirect_listen", c.TLS.RedirectListen, guard.Redirect(c, s.acme), nil},
	}
}

// openSides opens these listeners, where they have an address, and begins to serve them. A failure later goes to the channel.
func (s *Server) openSides(ctx context.Context, sides []side, served chan<- error) (stop func(), err error) {
	var open []*http.Server
	stop = func() {
		for _, web := range open {
			_ = web.Close()
		}
	}
	for _, side := range sides {
		if side.address == "" {
			continue
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", side.address)
		if err != nil {
			stop()
			return nil, fmt.Errorf("%s: %w", side.key, err)
		}
		web := s.web(side.handler, side.tls)
		open = append(open, web)
		s.log.Info("listening", "for", side.key, "listen", listener.Addr().String())
		go func() { served <- s.serveOn(listener, web) }()
	}
	return stop, nil
}
