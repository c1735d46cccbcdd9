package server

import (
	"context"
	"slices"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest"
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

// openData reads the catalog and makes the data API.
func (s *Server) openData(ctx context.Context) (err error) {
	r := s.config.REST
	s.catalog = catalog.NewCache(s.loadCatalog, s.clock)
	if err := s.catalog.Reload(ctx); err != nil {
		return err
	}
	schemas := append(slices.Clone(r.Schemas), r.ExtraSearchPath...)
	missing, err := catalog.MissingSchemas(ctx, s.gateway, slices.DeleteFunc(slices.Clone(schemas), func(name string) bool { return name == tenantSchemas }))
	if err != nil {
		return err
	}
	if missing != nil {
		s.log.Warn("rest.schemas or rest.extra_search_path names schemas that do not exist", "schemas", missing)
	}
	open, err := catalog.OpenSchemas(ctx, s.gateway, schemas)
	if err != nil {
		return err
	}
	for _, evidence := range open {
		s.log.Warn("requests may put functions and operators in the way of others: see auth.check()", "evidence", evidence)
	}
	preRequest := ""
	if r.PreRequest != "" {
		if preRequest, err = rest.PreRequest(ctx, s.gateway, r.PreRequest); err != nil {
			return err
		}
	}
	s.data, err = rest.New(rest.Config{
		Gateway:    limitedGateway{s.gateway, r.StatementTimeout},
		Transactor: limitedGateway{s.gateway, r.StatementTimeout},
		Cache:      s.catalog,
		Caller:     callerOf,
		Refused:    s.refused,
		Limits:     dialect.Limits{Body: s.config.Server.MaxBodyBytes, Bulk: r.MaxBulkBytes, Rows: r.MaxRows, Aggregates: r.Aggregates, TxEnd: dialect.TxEnd(r.TxEnd), Explain: r.PlanEnabled, Cost: float64(r.MaxCost)},
		Detail:     rest.Detail(r.ErrorDetail),
		OpenAPI:    rest.OpenAPIMode(r.OpenAPIMode),
		PreRequest: preRequest,
		Compress:   r.Compression,
		ETag:       r.ETag,
		Logger:     s.log,
		Reason:     s.openReason(),
	})
	return err
}

// limitedGateway gives every statement of the data API the configured time.
type limitedGateway struct {
	*gateway.Gateway
	timeout time.Duration
}

// limit is a role's own limit, unless the configured one is shorter: a role may change its own settings. 0 is none of either.
func (g limitedGateway) limit(own time.Duration) time.Duration {
	if own == 0 || g.timeout != 0 && g.timeout < own {
		return g.timeout
	}
	return own
}

// Query is that of the gateway, with the time limit added.
func (g limitedGateway) Query(ctx context.Context, caller gateway.Caller, st gateway.Statement, o gateway.QueryOptions,
	fn func(row [][]byte) error) error {
	o.StatementTimeout = g.limit(o.StatementTimeout)
	return g.Gateway.Query(ctx, caller, st, o, fn)
}

// Transaction is that of the gateway, with the time limit added.
func (g limitedGateway) Transaction(ctx context.Context, caller gateway.Caller, o gateway.TransactionOptions,
	fn func(*gateway.Transaction) error) error {
	o.StatementTimeout = g.limit(o.StatementTimeout)
	return g.Gateway.Transaction(ctx, caller, o, fn)
}
