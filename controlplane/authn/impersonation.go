package authn

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

const (
	sqlAdminFactors      = `select fluxbase.admin_user_factors(p_user_id => $1)`
	sqlAdminFactorDelete = `select fluxbase.admin_user_factor_delete(p_user_id => $1, p_factor_id => $2)`
	sqlImpersonate       = `select fluxbase.impersonate(p_user_id => $1, p_seconds => $2, p_reason => $3, p_read_only => $4,` +
		` p_session_id => $5, p_user_agent => $6)`
	sqlImpersonationToken = `select fluxbase.impersonation_token(p_session_id => $1)`
)

// adminFactors lists the second factors of a user.
func (h *Handler) adminFactors(c echo.Context, caller gateway.Caller) error {
	user, err := pathID(c, "id", "no_such_user")
	if err != nil {
		return err
	}
	return h.pass(c, caller, http.StatusOK, sqlAdminFactors, user)
}

// adminDeleteFactor removes one of them.
func (h *Handler) adminDeleteFactor(c echo.Context, caller gateway.Caller) error {
	user, err := pathID(c, "id", "no_such_user")
	if err != nil {
		return err
	}
	factor, err := pathID(c, "factor", "mfa_factor_not_found")
	if err != nil {
		return err
	}
	return h.pass(c, caller, http.StatusOK, sqlAdminFactorDelete, user, factor)
}

// impersonationBody says why and for how long somebody acts as a user.
type impersonationBody struct {
	Reason   string `json:"reason"`
	Duration int64  `json:"duration_seconds"`
	ReadOnly *bool  `json:"read_only"`
}

// defaultImpersonation is how long one lasts that nobody gave an end, in seconds.
const defaultImpersonation = 15 * 60

// impersonate makes a session in which the caller acts as a user, and answers with its one token.
func (h *Handler) impersonate(c echo.Context, caller gateway.Caller) error {
	user, err := pathID(c, "id", "no_such_user")
	if err != nil {
		return err
	}
	b := impersonationBody{Duration: defaultImpersonation}
	if err := readDocument(c, []string{"reason", "duration_seconds", "read_only"}, &b); err != nil {
		return err
	}
	if b.Duration < 60 || b.Duration > int64(24*time.Hour/time.Second) || b.Reason == "" {
		return badRequest("validation_failed", "An impersonation needs a reason, and lasts a minute or longer")
	}
	readOnly := b.ReadOnly == nil || *b.ReadOnly
	return h.sendImpersonation(c, caller, sqlImpersonate, user, intArg(b.Duration), []byte(b.Reason), boolArg(readOnly),
		uuidArg(uuid.New()), printableArg(c.Request().UserAgent()))
}

// impersonationToken answers with a token of a session that the caller acts in and that psql has made.
func (h *Handler) impersonationToken(c echo.Context, caller gateway.Caller) error {
	session, err := pathID(c, "session", "no_such_session")
	if err != nil {
		return err
	}
	return h.sendImpersonation(c, caller, sqlImpersonationToken, session)
}

// impersonationResponse has no refresh token: the session ends when the token does.
type impersonationResponse struct {
	AccessToken string          `json:"access_token"`
	TokenType   string          `json:"token_type"`
	ExpiresIn   int64           `json:"expires_in"`
	ExpiresAt   int64           `json:"expires_at"`
	SessionID   uuid.UUID       `json:"session_id"`
	ReadOnly    bool            `json:"read_only"`
	User        json.RawMessage `json:"user"`
}

func (h *Handler) sendImpersonation(c echo.Context, caller gateway.Caller, sql string, args ...[]byte) error {
	a, err := h.call(c, caller, sql, args...)
	if err != nil {
		return err
	}
	if a.Session == nil {
		return errors.New("the answer of an entry point has no session")
	}
	access, expiresAt, err := h.sign(a.Session, time.Duration(a.Seconds)*time.Second)
	if err != nil {
		return err
	}
	WriteJSON(c.Response(), http.StatusOK, impersonationResponse{
		AccessToken: access, TokenType: "bearer", ExpiresIn: a.Seconds, ExpiresAt: expiresAt,
		SessionID: a.Session.ID, ReadOnly: a.ReadOnly, User: a.Session.User,
	})
	return nil
}
