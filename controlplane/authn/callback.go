package authn

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/oauth"
)

// flow is a sign-in whose browser has come back.
type flow struct {
	ID         uuid.UUID `json:"id"`
	Provider   string    `json:"provider"`
	Sealed     string    `json:"sealed"`
	RedirectTo string    `json:"redirect_to"`
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
