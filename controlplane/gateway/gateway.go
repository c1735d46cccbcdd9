package gateway

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// Pooler says what stands between the gateway and PostgreSQL.
type Pooler string

const (
	// PoolerNone is a direct connection or a pooler in session mode.
	PoolerNone Pooler = "none"
	// PoolerTransaction is a pooler in transaction mode: nothing is prepared under a name.
	PoolerTransaction Pooler = "transaction"
)

// PoolConfig describes the pool of one login.
type PoolConfig struct {
	URL  string // connection URL or keyword/value string, without run-time parameters
	Size int    // greatest number of connections; 0 is the default of the pool
}

// Config describes a gateway.
type Config struct {
	API     PoolConfig // login fluxbase_api; default size 4 x cores
	Service PoolConfig // login fluxbase_service; default size 4
	Server  PoolConfig // login fluxbase_server; default size 16: its batches wait for the disk to commit, not for a core
	Pooler  Pooler     // default PoolerNone

	AcquireTimeout     time.Duration    // how long a request waits for a connection; default 2 s
	StatementCacheSize int              // prepared statements per connection; default 256
	Clock              func() time.Time // default time.Now
	DialFunc           pgconn.DialFunc  // default: TCP with keepalive and user timeout, or a Unix socket
}

// Statement is one SQL statement with its arguments in text format; nil is NULL. The texts should be few: each is
// prepared once per connection and role.
type Statement struct {
	SQL  string
	Args [][]byte
}

// QueryOptions says how a statement runs.
type QueryOptions struct {
	// ReadOnly runs the statement in a read-only transaction.
	ReadOnly bool

	// StatementTimeout limits the statement's time; it is rounded up to milliseconds. 0 leaves the login's limit.
	StatementTimeout time.Duration

	// Volatile says that the statement may run volatile functions of the application, as an RPC does. Such a function can
	// replace prepared statements behind the gateway's back, so all are dropped in the same write and the gate is prepared
	// anew; the next statements on that connection are first uses again. It has no effect with PoolerTransaction, which prepares none.
	Volatile bool

	// Rollback undoes what the statement did, after its deferred constraints were checked. Rows are handed out all the same.
	Rollback bool

	// Before is a statement that runs first, in the same transaction; its rows are dropped. nil is none.
	Before *Statement

	// MaxCost refuses a statement whose cost PostgreSQL estimates to be above it, with SQLSTATE ZF422 and before it runs; 0 is no
	// limit. The statement is planned twice for it, in the same write. It needs PoolerNone.
	MaxCost float64
}

// Gateway runs requests. It is safe for concurrent use.
type Gateway struct {
	api, service, server *pool
	clock                func() time.Time
	envelopes            sync.Pool
	unnamed              bool // a pooler in transaction mode has no named statements

	key        atomic.Pointer[contextKey]
	refreshMu  sync.Mutex
	refreshed  time.Time     // when the key was last read; guarded by refreshMu
	refreshGap time.Duration // least time between two reads that were provoked by a refused context
}

var (
	requestGate = &gateStatement{
		name: "fluxbase_begin_request",
		sql: "select fluxbase.begin_request(p_role => $1, p_session_id => $2, p_jti => $3, p_api_key_id => $4," +
			" p_context => $5, p_context_mac => $6, p_claims => $7, p_read_only => $8, p_statement_timeout => $9)",
		types:   []uint32{oidText, oidUUID, oidUUID, oidUUID, oidText, oidText, oidText, oidBool, oidInt4},
		formats: requestFormats,
	}
	issuerGate = &gateStatement{
		name: "fluxbase_begin_issuer_request",
		sql: "select fluxbase.begin_issuer_request(p_role => $1, p_issuer_id => $2," +
			" p_context => $3, p_context_mac => $4, p_claims => $5, p_read_only => $6, p_statement_timeout => $7)",
		types:   []uint32{oidText, oidUUID, oidText, oidText, oidText, oidBool, oidInt4},
		formats: issuerFormats,
	}
	entryGate = &gateStatement{
		name: "fluxbase_begin_entry",
		sql: "select fluxbase.begin_entry(p_session_id => $1, p_jti => $2, p_api_key_id => $3," +
			" p_context => $4, p_context_mac => $5, p_claims => $6)",
		types:   []uint32{oidUUID, oidUUID, oidUUID, oidText, oidText, oidText},
		formats: entryFormats,
	}
	pendingGate = &gateStatement{
		name: "fluxbase_begin_pending_entry",
		sql: "select fluxbase.begin_pending_entry(p_session_id => $1, p_jti => $2, p_api_key_id => $3," +
			" p_context => $4, p_context_mac => $5, p_claims => $6)",
		types:   []uint32{oidUUID, oidUUID, oidUUID, oidText, oidText, oidText},
		formats: entryFormats,
	}
)

// Type OIDs of parameters (pg_type).
const (
	oidBool      = 16
	oidInt4      = 23
	oidText      = 25
	oidFloat8    = 701
	oidTextArray = 1009
	oidUUID      = 2950
)

// Open prepares the three pools and reads the context key, which needs the login fluxbase_server. The other logins
// connect when they are first used; see [Gateway.Ping].
func Open(ctx context.Context, config Config) (*Gateway, error) {
	config.API.Size = orDefault(config.API.Size, 4*runtime.NumCPU())
	config.Service.Size = orDefault(config.Service.Size, 4)
	config.Server.Size = orDefault(config.Server.Size, 16)
	config.AcquireTimeout = orDefault(config.AcquireTimeout, 2*time.Second)
	config.StatementCacheSize = orDefault(config.StatementCacheSize, 256)
	if config.Clock == nil {
		config.Clock = time.Now
	}
	switch config.Pooler {
	case "", PoolerNone, PoolerTransaction:
	default:
		return nil, fmt.Errorf("gateway: unknown pooler %q", config.Pooler)
	}

	g := &Gateway{clock: config.Clock, refreshGap: time.Second, unnamed: config.Pooler == PoolerTransaction}
	g.envelopes.New = func() any { return new(envelope) }
	var errAPI, errService, errServer error
	g.api, errAPI = newPool("api", config.API, []*gateStatement{requestGate, issuerGate}, &config)
	g.service, errService = newPool("service", config.Service, []*gateStatement{requestGate}, &config)
	g.server, errServer = newPool("server", config.Server, []*gateStatement{entryGate, pendingGate}, &config)
	if err := errors.Join(errAPI, errService, errServer); err != nil {
		return nil, err
	}
	if !g.unnamed {
		g.api.lane, g.service.lane = newLane(g.api, config.API.Size), newLane(g.service, config.Service.Size)
	}
	if err := g.readKey(ctx); err != nil {
		_ = g.Close(ctx)
		return nil, err
	}
	return g, nil
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Query runs one statement on behalf of caller, in a transaction of its own, and hands its rows to fn in text format.
//
// With ReadOnly, fn sees each row straight from the read buffer while the connection is held: the bytes are valid only
// during the call, fn should not wait for a slow client, and an error may still follow rows that fn has seen. Otherwise
// rows are copied and fn is called only after the commit is known. An error of fn ends the calls and is returned as it
// is; it does not undo anything. fn may be nil.
//
// When ctx ends, the statement is canceled in PostgreSQL and Query returns an error that wraps the context's; the
// connection stays usable unless PostgreSQL does not answer in time.
func (g *Gateway) Query(ctx context.Context, caller Caller, st Statement, opt QueryOptions, fn func(row [][]byte) error) error {
	p, gate := g.door(&caller)
	if opt.MaxCost > 0 && g.unnamed {
		return errCostNeedsNames
	}
	r := request{
		pool:     p,
		caller:   &caller,
		readOnly: opt.ReadOnly,
		timeout:  opt.StatementTimeout,
		batch: batch{
			gate:     gate,
			key:      statementKey{role: caller.Role, sql: st.SQL},
			args:     st.Args,
			scrub:    opt.Volatile,
			rollback: opt.Rollback,
			maxCost:  opt.MaxCost,
			before:   opt.Before,
		},
	}
	if opt.ReadOnly {
		r.batch.row = fn
		if fn == nil {
			r.batch.row = ignore
		}
		return g.run(ctx, &r)
	}

	kept := rowsPool.Get().(*rows)
	defer kept.free()
	r.rows = kept
	r.batch.row = kept.add
	if err := g.run(ctx, &r); err != nil {
		return err
	}
	if fn == nil {
		return nil
	}
	return kept.each(fn)
}

// door returns the pool and the gate of a caller.
func (g *Gateway) door(caller *Caller) (*pool, *gateStatement) {
	switch {
	case caller.IssuerID != uuid.Nil:
		return g.api, issuerGate
	case caller.Role == roleService:
		return g.service, requestGate
	}
	return g.api, requestGate
}

// Entry calls one entry point of the schema fluxbase on the server's login: sql selects its jsonb result, which is
// returned as text, nil for NULL. Entry points report the caller's failures as a status in the result.
//
// sql must be a constant of this program. Entry is treated as a write: it is never repeated with an unknown outcome.
func (g *Gateway) Entry(ctx context.Context, caller Caller, sql string, args [][]byte) ([]byte, error) {
	if caller.IssuerID != uuid.Nil {
		return nil, errors.New("gateway: tokens of other issuers are for data requests")
	}
	var result []byte
	count := 0
	gate := entryGate
	if caller.MayOweFactor {
		gate = pendingGate
	}
	r := request{
		pool:   g.server,
		caller: &caller,
		batch: batch{
			gate: gate,
			key:  statementKey{sql: sql},
			args: args,
			row: func(row [][]byte) error {
				count++
				if len(row) != 1 || count > 1 {
					return errors.New("gateway: an entry point returns one row with one column")
				}
				if row[0] != nil {
					result = append(make([]byte, 0, len(row[0])), row[0]...)
				}
				return nil
			},
		},
	}
	if err := g.run(ctx, &r); err != nil {
		return nil, err
	}
	if count == 0 {
		return nil, errors.New("gateway: the entry point returned no row")
	}
	return result, nil
}

// Ping makes sure that each of the three logins has a connection that answers.
func (g *Gateway) Ping(ctx context.Context) error {
	for _, p := range []*pool{g.api, g.service, g.server} {
		r := request{pool: p, readOnly: true, batch: batch{
			key:  statementKey{sql: "select 1"},
			once: true,
			row:  ignore,
		}}
		if err := g.run(ctx, &r); err != nil {
			return fmt.Errorf("ping the %s pool: %w", p.name, err)
		}
	}
	return nil
}

// Close refuses new requests, waits for those in flight, and closes all connections. When ctx ends first, the remaining
// connections are cut, their requests fail, and the context's error is returned.
func (g *Gateway) Close(ctx context.Context) error {
	pools := []*pool{g.api, g.service, g.server}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		for _, p := range pools {
			wg.Go(p.close)
		}
		wg.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		for _, p := range pools {
			p.cut()
		}
		<-done
		return fmt.Errorf("gateway: close: %w", contextError(ctx))
	}
}
