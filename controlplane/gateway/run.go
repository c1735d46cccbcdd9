package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// request is a batch with what is needed to build and, where allowed, to repeat it.
type request struct {
	pool     *pool
	caller   *Caller // nil without a gate
	readOnly bool
	timeout  time.Duration
	until    time.Time // it does not wait longer for a connection; zero until it has had to wait in the lane
	rows     *rows     // where rows are kept until the commit, or nil
	batch    batch

	// What was already repeated, and why; each happens once at most.
	triedConnection, triedStatement, triedKey bool
}

// run sends the request until it succeeds or must not be repeated.
func (g *Gateway) run(ctx context.Context, r *request) error {
	if err := r.batch.validate(); err != nil {
		return err
	}
	for {
		out, key, err := g.attempt(ctx, r)
		if err != nil {
			return err
		}
		if out.err == nil {
			return out.rowErr
		}
		again, err := g.judge(ctx, r, &out, key)
		if !again {
			return err
		}
		if r.rows != nil {
			r.rows.reset()
		}
	}
}

// attempt sends the request once and returns the key that its context was signed with. err is set when no connection
// could be had.
func (g *Gateway) attempt(ctx context.Context, r *request) (out outcome, key *contextKey, err error) {
	var took *cellTime
	if l := r.pool.lane; l != nil && r.readOnly {
		took = l.pace.of(r.batch.key)
		if l.takes(r, took) {
			out, key, alone, err := g.ride(ctx, l, r, took)
			if !alone {
				return out, key, err
			}
		}
	}
	return g.alone(ctx, r, took)
}

// ride sends the request through the lane; alone reports that it is to be sent alone instead.
func (g *Gateway) ride(ctx context.Context, l *lane, r *request, took *cellTime) (out outcome, key *contextKey, alone bool, err error) {
	e := g.envelopes.Get().(*envelope)
	defer func() {
		e.forget()
		g.envelopes.Put(e)
	}()
	key = g.key.Load()
	g.sign(e, r, key)

	s := newSeat(ctx, r, took)
	next := turn{what: lead}
	if !l.enter(s) {
		if next, err = l.wait(ctx, s); err != nil {
			return out, key, false, err
		}
	}
	switch next.what {
	case leave:
		return out, key, true, nil
	case lost:
		s.out.lose(errLost)
	case lead:
		t, err := l.depart(ctx, s, next.res)
		if err != nil {
			return out, key, false, err
		}
		t.take(ctx, s)
	case ride:
		s.train.take(ctx, s)
	}
	out = s.out
	s.free()
	return out, key, false, nil
}

// alone sends the request by itself. took, if not nil, is where its time is counted.
func (g *Gateway) alone(ctx context.Context, r *request, took *cellTime) (out outcome, key *contextKey, err error) {
	res, err := r.pool.acquire(ctx, !r.readOnly, r.until)
	if err != nil {
		return out, nil, err
	}
	giveBack := r.pool.destroy // when it is broken or damaged, or when the row function panics
	defer func() { giveBack(res) }()

	e := g.envelopes.Get().(*envelope)
	defer func() {
		e.forget()
		g.envelopes.Put(e)
	}()
	key = g.key.Load()
	g.sign(e, r, key)

	started := time.Now()
	out = res.Value().run(ctx, &r.batch)
	if took != nil {
		took.add(time.Since(started))
	}
	switch {
	case out.lost && ctx.Err() == nil:
		giveBack = r.pool.discard
	case !out.broken && !damaged(ctx, &out):
		giveBack = r.pool.release
	}
	return out, key, nil
}

// sign sets the parameters of the request's gate.
func (g *Gateway) sign(e *envelope, r *request, key *contextKey) {
	switch r.batch.gate {
	case requestGate:
		r.batch.gateParams = e.request(key, r.caller, g.clock(), r.readOnly, r.timeout)
	case issuerGate:
		r.batch.gateParams = e.issuer(key, r.caller, g.clock(), r.readOnly, r.timeout)
	case entryGate, pendingGate:
		r.batch.gateParams = e.entry(key, r.caller, g.clock())
	}
}

// damaged reports whether the session is in a state that keeps the gate from running: its prepared form is gone, a role
// or setting that an earlier request left behind forbids it (42501, 25001), a statement timeout of 1 ms, and so on. A
// refusal is no damage, nor is a context whose key is out of date.
func damaged(ctx context.Context, out *outcome) bool {
	if out.err == nil || out.stage > stageGate {
		return false
	}
	var pgErr *pgconn.PgError
	return errors.As(out.err, &pgErr) &&
		!isRefusal(pgErr) && !isContextChanged(pgErr) && !isCanceled(ctx, pgErr)
}

// judge decides whether a failed request may be sent again, and if not, what its caller is told.
func (g *Gateway) judge(ctx context.Context, r *request, out *outcome, key *contextKey) (again bool, err error) {
	// Rows that were copied can be dropped, rows that fn has seen cannot.
	seen := out.rows && r.rows == nil

	var pgErr *pgconn.PgError
	if !errors.As(out.err, &pgErr) || isFatal(pgErr) {
		if ctx.Err() != nil {
			return false, canceled(ctx)
		}
		safe := pgconn.SafeToRetry(out.err) || r.readOnly && !seen
		if safe && !r.triedConnection {
			r.triedConnection = true
			return true, nil
		}
		return false, unavailable(out.err)
	}

	switch {
	case isCanceled(ctx, pgErr):
		return false, canceled(ctx)

	case isContextChanged(pgErr) && r.caller != nil && !seen && !r.triedKey:
		r.triedKey = true
		changed, err := g.refreshKey(ctx, key)
		if err != nil {
			return false, err
		}
		if changed {
			return true, nil
		}

	case damaged(ctx, out) && !r.triedConnection:
		r.triedConnection = true
		return true, nil

	case (out.stage == stageCost || out.stage == stageStatement) && out.cached && !seen && !r.triedStatement &&
		(pgErr.Code == codeUndefinedStatement || pgErr.Code == codeFeatureNotSupported):
		r.triedStatement = true
		r.batch.fresh = true
		return true, nil
	}

	if out.stage <= stageGate && !isRefusal(pgErr) {
		return false, unavailable(fmt.Errorf("gate: %w", out.err))
	}
	return false, out.err
}

// refreshKey reads the context key again after a context signed with used was refused, and reports whether another key
// is in force now. As anybody who can run SQL may provoke that, it reads at most once in refreshGap.
func (g *Gateway) refreshKey(ctx context.Context, used *contextKey) (changed bool, err error) {
	g.refreshMu.Lock()
	defer g.refreshMu.Unlock()
	if g.key.Load() != used {
		return true, nil
	}
	if time.Since(g.refreshed) < g.refreshGap {
		return false, nil
	}
	if err := g.readKey(ctx); err != nil {
		return false, err
	}
	return g.key.Load() != used, nil
}

// readKey reads the context key through the server's login. The key stays the same value while its secret does.
func (g *Gateway) readKey(ctx context.Context) error {
	var secret []byte
	r := request{pool: g.server, readOnly: true, batch: batch{
		key:     statementKey{sql: "select fluxbase.context_key()"},
		results: binaryFormat,
		once:    true,
		row: func(row [][]byte) error {
			if len(row) == 1 {
				secret = append(secret[:0], row[0]...)
			}
			return nil
		},
	}}
	if err := g.run(ctx, &r); err != nil {
		return fmt.Errorf("read the context key: %w", err)
	}
	if len(secret) < 32 {
		return fmt.Errorf("gateway: the context key has %d bytes instead of 32", len(secret))
	}
	g.refreshed = time.Now()
	if old := g.key.Load(); old == nil || string(old.secret) != string(secret) {
		g.key.Store(&contextKey{secret: secret})
	}
	return nil
}
