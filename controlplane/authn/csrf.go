package authn

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/guard"
)

// CSRFToken answers with the CSRF token of the browser's session, or of a browser without one, and sets its cookie. The
// token stays the same as long as the session does.
func (h *Handler) CSRFToken(c echo.Context) error {
	r := c.Request()
	access, refresh := cookie(r, accessCookie), cookie(r, refreshCookie)
	k, known := h.readCookies(access, refresh)
	if !known && access+refresh != "" {
		clearCookies(c)
	}
	WriteJSON(c.Response(), http.StatusOK, struct {
		CSRFToken string `json:"csrf_token"`
	}{h.csrfToken(c, k.session)})
	return nil
}

// csrfToken is the token of a session that the browser has, or a new one that it gets.
func (h *Handler) csrfToken(c echo.Context, session uuid.UUID) string {
	if has := cookie(c.Request(), csrfCookie); h.CSRF.Check(session, has) {
		return has
	}
	text := h.CSRF.Mint(session)
	setCookie(c, csrfCookie, text)
	return text
}

// checkCSRF refuses a request that may change something, unless it has the token of the session in the cookie and again
// in the header or a field of its form.
func (h *Handler) checkCSRF(c echo.Context, session uuid.UUID) error {
	r := c.Request()
	if guard.Safe(r.Method) {
		return nil
	}
	given, err := submittedToken(c)
	if err != nil {
		return err
	}
	has := cookie(r, csrfCookie)
	if subtle.ConstantTimeCompare([]byte(has), []byte(given)) != 1 || !h.CSRF.Check(session, given) {
		return errCSRF
	}
	return nil
}

// submittedToken is the token that the page has added to a request, empty without.
func submittedToken(c echo.Context) (string, error) {
	r := c.Request()
	if values := r.Header[csrfHeader]; len(values) == 1 {
		return values[0], nil
	} else if len(values) > 1 {
		return "", nil
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return "", nil
	}
	text, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxFormBytes))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return "", &Error{Status: http.StatusRequestEntityTooLarge, Code: "bad_json", Message: "The form is too large"}
		}
		return "", badJSON("The request body could not be read")
	}
	given, rest := cutField(string(text), csrfField)
	r.Body = io.NopCloser(bytes.NewReader([]byte(rest)))
	r.ContentLength = int64(len(rest))
	r.Header.Del("Content-Length")
	return given, nil
}

// maxFormBytes is how long a form may be that has the token among its fields.
const maxFormBytes = 1 << 20

// cutField takes the one field of a name out of a form and leaves the others as they are. Of several none counts.
func cutField(form, name string) (value, rest string) {
	var kept []string
	found := 0
	for field := range strings.SplitSeq(form, "&") {
		key, text, _ := strings.Cut(field, "=")
		if decoded, err := url.QueryUnescape(key); err != nil || decoded != name {
			kept = append(kept, field)
			continue
		}
		found++
		value, _ = url.QueryUnescape(text)
	}
	if found != 1 {
		value = ""
	}
	return value, strings.Join(kept, "&")
}
