package authn

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/token"
)

// The cookies of a session in a browser. The prefix makes browsers take them over TLS alone, from this very host, and
// keep them from every other (RFC 6265bis section 4.1.3.2); that of the CSRF token is the one that pages may read.
const (
	accessCookie  = "__Host-fluxbase-access"
	refreshCookie = "__Host-fluxbase-refresh"
	csrfCookie    = "__Host-fluxbase-csrf"
)

// SessionHeader with the value cookie asks for a session in cookies. A page of another site cannot send it without a
// preflight.
const (
	SessionHeader = "X-Fluxbase-Session"
	csrfHeader    = "X-Csrf-Token"
	csrfField     = "csrf_token"
)

// maxCookieBytes is what every browser takes as name, value and "=" (RFC 6265 section 6.1).
const maxCookieBytes = 4096

// CSRF makes and checks CSRF tokens; [token.CSRF] does.
type CSRF interface {
	Mint(session uuid.UUID) string
	Check(session uuid.UUID, text string) bool
}

var (
	errCrossSite = &Error{Status: http.StatusForbidden, Code: "cross_site_request",
		Message: "A page of another site may not act for a session in cookies"}
	errCSRF = &Error{Status: http.StatusForbidden, Code: "csrf_failed",
		Message: "The CSRF token is missing or of another session; GET csrf has the one to send in X-CSRF-Token"}
	errSessionMode = badRequest("validation_failed", "The only value of "+SessionHeader+" is cookie")
	errTooLarge    = unprocessable("session_too_large", "The claims of this session do not fit into a cookie")
)

// setCookie gives the browser a cookie until it is closed, or makes it forget one.
func setCookie(c echo.Context, name, value string) {
	forget(c, name)
	cookie := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: name != csrfCookie, SameSite: http.SameSiteStrictMode}
	if value == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(c.Response(), cookie)
}

// forget takes back what the answer says of a cookie so far.
func forget(c echo.Context, name string) {
	h := c.Response().Header()
	h["Set-Cookie"] = slices.DeleteFunc(h["Set-Cookie"], func(line string) bool { return strings.HasPrefix(line, name+"=") })
}

// clearCookies makes the browser forget the session.
func clearCookies(c echo.Context) {
	for _, name := range []string{accessCookie, refreshCookie, csrfCookie} {
		setCookie(c, name, "")
	}
}

// cookie is the value of a cookie, empty without. One that is there twice is none of ours: it counts as wrong.
func cookie(r *http.Request, name string) string {
	switch found := r.CookiesNamed(name); len(found) {
	case 0:
		return ""
	case 1:
		return found[0].Value
	}
	return "twice"
}

// cookieState is what the middleware knows of a request that has to do with cookies.
type cookieState struct {
	answer bool          // with cookies, where the answer is a session
	old    *token.Access // the session that a new one replaces
}

const cookieStateKey = "authn.cookies"

func cookiesOf(c echo.Context) cookieState {
	state, _ := c.Get(cookieStateKey).(cookieState)
	return state
}

// opensSession reports whether a route makes a session for whoever has none yet, or is on the way to one: cookies are no
// credentials there.
func opensSession(path string) bool {
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case "signup", "token", "login", "refresh", "recover", "otp", "magiclink", "resend":
		return true
	case "verify": // of a mailed link, not of a factor
		return !strings.Contains(path, "/factors/")
	}
	return false
}

// isNavigated reports whether browsers are sent to a route on their way to an identity provider and back, from whatever site:
// nobody is signed in there, and cookies of a session do not count.
func isNavigated(path string) bool {
	return strings.HasSuffix(path, "/callback") || strings.HasSuffix(path, "/authorize") && !strings.HasSuffix(path, "/identities/authorize")
}

// Cookies makes the session in a browser's cookies the credentials of a request that has no others. Behind it, such a
// request looks as if it had brought the access token itself.
//
//   - A request with Authorization, apikey or X-API-Key is what these say, and its cookies are not looked at. No other
//     site can add one of these headers.
//   - A request that another site may have caused is refused (see Config.CrossSite), reads included.
//   - What may change something needs the CSRF token of the session twice: in its cookie, and in X-CSRF-Token or the
//     field csrf_token of a form, which is taken out of the body. The same holds where a session in cookies begins, for the
//     token of a browser without session.
//   - When the access token has expired, the session is refreshed and the browser gets both cookies anew. Requests at once
//     get the same ones.
//   - Cookies that are not accepted end as 401, and the browser forgets them.
func (h *Handler) Cookies(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		asked, err := asksForCookies(r.Header)
		if err != nil {
			return err
		}
		route := c.Path()[strings.LastIndexByte(c.Path(), '/')+1:]
		opens := opensSession(c.Path())
		if route == "csrf" && h.CrossSite(r) {
			return errCrossSite
		} else if route == "csrf" {
			return next(c)
		}
		if isNavigated(c.Path()) || opens && !asked || !opens && hasCredentials(r.Header) {
			return next(c)
		}
		access, refresh := cookie(r, accessCookie), cookie(r, refreshCookie)
		if access == "" && refresh == "" && !opens {
			return next(c)
		}
		if h.CrossSite(r) {
			return errCrossSite
		}
		k, known := h.readCookies(access, refresh)
		if err := h.checkCSRF(c, k.session); err != nil {
			if !opens && !known {
				clearCookies(c)
			}
			return err
		}
		if opens {
			state := cookieState{answer: true}
			if known && h.renewed(c, &k) == nil {
				state.old = &k.access
			}
			forget(c, accessCookie)
			forget(c, refreshCookie)
			forget(c, csrfCookie)
			c.Set(cookieStateKey, state)
			return next(c)
		}
		if !known {
			clearCookies(c)
			return errSessionNotFound
		}
		if err := h.renewed(c, &k); err != nil {
			return err
		}
		r.Header["Authorization"] = []string{"Bearer " + k.text}
		c.Set(cookieStateKey, cookieState{answer: true})
		c.Response().Before(func() {
			if c.Response().Status == http.StatusUnauthorized {
				clearCookies(c)
			}
		})
		return next(c)
	}
}

func asksForCookies(h http.Header) (bool, error) {
	values := h[SessionHeader]
	switch {
	case len(values) == 0:
		return false, nil
	case len(values) == 1 && values[0] == "cookie":
		return true, nil
	}
	return false, errSessionMode
}

func hasCredentials(h http.Header) bool {
	return h["Authorization"] != nil || h["Apikey"] != nil || h["X-Api-Key"] != nil
}

// cookieSession is what the two cookies say.
type cookieSession struct {
	session uuid.UUID
	text    string       // access token
	access  token.Access // what it says; nothing when it has to be renewed
	refresh string
}

// readCookies reads the cookies of a session. They are not known when neither is ours, or they are of two sessions.
func (h *Handler) readCookies(access, refresh string) (k cookieSession, known bool) {
	var err error
	if refresh != "" {
		if k.session, _, _, err = h.Refresh.Parse(refresh); err != nil {
			return cookieSession{}, false
		}
		k.refresh = refresh
	}
	if access == "" {
		return k, k.session != uuid.Nil
	}
	if k.access, err = h.Gate.verify(access); err != nil {
		k.access = token.Access{}
		return k, k.session != uuid.Nil
	}
	if k.access.SessionID == uuid.Nil || k.session != uuid.Nil && k.session != k.access.SessionID {
		return cookieSession{}, false
	}
	k.session, k.text = k.access.SessionID, access
	return k, true
}

// renewed makes sure that a session has a good access token: it is refreshed by the rules of every other session.
func (h *Handler) renewed(c echo.Context, k *cookieSession) error {
	if k.text != "" {
		return nil
	}
	if err := h.LimitRefresh(c); err != nil {
		return err
	}
	s, err := h.refresh(c, k.refresh)
	if err != nil {
		var refusal *Error
		if errors.As(err, &refusal) {
			clearCookies(c)
			return errSessionNotFound
		}
		return err
	}
	if k.text, _, err = h.setSession(c, s); err != nil {
		return err
	}
	k.access, err = h.Gate.verify(k.text)
	return err
}

// setSession signs the access token of a session and gives both tokens to the browser.
func (h *Handler) setSession(c echo.Context, s *session) (access string, expiresAt int64, err error) {
	access, expiresAt, err = h.sign(s, h.Settings().AccessTokenLifetime)
	if err == nil && !fitsCookie(access) {
		if access, expiresAt, err = h.signShort(s, h.Settings().AccessTokenLifetime); err == nil && !fitsCookie(access) {
			err = errTooLarge
		}
	}
	if err != nil {
		return "", 0, err
	}
	refresh, _ := h.Refresh.Mint(s.ID, s.Generation)
	setCookie(c, accessCookie, access)
	setCookie(c, refreshCookie, refresh)
	return access, expiresAt, nil
}

func fitsCookie(access string) bool { return len(accessCookie)+1+len(access) <= maxCookieBytes }

// cookieResponse is what a page gets for a session in cookies: no token of it.
type cookieResponse struct {
	TokenType string `json:"token_type"`
	ExpiresIn int64  `json:"expires_in"`
	ExpiresAt int64  `json:"expires_at"`
	CSRFToken string `json:"csrf_token"`
	User      any    `json:"user"`
}

// sendCookies answers with a session in cookies, and ends the one that the browser had before.
func (h *Handler) sendCookies(c echo.Context, s *session) error {
	if old := cookiesOf(c).old; old != nil && old.SessionID != s.ID {
		if err := h.endOld(c, old); err != nil {
			return err
		}
	}
	_, expiresAt, err := h.setSession(c, s)
	if err != nil {
		return err
	}
	WriteJSON(c.Response(), http.StatusOK, cookieResponse{
		TokenType: "cookie",
		ExpiresIn: int64(h.Settings().AccessTokenLifetime.Seconds()),
		ExpiresAt: expiresAt,
		CSRFToken: h.csrfToken(c, s.ID),
		User:      s.User,
	})
	return nil
}

// endOld logs out of a session. One that has ended already is no error.
func (h *Handler) endOld(c echo.Context, old *token.Access) error {
	caller := tokenCaller(old, h.Origin(c))
	caller.MayOweFactor = true
	_, err := h.call(c, caller, sqlLogout, []byte("local"), timeArg(old.ExpiresAt))
	var (
		refusal *Error
		ended   *pgconn.PgError
	)
	if errors.As(err, &refusal) || errors.As(err, &ended) {
		return nil
	}
	return err
}
