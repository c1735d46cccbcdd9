package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
)

// tenantSchemas is the item of rest.schemas that stands for the schemas of tenants.
const tenantSchemas = "tenant_*"

const sqlTenantSchemas = `select fluxbase.tenant_schemas()`

// loadCatalog reads the catalog of the exposed schemas, with those of tenants when they are asked for.
func (s *Server) loadCatalog(ctx context.Context) (*catalog.Catalog, error) {
	schemas := catalog.Schemas{Exposed: s.config.REST.Schemas, Extra: s.config.REST.ExtraSearchPath}
	if !slices.Contains(schemas.Exposed, tenantSchemas) {
		return catalog.Load(ctx, s.gateway, schemas)
	}
	text, err := s.gateway.Entry(ctx, own, sqlTenantSchemas, nil)
	if err != nil {
		return nil, fmt.Errorf("read the schemas of tenants: %w", err)
	}
	if err := json.Unmarshal(text, &schemas.Tenants); err != nil {
		return nil, fmt.Errorf("read the schemas of tenants: %w", err)
	}
	schemas.Exposed = slices.DeleteFunc(slices.Clone(schemas.Exposed), func(name string) bool { return name == tenantSchemas })
	schemas.Tenants = slices.DeleteFunc(schemas.Tenants, func(name string) bool { return slices.Contains(schemas.Exposed, name) })
	return catalog.Load(ctx, s.gateway, schemas)
}
