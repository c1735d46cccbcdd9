package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/guard"
)

// Run listens where the configuration says and serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	listener, err := s.Listen(ctx)
	if err != nil {
		return err
	}
	return s.Serve(ctx, listener)
}

// Listen opens the port of the configuration.
func (s *Server) Listen(ctx context.Context) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.config.Server.Listen)
	if err != nil {
		return nil, fmt.Errorf("server.listen: %w", err)
	}
	return listener, nil
}

// Serve serves on a listener until ctx ends, then finishes the requests in flight and closes the pools. It returns nil
// after an orderly end, and an error when requests had to be cut after shutdown_timeout.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var tasks sync.WaitGroup
	tasks.Go(func() { s.follow(background) })
	tasks.Go(func() { s.keepHouse(background) })
	tasks.Go(func() { s.keys.follow(background) })
	if s.mail != nil {
		tasks.Go(func() { s.mail.Run(background) })
	}
	if s.issuers != nil {
		tasks.Go(func() { s.issuers.Follow(background) })
	}
	if s.adminCertificate != nil {
		tasks.Go(func() { s.adminCertificate.Follow(background, certificateInterval) })
	}
	if s.certificate != nil {
		tasks.Go(func() { s.certificate.Follow(background, certificateInterval) })
	}
	err := s.serveUntil(ctx, listener)
	stop()
	tasks.Wait()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	s.Close(closing)
	return err
}

// serveUntil runs the listeners.
func (s *Server) serveUntil(ctx context.Context, listener net.Listener) error {
	sides := s.sides()
	served := make(chan error, 1+len(sides))
	stop, err := s.openSides(ctx, sides, served)
	if err != nil {
		_ = listener.Close()
		return err
	}
	defer stop()
	web := s.web(s.handler, s.tls())
	go func() { served <- s.serveOn(listener, web) }()
	select {
	case err := <-served:
		_ = web.Close()
		return err
	case <-ctx.Done():
		return s.shutDown(context.WithoutCancel(ctx), web, listener)
	}
}

// serveOn serves on one listener until it is closed.
func (s *Server) serveOn(listener net.Listener, web *http.Server) error {
	if web.TLSConfig == nil {
		return web.Serve(s.limited(listener))
	}
	return web.ServeTLS(s.limited(listener), "", "")
}

// shutDown ends serving. New connections are refused at once; those that are open may finish what they have sent.
func (s *Server) shutDown(ctx context.Context, web *http.Server, listener net.Listener) error {
	s.log.Info("stopping", "timeout", s.config.Server.ShutdownTimeout)
	ctx, cancel := context.WithTimeout(ctx, s.config.Server.ShutdownTimeout)
	defer cancel()
	s.draining.Store(true)
	_ = listener.Close()
	select {
	case <-time.After(drainTime):
	case <-ctx.Done():
	}
	if err := web.Shutdown(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
		_ = web.Close()
		return fmt.Errorf("requests were cut after shutdown_timeout: %w", err)
	}
	return nil
}

// drainTime is how long connections that are kept alive may send one more request after the signal to stop; the answer
// then tells the client to close.
const drainTime = 300 * time.Millisecond

// web is an HTTP server with the configured limits; none of net/http's defaults, which are no limits, stays. Without a
// configuration of TLS it speaks plain HTTP.
func (s *Server) web(handler http.Handler, secure *tls.Config) *http.Server {
	c := s.config.Server
	return &http.Server{
		Handler:           handler,
		TLSConfig:         secure,
		ReadTimeout:       c.ReadTimeout,
		ReadHeaderTimeout: c.ReadHeaderTimeout,
		WriteTimeout:      c.WriteTimeout,
		IdleTimeout:       c.IdleTimeout,
		MaxHeaderBytes:    int(c.MaxHeaderBytes),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),

		DisableGeneralOptionsHandler: true, // its answer to "OPTIONS *" has none of our headers
	}
}

// maxStreams is how many requests one HTTP/2 connection may have open.
const maxStreams = 100

// limited is a listener with the limit on connections.
func (s *Server) limited(l net.Listener) net.Listener {
	c := s.config.Server
	return guard.Limit(l, c.MaxConnectionsPerAddress, guard.Proxies{Networks: c.TrustedProxies, Header: c.AddressHeader},
		func() { s.metrics.Refused("too_many_connections") })
}
