package rest

import (
	"net/http"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// options answers OPTIONS: the methods that the table or function takes (RFC 9110 section 9.3.7). Grants do not count: they
// are PostgreSQL's business, and it is not asked.
func (h *Handler) options(w http.ResponseWriter, r *http.Request, caller gateway.Caller, target Target, name string) {
	catalog, err := h.catalog(r.Context())
	if err != nil {
		h.fail(w, r, caller, err)
		return
	}
	profile := r.Header.Get("Accept-Profile")
	allow, refusal := catalog.allow(profile, target, name)
	if refusal != nil && refusal.stale {
		if newer := h.Cache.Refresh(r.Context(), catalog); newer != catalog {
			allow, refusal = newer.allow(profile, target, name)
		}
	}
	if refusal != nil {
		h.fail(w, r, caller, refusal)
		return
	}
	if err := h.hideTenant(r, caller, nil); err != nil {
		h.fail(w, r, caller, err)
		return
	}
	w.Header().Set("Allow", allow)
	w.WriteHeader(http.StatusOK)
}

// Bits of Relation.Events: 1 shifted by the numbers that PostgreSQL has for the commands.
const (
	eventUpdate = 1 << 2
	eventInsert = 1 << 3
	eventDelete = 1 << 4
)

// allow returns the methods that a table or function takes, in PostgREST's order.
func (c *Catalog) allow(profile string, target Target, name string) (string, *Error) {
	schema, err := c.schema(profile)
	if err != nil {
		return "", err
	}
	if target == Function {
		return c.allowCall(schema, name)
	}
	r := c.relations[qualifiedName{schema, name}]
	if r == nil {
		return "", errTable(schema, name)
	}
	methods := "OPTIONS,GET,HEAD"
	for _, m := range []struct {
		method string
		events int
	}{{"POST", eventInsert}, {"PUT", eventInsert | eventUpdate}, {"PATCH", eventUpdate}, {"DELETE", eventDelete}} {
		if r.Events&m.events == m.events && (m.method != "PUT" || len(r.PrimaryKey) > 0) {
			methods += "," + m.method
		}
	}
	return methods, nil
}

// allowCall returns the methods of the functions of a name: one that may write takes POST alone.
func (c *Catalog) allowCall(schema, name string) (string, *Error) {
	routines := c.routines[qualifiedName{schema, name}]
	if len(routines) == 0 {
		return "", errFunction(schema, name, nil, BodyNamed)
	}
	for _, f := range routines {
		if f.Volatility != Volatile {
			return "OPTIONS,GET,HEAD,POST", nil
		}
	}
	return "OPTIONS,POST", nil
}
