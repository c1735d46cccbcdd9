package authn

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// Logout ends sessions of the caller: this one (local), all others (others) or all (global, the default).
func (h *Handler) Logout(c echo.Context) error {
	caller, access, err := h.pending(c)
	if err != nil {
		return err
	}
	scope := c.QueryParam("scope")
	switch scope {
	case "":
		scope = "global"
	case "global", "local", "others":
	default:
		return badRequest("validation_failed", "Unsupported logout scope; it is local, others or global")
	}
	if _, err := h.call(c, caller, sqlLogout, []byte(scope), timeArg(access.ExpiresAt)); err != nil {
		return err
	}
	if cookiesOf(c).answer && scope != "others" {
		clearCookies(c)
	}
	return c.NoContent(http.StatusNoContent)
}

// user answers with the signed-in user.
func (h *Handler) user(c echo.Context, caller gateway.Caller) error {
	a, err := h.call(c, caller, sqlUser)
	if err != nil {
		return err
	}
	writeRaw(c.Response(), http.StatusOK, a.User)
	return nil
}

// UpdateUser changes password or metadata of the signed-in user, and begins a change of address.
func (h *Handler) UpdateUser(c echo.Context) error {
	caller, access, err := h.Gate.Session(c.Request(), h.Origin(c))
	if err != nil {
		return err
	}
	b, err := readBody(c, updateMembers)
	if err != nil {
		return err
	}
	if text(b.Phone) != "" {
		return badRequest("phone_provider_disabled", "Phone logins are disabled")
	}
	metadata, err := b.metadata()
	if err != nil {
		return err
	}
	current, matched, err := h.compareCurrent(c, caller, text(b.CurrentPassword))
	if err != nil {
		return err
	}
	email, hash := text(b.Email), ""
	if secret := text(b.Password); secret != "" {
		owner := email
		if owner == "" {
			owner = access.Email
		}
		if hash, err = h.hashNew(c.Request().Context(), secret, owner); err != nil {
			return err
		}
	}
	redirect, err := h.redirectArg(c)
	if err != nil {
		return err
	}
	var nonceHash []byte
	if nonce := text(b.Nonce); nonce != "" {
		sum := h.Mail.Tokens.CodeHash(access.Email, nonce)
		nonceHash = byteaArg(sum[:])
	}
	challenge, method := b.challenge()
	a, err := h.call(c, caller, sqlUserUpdate, optionalArg(email), optionalArg(hash), metadata, optionalArg(current), matched,
		nonceHash, redirect, challenge, method)
	if err != nil {
		return slowed(a, err)
	}
	writeRaw(c.Response(), http.StatusOK, a.User)
	return nil
}

// compareCurrent compares the current password that a client sent beside a change with the stored hash, which it returns
// with the outcome as an argument: NULL when the client sent none. As at the login, no connection is held meanwhile.
func (h *Handler) compareCurrent(c echo.Context, caller gateway.Caller, secret string) (hash string, matched []byte, err error) {
	if secret == "" {
		return "", nil, nil
	}
	ctx := c.Request().Context()
	text, err := h.Entries.Entry(ctx, caller, sqlUserPassword, nil)
	if err != nil {
		return "", nil, err
	}
	known, err := readLoginBegin(text)
	if err != nil {
		return "", nil, err
	}
	ok, _, err := h.Hasher.Compare(ctx, known.EncryptedPassword, secret)
	if err != nil {
		return "", nil, hashError(err)
	}
	return known.EncryptedPassword, boolArg(ok), nil
}

// sessions lists the living sessions of the signed-in user.
func (h *Handler) sessions(c echo.Context, caller gateway.Caller) error {
	a, err := h.call(c, caller, sqlSessions)
	if err != nil {
		return err
	}
	writeRaw(c.Response(), http.StatusOK, a.Sessions)
	return nil
}

// revokeSession ends one of the caller's own sessions. Anybody else's does not exist.
func (h *Handler) revokeSession(c echo.Context, caller gateway.Caller) error {
	notFound := &Error{Status: http.StatusNotFound, Code: "session_not_found", Message: "No such session"}
	id, ok := canonicalID(c.Param("id"))
	if !ok {
		return notFound
	}
	a, err := h.call(c, caller, sqlSessionRevoke, uuidArg(id))
	switch {
	case a != nil && a.Status == "session_not_found":
		return notFound
	case err != nil:
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
