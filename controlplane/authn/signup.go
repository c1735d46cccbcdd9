package authn

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/password"
)

// Signup makes a user. A known address costs the same work as a new one, and is answered alike while addresses must
// be confirmed.
func (h *Handler) Signup(c echo.Context) error {
	b, err := readBody(c, signupMembers)
	if err != nil {
		return err
	}
	email, secret := text(b.Email), text(b.Password)
	switch {
	case !h.Settings().SignupEnabled:
		return statusErrors["signup_disabled"]
	case text(b.Phone) != "":
		return badRequest("phone_provider_disabled", "Phone signups are disabled")
	case email == "" && secret == "":
		return h.signupAnonymous(c, b)
	case secret == "":
		return badRequest("validation_failed", "Signup requires a valid password")
	case !strings.Contains(email, "@"):
		return statusErrors["validation_failed"]
	}
	if err := h.checkCaptcha(c, b.MetaSecurity); err != nil {
		return err
	}
	metadata, redirect, err := h.userArgs(c, b)
	if err != nil {
		return err
	}
	hash, err := h.hashNew(c.Request().Context(), secret, email)
	if err != nil {
		return err
	}
	challenge, method := b.challenge()
	a, err := h.issue(c, h.Origin(c).anonymous(), sqlSignup, []byte(email), []byte(hash), metadata, redirect, challenge, method)
	switch {
	case err != nil:
		return err
	case a.Session != nil:
		return h.sendSession(c, a.Session)
	default:
		writeRaw(c.Response(), http.StatusOK, a.User)
		return nil
	}
}

// signupAnonymous makes a user without an address.
func (h *Handler) signupAnonymous(c echo.Context, b *body) error {
	if err := h.checkCaptcha(c, b.MetaSecurity); err != nil {
		return err
	}
	metadata, err := b.metadata()
	if err != nil {
		return err
	}
	a, err := h.issue(c, h.Origin(c).anonymous(), sqlSignupAnonymous, metadata)
	if err != nil {
		return err
	}
	return h.sendSession(c, a.Session)
}

// hashNew checks a new password against the policy and hashes it.
func (h *Handler) hashNew(ctx context.Context, secret, email string) (string, error) {
	if violations := h.Policy(secret, email); len(violations) > 0 {
		return "", weak(violations)
	}
	hash, err := h.Hasher.Hash(ctx, secret)
	switch {
	case errors.Is(err, password.ErrTooLong):
		return "", weak([]Violation{{Reason: "length", Message: "Password cannot be longer than 72 bytes."}})
	case err != nil:
		return "", hashError(err)
	}
	return hash, nil
}

// weak is the refusal of a password with everything that is wrong with it.
func weak(violations []Violation) *Error {
	e := unprocessable("weak_password", "")
	e.Reasons = []string{}
	seen := map[string]bool{}
	messages := make([]string, len(violations))
	for i, v := range violations {
		messages[i] = v.Message
		if !seen[v.Reason] {
			seen[v.Reason] = true
			e.Reasons = append(e.Reasons, v.Reason)
		}
	}
	e.Message = strings.Join(messages, " ")
	return e
}
