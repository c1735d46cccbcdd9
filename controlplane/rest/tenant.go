package rest

import (
	"context"
	"errors"
	"net/http"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// The schema of a tenant is reached like any other, by its name in Accept-Profile or Content-Profile. Who is no member is
// stopped by the statement before the statement, which raises: tables do so themselves, views and functions need not. Whatever
// is refused before, or could tell others that the schema exists, is answered as for a schema that does not exist.

// sqlstateTenant is raised by auth.require_tenant_schema, and by the tables of a tenant's schema, for those who are no members.
const sqlstateTenant = "ZF410"

// tenantSQL asks where nothing else is asked.
const tenantSQL = `select auth.require_tenant_schema(p_schema => $1)::text`

// hideTenant returns the error of an unknown schema when the request names the schema of a tenant that the caller does not
// belong to, else err. It costs a round trip, of requests to such schemas that have failed.
func (h *Handler) hideTenant(r *http.Request, caller gateway.Caller, err error) error {
	current := h.Cache.Current()
	profile := profileOf(r)
	if current == nil || !current.Tenants[profile] {
		return err
	}
	if refusal, ok := err.(*fault.Error); ok && refusal.Code == fault.CodeProfile { // it was asked before
		return err
	}
	if !isTenantError(err) && !isTenantError(h.askTenant(r.Context(), caller, profile)) {
		return err
	}
	return fault.Profile(profile, current.Listed())
}

// tenantOf is the schema if it is that of a tenant, else empty.
func tenantOf(c *catalog.Catalog, schema string) string {
	if !c.Tenants[schema] {
		return ""
	}
	return schema
}

func (h *Handler) askTenant(ctx context.Context, caller gateway.Caller, schema string) error {
	return h.Gateway.Query(ctx, caller, gateway.Statement{SQL: tenantSQL, Args: [][]byte{[]byte(schema)}}, gateway.QueryOptions{ReadOnly: true},
		func([][]byte) error { return nil })
}

func isTenantError(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == sqlstateTenant
}

// profileOf is the schema that a request names.
func profileOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return r.Header.Get("Accept-Profile")
	}
	return r.Header.Get("Content-Profile")
}
