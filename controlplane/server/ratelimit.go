package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/authn"
	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/guard"
)

const (
	sqlApplyRateLimits = `select fluxbase.apply_rate_limits(p_rules => $1)`
	sqlInstallationID  = `select fluxbase.installation_id()`
)

// rateLimit is a rule of the configuration as the database takes it.
type rateLimit struct {
	Name          string `json:"name"`
	Scope         string `json:"scope"`
	Method        string `json:"method,omitempty"`
	Path          string `json:"path,omitempty"`
	Limit         int64  `json:"limit"`
	WindowSeconds int    `json:"window_seconds"`
}

// openLimiter makes a limiter without rules, which counts in Redis when the configuration has one.
func (s *Server) openLimiter(ctx context.Context) error {
	c := s.config.RateLimiting
	var counters guard.Counters
	if c.Enabled && !c.RedisURL.IsZero() {
		installation, err := s.gateway.Entry(ctx, own, sqlInstallationID, nil)
		if err != nil {
			return fmt.Errorf("which installation this is: %w", err)
		}
		if s.redis, err = guard.NewRedis(c.RedisURL.Reveal(), string(installation), s.gateway); err != nil {
			return fmt.Errorf("rate_limiting.redis_url: %w", err)
		}
		counters = s.redis
	}
	s.limiter = guard.NewLimiter(s.gateway, counters, c.StoreFailure, s.clock, s.log)
	return nil
}

// openLimits gives the database the rules of the configuration and reads all. Without rate_limiting.enabled there are
// none.
func (s *Server) openLimits(ctx context.Context) error {
	c := s.config.RateLimiting
	if !c.Enabled {
		return nil
	}
	rules := []rateLimit{}
	add := func(method, path string, perMinute, perHour int64) {
		path = canonical(path)
		scope, name := "client", strings.TrimLeft(method+" "+path, " ")
		if strings.HasPrefix(path, authPrefixes[0]+"/") {
			scope = "ip" // whoever guesses has no identity yet, or many
		}
		if name == "" {
			name = "all"
		}
		for _, w := range []struct {
			limit   int64
			seconds int
			unit    string
		}{{perMinute, 60, "minute"}, {perHour, 3600, "hour"}} {
			if w.limit > 0 {
				rules = append(rules, rateLimit{"config: " + name + " per " + w.unit, scope, method, path, w.limit, w.seconds})
			}
		}
	}
	add("", "", c.PerMinute, c.PerHour)
	for _, e := range c.Endpoints {
		add(e.Method, e.Path, e.PerMinute, e.PerHour)
	}
	text, err := json.Marshal(rules)
	if err != nil {
		return err
	}
	if _, err := s.gateway.Entry(ctx, own, sqlApplyRateLimits, [][]byte{text}); err != nil {
		return fmt.Errorf("apply rate limits: %w", err)
	}
	return s.limiter.Reload(ctx)
}

// canonical is the path of ours for one that clients of Supabase use.
func canonical(path string) string {
	for _, names := range [][]string{authPrefixes, dataPrefixes} {
		if rest, ok := strings.CutPrefix(path, names[1]); ok && (rest == "" || rest[0] == '/') {
			return names[0] + rest
		}
	}
	return path
}

// errTooMany is the refusal of whoever has reached a limit.
func errTooMany(wait time.Duration) *authn.Error {
	return &authn.Error{Status: http.StatusTooManyRequests, Code: "over_request_rate_limit",
		Message: "Request rate limit reached", RetryAfter: max(wait, time.Second)}
}

// limit counts a request under the name of its route, and tells the client what is left.
func (s *Server) limit(c echo.Context, path string, who gateway.Caller) error {
	d, err := s.limiter.Check(c.Request().Context(), c.Request().Method, path, who)
	if err != nil || d.Limit == 0 {
		return err
	}
	tellLimit(c.Response().Header(), d)
	if d.Refused {
		s.metrics.Limited(d.Rule)
		s.refusals.Remember(c.Request(), who.IP, d)
		return errTooMany(d.Reset)
	}
	return nil
}

// tellLimit adds the headers that say what is left. Their names are as net/http writes them.
func tellLimit(h http.Header, d guard.Decision) {
	values := []string{strconv.Itoa(d.Limit), strconv.Itoa(d.Remaining), strconv.FormatInt(int64((d.Reset+time.Second-1)/time.Second), 10)}
	h["Ratelimit-Limit"], h["Ratelimit-Remaining"], h["Ratelimit-Reset"] = values[0:1:1], values[1:2:2], values[2:3:3]
}

// refuseAgain answers a request that a limit has refused a moment ago, before anything of it is looked at. It is counted, and
// leaves no line in the log.
func (s *Server) refuseAgain(w http.ResponseWriter, r *http.Request, client netip.Addr) bool {
	d, ok := s.refusals.Recall(r, client)
	if !ok {
		return false
	}
	started := time.Now()
	h := w.Header()
	tellLimit(h, d)
	s.metrics.Limited(d.Rule)
	kind, e := pathKind(r.URL.Path), errTooMany(d.Reset)
	if kind == "data" {
		e.WriteHeaders(h)
		h["Content-Type"] = limitedType
		w.WriteHeader(e.Status)
		_, _ = w.Write(limitedData) // a client that went away is no error of ours
	} else {
		s.answer(w, r, e)
	}
	s.metrics.Request(kind, e.Status, time.Since(started))
	return true
}

// What writeDataError makes of errTooMany, ready to be sent. The type is shared between answers: it has no room behind it.
var (
	limitedData = []byte(`{"code":"over_request_rate_limit","message":"Request rate limit reached","details":null,"hint":null}`)
	limitedType = []string{"application/json; charset=utf-8"}
)

// limitAuth counts requests to the auth routes, before anything is read of them.
func (s *Server) limitAuth(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !s.config.RateLimiting.Enabled {
			return next(c)
		}
		who, err := s.gate.Caller(c.Request(), s.origin(c))
		if err != nil { // what is wrong with the credentials is for the route to say
			who = s.anonymous(c)
		}
		if err := s.limit(c, authRoute(c), who); err != nil {
			return err
		}
		return next(c)
	}
}

// limitRefresh counts the refresh of a session in cookies as if the browser had asked for it.
func (s *Server) limitRefresh(c echo.Context) error {
	if !s.config.RateLimiting.Enabled {
		return nil
	}
	d, err := s.limiter.Check(c.Request().Context(), http.MethodPost, authPrefixes[0]+"/refresh", s.anonymous(c))
	switch {
	case err != nil:
		return err
	case d.Refused:
		s.metrics.Limited(d.Rule)
		return errTooMany(d.Reset)
	}
	return nil
}

// authRoute is the route of a request, by what it does: the path token is two of them.
func authRoute(c echo.Context) string {
	path := canonical(c.Path())
	if path == authPrefixes[0]+"/token" {
		switch c.QueryParam("grant_type") {
		case "password":
			return authPrefixes[0] + "/login"
		case "refresh_token":
			return authPrefixes[0] + "/refresh"
		case "id_token":
			return authPrefixes[0] + "/id-token"
		}
	}
	return path
}

// anonymous is a request of which nothing but its origin is known.
func (s *Server) anonymous(c echo.Context) gateway.Caller {
	o := s.origin(c)
	return gateway.Caller{Role: "anon", IP: o.IP, RequestID: o.RequestID}
}
