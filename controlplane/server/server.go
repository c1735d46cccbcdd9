package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/authn"
	"github.com/wayli-app/fluxbase/controlplane/captcha"
	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/guard"
	"github.com/wayli-app/fluxbase/controlplane/issuer"
	"github.com/wayli-app/fluxbase/controlplane/mail"
	"github.com/wayli-app/fluxbase/controlplane/metrics"
	"github.com/wayli-app/fluxbase/controlplane/oauth"
	"github.com/wayli-app/fluxbase/controlplane/password"
	"github.com/wayli-app/fluxbase/controlplane/reason"
	"github.com/wayli-app/fluxbase/controlplane/redirect"
	"github.com/wayli-app/fluxbase/controlplane/rest"
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/seal"
	"github.com/wayli-app/fluxbase/controlplane/token"
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
	switch tls := o.Config.Server.TLS; {
	case tls.Enabled && len(tls.ACME.Hosts) > 0:
		var err error
		if s.acme, err = guard.NewACME(tls.ACME); err != nil {
			return nil, fmt.Errorf("server.tls.acme.ca_file: %w", err)
		}
	case tls.Enabled:
		var err error
		if s.certificate, err = guard.LoadCertificate(tls.CertFile, tls.KeyFile, s.log); err != nil {
			return nil, err
		}
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

// maxTokenLifetime is the greatest value that the setting access_token_lifetime can have.
const maxTokenLifetime = 24 * time.Hour

func (s *Server) openAuth(ctx context.Context, o Options) error {
	a := s.config.Auth
	secret, err := token.NewSecret(a.JWTSecret.Reveal())
	if err != nil {
		return err
	}
	key, err := token.HMACKey("", secret)
	if err != nil {
		return err
	}
	ring, err := token.NewKeyRing(key)
	if err != nil {
		return err
	}
	var sealer authn.Sealer
	if !a.EncryptionKey.IsZero() {
		if sealer, err = seal.New(a.EncryptionKey.Reveal(), a.EncryptionKeyPrevious.Reveal()); err != nil {
			return err
		}
	}
	s.keys = &signingKeys{entries: s.gateway, ring: ring, secret: key, sealer: sealer, log: s.log, broken: map[uuid.UUID]bool{}, wake: make(chan struct{}, 1)}
	if err := s.keys.reload(ctx); err != nil {
		return err
	}
	if err := s.keys.check(); err != nil {
		return err
	}
	rules := token.Rules{Issuer: a.JWTIssuer, Audience: a.JWTAudience, MaxLifetime: maxTokenLifetime, Leeway: a.ClockLeeway}
	verifier, err := token.NewVerifier(ring, rules, s.clock)
	if err != nil {
		return err
	}
	signer, err := token.NewSigner(ring, rules, s.clock)
	if err != nil {
		return err
	}
	refresh, err := token.NewRefreshTokens(secret)
	if err != nil {
		return err
	}
	csrf, err := token.NewCSRF(secret)
	if err != nil {
		return err
	}
	mailTokens, err := token.NewMailTokens(secret)
	if err != nil {
		return err
	}
	if s.mail, err = s.newSender(mailTokens, o.Mail); err != nil {
		return err
	}
	providers, redirects, err := s.openProviders()
	if err != nil {
		return err
	}
	var people authn.Captcha
	if c := a.Captcha; c.Provider != config.NoCaptcha {
		if people, err = captcha.New(captcha.Provider(c.Provider), c.Secret.Reveal(), c.URL); err != nil {
			return err
		}
	}
	if a.BreachedPasswords != "" {
		if s.breached, err = password.NewBreached(os.DirFS(a.BreachedPasswords)); err != nil {
			return fmt.Errorf("auth.breached_passwords: %w", err)
		}
	}
	s.gate = authn.NewGate(ringVerifier{verifier, s.keys}, auditedEntries{s.gateway}, s.clock)
	s.auth = authn.New(authn.Config{
		Gate:         s.gate,
		Entries:      auditedEntries{s.gateway},
		Signer:       signer,
		Refresh:      refresh,
		Hasher:       s.hasher,
		Policy:       s.violations,
		Settings:     func() authn.Settings { return s.settings.Load().auth },
		Origin:       s.origin,
		Version:      o.Version,
		CSRF:         csrf,
		Captcha:      people,
		CrossSite:    s.guard.CrossSite,
		LimitRefresh: s.limitRefresh,
		Sealer:       sealer,
		OAuth:        authn.OAuth{Providers: providers, Redirects: redirects, PublicURL: s.config.Server.PublicURL, Log: s.log},
		Mail:         authn.Mail{Tokens: mailTokens, Sends: s.mail != nil, Direct: s.config.Mail.Links == config.DirectLinks},
		Clock:        s.clock,
	})
	return nil
}

// openProviders makes the identity providers of the configuration, and the list of where a browser may go afterwards.
func (s *Server) openProviders() (*oauth.Providers, *redirect.List, error) {
	a := s.config.Auth
	var configs []oauth.Config
	for _, p := range a.Providers {
		configs = append(configs, p.OAuth())
	}
	providers, err := oauth.New(configs, oauth.Options{Clock: s.clock})
	if err != nil {
		return nil, nil, fmt.Errorf("auth.providers: %w", err)
	}
	redirects, err := redirect.New(a.SiteURL, a.RedirectURLs)
	return providers, redirects, err
}

func (s *Server) openData(ctx context.Context) (err error) {
	r := s.config.REST
	s.catalog = catalog.NewCache(s.loadCatalog, s.clock)
	if err := s.catalog.Reload(ctx); err != nil {
		return err
	}
	open, err := catalog.OpenSchemas(ctx, s.gateway, append(slices.Clone(r.Schemas), r.ExtraSearchPath...))
	if err != nil {
		return err
	}
	for _, evidence := range open {
		s.log.Warn("requests may put functions and operators in the way of others: see auth.check()", "evidence", evidence)
	}
	preRequest := ""
	if r.PreRequest != "" {
		if preRequest, err = rest.PreRequest(ctx, s.gateway, r.PreRequest); err != nil {
			return err
		}
	}
	s.data, err = rest.New(rest.Config{
		Gateway:    limitedGateway{s.gateway, r.StatementTimeout},
		Transactor: limitedGateway{s.gateway, r.StatementTimeout},
		Cache:      s.catalog,
		Caller:     callerOf,
		Refused:    s.refused,
		Limits:     dialect.Limits{Body: s.config.Server.MaxBodyBytes, Bulk: r.MaxBulkBytes, Rows: r.MaxRows, Aggregates: r.Aggregates, TxEnd: dialect.TxEnd(r.TxEnd), Explain: r.PlanEnabled, Cost: float64(r.MaxCost)},
		Detail:     rest.Detail(r.ErrorDetail),
		OpenAPI:    rest.OpenAPIMode(r.OpenAPIMode),
		PreRequest: preRequest,
		Compress:   r.Compression,
		ETag:       r.ETag,
		Logger:     s.log,
		Reason:     s.openReason(),
	})
	return err
}

// limitedGateway gives every statement of the data API the configured time.
type limitedGateway struct {
	*gateway.Gateway
	timeout time.Duration
}

// limit is a role's own limit, unless the configured one is shorter: a role may change its own settings. 0 is none of either.
func (g limitedGateway) limit(own time.Duration) time.Duration {
	if own == 0 || g.timeout != 0 && g.timeout < own {
		return g.timeout
	}
	return own
}

// Query is that of the gateway, with the time limit added.
func (g limitedGateway) Query(ctx context.Context, caller gateway.Caller, st gateway.Statement, o gateway.QueryOptions,
	fn func(row [][]byte) error) error {
	o.StatementTimeout = g.limit(o.StatementTimeout)
	return g.Gateway.Query(ctx, caller, st, o, fn)
}

// Transaction is that of the gateway, with the time limit added.
func (g limitedGateway) Transaction(ctx context.Context, caller gateway.Caller, o gateway.TransactionOptions,
	fn func(*gateway.Transaction) error) error {
	o.StatementTimeout = g.limit(o.StatementTimeout)
	return g.Gateway.Transaction(ctx, caller, o, fn)
}

// Handler returns the HTTP side alone. Without Run nobody follows changes of settings and tables.
func (s *Server) Handler() http.Handler { return s.handler }

// RecommendedMaxProcs is what to set runtime.GOMAXPROCS to while the server runs; see [password.Hasher].
func (s *Server) RecommendedMaxProcs() int { return s.hasher.RecommendedMaxProcs() }

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

// drainTime is how long connections that are kept alive may send one more request after the signal to stop; the answer
// then tells the client to close.
const drainTime = 300 * time.Millisecond

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
	served := make(chan error, 2+len(s.sides()))
	web := s.web(s.handler)
	stop, err := s.openSides(ctx, served)
	if err != nil {
		_ = listener.Close()
		return err
	}
	defer stop()
	if address := s.config.Server.TLS.RedirectListen; address != "" {
		second, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			_ = listener.Close()
			return fmt.Errorf("server.tls.redirect_listen: %w", err)
		}
		answer := guard.Redirect(s.config.Server)
		if s.acme != nil {
			answer = s.acme.Challenges(answer)
		}
		redirect := s.web(answer)
		defer redirect.Close() //nolint:errcheck // its answers are written at once
		s.log.Info("redirecting", "listen", second.Addr().String(), "to", s.config.Server.TLS.RedirectHost)
		go func() { served <- redirect.Serve(s.limited(second)) }()
	}
	go func() {
		oldest := s.config.Server.TLS.MinVersion
		switch {
		case s.acme != nil:
			web.TLSConfig = s.acme.TLS(oldest)
		case s.certificate != nil:
			web.TLSConfig = s.certificate.TLS(oldest)
		default:
			served <- web.Serve(s.limited(listener))
			return
		}
		served <- web.ServeTLS(s.limited(listener), "", "")
	}()
	select {
	case err := <-served:
		_ = web.Close()
		return err
	case <-ctx.Done():
		return s.shutDown(context.WithoutCancel(ctx), web, listener)
	}
}

// certificateInterval is how often the files of the certificate are looked at.
const certificateInterval = 2 * time.Second

// limited is a listener with the limit on connections.
func (s *Server) limited(l net.Listener) net.Listener {
	c := s.config.Server
	return guard.Limit(l, c.MaxConnectionsPerAddress, guard.Proxies{Networks: c.TrustedProxies, Header: c.AddressHeader},
		func() { s.metrics.Refused("too_many_connections") })
}

// web is an HTTP server with the configured limits; none of net/http's defaults, which are no limits, stays.
func (s *Server) web(handler http.Handler) *http.Server {
	c := s.config.Server
	return &http.Server{
		Handler:           handler,
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
