package authn

import (
	"errors"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/token"
)

// sessionHandler handles a request of a session; the caller is who asks.
type sessionHandler func(h *Handler, c echo.Context, caller gateway.Caller) error

// signedIn refuses whoever has no session before anything else of the request is looked at.
func (h *Handler) signedIn(handle sessionHandler) echo.HandlerFunc {
	return func(c echo.Context) error {
		caller, _, err := h.Gate.Session(c.Request(), h.Origin(c))
		if err != nil {
			return err
		}
		return handle(h, c, caller)
	}
}

// pending is the caller of a route that a session may use although it still owes its second factor.
func (h *Handler) pending(c echo.Context) (gateway.Caller, token.Access, error) {
	caller, access, err := h.Gate.Session(c.Request(), h.Origin(c))
	caller.MayOweFactor = true
	return caller, access, err
}

// owing is signedIn for a route that a session may use although it still owes its second factor.
func (h *Handler) owing(handle sessionHandler) echo.HandlerFunc {
	return func(c echo.Context) error {
		caller, _, err := h.pending(c)
		if err != nil {
			return err
		}
		return handle(h, c, caller)
	}
}

// pass calls an entry point and sends its result with the status; 204 has none.
func (h *Handler) pass(c echo.Context, caller gateway.Caller, status int, sql string, args ...[]byte) error {
	a, err := h.call(c, caller, sql, args...)
	if err != nil {
		return err
	}
	if status == http.StatusNoContent {
		return c.NoContent(status)
	}
	writeRaw(c.Response(), status, a.Result)
	return nil
}

// whenInvalid gives a meaning of its own to the status validation_failed of an entry point, which else is about an address.
func whenInvalid(err error, meaning *Error) error {
	if errors.Is(err, statusErrors["validation_failed"]) {
		return meaning
	}
	return err
}

// canonicalID reads an id in its one canonical form (RFC 9562 section 4, in lower case).
func canonicalID(text string) (id uuid.UUID, ok bool) {
	id, err := uuid.Parse(text)
	return id, err == nil && id.String() == text
}

// pathID is an id in the path in its canonical form; any other text names nothing.
func pathID(c echo.Context, name, missing string) ([]byte, error) {
	id, ok := canonicalID(c.Param(name))
	if !ok {
		return nil, statusErrors[missing]
	}
	return uuidArg(id), nil
}

// bodyID is an id in the body.
func bodyID(given, name string) ([]byte, error) {
	id, err := uuid.Parse(given)
	if err != nil || !strings.EqualFold(id.String(), given) {
		return nil, badRequest("validation_failed", name+" must be a UUID")
	}
	return uuidArg(id), nil
}

// identified refuses whoever shows no credentials before anything else of the request is looked at.
func (h *Handler) identified(handle sessionHandler) echo.HandlerFunc {
	return func(c echo.Context) error {
		caller, err := h.Gate.Caller(c.Request(), h.Origin(c))
		switch {
		case err != nil:
			return err
		case caller.SessionID == uuid.Nil && caller.APIKeyID == uuid.Nil:
			return errNoAuthorization
		}
		return handle(h, c, caller)
	}
}
