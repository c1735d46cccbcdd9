package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/wayli-app/fluxbase/controlplane/rest"
)

// tenantSchemas is the item of rest.schemas that stands for the schemas of tenants.
const tenantSchemas = "tenant_*"

const sqlTenantSchemas = `select fluxbase.tenant_schemas()`

// loadCatalog reads the catalog of the exposed schemas, with those of tenants when they are asked for.
func (s *Server) loadCatalog(ctx context.Context, schemas []string) (*rest.Catalog, error) {
	if !slices.Contains(schemas, tenantSchemas) {
		return rest.Load(ctx, s.gateway, schemas)
	}
	text, err := s.gateway.Entry(ctx, own, sqlTenantSchemas, nil)
	if err != nil {
		return nil, fmt.Errorf("read the schemas of tenants: %w", err)
	}
	var tenants []string
	if err := json.Unmarshal(text, &tenants); err != nil {
		return nil, fmt.Errorf("read the schemas of tenants: %w", err)
	}
	named := slices.DeleteFunc(slices.Clone(schemas), func(name string) bool { return name == tenantSchemas })
	tenants = slices.DeleteFunc(tenants, func(name string) bool { return slices.Contains(named, name) })
	return rest.Load(ctx, s.gateway, named, tenants...)
}
