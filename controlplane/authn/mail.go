package authn

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// MailTokens knows the secrets of mailed links and codes; [token.MailTokens] does.
type MailTokens interface {
	Mint(id uuid.UUID) (link, code string)
	LinkHash(link string) [32]byte
	CodeHash(address, code string) [32]byte
}

// Mail is what mailed links and codes need.
type Mail struct {
	Tokens MailTokens
	Sends  bool // this server sends what is in the outbox
	Direct bool // opening a link uses it; otherwise a page is shown whose button does
}

// The kinds of mail that can be asked for.
const (
	kindRecovery     = "recovery"
	kindMagicLink    = "magiclink"
	kindConfirmation = "confirmation"
	kindEmailChange  = "email_change_new"
)

func (h *Handler) mountMail(r Router, middleware ...echo.MiddlewareFunc) {
	r.Add(http.MethodPost, "/recover", h.Recover, middleware...)
	r.Add(http.MethodPost, "/magiclink", h.OTP, middleware...)
	r.Add(http.MethodPost, "/otp", h.OTP, middleware...)
	r.Add(http.MethodPost, "/resend", h.Resend, middleware...)
	r.Add(http.MethodGet, "/verify", h.OpenLink, middleware...)
	r.Add(http.MethodPost, "/verify", h.Verify, middleware...)
	r.Add(http.MethodGet, "/reauthenticate", h.signedIn((*Handler).reauthenticate), middleware...)
	r.Add(http.MethodPost, "/invite", h.identified((*Handler).inviteUser), middleware...)
	r.Add(http.MethodPost, "/admin/generate_link", h.identified((*Handler).generateLink), middleware...)
}

// redirectArg is where a mailed link shall lead, as an argument: NULL is the site.
func (h *Handler) redirectArg(c echo.Context) ([]byte, error) {
	q, err := query(c)
	if err != nil || q.Get("redirect_to") == "" {
		return nil, err
	}
	target, err := h.target(q.Get("redirect_to"))
	if err != nil {
		return nil, err
	}
	return []byte(target.String()), nil
}

// userArgs are the metadata of a user and where a mailed link shall lead, as arguments.
func (h *Handler) userArgs(c echo.Context, b *body) (metadata, redirect []byte, err error) {
	if metadata, err = b.metadata(); err != nil {
		return nil, nil, err
	}
	redirect, err = h.redirectArg(c)
	return metadata, redirect, err
}

// challenge is the code challenge of a body and its method, NULL without one.
func (b *body) challenge() (challenge, method []byte) {
	if text(b.CodeChallenge) == "" && text(b.CodeChallengeMethod) == "" {
		return nil, nil
	}
	return []byte(text(b.CodeChallenge)), []byte(text(b.CodeChallengeMethod))
}

// mailAnswerTime is the least time in which a request for a mail is answered. The rows written are the same for every address, but a
// mail that really goes out wakes the server that sends it, which showed as up to a fifth of the answer's millisecond.
const mailAnswerTime = 25 * time.Millisecond

// waitUntil returns at t, or when ctx ends.
func waitUntil(ctx context.Context, t time.Time) {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// requestMail has a mail sent, and answers alike whether the address has a user or not.
func (h *Handler) requestMail(c echo.Context, kind string, b *body, createUser bool) error {
	if text(b.Phone) != "" {
		return badRequest("phone_provider_disabled", "Phone logins are disabled")
	}
	if text(b.Email) == "" {
		return badRequest("validation_failed", "An email address is required")
	}
	if err := h.checkCaptcha(c, b.MetaSecurity); err != nil {
		return err
	}
	metadata, redirect, err := h.userArgs(c, b)
	if err != nil {
		return err
	}
	challenge, method := b.challenge()
	answer := time.Now().Add(mailAnswerTime)
	a, err := h.call(c, h.Origin(c).anonymous(), sqlMailRequest, []byte(kind), []byte(text(b.Email)), redirect, boolArg(createUser),
		metadata, challenge, method)
	waitUntil(c.Request().Context(), answer)
	if err != nil {
		return slowed(a, err)
	}
	WriteJSON(c.Response(), http.StatusOK, struct{}{})
	return nil
}

// Recover mails a link to set a new password.
func (h *Handler) Recover(c echo.Context) error {
	b, err := readBody(c, recoverMembers)
	if err != nil {
		return err
	}
	return h.requestMail(c, kindRecovery, b, false)
}

// OTP mails a link and a code to sign in, also to an address that has no user yet unless the client says no.
func (h *Handler) OTP(c echo.Context) error {
	b, err := readBody(c, otpMembers)
	if err != nil {
		return err
	}
	return h.requestMail(c, kindMagicLink, b, b.CreateUser == nil || *b.CreateUser)
}

// Resend mails what was mailed before once more, with a new link and a new code.
func (h *Handler) Resend(c echo.Context) error {
	b, err := readBody(c, resendMembers)
	if err != nil {
		return err
	}
	switch text(b.Type) {
	case "signup":
		return h.requestMail(c, kindConfirmation, b, false)
	case "email_change":
		return h.requestMail(c, kindEmailChange, b, false)
	case "sms", "phone_change":
		return badRequest("phone_provider_disabled", "Phone logins are disabled")
	}
	return badRequest("validation_failed", "Missing one of these types: signup, email_change")
}

// reauthenticate mails the signed-in user a code.
func (h *Handler) reauthenticate(c echo.Context, caller gateway.Caller) error {
	if a, err := h.call(c, caller, sqlReauthenticate); err != nil {
		return slowed(a, err)
	}
	WriteJSON(c.Response(), http.StatusOK, struct{}{})
	return nil
}

// inviteUser makes a user for an administrator and mails the way in.
func (h *Handler) inviteUser(c echo.Context, caller gateway.Caller) error {
	b, err := readBody(c, inviteMembers)
	if err != nil {
		return err
	}
	if text(b.Email) == "" {
		return badRequest("validation_failed", "An email address is required")
	}
	if err := h.checkCaptcha(c, b.MetaSecurity); err != nil {
		return err
	}
	metadata, redirect, err := h.userArgs(c, b)
	if err != nil {
		return err
	}
	return h.pass(c, caller, http.StatusOK, sqlAdminInvite, []byte(text(b.Email)), metadata, redirect)
}

// generateLink gives an administrator the link and the code that would be mailed.
func (h *Handler) generateLink(c echo.Context, caller gateway.Caller) error {
	b, err := readBody(c, linkMembers)
	if err != nil {
		return err
	}
	kind, email := text(b.Type), text(b.Email)
	metadata, redirect, err := h.userArgs(c, b)
	if err != nil {
		return err
	}
	hash := ""
	switch secret := text(b.Password); {
	case kind == "signup" && secret == "":
		return badRequest("validation_failed", "Signup requires a valid password")
	case kind == "signup":
		if hash, err = h.hashForUser(c, caller, nil, secret, email); err != nil {
			return err
		}
	}
	id := uuid.New()
	link, code := h.Mail.Tokens.Mint(id)
	linkHash := h.Mail.Tokens.LinkHash(link)
	subject := email
	if kind == "email_change_new" {
		subject = text(b.NewEmail)
	}
	codeHash := h.Mail.Tokens.CodeHash(subject, code)
	a, err := h.call(c, caller, sqlAdminGenerateLink, []byte(kind), []byte(email), optionalArg(text(b.NewEmail)), optionalArg(hash), metadata,
		redirect, uuidArg(id), byteaArg(linkHash[:]), byteaArg(codeHash[:]))
	if err != nil {
		return err
	}
	var user map[string]any
	if err := json.Unmarshal(a.Result, &user); err != nil {
		return fmt.Errorf("unexpected answer of an entry point: %w", err)
	}
	user["action_link"] = strings.ReplaceAll(a.Link, a.TokenMark, link)
	user["email_otp"], user["hashed_token"], user["redirect_to"], user["verification_type"] = code, link, a.RedirectTo, kind
	WriteJSON(c.Response(), http.StatusOK, user)
	return nil
}
