package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

var (
	// ErrUnavailable says that the provider did not answer, or not as a provider does.
	ErrUnavailable = errors.New("the provider cannot be reached")
	// ErrRefused says that what came back proves nobody's identity: a code that was used, made up or meant for somebody
	// else, a token of another issuer, for another client, with another nonce, changed or expired.
	ErrRefused = errors.New("the provider's answer proves no identity")
	// ErrNoIDToken says that a provider has no ID tokens.
	ErrNoIDToken = errors.New("the provider does not speak OpenID Connect")
)

// Identity is who somebody is at a provider.
type Identity struct {
	Provider      string
	Subject       string // never reassigned there
	Email         string // as the provider writes it; empty without
	EmailVerified bool   // the provider vouches that this person has this address
	Data          map[string]any
	Tokens        Tokens `json:"-"` // of a code that was exchanged
}

// Tokens are what the provider lets its user's programs do there. They print as their kind alone.
type Tokens struct {
	Access  string
	Refresh string // empty unless the provider gave one, which some do for a scope or a parameter of the request
}

// String hides them from %v and %s.
func (Tokens) String() string { return "tokens of a provider" }

// GoString hides them from %#v.
func (t Tokens) GoString() string { return t.String() }

// maxProviderToken is the longest token that is handed on, in bytes: it may have to fit into the address of a browser.
const maxProviderToken = 8 << 10

// tokens are those of an answer, as far as they are tokens (RFC 6749 appendix A.12).
func tokens(t *oauth2.Token) Tokens {
	printable := func(text string) string {
		if len(text) > maxProviderToken || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			return ""
		}
		return text
	}
	return Tokens{Access: printable(t.AccessToken), Refresh: printable(t.RefreshToken)}
}

// Options of New.
type Options struct {
	Transport http.RoundTripper // how providers are reached; nil is net/http's
	Clock     func() time.Time
}

// Providers are those of the configuration. They are safe for concurrent use; none is contacted before it is needed.
type Providers struct{ byName map[string]*Provider }

// New makes the providers. The errors of [Config.Check] name the provider.
func New(configs []Config, o Options) (*Providers, error) {
	client := newClient(o.Transport)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	p := &Providers{byName: map[string]*Provider{}}
	for _, c := range configs {
		if err := c.Check(); err != nil {
			return nil, fmt.Errorf("provider %q %w", c.Name, err)
		}
		c.Name = Canonical(c.Name)
		if p.byName[c.Name] != nil {
			return nil, fmt.Errorf("provider %q is there twice", c.Name)
		}
		one := &Provider{config: c, preset: presets[c.Name], client: client, clock: o.Clock}
		if c.Issuer != "" {
			one.preset.issuer = c.Issuer
		}
		if one.preset.scopes == nil {
			one.preset.scopes = openID
		}
		p.byName[c.Name] = one
	}
	return p, nil
}

// Get finds a provider by the name that a client uses.
func (p *Providers) Get(name string) (*Provider, bool) {
	found, ok := p.byName[Canonical(name)]
	return found, ok
}

// Enabled lists the names of all, sorted.
func (p *Providers) Enabled() []string {
	var names []string
	for name := range p.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Provider is one identity provider.
type Provider struct {
	config Config
	preset preset
	client *http.Client
	clock  func() time.Time

	// Of OpenID Connect, once it was needed.
	discovery   atomic.Pointer[discovery]
	failure     atomic.Pointer[failure]
	discovering singleflight.Group
}

// Name is the canonical one.
func (p *Provider) Name() string { return p.config.Name }

// Request is an authorization request.
type Request struct {
	State       string
	Nonce       string // of the ID token
	Verifier    string // of PKCE
	RedirectURI string
	Scopes      string     // more of them, separated by spaces
	Parameters  url.Values // of the client; only those of passed go on
}

// passed are the parameters of a client that a provider may see. Those that decide what comes back, to whom and how are
// never among them.
var passed = []string{"access_type", "domain_hint", "hd", "include_granted_scopes", "login_hint", "max_age", "prompt", "screen_hint", "ui_locales"}

// AuthorizeURL is where to send the browser.
func (p *Provider) AuthorizeURL(ctx context.Context, r Request) (string, error) {
	c, _, err := p.oauth2(ctx, r.RedirectURI)
	if err != nil {
		return "", err
	}
	for scope := range strings.FieldsSeq(r.Scopes) {
		if !slices.Contains(c.Scopes, scope) {
			c.Scopes = append(c.Scopes, scope)
		}
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(r.Verifier)}
	if p.preset.profile == nil {
		options = append(options, oauth2.SetAuthURLParam("nonce", r.Nonce))
	}
	if p.preset.formPost {
		options = append(options, oauth2.SetAuthURLParam("response_mode", "form_post"))
	}
	for _, name := range passed {
		if value := r.Parameters.Get(name); value != "" && len(value) <= maxText {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	return c.AuthCodeURL(r.State, options...), nil
}

// oauth2 is the client of the provider, with its discovery document if it has one.
func (p *Provider) oauth2(ctx context.Context, redirectURI string) (*oauth2.Config, *discovery, error) {
	c := &oauth2.Config{ClientID: p.config.ClientID, ClientSecret: p.config.ClientSecret, RedirectURL: redirectURI,
		Scopes: append(slices.Clone(p.preset.scopes), p.config.Scopes...)}
	if p.preset.profile != nil {
		c.Endpoint = oauth2.Endpoint{AuthURL: p.preset.authURL, TokenURL: p.preset.tokenURL, AuthStyle: oauth2.AuthStyleInParams}
		return c, nil, nil
	}
	d, err := p.discover(ctx)
	if err != nil {
		return nil, nil, err
	}
	c.Endpoint = d.endpoint
	if c.ClientSecret == "" {
		c.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return c, d, nil
}

// Callback is what a browser brings back.
type Callback struct {
	Code        string
	Issuer      string // the parameter iss (RFC 9207); empty without
	Nonce       string
	Verifier    string
	RedirectURI string // as in the request
}

// Exchange makes an identity of a code. Errors wrap [ErrRefused] or [ErrUnavailable].
func (p *Provider) Exchange(ctx context.Context, b Callback) (*Identity, error) {
	c, d, err := p.oauth2(ctx, b.RedirectURI)
	if err != nil {
		return nil, err
	}
	// A code of one provider must not be shown to another (RFC 9207 section 2.4).
	if d != nil && (b.Issuer != "" || d.issuerInAnswer) && !d.isIssuer(b.Issuer) {
		return nil, fmt.Errorf("%w: it comes from another issuer", ErrRefused)
	}
	if b.Code == "" || len(b.Code) > maxToken {
		return nil, fmt.Errorf("%w: no code", ErrRefused)
	}
	t, err := c.Exchange(context.WithValue(ctx, oauth2.HTTPClient, p.client), b.Code, oauth2.VerifierOption(b.Verifier))
	if err != nil {
		return nil, exchangeError(err)
	}
	who, err := p.person(ctx, d, t, b.Nonce)
	if err != nil {
		return nil, err
	}
	i, err := p.identity(who)
	if err != nil {
		return nil, err
	}
	i.Tokens = tokens(t)
	return i, nil
}

// person is what the provider says of whoever its tokens are about.
func (p *Provider) person(ctx context.Context, d *discovery, t *oauth2.Token, nonce string) (claims, error) {
	if d == nil {
		return p.preset.profile(ctx, profileClient{client: p.client, token: t.AccessToken, secret: p.config.ClientSecret})
	}
	raw, _ := t.Extra("id_token").(string)
	who, err := p.verify(ctx, d, raw, []string{p.config.ClientID}, t.AccessToken)
	if err != nil {
		return nil, err
	}
	if !equal(who.text("nonce"), nonce) {
		return nil, fmt.Errorf("%w: the nonce is another one", ErrRefused)
	}
	if who.text("email") == "" && d.userInfo != "" {
		if err := p.addUserInfo(ctx, d, t, who); err != nil {
			return nil, err
		}
	}
	return who, nil
}

// exchangeError is what may be said of a failed exchange: the provider's code, not its words.
func exchangeError(err error) error {
	var refusal *oauth2.RetrieveError
	if errors.As(err, &refusal) && refusal.Response != nil && refusal.Response.StatusCode < 500 {
		return fmt.Errorf("%w: the exchange of the code failed with %d %.64q", ErrRefused, refusal.Response.StatusCode, refusal.ErrorCode)
	}
	return fmt.Errorf("%w: the exchange of the code failed: %w", ErrUnavailable, transportError(err))
}

// identity is what the claims say of a person.
func (p *Provider) identity(c claims) (*Identity, error) {
	i := &Identity{Provider: p.Name(), Subject: c.text("sub"), Email: c.text("email")}
	if i.Subject == "" || len(i.Subject) > 255 {
		return nil, fmt.Errorf("%w: it names no subject", ErrRefused)
	}
	verified := p.preset.verified
	if verified == nil {
		verified = func(c claims) bool { return c.truth("email_verified") }
	}
	i.EmailVerified = i.Email != "" && (p.config.TrustEmail || verified(c))
	i.Data = c.profile(i.EmailVerified)
	return i, nil
}
