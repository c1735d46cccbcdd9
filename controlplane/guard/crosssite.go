package guard

import (
	"net/http"
	"net/url"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

// crossSite tells requests that pages of ours, or of origins that may send cookies, have made from those that another
// site could have made a browser send.
type crossSite struct {
	scheme  string              // of our own origin
	origins map[string]struct{} // whose pages may send cookies along
}

func newCrossSite(c config.Server) crossSite {
	s := crossSite{scheme: "http", origins: map[string]struct{}{}}
	if c.TLS.Enabled || c.TLS.TerminatedByProxy {
		s.scheme = "https"
	}
	if c.CORS.AllowCredentials {
		for _, origin := range c.CORS.AllowedOrigins {
			s.origins[origin] = struct{}{}
		}
	}
	return s
}

// CrossSite reports whether cookies of a request must not count, as another site may be behind it. Browsers say where a
// request comes from in Sec-Fetch-Site (Fetch Metadata Request Headers, section 2.4), which no page can set. A page of
// the same site on another origin must be listed and allowed to send cookies. Of a browser without that header, Origin,
// else Referer, decides; a request that may change something and has none of the three is refused.
func (g *Guard) CrossSite(r *http.Request) bool {
	origin := r.Header["Origin"]
	switch site := r.Header["Sec-Fetch-Site"]; {
	case len(site) > 1 || len(origin) > 1:
		return true
	case len(site) == 1 && (site[0] == "same-origin" || site[0] == "none"):
		return false
	case len(site) == 1 && site[0] == "same-site":
		return len(origin) == 0 || !g.sites.listed(origin[0])
	case len(site) == 1: // cross-site, and what is still to be invented
		return true
	case len(origin) == 1:
		return !g.sites.own(origin[0], r.Host) && !g.sites.listed(origin[0])
	case r.Header["Referer"] != nil:
		from, err := url.Parse(r.Header["Referer"][0])
		if err != nil || len(r.Header["Referer"]) > 1 {
			return true
		}
		referer := from.Scheme + "://" + from.Host
		return !g.sites.own(referer, r.Host) && !g.sites.listed(referer)
	}
	return !Safe(r.Method)
}

// own reports whether an origin is ours. The host is the one that the browser has looked for: it keeps our cookies for
// that one alone.
func (s crossSite) own(origin, host string) bool { return origin == s.scheme+"://"+host }

func (s crossSite) listed(origin string) bool {
	_, ok := s.origins[origin]
	return ok
}

// Safe reports whether a method changes nothing (RFC 9110 section 9.2.1).
func Safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}
