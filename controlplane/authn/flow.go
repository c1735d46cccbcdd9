package authn

import (
	"encoding/base64"
	"errors"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// newAuthCode makes the code that a browser brings back from a sign-in, and the hash that the database stores.
func newAuthCode() (text string, hash []byte) {
	text = uuid.NewString()
	return text, hashOf(text)
}

// ExchangeCode exchanges the code that a browser brought back for a session, for whoever has the verifier that the flow
// began with (RFC 7636 section 4.5). The verifier goes no further than here.
func (h *Handler) ExchangeCode(c echo.Context) error {
	b, err := readBody(c, flowMembers)
	if err != nil {
		return err
	}
	code, verifier := text(b.AuthCode), text(b.CodeVerifier)
	if code == "" || verifier == "" {
		return badRequest("validation_failed", "invalid request: both auth code and code verifier should be non-empty")
	}
	a, err := h.issue(c, h.Origin(c).anonymous(), sqlFlowExchange, byteaArg(hashOf(code)), []byte(base64.RawURLEncoding.EncodeToString(hashOf(verifier))))
	if err != nil {
		return err
	}
	return h.sendSessionWith(c, a.Session, h.openProviderTokens(c, hashOf(code), a.ProviderTokens))
}

// issue calls an entry point that may issue a session: its last arguments are the ids and the hash that one is made of,
// and the client's name. That a user may not log in is answered as such: whoever comes here has proven to be that user.
func (h *Handler) issue(c echo.Context, caller gateway.Caller, sql string, args ...[]byte) (*answer, error) {
	session := uuid.New()
	_, refreshHash := h.Refresh.Mint(session, 1)
	a, err := h.call(c, caller, sql, append(args, uuidArg(session), byteaArg(refreshHash[:]), uuidArg(uuid.New()),
		printableArg(c.Request().UserAgent()))...)
	switch {
	case a != nil && a.Status == "user_banned":
		return nil, errBanned
	case a != nil && a.Status == "user_not_found":
		return nil, errors.New("a code names a user who does not exist")
	}
	return a, err
}
