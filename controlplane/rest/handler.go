package rest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
	"github.com/wayli-app/fluxbase/controlplane/rest/planner"
)

// Config is what a Handler needs.
type Config struct {
	Gateway catalog.Gateway
	// Transactor runs bulk inserts; nil is none.
	Transactor Transactor
	Cache      *catalog.Cache
	// Caller says on whose behalf a request runs. The server has verified token and key before.
	Caller func(*http.Request) gateway.Caller
	// Refused answers an error of class ZF: the gate has refused the session, key or role.
	Refused func(http.ResponseWriter, *http.Request, *pgconn.PgError)
	Limits  dialect.Limits // zero fields mean DefaultLimits
	Detail  Detail         // empty means DetailMessage
	OpenAPI OpenAPIMode
	// PreRequest is SQL of PreRequest: a function that is called before every request; empty is none.
	PreRequest string
	// Compress and ETag spare clients bytes of large answers.
	Compress, ETag bool
	Logger         *slog.Logger
	// Reason says in one line why a request was refused or wrote no row. For development; nil in production.
	Reason func(context.Context, gateway.Caller, Denial) (string, error)
}

// Handler serves tables and functions. It is safe for concurrent use.
type Handler struct {
	Config
	bulk  bulkSlots
	sizes bulkSizes
}

// New returns a handler; every field of the configuration but Limits, Detail, OpenAPI, PreRequest and Reason is required.
func New(c Config) (*Handler, error) {
	if c.Gateway == nil || c.Cache == nil || c.Caller == nil || c.Refused == nil || c.Logger == nil {
		return nil, errors.New("rest: incomplete configuration")
	}
	switch c.Detail {
	case "":
		c.Detail = DetailMessage
	case DetailFull, DetailMessage, DetailCode:
	default:
		return nil, errors.New("rest: unknown level of error detail " + strconv.Quote(string(c.Detail)))
	}
	if !c.OpenAPI.valid() {
		return nil, errors.New("rest: unknown mode of OpenAPI " + strconv.Quote(string(c.OpenAPI)))
	}
	if !c.Limits.TxEnd.Valid() {
		return nil, errors.New("rest: unknown end of transactions " + strconv.Quote(string(c.Limits.TxEnd)))
	}
	c.Limits = c.Limits.WithDefaults()
	return &Handler{Config: c, sizes: bulkSizes{from: bulkFrom, chunk: dialect.ChunkSize, patience: bulkPatience}}, nil
}

// ServeTable serves /{name}.
func (h *Handler) ServeTable(w http.ResponseWriter, r *http.Request, name string) {
	h.serve(w, r, dialect.Table, name)
}

// ServeRPC serves /rpc/{name}.
func (h *Handler) ServeRPC(w http.ResponseWriter, r *http.Request, name string) {
	h.serve(w, r, dialect.Function, name)
}

// serve answers one request. The body is copied out of the connection's buffer before it is written:
// a slow client must not hold a connection, and an error after the row still gets its own status.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, target dialect.Target, name string) {
	caller := h.Caller(r)
	if r.Method == http.MethodOptions {
		h.options(w, r, caller, target, name)
		return
	}
	if h.bulky(r, target) {
		h.serveBulk(w, r, caller, name)
		return
	}
	body, refusal := h.readBody(w, r)
	if refusal != nil {
		h.fail(w, r, caller, refusal)
		return
	}
	request, refusal := dialect.Parse(dialect.Input{Method: r.Method, Target: target, Name: name, RawQuery: r.URL.RawQuery,
		Header: r.Header, Body: body}, h.Limits)
	if refusal != nil {
		h.fail(w, r, caller, refusal)
		return
	}
	a := answers.Get().(*answer)
	defer a.free()
	plan, err := h.run(r.Context(), caller, request, a)
	h.explain(w, r, caller, request, plan, a, err)
	if err != nil {
		h.fail(w, r, caller, err)
		return
	}
	if refusal := a.check(plan); refusal != nil {
		h.fail(w, r, caller, refusal)
		return
	}
	if plan.Action == dialect.Read {
		a.address = contentLocation(name, r.URL.RawQuery)
	}
	a.large = h.large(r, plan, a)
	h.logDropped(r.Context(), caller, a.write(w, plan))
}

// readBody reads the body of a method that has one.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *fault.Error) {
	switch {
	case r.Body == nil:
		return nil, nil
	case r.Method != http.MethodPost && r.Method != http.MethodPatch && r.Method != http.MethodPut:
		return nil, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.Limits.Body))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, fault.Limit(http.StatusRequestEntityTooLarge, "body", h.Limits.Body)
	case err != nil:
		return nil, fault.JSON("the body could not be read")
	}
	return body, nil
}

// run plans the request and runs its statement. When a name is unknown, to us or to PostgreSQL, it
// asks for a newer catalog and, if there is one, tries once more: PostgreSQL has undone the first try.
func (h *Handler) run(ctx context.Context, caller gateway.Caller, request *dialect.Request, a *answer) (*planner.Plan, error) {
	current, err := h.catalog(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := h.try(ctx, caller, current, request, a)
	if err != nil && mayBeStale(err) {
		if newer := h.Cache.Refresh(ctx, current); newer != current {
			return h.try(ctx, caller, newer, request, a)
		}
	}
	return plan, err
}

// catalog returns the current catalog, loading the first one when there is none yet.
func (h *Handler) catalog(ctx context.Context) (*catalog.Catalog, error) {
	current := h.Cache.Current()
	if current == nil {
		current = h.Cache.Refresh(ctx, nil)
	}
	if current == nil {
		return nil, fault.NoCatalog()
	}
	return current, nil
}

// try plans the request against one catalog and runs its statement.
func (h *Handler) try(ctx context.Context, caller gateway.Caller, current *catalog.Catalog, request *dialect.Request, a *answer) (*planner.Plan, error) {
	plan, refusal := planner.New(current, request)
	if refusal != nil {
		return nil, refusal
	}
	options := gateway.QueryOptions{ReadOnly: plan.ReadOnly(), Volatile: plan.Volatile(), Rollback: request.Rollback, MaxCost: request.MaxCost}
	options.StatementTimeout = current.Timeouts[caller.Role]
	options.Before = h.before(plan.Path, tenantOf(current, request.Schema), plan.Asked, &request.Asked)
	err := h.Gateway.Query(ctx, caller, plan.Statement(), options, a.taker(plan))
	return plan, h.hide(ctx, caller, plan, plan.Violation(err))
}

// mayBeStale tells whether a newer catalog might cure an error.
func mayBeStale(err error) bool {
	var refusal *fault.Error
	if errors.As(err, &refusal) {
		return refusal.Stale
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && isStale(pg.Code)
}
