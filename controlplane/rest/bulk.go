package rest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
	"github.com/wayli-app/fluxbase/controlplane/rest/planner"
)

// A bulk insert is an INSERT whose body is too large to be one statement. The body is first re-encoded into a file, so
// that a slow client holds no connection and a body that cannot be read reaches no table; then one transaction inserts it
// chunk by chunk. Whatever its size, it takes a few megabytes of memory.

// Transactor runs a transaction on behalf of a caller; see gateway.Gateway.Transaction.
type Transactor interface {
	Transaction(ctx context.Context, caller gateway.Caller, options gateway.TransactionOptions, fn func(*gateway.Transaction) error) error
}

const (
	// bulkFrom is the size in bytes beyond which the body of an insert makes it a bulk insert.
	bulkFrom = 1 << 20
	// bulkPatience is how long the client may take for each ChunkSize of the body, and bulkLimit for all of it.
	bulkPatience = 10 * time.Second
	bulkLimit    = 15 * time.Minute
	// sendPatience is how long the client may take for each megabyte of the answer.
	sendPatience = 30 * time.Second
)

// bulkSizes are bulkFrom, ChunkSize and bulkPatience, but for tests.
type bulkSizes struct {
	from, chunk int
	patience    time.Duration
}

// bulky tells whether a request is a bulk insert. Of a body whose length the client does not tell, it reads as much as
// a small one may have.
func (h *Handler) bulky(r *http.Request, target dialect.Target) bool {
	if r.Method != http.MethodPost || target != dialect.Table || h.Transactor == nil || h.Limits.Bulk <= 0 || r.Body == nil {
		return false
	}
	if _, ok := dialect.IsCSV(r.Header.Get("Content-Type")); !ok || r.ContentLength >= 0 {
		return ok && r.ContentLength > int64(h.sizes.from)
	}
	begin, _ := io.ReadAll(io.LimitReader(r.Body, int64(h.sizes.from)+1)) // whoever reads on meets the error again
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(begin), r.Body), r.Body}
	return len(begin) > h.sizes.from
}

// serveBulk answers a bulk insert.
func (h *Handler) serveBulk(w http.ResponseWriter, r *http.Request, caller gateway.Caller, name string) {
	leave, ok := h.bulk.take(&caller)
	if !ok {
		h.fail(w, r, caller, gateway.ErrBusy)
		return
	}
	defer leave()
	limits := h.Limits.WithDefaults()
	request, refusal := dialect.ParseHead(dialect.Input{Method: r.Method, Target: dialect.Table, Name: name, RawQuery: r.URL.RawQuery, Header: r.Header}, &limits)
	if refusal != nil {
		h.fail(w, r, caller, refusal)
		return
	}
	// What can be refused without the body is refused before it is read.
	if err := h.admit(r.Context(), caller, request); err != nil {
		h.fail(w, r, caller, err)
		return
	}
	body, err := h.receive(w, r, request, &limits)
	if err != nil {
		h.fail(w, r, caller, err)
		return
	}
	defer body.Close()
	request.Payload = body.Payload
	a := &answer{}
	plan, err := h.runBulk(r.Context(), caller, request, body, a)
	if a.spooled != nil {
		defer a.spooled.Close()
	}
	if err == nil {
		if refusal := a.check(plan); refusal != nil {
			err = refusal
		}
	}
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(sendPatience)) // a writer that cannot is none of a connection
	if err != nil {
		h.fail(w, r, caller, err)
		return
	}
	h.logDropped(r.Context(), caller, a.write(w, plan))
}

// admit refuses a bulk insert whose names are unknown, whose options do not go with chunks, or whose caller is refused
// by the gate or may not insert into the table at all.
func (h *Handler) admit(ctx context.Context, caller gateway.Caller, request *dialect.Request) error {
	plan, err := h.planBulk(ctx, request, nil)
	if err != nil {
		return err
	}
	allowed := false
	statement := gateway.Statement{SQL: "select pg_catalog.has_any_column_privilege($1::pg_catalog.text, 'insert')", Args: [][]byte{[]byte(plan.Relation.SQL)}}
	err = h.Gateway.Query(ctx, caller, statement, gateway.QueryOptions{ReadOnly: true}, func(row [][]byte) error {
		allowed = string(row[0]) == "t"
		return nil
	})
	if err == nil && !allowed {
		return &pgconn.PgError{Severity: "ERROR", Code: "42501", Message: "permission denied for table " + plan.Relation.Name}
	}
	return err
}

// planBulk plans a bulk insert against a catalog other than seen.
func (h *Handler) planBulk(ctx context.Context, request *dialect.Request, seen *catalog.Catalog) (*planner.Plan, error) {
	current := h.Cache.Current()
	if current == seen {
		if current = h.Cache.Refresh(ctx, seen); current == nil {
			return nil, fault.NoCatalog()
		}
	}
	plan, refusal := planner.New(current, request)
	if refusal != nil && refusal.Stale {
		if newer := h.Cache.Refresh(ctx, current); newer != current {
			plan, refusal = planner.New(newer, request)
		}
	}
	switch {
	case refusal != nil:
		return nil, refusal
	case plan.Media.Custom != nil || plan.Media.Explains():
		return nil, fault.Unsupported("this format of a bulk insert's answer")
	case request.MaxCost > 0 && plan.Represents() && plan.Related():
		return nil, fault.Unsupported("related rows in the answer to a bulk insert, beside a limit of the cost")
	case plan.Represents() && plan.Ordered():
		return nil, fault.Unsupported("order of a bulk insert's rows")
	case plan.Represents() && plan.Grouped:
		return nil, fault.Unsupported("an aggregate of a bulk insert's rows")
	case plan.Media.Object && plan.Payload.Rows > 1:
		return nil, fault.Singular(int64(plan.Payload.Rows))
	}
	return plan, nil
}

// receive reads the body into a file. A client that takes longer than it may is cut.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request, request *dialect.Request, limits *dialect.Limits) (*dialect.BulkBody, error) {
	csv, _ := dialect.IsCSV(r.Header.Get("Content-Type"))
	patient := patientReader{in: http.MaxBytesReader(w, r.Body, h.Limits.Bulk), control: http.NewResponseController(w),
		patience: h.sizes.patience, last: time.Now().Add(bulkLimit)}
	body, err := dialect.ReadBulk(request, csv, &patient, limits, h.sizes.chunk)
	_ = patient.control.SetReadDeadline(time.Time{}) // what is read from now on tells that the client went away
	var tooLarge *http.MaxBytesError
	var refusal *fault.Error
	switch {
	case err == nil || errors.As(err, &refusal):
		return body, err
	case errors.As(err, &tooLarge):
		return nil, fault.Limit(http.StatusRequestEntityTooLarge, "body", h.Limits.Bulk)
	case patient.err != nil:
		return nil, fault.JSON("the body could not be read")
	}
	return nil, err
}

// patientReader gives a client time for each chunk of a body, and for all of it.
type patientReader struct {
	in       io.Reader
	control  *http.ResponseController
	last     time.Time
	patience time.Duration
	due      int // bytes until the clock is set again
	err      error
}

// Read reads what there is.
func (r *patientReader) Read(p []byte) (int, error) {
	if r.due <= 0 {
		r.due = dialect.ChunkSize
		deadline := time.Now().Add(r.patience)
		if deadline.After(r.last) {
			deadline = r.last
		}
		_ = r.control.SetReadDeadline(deadline) // a reader that cannot is none of a connection
	}
	n, err := r.in.Read(p)
	r.due -= n
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// runBulk plans the request and inserts the body. When a name turns out to be unknown it tries once more with a newer
// catalog: PostgreSQL has undone the first try.
func (h *Handler) runBulk(ctx context.Context, caller gateway.Caller, request *dialect.Request, body *dialect.BulkBody, a *answer) (*planner.Plan, error) {
	before := h.Cache.Current()
	plan, err := h.planBulk(ctx, request, nil)
	if err != nil {
		return nil, err
	}
	err = h.insertBulk(ctx, caller, request, plan, body, a)
	if err != nil && mayBeStale(err) {
		if newer := h.Cache.Refresh(ctx, before); newer != before {
			if plan, err = h.planBulk(ctx, request, nil); err != nil {
				return nil, err
			}
			err = h.insertBulk(ctx, caller, request, plan, body, a)
		}
	}
	return plan, plan.Violation(err)
}

// insertBulk inserts the body in one transaction and gathers the answer.
func (h *Handler) insertBulk(ctx context.Context, caller gateway.Caller, request *dialect.Request, plan *planner.Plan, body *dialect.BulkBody, a *answer) error {
	g := gatherer{plan: plan, total: a}
	if err := g.begin(); err != nil {
		return err
	}
	options := gateway.TransactionOptions{Volatile: plan.Volatile(), Rollback: request.Rollback,
		StatementTimeout: h.Cache.Current().Timeouts[caller.Role]}
	err := h.Transactor.Transaction(ctx, caller, options, func(tx *gateway.Transaction) error {
		in, err := body.Rewind()
		if err != nil {
			return err
		}
		if before := h.before(plan.Path, tenantOf(h.Cache.Current(), request.Schema), plan.Asked, &request.Asked); before != nil {
			if err := tx.Query(ctx, *before, nil); err != nil {
				return err
			}
		}
		var c dialect.Chunk
		for {
			if err := c.Get(in); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			if err := tx.Query(ctx, plan.OfPart(c.Part, c.Rows, c.JSON).Statement(), g.take); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return err
	}
	return g.end()
}
