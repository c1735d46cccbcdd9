package authn

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"
)

// send sends a browser on with parameters in the query and in the fragment.
func (h *Handler) send(c echo.Context, target *url.URL, inQuery, inFragment url.Values) error {
	u := *target
	q := u.Query()
	for name, values := range inQuery {
		q[name] = values
	}
	u.RawQuery = q.Encode()
	address := u.String()
	if len(inFragment) > 0 {
		address += "#" + inFragment.Encode()
	}
	return c.Redirect(http.StatusSeeOther, address)
}

// fail sends a browser on with an error in query and fragment, where clients of Supabase look for it. Without a target
// it goes to the site; without a site it is answered here.
func (h *Handler) fail(c echo.Context, target *url.URL, err error) error {
	if target == nil {
		if target = h.OAuth.Redirects.Site(); target == nil {
			return err
		}
	}
	var refusal *Error
	if !errors.As(err, &refusal) {
		if c.Request().Context().Err() != nil {
			return err
		}
		h.OAuth.Log.ErrorContext(c.Request().Context(), "a browser was sent on with an error", "error", err)
		refusal = &Error{Status: http.StatusInternalServerError, Code: "unexpected_failure",
			Message: "Unexpected failure, please check server logs for more information"}
	}
	values := url.Values{"error": {oauthCode(refusal.Status)}, "error_code": {refusal.Code}, "error_description": {refusal.Message}}
	return h.send(c, target, values, values)
}

// oauthCode is the code of RFC 6749 section 4.1.2.1 for a status of HTTP.
func oauthCode(status int) string {
	switch {
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		return "temporarily_unavailable"
	case status >= http.StatusInternalServerError:
		return "server_error"
	case status == http.StatusBadRequest:
		return "invalid_request"
	case status == http.StatusUnauthorized:
		return "unauthorized_client"
	}
	return "access_denied"
}
