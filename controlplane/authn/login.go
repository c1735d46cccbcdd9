package authn

import (
	"errors"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// Token serves POST token, whose query says what is exchanged for a session.
func (h *Handler) Token(c echo.Context) error {
	switch c.QueryParam("grant_type") {
	case "password":
		return h.Login(c)
	case "refresh_token":
		return h.RefreshSession(c)
	case "pkce":
		return h.ExchangeCode(c)
	case "id_token":
		return h.IDToken(c)
	default:
		return badRequest("invalid_credentials", "unsupported_grant_type")
	}
}

// Login exchanges an e-mail address and a password for a session. Whatever the reason of a refusal, the same work is
// done in the same order: one entry point, one comparison, one entry point.
func (h *Handler) Login(c echo.Context) error {
	b, err := readBody(c, loginMembers)
	if err != nil {
		return err
	}
	email, secret := text(b.Email), text(b.Password)
	switch {
	case text(b.Phone) != "":
		return unprocessable("phone_provider_disabled", "Phone logins are disabled")
	case email == "" || secret == "":
		return badRequest("validation_failed", "missing email or password")
	}
	if err := h.checkCaptcha(c, b.MetaSecurity); err != nil {
		return err
	}
	ctx, caller := c.Request().Context(), h.Origin(c).anonymous()

	// Refusals are all the same here: unknown and slowed accounts go on with an empty hash, which matches nothing.
	text, err := h.Entries.Entry(ctx, caller, sqlLoginBegin, [][]byte{[]byte(email)})
	if err != nil {
		return err
	}
	known, err := readLoginBegin(text)
	if err != nil {
		return err
	}

	matched, rehash, err := h.Hasher.Compare(ctx, known.EncryptedPassword, secret)
	if err != nil {
		return hashError(err)
	}
	var newHash string
	if matched && rehash {
		if newHash, err = h.Hasher.Hash(ctx, secret); err != nil {
			return hashError(err)
		}
	}

	session, jti := uuid.New(), uuid.New()
	_, refreshHash := h.Refresh.Mint(session, 1)
	var userID []byte
	if known.UserID != uuid.Nil {
		userID = uuidArg(known.UserID)
	}
	a, err := h.call(c, caller, sqlLoginFinish, []byte(email), userID, optionalArg(known.EncryptedPassword), boolArg(matched),
		optionalArg(newHash), uuidArg(session), byteaArg(refreshHash[:]), uuidArg(jti), printableArg(c.Request().UserAgent()))
	switch {
	case a != nil && (a.Status == "user_banned" || a.Status == "user_not_found"):
		return errInvalidCredentials
	case err != nil:
		return err
	}
	return h.sendSession(c, a.Session)
}

// readLoginBegin reads the answer of login_begin: its statuses are no refusals yet.
func readLoginBegin(text []byte) (*answer, error) {
	a, err := readAnswer(text)
	switch {
	case err == nil:
		return a, nil
	case a != nil && (a.Status == "unknown" || a.Status == "slowed"):
		return &answer{}, nil
	case a == nil:
		return nil, err
	default:
		return nil, errors.New("unexpected status of login_begin: " + a.Status)
	}
}

// RefreshSession exchanges a refresh token for the next one and a new access token, in one round trip.
func (h *Handler) RefreshSession(c echo.Context) error {
	b, err := readBody(c, refreshMembers)
	if err != nil {
		return err
	}
	given := text(b.RefreshToken)
	if given == "" {
		return badRequest("validation_failed", "refresh_token required")
	}
	s, err := h.refresh(c, given)
	if err != nil {
		return err
	}
	return h.sendSession(c, s)
}

// refresh exchanges a refresh token; [Handler.RefreshSession] is its route.
func (h *Handler) refresh(c echo.Context, given string) (*session, error) {
	id, generation, hash, err := h.Refresh.Parse(given)
	if err != nil {
		return nil, errRefreshNotFound // not one of ours: no need to ask
	}
	_, childHash := h.Refresh.Mint(id, generation+1)
	a, err := h.call(c, h.Origin(c).anonymous(), sqlRefresh,
		uuidArg(id), intArg(generation), byteaArg(hash[:]), byteaArg(childHash[:]), uuidArg(uuid.New()))
	switch {
	case err != nil:
		return nil, err
	case a.Session == nil:
		return nil, errors.New("the answer of refresh has no session")
	}
	return a.Session, nil
}
