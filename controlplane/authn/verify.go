package authn

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html/template"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"
)

// Verify uses a mailed link or code up. A program sends JSON and gets the session; the page of OpenLink sends a form, and
// its browser is sent on with the session.
func (h *Handler) Verify(c echo.Context) error {
	if kind, _, _ := mime.ParseMediaType(c.Request().Header.Get(echo.HeaderContentType)); kind == echo.MIMEApplicationForm {
		return h.verifyForm(c)
	}
	b, err := readBody(c, mailedMembers)
	if err != nil {
		return err
	}
	kind, link, code, email := text(b.Type), text(b.TokenHash), text(b.Token), text(b.Email)
	switch {
	case text(b.Phone) != "":
		return badRequest("phone_provider_disabled", "Phone logins are disabled")
	case kind == "":
		return badRequest("validation_failed", "Verify requires a verification type")
	case link != "" && (code != "" || email != ""):
		return badRequest("validation_failed", "Only the token_hash and type should be provided")
	case link == "" && (code == "" || email == ""):
		return badRequest("validation_failed", "Verify requires a token_hash, or a token and an email")
	}
	var linkHash, emailArg, codeHash []byte
	if link != "" {
		sum := h.Mail.Tokens.LinkHash(link)
		linkHash = byteaArg(sum[:])
	} else {
		sum := h.Mail.Tokens.CodeHash(email, code)
		emailArg, codeHash = []byte(email), byteaArg(sum[:])
	}
	a, err := h.issue(c, h.Origin(c).anonymous(), sqlVerify, []byte(kind), linkHash, emailArg, codeHash, nil)
	switch {
	case errors.Is(err, errSingleConfirmation):
		WriteJSON(c.Response(), http.StatusOK, struct {
			Message string `json:"msg"`
			Code    string `json:"code"`
		}{errSingleConfirmation.Message, "200"})
		return nil
	case errors.Is(err, errTokenExpired) && link != "":
		return errLinkExpired
	case err != nil:
		return slowed(a, err)
	}
	return h.sendSession(c, a.Session)
}

// OpenLink is where a mailed link leads. Programs open links, too, to look for dangers: so it only shows a page, and the
// link is used up by whoever presses the button there.
func (h *Handler) OpenLink(c echo.Context) error {
	q, err := query(c)
	if err != nil {
		return err
	}
	target, err := h.target(q.Get("redirect_to"))
	if err != nil {
		return err
	}
	if h.Mail.Direct {
		return h.verifyBrowser(c, q.Get("type"), q.Get("token"), target)
	}
	header := c.Response().Header()
	header.Set("Content-Security-Policy", "default-src 'none'; style-src '"+confirmStyleHash+"'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' "+source(target))
	header.Set("Referrer-Policy", "same-origin") // the address holds the token; the form needs its Origin
	header.Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
	c.Response().WriteHeader(http.StatusOK)
	return confirmPage.Execute(c.Response(), map[string]string{
		"Action": c.Path(), "Type": q.Get("type"), "Token": q.Get("token"), "RedirectTo": q.Get("redirect_to"), "Host": target.Host,
	})
}

// source is a URL as a source of Content-Security-Policy: browsers ask form-action also where an answer redirects to.
func source(u *url.URL) string {
	if u.Scheme == "https" || u.Scheme == "http" {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":"
}

const confirmStyle = `body{font:1rem/1.5 system-ui,sans-serif;margin:20vh auto 0;max-width:24rem;padding:0 1rem;text-align:center}` +
	`button{font:inherit;padding:.5rem 2rem;cursor:pointer}`

var (
	confirmStyleHash = func() string {
		sum := sha256.Sum256([]byte(confirmStyle))
		return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
	}()
	confirmPage = template.Must(template.New("confirm").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex"><title>Confirm</title>
<style>` + confirmStyle + `</style></head><body>
<p>You have opened a link from a mail. Go on to {{ .Host }}?</p>
<form method="post" action="{{ .Action }}"><input type="hidden" name="type" value="{{ .Type }}"><input type="hidden" name="token" value="{{ .Token }}">
<input type="hidden" name="redirect_to" value="{{ .RedirectTo }}"><button>Continue</button></form>
</body></html>
`))
)

// verifyForm is the button of the page. A page of another site shall not sign its visitors in as somebody else.
func (h *Handler) verifyForm(c echo.Context) error {
	r := c.Request()
	if h.CrossSite(r) {
		return errCrossSite
	}
	text, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxBodyBytes))
	if err != nil {
		return badRequest("validation_failed", "The form could not be read")
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return badRequest("validation_failed", "The form is not well-formed")
	}
	target, err := h.target(form.Get("redirect_to"))
	if err != nil {
		return err
	}
	return h.verifyBrowser(c, form.Get("type"), form.Get("token"), target)
}

// verifyBrowser uses a link up for a browser and sends it on: with a code when the flow began with a challenge, else with the
// session in the fragment, which no server sees. Why it may not come in is told there, too.
func (h *Handler) verifyBrowser(c echo.Context, kind, link string, target *url.URL) error {
	sum := h.Mail.Tokens.LinkHash(link)
	code, codeHash := newAuthCode()
	a, err := h.issue(c, h.Origin(c).anonymous(), sqlVerify, printableArg(kind), byteaArg(sum[:]), nil, nil, byteaArg(codeHash))
	switch {
	case errors.Is(err, errSingleConfirmation):
		return h.send(c, target, nil, url.Values{"message": {errSingleConfirmation.Message}})
	case errors.Is(err, errTokenExpired):
		return h.fail(c, target, errLinkExpired)
	case err != nil:
		return h.fail(c, target, err)
	case a.Code:
		return h.send(c, target, url.Values{"code": {code}}, nil)
	}
	tokens, err := h.tokens(a.Session)
	if err != nil {
		return h.fail(c, target, err)
	}
	return h.send(c, target, nil, url.Values{
		"access_token": {tokens.AccessToken}, "refresh_token": {tokens.RefreshToken}, "token_type": {tokens.TokenType}, "type": {kind},
		"expires_in": {strconv.FormatInt(tokens.ExpiresIn, 10)}, "expires_at": {strconv.FormatInt(tokens.ExpiresAt, 10)},
	})
}
