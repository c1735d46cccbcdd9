package authn

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/oauth"
	"github.com/wayli-app/fluxbase/controlplane/redirect"
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

func (o *OAuth) callbackURL() string { return o.PublicURL + callbackPath }

var (
	errNoProvider = badRequest("validation_failed", "Unsupported provider: provider is not enabled")
	errBadState   = badRequest("bad_oauth_state", "The sign-in was not begun in this browser, took too long, or is over already")
	errBadAnswer  = badRequest("bad_oauth_callback", "The answer of the provider does not prove who you are")
	errNoAnswer   = &Error{Status: http.StatusServiceUnavailable, Code: "unexpected_failure", Message: "The provider cannot be reached, try again"}
)

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

// logProvider tells the operator what the client is not told.
func (h *Handler) logProvider(c echo.Context, p *oauth.Provider, err error) {
	if c.Request().Context().Err() == nil {
		h.OAuth.Log.WarnContext(c.Request().Context(), "identity provider", "provider", p.Name(), "error", err)
	}
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

// identityArgs are an identity as arguments of an entry point.
func identityArgs(i *oauth.Identity) ([][]byte, error) {
	data, err := json.Marshal(i.Data)
	if err != nil {
		return nil, fmt.Errorf("claims of a provider: %w", err)
	}
	return [][]byte{[]byte(i.Provider), []byte(i.Subject), optionalArg(i.Email), boolArg(i.EmailVerified), data}, nil
}
