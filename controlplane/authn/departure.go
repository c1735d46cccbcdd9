package authn

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
	"golang.org/x/oauth2"

	"github.com/wayli-app/fluxbase/controlplane/oauth"
	"github.com/wayli-app/fluxbase/controlplane/seal"
)

// linkPath is where a browser is sent to a provider that was asked to link an identity.
const linkPath = "/auth/v1/authorize"

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
	challenge, method := challengeArgs(q)
	return h.depart(c, p, q, func(stateHash, browserHash, sealed []byte) (string, [][]byte) {
		return sqlOAuthBegin, [][]byte{[]byte(p.Name()), stateHash, browserHash, sealed, []byte(target.String()), challenge, method}
	})
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

// The cookie that binds a flow to its browser. Each flow has its own, so that two tabs do not disturb each other. It goes
// along when the provider sends the browser back, which is a navigation from another site: Lax, not Strict.
func (h *Handler) flowCookie(stateHash []byte) http.Cookie {
	cookie := http.Cookie{Name: "fluxbase-oauth-" + hex.EncodeToString(stateHash[:6]), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if strings.HasPrefix(h.OAuth.PublicURL, "https://") {
		cookie.Name, cookie.Secure = "__Host-"+cookie.Name, true
	}
	return cookie
}

func (h *Handler) flowCookieName(stateHash []byte) string {
	cookie := h.flowCookie(stateHash)
	return cookie.Name
}

func (h *Handler) setFlowCookie(c echo.Context, stateHash []byte, value string, lifetime int64) {
	cookie := h.flowCookie(stateHash)
	cookie.Value, cookie.MaxAge = value, int(lifetime)
	c.SetCookie(&cookie)
}

// departWithTicket sends the browser that brings a ticket to the provider.
func (h *Handler) departWithTicket(c echo.Context, p *oauth.Provider, q url.Values, ticket string) error {
	if !isRandomText(ticket) {
		return errBadState
	}
	return h.depart(c, p, q, func(stateHash, browserHash, sealed []byte) (string, [][]byte) {
		return sqlOAuthLinkBind, [][]byte{byteaArg(hashOf(ticket)), []byte(p.Name()), stateHash, browserHash, sealed}
	})
}

// depart sends a browser to a provider, with the cookie by which it is known when it comes back. The entry point begins the flow.
func (h *Handler) depart(c echo.Context, p *oauth.Provider, q url.Values,
	begin func(stateHash, browserHash, sealed []byte) (sql string, args [][]byte)) error {
	d := newDeparture()
	address, err := h.authorizeURL(c, p, q, d)
	if err != nil {
		return err
	}
	stateHash, sealed, err := h.sealDeparture(d)
	if err != nil {
		return err
	}
	sql, args := begin(byteaArg(stateHash), byteaArg(hashOf(d.browser)), []byte(sealed))
	a, err := h.call(c, h.Origin(c).anonymous(), sql, args...)
	if err != nil {
		return err
	}
	h.setFlowCookie(c, stateHash, d.browser, a.Lifetime)
	return c.Redirect(http.StatusFound, address)
}
