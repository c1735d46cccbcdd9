package guard

import (
	"net/http"
	"net/netip"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

// Refusal is why a request reaches no route.
type Refusal struct {
	Status  int
	Code    string
	Message string
}

// The refusals of [Guard.Handler].
var (
	refusedURL = &Refusal{http.StatusRequestURITooLong, "uri_too_long", "The path or the query is too long"}
	// A proxy that looks at the method would let pass what another one then does.
	refusedOverride = &Refusal{http.StatusBadRequest, "method_override", "The method of a request cannot be overridden by a header"}
	refusedAddress  = &Refusal{http.StatusForbidden, "address_blocked", "Requests from this address are not served"}
	refusedOrigin   = &Refusal{http.StatusForbidden, "origin_not_allowed", "Pages of this origin may not call this API"}
)

// Options of a Guard.
type Options struct {
	Server config.Server
	// Blocked says that nothing from an address is served; nil is never.
	Blocked func(netip.Addr) bool
	// Limited answers a request that is known to be beyond a limit, and says whether it has; nil is never. The headers that all
	// answers have are set already.
	Limited func(w http.ResponseWriter, r *http.Request, client netip.Addr) bool
	// Refuse answers a request that reaches no route. The headers that all answers have are set already.
	Refuse func(w http.ResponseWriter, r *http.Request, why *Refusal)
}

// Guard stands before the routes.
type Guard struct {
	headers headerSet
	cors    *cors
	sites   crossSite
	proxies Proxies
	maxURL  int
	blocked func(netip.Addr) bool
	limited func(w http.ResponseWriter, r *http.Request, client netip.Addr) bool
	refuse  func(w http.ResponseWriter, r *http.Request, why *Refusal)
}

// New makes a guard.
func New(o Options) *Guard {
	return &Guard{
		headers: protective(o.Server),
		cors:    newCORS(o.Server.CORS),
		sites:   newCrossSite(o.Server),
		proxies: Proxies{o.Server.TrustedProxies, o.Server.AddressHeader},
		maxURL:  int(o.Server.MaxURLBytes),
		blocked: o.Blocked,
		limited: o.Limited,
		refuse:  o.Refuse,
	}
}

// Client is the address of the client; see [Proxies.Client].
func (g *Guard) Client(r *http.Request) netip.Addr { return g.proxies.Client(r) }

// Trusted reports whether an address is that of a trusted proxy, which is nobody's client: as a rule it did not say whose request it
// passed on.
func (g *Guard) Trusted(address netip.Addr) bool { return g.proxies.Contains(address) }

// Handler puts the guard before next.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		g.headers.write(h)
		done, refused := g.cors.answer(h, r)
		client := g.Client(r)
		switch {
		case g.blocked != nil && g.blocked(client):
			g.refuse(w, r, refusedAddress)
		case refused:
			g.refuse(w, r, refusedOrigin)
		case done:
			w.WriteHeader(http.StatusNoContent)
		case len(r.RequestURI) > g.maxURL:
			g.refuse(w, r, refusedURL)
		case overridden(r.Header):
			g.refuse(w, r, refusedOverride)
		case g.limited != nil && g.limited(w, r, client):
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// overridden reports whether a request asks to be taken for one of another method.
func overridden(h http.Header) bool {
	return h["X-Http-Method-Override"] != nil || h["X-Http-Method"] != nil || h["X-Method-Override"] != nil
}

// Protect puts the headers that protect before a handler that is no part of the API.
func Protect(c config.Server, next http.Handler) http.Handler {
	headers := protective(c)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers.write(w.Header())
		next.ServeHTTP(w, r)
	})
}
