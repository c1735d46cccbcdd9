package server

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

// The two names of each API: ours and the one that clients of Supabase use.
var (
	authPrefixes = []string{"/api/v1/auth", "/auth/v1"}
	dataPrefixes = []string{"/api/v1/rest", "/rest/v1"}
)

// dataMethods are the methods that may come to a table or a function; which of them fit is the data API's business.
var dataMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete, http.MethodOptions,
}

// routes assembles the HTTP side.
func (s *Server) routes() http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = s.fail
	e.IPExtractor = echo.ExtractIPDirect()
	e.Use(s.observe, s.separate)

	for _, prefix := range authPrefixes {
		s.auth.Mount(e.Group(prefix), s.auth.Cookies, s.limitAuth, withRequestID)
		e.GET(prefix+"/.well-known/jwks.json", s.jwks)
	}
	for _, prefix := range dataPrefixes {
		e.Match(dataMethods, prefix, s.serveRoot(prefix), s.auth.Cookies)
		e.Match(dataMethods, prefix+"/", s.serveRoot(prefix), s.auth.Cookies)
		e.Match(dataMethods, prefix+"/:name", s.serveTable, s.auth.Cookies)
		e.Match(dataMethods, prefix+"/rpc/:name", s.serveFunction, s.auth.Cookies)
	}
	e.GET("/healthz", s.health)
	e.GET("/readyz", s.readyz)
	e.GET("/.well-known/security.txt", s.securityText)
	return s.prepare(e)
}

func (s *Server) serveTable(c echo.Context) error {
	return s.serveData(c, s.data.ServeTable)
}

func (s *Server) serveFunction(c echo.Context) error {
	return s.serveData(c, s.data.ServeRPC)
}

// serveRoot serves the description of the data API.
func (s *Server) serveRoot(prefix string) echo.HandlerFunc {
	return func(c echo.Context) error {
		return s.serveCaller(c, prefix+"/", func(w http.ResponseWriter, r *http.Request) { s.data.ServeRoot(w, r, prefix) })
	}
}

func (s *Server) serveData(c echo.Context, serve func(w http.ResponseWriter, r *http.Request, name string)) error {
	prefix := strings.TrimSuffix(c.Path(), ":name")
	name, ok := lastSegment(c.Request().URL, prefix)
	if !ok {
		return errNotFound
	}
	return s.serveCaller(c, prefix+name, func(w http.ResponseWriter, r *http.Request) { serve(w, r, name) })
}

// serveCaller serves a data request once it is known who asks and that the limits allow it.
func (s *Server) serveCaller(c echo.Context, path string, serve http.HandlerFunc) error {
	caller, err := s.gate.DataCaller(c.Request(), s.origin(c))
	if err != nil {
		if limited := s.limit(c, canonical(path), s.anonymous(c)); limited != nil {
			return limited
		}
		return err
	}
	if err := s.limit(c, canonical(path), caller); err != nil {
		return err
	}
	serve(c.Response(), withCaller(c.Request(), &caller))
	return nil
}

// lastSegment is the decoded rest of a path behind a prefix, if it is one segment. The router decodes it or leaves it
// as it is, depending on what is in it, and takes several segments for one.
func lastSegment(u *url.URL, prefix string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(u.EscapedPath(), prefix)
	if !ok || rest == "" || strings.Contains(rest, "/") {
		return "", false
	}
	name, err := url.PathUnescape(rest)
	return name, err == nil
}
