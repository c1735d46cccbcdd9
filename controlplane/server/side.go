package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
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
	}
}

// openSides opens these listeners and begins to serve them. A failure later goes to the channel.
func (s *Server) openSides(ctx context.Context, served chan<- error) (stop func(), err error) {
	var open []*http.Server
	stop = func() {
		for _, web := range open {
			_ = web.Close()
		}
	}
	for _, side := range s.sides() {
		if side.address == "" {
			continue
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", side.address)
		if err != nil {
			stop()
			return nil, fmt.Errorf("%s: %w", side.key, err)
		}
		web := s.web(side.handler)
		open = append(open, web)
		s.log.Info("listening", "for", side.key, "listen", listener.Addr().String())
		go func() {
			if side.tls == nil {
				served <- web.Serve(s.limited(listener))
				return
			}
			web.TLSConfig = side.tls
			served <- web.ServeTLS(s.limited(listener), "", "")
		}()
	}
	return stop, nil
}
