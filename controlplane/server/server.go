package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/authn"
	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/guard"
	"github.com/wayli-app/fluxbase/controlplane/issuer"
	"github.com/wayli-app/fluxbase/controlplane/mail"
	"github.com/wayli-app/fluxbase/controlplane/metrics"
	"github.com/wayli-app/fluxbase/controlplane/password"
	"github.com/wayli-app/fluxbase/controlplane/reason"
	"github.com/wayli-app/fluxbase/controlplane/rest"
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
)

// Options are what a server is made of.
type Options struct {
	Config  *config.Config
	Files   fs.FS            // the SQL trees of this build, to compare the database with
	Logger  *slog.Logger     // default slog.Default()
	Clock   func() time.Time // default time.Now
	Version string           // of this program

	// AllowPrivilegedLogins turns the refusal of logins with too many rights into a warning. For development only.
	AllowPrivilegedLogins bool
	// Mail takes mails when the configuration names no mail server; nil leaves them in the outbox. For development only.
	Mail mail.Transport
	// Dial replaces how the pools reach PostgreSQL; nil is the gateway's own way.
	Dial pgconn.DialFunc
}

// Server is one running server. Its methods may be called from several goroutines.
type Server struct {
	config           *config.Config
	files            fs.FS
	log              *slog.Logger
	clock            func() time.Time
	gateway          *gateway.Gateway
	hasher           *password.Hasher
	breached         *password.Breached // nil without auth.breached_passwords
	gate             *authn.Gate
	keys             *signingKeys
	issuers          *issuer.Issuers // nil without
	auth             *authn.Handler
	catalog          *catalog.Cache
	data             *rest.Handler
	reason           *reason.Explainer // in development, with database.direct_url
	guard            *guard.Guard
	addresses        *guard.Addresses
	limiter          *guard.Limiter
	refusals         *guard.Refusals
	redis            *guard.Redis // nil without rate_limiting.redis_url
	metrics          *metrics.Metrics
	certificate      *guard.Certificate // of the files; nil without
	acme             *guard.ACME        // nil without server.tls.acme
	adminTLS         *tls.Config        // nil without server.admin.listen
	adminCertificate *guard.Certificate // the same
	mail             *mail.Sender       // nil without mail.host
	handler          http.Handler

	codes    codes
	settings atomic.Pointer[settings]
	ready    readiness
	draining atomic.Bool
	closing  sync.Once
	plain    sync.Once // the warning about the database
	unnamed  sync.Once // the warning about a proxy that does not say who its clients are
}

// New checks the database and opens everything that a server needs; [Server.Close] ends it. It refuses
//
//   - a configuration that would have clients come without TLS in production ([config.ErrPlainHTTP]);
//   - a login that is a superuser, has BYPASSRLS, owns a table that would be served, or may become more than it should:
//     the error holds the statements that mend it (see [ErrPrivilegedLogin]);
//   - a database whose installation is not that of this build ([install.ErrNotReady]; the error names the command);
//   - settings of the configuration that the database does not accept.
func New(ctx context.Context, o Options) (*Server, error) {
	if o.Config == nil || o.Files == nil {
		return nil, errors.New("server: configuration or SQL files are missing")
	}
	s := &Server{config: o.Config, files: o.Files, log: o.Logger, clock: o.Clock}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if err := o.Config.ServeError(); err != nil {
		return nil, err
	}
	if err := s.openTLS(); err != nil {
		return nil, err
	}
	if err := s.openAdmin(); err != nil {
		return nil, err
	}
	if err := s.checkDatabase(ctx, o.AllowPrivilegedLogins); err != nil {
		return nil, err
	}
	if err := s.open(ctx, o); err != nil {
		s.Close(ctx)
		return nil, err
	}
	return s, nil
}

// open makes all parts. What it has opened is closed by Close, also after an error.
func (s *Server) open(ctx context.Context, o Options) (err error) {
	db := s.config.Database
	s.gateway, err = gateway.Open(ctx, gateway.Config{
		API:            gateway.PoolConfig{URL: db.URL.Reveal(), Size: db.Connections()},
		Service:        gateway.PoolConfig{URL: db.ServiceURL.Reveal()},
		Server:         gateway.PoolConfig{URL: db.ServerURL.Reveal()},
		Pooler:         gateway.Pooler(db.Pooler),
		AcquireTimeout: db.PoolTimeout,
		Clock:          s.clock,
		DialFunc:       o.Dial,
	})
	if err != nil {
		return err
	}
	s.openMetrics(o.Version)
	s.addresses = guard.NewAddresses(s.gateway, s.clock)
	if err := s.addresses.Reload(ctx); err != nil {
		return err
	}
	s.refusals = guard.NewRefusals(s.clock)
	s.guard = guard.New(guard.Options{Server: s.config.Server, Blocked: s.addresses.Blocked, Limited: s.refuseAgain, Refuse: s.refuseRequest})
	if err := s.openLimiter(ctx); err != nil {
		return err
	}
	if s.hasher, err = password.New(password.Options{}); err != nil {
		return err
	}
	if s.codes, err = s.readCodes(ctx); err != nil {
		return err
	}
	if err := s.applySettings(ctx); err != nil {
		return err
	}
	if err := s.reloadSettings(ctx); err != nil {
		return err
	}
	if err := s.openAuth(ctx, o); err != nil {
		return err
	}
	s.sayWithoutMail()
	if err := s.openIssuers(ctx); err != nil {
		return err
	}
	if err := s.openData(ctx); err != nil {
		return err
	}
	if err := s.openLimits(ctx); err != nil {
		return err
	}
	s.handler = s.routes()
	return nil
}

// Handler returns the HTTP side alone. Without Run nobody follows changes of settings and tables.
func (s *Server) Handler() http.Handler { return s.handler }

// RecommendedMaxProcs is what to set runtime.GOMAXPROCS to while the server runs; see [password.Hasher].
func (s *Server) RecommendedMaxProcs() int { return s.hasher.RecommendedMaxProcs() }

// Close releases what New has opened. Requests that still run are given until ctx ends. Serve calls it.
func (s *Server) Close(ctx context.Context) {
	s.closing.Do(func() {
		if s.gateway != nil {
			if err := s.gateway.Close(ctx); err != nil {
				s.log.Warn("connections to the database were cut", "error", err)
			}
		}
		if s.redis != nil {
			_ = s.redis.Close()
		}
		if s.hasher != nil {
			s.hasher.Close()
		}
		if s.reason != nil {
			s.reason.Close(ctx)
		}
	})
}
