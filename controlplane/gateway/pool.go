package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/puddle/v2"
)

const (
	connectTimeout = 5 * time.Second  // for one address, unless the URL has connect_timeout
	closeTimeout   = 15 * time.Second // for a polite end of a session
	cancelTimeout  = 5 * time.Second  // for a canceled statement to end before its connection is given up
	maxLifetime    = time.Hour        // plus up to a tenth; connections then follow DNS and failovers
)

type resource = puddle.Resource[*conn]

// pool keeps the connections of one login. Connections are made on demand and stay open; one that is older than
// maxLifetime is replaced when it becomes free.
type pool struct {
	name    string
	timeout time.Duration // to wait for a connection
	lane    *lane         // for fast requests, or nil
	inner   *puddle.Pool[*conn]
	never   context.Context // ended: with it no connection is made

	// generation counts the times that the server was found gone, and the pool's end. Connections begun earlier are not used
	// any more.
	generation atomic.Uint64

	waiting atomic.Int32 // callers of acquire who wait

	mu   sync.Mutex
	open map[*conn]net.Conn // to be cut when Close runs out of patience
}

// newPool prepares a pool without connecting.
func newPool(name string, pc PoolConfig, gates []*gateStatement, config *Config) (*pool, error) {
	cc, err := pgconn.ParseConfig(pc.URL)
	if err != nil {
		return nil, fmt.Errorf("gateway: %s pool: %w", name, err)
	}
	// Startup parameters do not survive a pooler, and the gate resets them anyway.
	delete(cc.RuntimeParams, "application_name")
	for parameter := range cc.RuntimeParams {
		return nil, fmt.Errorf("gateway: %s pool: run-time parameter %q is not supported", name, parameter)
	}
	if cc.ConnectTimeout == 0 {
		cc.ConnectTimeout = connectTimeout
	}
	cc.DialFunc = dial
	if config.DialFunc != nil {
		cc.DialFunc = config.DialFunc
	}
	cc.BuildContextWatcherHandler = func(pg *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: pg, DeadlineDelay: cancelTimeout}
	}

	never, cancel := context.WithCancel(context.Background())
	cancel()
	p := &pool{name: name, timeout: config.AcquireTimeout, never: never, open: make(map[*conn]net.Conn)}
	unnamed := config.Pooler == PoolerTransaction
	p.inner, err = puddle.NewPool(&puddle.Config[*conn]{
		MaxSize: int32(pc.Size),
		Constructor: func(ctx context.Context) (*conn, error) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			generation := p.generation.Load()
			c, err := connect(ctx, cc, gates, config.StatementCacheSize, unnamed)
			if err != nil {
				return nil, err
			}
			c.generation = generation
			c.expires = time.Now().Add(maxLifetime + rand.N(maxLifetime/10))
			p.mu.Lock()
			p.open[c] = c.pg.Conn()
			p.mu.Unlock()
			return c, nil
		},
		Destructor: func(c *conn) {
			c.close()
			p.mu.Lock()
			delete(p.open, c)
			p.mu.Unlock()
		},
	})
	if err != nil {
		return nil, fmt.Errorf("gateway: %s pool: %w", name, err)
	}
	return p, nil
}

// acquire waits for a connection until the given time; zero is the pool's timeout from now on. With probe, a connection
// that the server has closed meanwhile is found out before it is used: what a write met there would have an unknown
// outcome.
func (p *pool) acquire(ctx context.Context, probe bool, until time.Time) (*resource, error) {
	if err := ctx.Err(); err != nil {
		return nil, p.acquireError(ctx, err)
	}
	// An idle connection, the usual case, needs no timer.
	if res, err := p.inner.TryAcquire(p.never); err == nil {
		if !probe || alive(res.Value().pg.Conn()) {
			return res, nil
		}
		p.discard(res)
	}
	if until.IsZero() {
		until = time.Now().Add(p.timeout)
	}
	waiting, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	for {
		res, err := p.inner.Acquire(waiting)
		if err != nil {
			return nil, p.acquireError(ctx, err)
		}
		if !probe || alive(res.Value().pg.Conn()) {
			return res, nil
		}
		p.discard(res)
	}
}

// acquireError translates an error of the inner pool, which is a connection's, a context's or its own.
func (p *pool) acquireError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("gateway: wait for a connection: %w", contextError(ctx))
	case errors.Is(err, context.DeadlineExceeded):
		if stat := p.inner.Stat(); stat.AcquiredResources() < stat.MaxResources() {
			return unavailable(fmt.Errorf("%s pool: no connection within %v", p.name, p.timeout))
		}
		return fmt.Errorf("%w: %s pool", ErrBusy, p.name)
	default:
		return unavailable(fmt.Errorf("%s pool: %w", p.name, err))
	}
}

// keeps reports whether a connection may be used again without giving it back first: nobody waits for one, and it is
// neither old nor of a server that went away.
func (p *pool) keeps(res *resource) bool {
	c := res.Value()
	return p.waiting.Load() == 0 && c.generation == p.generation.Load() && time.Now().Before(c.expires)
}

// release gives back a healthy connection.
func (p *pool) release(res *resource) {
	if time.Now().After(res.Value().expires) {
		p.destroy(res)
		return
	}
	res.Release()
}

// discard gives back a connection that was lost. The first of its generation to do so also discards the others: when the
// server went away it went away for all.
func (p *pool) discard(res *resource) {
	if generation := res.Value().generation; p.generation.CompareAndSwap(generation, generation+1) {
		p.inner.Reset()
	}
	p.destroy(res)
}

// destroy gives back a connection that is not to be used again. It does not wait for the session's end.
func (p *pool) destroy(res *resource) {
	go res.Destroy()
}

// close refuses new requests and waits for all connections to be given back, and closes them.
func (p *pool) close() {
	p.generation.Add(1) // or else a lane that is never empty would keep its own
	p.inner.Close()
}

// cut breaks all connections.
func (p *pool) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, nc := range p.open {
		_ = nc.Close()
	}
}
