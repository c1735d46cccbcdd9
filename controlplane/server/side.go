package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
)

// side is a listener beside the main one.
type side struct {
	key     string // of the configuration
	address string
	handler http.Handler
}

// sides are the listeners beside the main one that the configuration asks for.
func (s *Server) sides() []side {
	c := s.config.Server
	return []side{
		{"server.metrics_listen", c.MetricsListen, s.metricsHandler()},
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
		go func() { served <- web.Serve(s.limited(listener)) }()
	}
	return stop, nil
}
