package server

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/authn"
	"github.com/wayli-app/fluxbase/controlplane/captcha"
	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/oauth"
	"github.com/wayli-app/fluxbase/controlplane/password"
	"github.com/wayli-app/fluxbase/controlplane/redirect"
	"github.com/wayli-app/fluxbase/controlplane/token"
)

// openAuth makes the gate of tokens and the auth routes, with all that they need.
func (s *Server) openAuth(ctx context.Context, o Options) error {
	a := s.config.Auth
	secret, err := token.NewSecret(a.JWTSecret.Reveal())
	if err != nil {
		return err
	}
	if err := s.openSigningKeys(ctx, secret); err != nil {
		return err
	}
	rules := token.Rules{Issuer: a.JWTIssuer, Audience: a.JWTAudience, MaxLifetime: maxTokenLifetime, Leeway: a.ClockLeeway}
	verifier, err := token.NewVerifier(s.keys.ring, rules, s.clock)
	if err != nil {
		return err
	}
	signer, err := token.NewSigner(s.keys.ring, rules, s.clock)
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
	people, err := s.newCaptcha()
	if err != nil {
		return err
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
		Sealer:       s.keys.sealer,
		OAuth:        authn.OAuth{Providers: providers, Redirects: redirects, PublicURL: s.config.Server.PublicURL, Log: s.log},
		Mail:         authn.Mail{Tokens: mailTokens, Sends: s.mail != nil, Direct: s.config.Mail.Links == config.DirectLinks},
		Clock:        s.clock,
	})
	return nil
}

// maxTokenLifetime is the greatest value that the setting access_token_lifetime can have.
const maxTokenLifetime = 24 * time.Hour

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

// newCaptcha is what asks the provider of the configuration about a person; nil without one.
func (s *Server) newCaptcha() (authn.Captcha, error) {
	c := s.config.Auth.Captcha
	if c.Provider == config.NoCaptcha {
		return nil, nil
	}
	return captcha.New(captcha.Provider(c.Provider), c.Secret.Reveal(), c.URL)
}
