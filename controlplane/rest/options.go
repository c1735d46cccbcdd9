package rest

import (
	"net/http"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
	"github.com/wayli-app/fluxbase/controlplane/rest/planner"
)

// options answers OPTIONS: the methods that the table or function takes (RFC 9110 section 9.3.7). Grants do not count: they
// are PostgreSQL's business, and it is not asked.
func (h *Handler) options(w http.ResponseWriter, r *http.Request, caller gateway.Caller, target dialect.Target, name string) {
	current, err := h.catalog(r.Context())
	if err != nil {
		h.fail(w, r, caller, err)
		return
	}
	profile := r.Header.Get("Accept-Profile")
	allow, refusal := allowed(current, profile, target, name)
	if refusal != nil && refusal.Stale {
		if newer := h.Cache.Refresh(r.Context(), current); newer != current {
			allow, refusal = allowed(newer, profile, target, name)
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

// allowed returns the methods that a table or function takes, in PostgREST's order.
func allowed(c *catalog.Catalog, profile string, target dialect.Target, name string) (string, *fault.Error) {
	schema, err := c.Schema(profile)
	if err != nil {
		return "", err
	}
	if target == dialect.Function {
		return allowedCall(c, schema, name)
	}
	r := c.Relations[catalog.QualifiedName{Schema: schema, Name: name}]
	if r == nil {
		return "", fault.Table(schema, name)
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

// allowedCall returns the methods of the functions of a name: one that may write takes POST alone.
func allowedCall(c *catalog.Catalog, schema, name string) (string, *fault.Error) {
	routines := c.Routines[catalog.QualifiedName{Schema: schema, Name: name}]
	if len(routines) == 0 {
		return "", planner.NoFunction(schema, name, nil, dialect.BodyNamed)
	}
	for _, f := range routines {
		if f.Volatility != catalog.Volatile {
			return "OPTIONS,GET,HEAD,POST", nil
		}
	}
	return "OPTIONS,POST", nil
}
