package authn

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"golang.org/x/oauth2"

	"github.com/wayli-app/fluxbase/controlplane/oauth"
	"github.com/wayli-app/fluxbase/controlplane/redirect"
	"github.com/wayli-app/fluxbase/controlplane/seal"
)

// OAuth is what sign-ins at identity providers need.
type OAuth struct {
	Providers *oauth.Providers
	Redirects *redirect.List
	PublicURL string // scheme://host[:port] of this server; empty is possible without providers
	Log       *slog.Logger
}

// callbackPath is where providers send browsers back to, below the public URL.
const callbackPath = "/auth/v1/callback"

// linkPath is where a browser is sent to a provider that was asked to link an identity.
const linkPath = "/auth/v1/authorize"

func (o *OAuth) callbackURL() string { return o.PublicURL + callbackPath }

// flowSecrets are what of a request to a provider is needed again when the browser comes back.
type flowSecrets struct {
	Verifier string `json:"verifier"`
	Nonce    string `json:"nonce"`
}

// sealedFlow is where they are stored.
func sealedFlow(stateHash []byte) seal.Place {
	return seal.Place{Table: "auth.oauth_flows", Column: "sealed", Row: hex.EncodeToString(stateHash)}
}

// departure is a browser that is about to be sent to a provider.
type departure struct {
	state, browser string // the latter stays with the browser, as a cookie
	secrets        flowSecrets
}

func newDeparture() departure {
	return departure{state: randomText(), browser: randomText(),
		secrets: flowSecrets{Verifier: oauth2.GenerateVerifier(), Nonce: randomText()}}
}

const randomLength = 43 // characters of 32 bytes

// randomText is 256 random bits.
func randomText() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// isRandomText reports whether a text has the form of a random one.
func isRandomText(text string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(raw) == 32 && len(text) == randomLength
}

var (
	errNoProvider = badRequest("validation_failed", "Unsupported provider: provider is not enabled")
	errBadState   = badRequest("bad_oauth_state", "The sign-in was not begun in this browser, took too long, or is over already")
	errBadAnswer  = badRequest("bad_oauth_callback", "The answer of the provider does not prove who you are")
	errNoAnswer   = &Error{Status: http.StatusServiceUnavailable, Code: "unexpected_failure", Message: "The provider cannot be reached, try again"}
)

// query is the parameters of a request, each of which may be there once.
func query(c echo.Context) (url.Values, error) {
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return nil, badRequest("validation_failed", "The query is not well-formed")
	}
	for name, all := range values {
		if len(all) > 1 || strings.ContainsRune(all[0], 0) {
			return nil, badRequest("validation_failed", fmt.Sprintf("The parameter %.40q is there twice or has an impossible value", name))
		}
	}
	return values, nil
}

// provider finds the one that a client names.
func (h *Handler) provider(name string) (*oauth.Provider, error) {
	p, ok := h.OAuth.Providers.Get(name)
	if !ok || h.Sealer == nil {
		return nil, errNoProvider
	}
	return p, nil
}

// target is where a browser shall go in the end.
func (h *Handler) target(text string) (*url.URL, error) {
	target, err := h.OAuth.Redirects.Target(text)
	var refused *redirect.RefusedError
	if errors.As(err, &refused) {
		return nil, badRequest("validation_failed", "redirect_to: "+refused.Error())
	}
	return target, err
}

// Authorize sends a browser to a provider. It is navigated to and shows no credentials.
func (h *Handler) Authorize(c echo.Context) error {
	q, err := query(c)
	if err != nil {
		return err
	}
	p, err := h.provider(q.Get("provider"))
	if err != nil {
		return err
	}
	if ticket := q.Get("ticket"); ticket != "" {
		return h.departWithTicket(c, p, q, ticket)
	}
	target, err := h.target(q.Get("redirect_to"))
	if err != nil {
		return err
	}
	d := newDeparture()
	address, err := h.authorizeURL(c, p, q, d)
	if err != nil {
		return err
	}
	stateHash, sealed, err := h.sealDeparture(d)
	if err != nil {
		return err
	}
	challenge, method := challengeArgs(q)
	a, err := h.call(c, h.Origin(c).anonymous(), sqlOAuthBegin, []byte(p.Name()), byteaArg(stateHash), byteaArg(hashOf(d.browser)),
		[]byte(sealed), []byte(target.String()), challenge, method)
	if err != nil {
		return err
	}
	h.setFlowCookie(c, stateHash, d.browser, a.Lifetime)
	return c.Redirect(http.StatusFound, address)
}

// challengeArgs are the client's code challenge and its method, NULL without one. Without a method it is plain (RFC 7636
// section 4.3).
func challengeArgs(q url.Values) (challenge, method []byte) {
	if !q.Has("code_challenge") && !q.Has("code_challenge_method") {
		return nil, nil
	}
	name := q.Get("code_challenge_method")
	if name == "" {
		name = "plain"
	}
	return []byte(q.Get("code_challenge")), []byte(name)
}

func (h *Handler) authorizeURL(c echo.Context, p *oauth.Provider, q url.Values, d departure) (string, error) {
	address, err := p.AuthorizeURL(c.Request().Context(), oauth.Request{State: d.state, Nonce: d.secrets.Nonce, Verifier: d.secrets.Verifier,
		RedirectURI: h.OAuth.callbackURL(), Scopes: q.Get("scopes"), Parameters: q})
	if err != nil {
		h.logProvider(c, p, err)
		return "", errNoAnswer
	}
	return address, nil
}

func (h *Handler) sealDeparture(d departure) (stateHash []byte, sealed string, err error) {
	text, err := json.Marshal(d.secrets)
	if err != nil {
		return nil, "", err
	}
	stateHash = hashOf(d.state)
	return stateHash, h.Sealer.Seal(sealedFlow(stateHash), text), nil
}

// logProvider tells the operator what the client is not told.
func (h *Handler) logProvider(c echo.Context, p *oauth.Provider, err error) {
	if c.Request().Context().Err() == nil {
		h.OAuth.Log.WarnContext(c.Request().Context(), "identity provider", "provider", p.Name(), "error", err)
	}
}

// The cookie that binds a flow to its browser. Each flow has its own, so that two tabs do not disturb each other. It goes
// along when the provider sends the browser back, which is a navigation from another site: Lax, not Strict.
func (h *Handler) flowCookie(stateHash []byte) http.Cookie {
	cookie := http.Cookie{Name: "fluxbase-oauth-" + hex.EncodeToString(stateHash[:6]), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if strings.HasPrefix(h.OAuth.PublicURL, "https://") {
		cookie.Name, cookie.Secure = "__Host-"+cookie.Name, true
	}
	return cookie
}

func (h *Handler) setFlowCookie(c echo.Context, stateHash []byte, value string, lifetime int64) {
	cookie := h.flowCookie(stateHash)
	cookie.Value, cookie.MaxAge = value, int(lifetime)
	c.SetCookie(&cookie)
}

// Callback is where a provider sends a browser back to. Whatever happens, the browser goes on to a place that is allowed:
// the one that the flow began with, or, when there is no such flow, the site.
func (h *Handler) Callback(c echo.Context) error {
	q, err := query(c)
	if err != nil {
		return err
	}
	state := q.Get("state")
	stateHash := hashOf(state)
	browser := ""
	if cookie, err := c.Cookie(h.flowCookieName(stateHash)); err == nil {
		browser = cookie.Value
	}
	if !isRandomText(state) || !isRandomText(browser) {
		return h.fail(c, nil, errBadState)
	}
	a, err := h.call(c, h.Origin(c).anonymous(), sqlOAuthConsume, byteaArg(stateHash), byteaArg(hashOf(browser)))
	if err != nil {
		return h.fail(c, nil, err)
	}
	gone := h.flowCookie(stateHash)
	gone.MaxAge = -1
	c.SetCookie(&gone)
	if a.Flow == nil {
		return errors.New("the answer of oauth_consume has no flow")
	}
	target, err := h.target(a.Flow.RedirectTo)
	if err != nil {
		return h.fail(c, nil, err) // it is not on the list any more
	}
	identity, err := h.returned(c, a.Flow, stateHash, q)
	if err != nil {
		if _, lost := h.call(c, h.Origin(c).anonymous(), sqlOAuthFail, uuidArg(a.Flow.ID), []byte(reason(err))); lost != nil {
			return h.fail(c, target, lost)
		}
		return h.fail(c, target, err)
	}
	return h.arrive(c, a.Flow, identity, target)
}

func (h *Handler) flowCookieName(stateHash []byte) string {
	cookie := h.flowCookie(stateHash)
	return cookie.Name
}

// returned makes an identity of what the provider sent the browser back with.
func (h *Handler) returned(c echo.Context, f *flow, stateHash []byte, q url.Values) (*oauth.Identity, error) {
	p, err := h.provider(f.Provider)
	if err != nil {
		return nil, err
	}
	if q.Has("error") {
		return nil, providerError(q.Get("error"))
	}
	text, _, err := h.Sealer.Open(sealedFlow(stateHash), f.Sealed)
	if err != nil {
		h.logProvider(c, p, err) // the key was changed meanwhile
		return nil, errBadState
	}
	var secrets flowSecrets
	if err := json.Unmarshal(text, &secrets); err != nil {
		return nil, fmt.Errorf("secrets of a flow: %w", err)
	}
	identity, err := p.Exchange(c.Request().Context(), oauth.Callback{Code: q.Get("code"), Issuer: q.Get("iss"), Nonce: secrets.Nonce,
		Verifier: secrets.Verifier, RedirectURI: h.OAuth.callbackURL()})
	return identity, h.identityError(c, p, err)
}

// identityError is what a client is told of an error of package oauth.
func (h *Handler) identityError(c echo.Context, p *oauth.Provider, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, oauth.ErrNoIDToken):
		return errNoProvider
	case errors.Is(err, oauth.ErrRefused):
		h.logProvider(c, p, err)
		return errBadAnswer
	case errors.Is(err, oauth.ErrUnavailable):
		h.logProvider(c, p, err)
		return errNoAnswer
	}
	return err
}

// reason is how the audit log calls an error.
func reason(err error) string {
	var refusal *Error
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return "unexpected_failure"
}

// providerError is the error that a provider sent a browser back with. Of its words only the code is passed on, if it is
// one that there is (RFC 6749 section 4.1.2.1, OpenID Connect Core section 3.1.2.6): the rest could be anybody's.
func providerError(code string) *Error {
	e := badRequest("bad_oauth_callback", "The provider refused the sign-in")
	switch code {
	case "access_denied":
		e.Status, e.Code, e.Message = http.StatusForbidden, "access_denied", "The sign-in was cancelled at the provider"
	case "login_required", "interaction_required", "account_selection_required", "consent_required", "temporarily_unavailable", "server_error":
		e.Message += ": " + code
	}
	return e
}

// arrive tells PostgreSQL who has come back, and sends the browser on with a code or with a session.
func (h *Handler) arrive(c echo.Context, f *flow, identity *oauth.Identity, target *url.URL) error {
	args, err := identityArgs(identity)
	if err != nil {
		return h.fail(c, target, err)
	}
	code, codeHash := newAuthCode()
	sealed, err := h.sealProviderTokens(codeHash, identity.Tokens)
	if err != nil {
		return h.fail(c, target, err)
	}
	a, err := h.issue(c, h.Origin(c).anonymous(), sqlOAuthFinish,
		append(append([][]byte{uuidArg(f.ID)}, args...), byteaArg(codeHash), optionalArg(sealed))...)
	if err != nil {
		return h.fail(c, target, err)
	}
	if a.Session == nil {
		return h.send(c, target, url.Values{"code": {code}}, nil)
	}
	tokens, err := h.tokens(a.Session)
	if err != nil {
		return h.fail(c, target, err)
	}
	fragment := url.Values{
		"access_token": {tokens.AccessToken}, "refresh_token": {tokens.RefreshToken}, "token_type": {tokens.TokenType},
		"expires_in": {strconv.FormatInt(tokens.ExpiresIn, 10)}, "expires_at": {strconv.FormatInt(tokens.ExpiresAt, 10)},
	}
	for name, text := range map[string]string{"provider_token": identity.Tokens.Access, "provider_refresh_token": identity.Tokens.Refresh} {
		if a.HandOver && text != "" {
			fragment.Set(name, text)
		}
	}
	return h.send(c, target, nil, fragment)
}

// identityArgs are an identity as arguments of an entry point.
func identityArgs(i *oauth.Identity) ([][]byte, error) {
	data, err := json.Marshal(i.Data)
	if err != nil {
		return nil, fmt.Errorf("claims of a provider: %w", err)
	}
	return [][]byte{[]byte(i.Provider), []byte(i.Subject), optionalArg(i.Email), boolArg(i.EmailVerified), data}, nil
}

// send sends a browser on with parameters in the query and in the fragment.
func (h *Handler) send(c echo.Context, target *url.URL, inQuery, inFragment url.Values) error {
	u := *target
	q := u.Query()
	for name, values := range inQuery {
		q[name] = values
	}
	u.RawQuery = q.Encode()
	address := u.String()
	if len(inFragment) > 0 {
		address += "#" + inFragment.Encode()
	}
	return c.Redirect(http.StatusSeeOther, address)
}

// fail sends a browser on with an error in query and fragment, where clients of Supabase look for it. Without a target
// it goes to the site; without a site it is answered here.
func (h *Handler) fail(c echo.Context, target *url.URL, err error) error {
	if target == nil {
		if target = h.OAuth.Redirects.Site(); target == nil {
			return err
		}
	}
	var refusal *Error
	if !errors.As(err, &refusal) {
		if c.Request().Context().Err() != nil {
			return err
		}
		h.OAuth.Log.ErrorContext(c.Request().Context(), "a browser was sent on with an error", "error", err)
		refusal = &Error{Status: http.StatusInternalServerError, Code: "unexpected_failure",
			Message: "Unexpected failure, please check server logs for more information"}
	}
	values := url.Values{"error": {oauthCode(refusal.Status)}, "error_code": {refusal.Code}, "error_description": {refusal.Message}}
	return h.send(c, target, values, values)
}

// oauthCode is the code of RFC 6749 section 4.1.2.1 for a status of HTTP.
func oauthCode(status int) string {
	switch {
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		return "temporarily_unavailable"
	case status >= http.StatusInternalServerError:
		return "server_error"
	case status == http.StatusBadRequest:
		return "invalid_request"
	case status == http.StatusUnauthorized:
		return "unauthorized_client"
	}
	return "access_denied"
}

// maxForm is the longest form that a provider may send.
const maxForm = 64 << 10

// CallbackForm takes the answer of a provider that sends it as a form from its own site. No cookie comes with that, so the
// browser is told to ask again by itself.
func (h *Handler) CallbackForm(c echo.Context) error {
	r := c.Request()
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if strings.TrimSpace(strings.ToLower(kind)) != "application/x-www-form-urlencoded" {
		return &Error{Status: http.StatusUnsupportedMediaType, Code: "validation_failed", Message: "The content type must be application/x-www-form-urlencoded"}
	}
	text, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxForm))
	if err != nil {
		return badRequest("validation_failed", "The form could not be read")
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return badRequest("validation_failed", "The form is not well-formed")
	}
	again := url.Values{}
	for _, name := range []string{"state", "code", "iss", "error"} {
		if form.Has(name) {
			again[name] = form[name]
		}
	}
	return c.Redirect(http.StatusSeeOther, h.OAuth.callbackURL()+"?"+again.Encode())
}

// flow is a sign-in whose browser has come back.
type flow struct {
	ID         uuid.UUID `json:"id"`
	Provider   string    `json:"provider"`
	Sealed     string    `json:"sealed"`
	RedirectTo string    `json:"redirect_to"`
}
