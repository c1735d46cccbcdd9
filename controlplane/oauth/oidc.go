package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Limits of what a provider may say.
const (
	maxToken = 16 << 10 // bytes of a code or an ID token
	maxText  = 2048     // bytes of a claim that is kept
)

// maxAhead is how far the clock of a provider may be ahead of ours.
const maxAhead = 5 * time.Minute

// discovery is what an issuer says of itself (OpenID Connect Discovery section 3).
type discovery struct {
	provider       *oidc.Provider
	issuer         string
	endpoint       oauth2.Endpoint
	userInfo       string
	issuerInAnswer bool // RFC 9207
	manyTenants    bool // issuer is a pattern
	readAt         time.Time
}

// How long what was read of a provider is good, its keys included, and for how long it stands in when the provider does
// not answer. A key that a provider has withdrawn is not trusted for longer.
const (
	freshFor = time.Hour
	goodFor  = 24 * time.Hour
)

// retryAfter is how long a failed discovery is answered from memory.
const retryAfter = 5 * time.Second

// discover reads the discovery document when it is needed, once for all who wait for it.
func (p *Provider) discover(ctx context.Context) (*discovery, error) {
	known := p.discovery.Load()
	if known != nil && p.clock().Sub(known.readAt) < freshFor {
		return known, nil
	}
	found, err := p.discoverAnew(ctx)
	if err != nil && known != nil && p.clock().Sub(known.readAt) < goodFor {
		return known, nil
	}
	return found, err
}

func (p *Provider) discoverAnew(ctx context.Context) (*discovery, error) {
	if f := p.failure.Load(); f != nil && p.clock().Sub(f.at) < retryAfter {
		return nil, f.err
	}
	found := p.discovering.DoChan("", func() (any, error) {
		d, err := p.readDiscovery(context.WithoutCancel(ctx)) // others wait for it, too; the client has its own deadline
		if err != nil {
			p.failure.Store(&failure{p.clock(), err})
			return nil, err
		}
		p.discovery.Store(d)
		return d, nil
	})
	select {
	case r := <-found:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*discovery), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
}

type failure struct {
	at  time.Time
	err error
}

func (p *Provider) readDiscovery(ctx context.Context) (*discovery, error) {
	issuer := p.preset.issuer
	ctx = oidc.ClientContext(ctx, p.client)
	many := tenants.MatchString(issuer)
	if many {
		ctx = oidc.InsecureIssuerURLContext(ctx, tenantIssuer)
	}
	found, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: discovery of %s: %w", ErrUnavailable, issuer, transportError(err))
	}
	var document struct {
		Issuer         string   `json:"issuer"`
		UserInfo       string   `json:"userinfo_endpoint"`
		Keys           string   `json:"jwks_uri"`
		Methods        []string `json:"token_endpoint_auth_methods_supported"`
		IssuerInAnswer bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := found.Claims(&document); err != nil {
		return nil, fmt.Errorf("%w: discovery of %s: unexpected members", ErrUnavailable, issuer)
	}
	d := &discovery{provider: found, issuer: issuer, endpoint: found.Endpoint(), userInfo: document.UserInfo,
		issuerInAnswer: document.IssuerInAnswer, manyTenants: many, readAt: p.clock()}
	d.endpoint.AuthStyle = oauth2.AuthStyleInHeader // the default (Discovery section 3)
	if document.Methods != nil && !slices.Contains(document.Methods, "client_secret_basic") {
		d.endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	if many {
		d.issuer, d.issuerInAnswer = tenantIssuer, false
	}
	endpoints := []string{d.endpoint.AuthURL, d.endpoint.TokenURL, document.Keys}
	if d.userInfo != "" {
		endpoints = append(endpoints, d.userInfo)
	}
	for _, endpoint := range endpoints {
		if !secure(endpoint, issuer) {
			return nil, fmt.Errorf("%w: discovery of %s: an endpoint is missing or has no https", ErrUnavailable, issuer)
		}
	}
	return d, nil
}

// compact is the one form of a signed token that is read (RFC 7515 section 7.1).
var compact = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$`)

// verify checks an ID token (OpenID Connect Core section 3.1.3.7) but for the nonce.
func (p *Provider) verify(ctx context.Context, d *discovery, raw string, audiences []string, accessToken string) (claims, error) {
	if len(raw) > maxToken || !compact.MatchString(raw) {
		return nil, fmt.Errorf("%w: there is no ID token", ErrRefused)
	}
	verifier := d.provider.Verifier(&oidc.Config{SkipClientIDCheck: true, SkipIssuerCheck: d.manyTenants, Now: p.clock})
	t, err := verifier.Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	c := claims{}
	if err := t.Claims(&c); err != nil {
		return nil, fmt.Errorf("%w: its claims cannot be read", ErrRefused)
	}
	foreign := func(client string) bool { return !slices.Contains(audiences, client) }
	party, hasParty := c["azp"]
	switch name, isText := party.(string); {
	case len(t.Audience) == 0 || slices.ContainsFunc(t.Audience, foreign):
		return nil, fmt.Errorf("%w: it is for another client", ErrRefused)
	case hasParty && (!isText || foreign(name)) || len(t.Audience) > 1 && !hasParty:
		return nil, fmt.Errorf("%w: it was issued to another client", ErrRefused)
	case d.manyTenants && !isTenant(t.Issuer, c.text("tid")):
		return nil, fmt.Errorf("%w: it is of another issuer", ErrRefused)
	case t.IssuedAt.IsZero() || t.IssuedAt.After(p.clock().Add(maxAhead)):
		return nil, fmt.Errorf("%w: it was issued at no time before now", ErrRefused)
	}
	if accessToken != "" && t.AccessTokenHash != "" {
		if err := t.VerifyAccessToken(accessToken); err != nil {
			return nil, fmt.Errorf("%w: the access token is another one", ErrRefused)
		}
	}
	return c, nil
}

// isIssuer reports whether a text names the issuer.
func (d *discovery) isIssuer(text string) bool {
	before, after, _ := strings.Cut(tenantIssuer, tenantMark)
	return text == d.issuer || d.manyTenants && isTenant(text, strings.TrimSuffix(strings.TrimPrefix(text, before), after))
}

var tenantForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// isTenant reports whether an issuer is that of a directory.
func isTenant(issuer, tenant string) bool {
	return tenantForm.MatchString(tenant) && issuer == strings.Replace(tenantIssuer, tenantMark, tenant, 1)
}

// addUserInfo asks for the claims that the ID token lacks (OpenID Connect Core section 5.3). The answer must speak of the
// same person.
func (p *Provider) addUserInfo(ctx context.Context, d *discovery, t *oauth2.Token, c claims) error {
	info, err := d.provider.UserInfo(oidc.ClientContext(ctx, p.client), oauth2.StaticTokenSource(t))
	if err != nil {
		return fmt.Errorf("%w: user info: %w", ErrUnavailable, transportError(err))
	}
	if info.Subject != c.text("sub") {
		return fmt.Errorf("%w: its user info is of somebody else", ErrRefused)
	}
	more := claims{}
	if err := info.Claims(&more); err != nil {
		return fmt.Errorf("%w: its user info cannot be read", ErrRefused)
	}
	for name, value := range more {
		if _, there := c[name]; !there {
			c[name] = value
		}
	}
	return nil
}

// VerifyIDToken makes an identity of an ID token that a client got itself. When the token has a nonce, the client shows
// what it is the SHA-256 of, in hexadecimal digits, as Supabase's clients do; when it has none, none may be shown.
// Errors wrap [ErrRefused], [ErrUnavailable] or [ErrNoIDToken].
func (p *Provider) VerifyIDToken(ctx context.Context, raw, accessToken, nonce string) (*Identity, error) {
	if p.preset.profile != nil {
		return nil, ErrNoIDToken
	}
	d, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	c, err := p.verify(ctx, d, raw, append([]string{p.config.ClientID}, p.config.Audiences...), accessToken)
	if err != nil {
		return nil, err
	}
	want := ""
	if nonce != "" {
		hash := sha256.Sum256([]byte(nonce))
		want = hex.EncodeToString(hash[:])
	}
	if _, isText := c["nonce"].(string); c["nonce"] != nil && !isText || !equal(c.text("nonce"), want) {
		return nil, fmt.Errorf("%w: the nonce is another one", ErrRefused)
	}
	return p.identity(c)
}

// equal compares in constant time.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// claims are what a provider says of somebody.
type claims map[string]any

// text is a claim that is a text which PostgreSQL can store, else empty: mended, it could be somebody else's.
func (c claims) text(name string) string {
	s, _ := c[name].(string)
	if len(s) > maxText || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return ""
	}
	return s
}

// truth is a claim that is true, also in the words of providers that write everything as texts.
func (c claims) truth(name string) bool {
	switch v := c[name].(type) {
	case bool:
		return v
	case string:
		return v == "true" || v == "1"
	case float64:
		return v == 1
	case json.Number:
		return v == "1"
	}
	return false
}

// profile is what is kept of the claims, in the words of Supabase Auth.
func (c claims) profile(verified bool) map[string]any {
	data := map[string]any{"email_verified": verified, "phone_verified": false}
	for _, names := range [][2]string{
		{"sub", "sub"}, {"provider_id", "sub"}, {"iss", "iss"}, {"email", "email"}, {"name", "name"}, {"full_name", "name"},
		{"given_name", "given_name"}, {"family_name", "family_name"}, {"picture", "picture"}, {"avatar_url", "picture"},
		{"preferred_username", "preferred_username"}, {"user_name", "preferred_username"},
	} {
		if value := c.text(names[1]); value != "" {
			data[names[0]] = value
		}
	}
	return data
}
