package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// TransactionOptions says how a transaction runs.
type TransactionOptions struct {
	// StatementTimeout limits the time of each statement; it is rounded up to milliseconds. 0 leaves the login's limit.
	StatementTimeout time.Duration
	// Volatile is that of [QueryOptions].
	Volatile bool
	// Rollback undoes what the statements did, after their deferred constraints were checked.
	Rollback bool
}

// Transaction is an explicit transaction on behalf of a caller, for what does not fit into one statement. It is valid
// during the function that it was given to, which uses it from one goroutine.
type Transaction struct {
	c      *conn
	role   string
	failed bool
	parsed map[string]bool // statements that this transaction has prepared
}

const commitSQL = "commit"

// finishTimeout is how long the end of a transaction may take, once it is to be undone or the connection cleaned: the
// request's own context may have ended by then.
const finishTimeout = 15 * time.Second

// Transaction runs fn inside one transaction on behalf of caller, behind the same gate as [Gateway.Query]: its first
// round trip is BEGIN, reset role and the gate, and each statement is one more. It commits when fn returns nil and undoes
// everything otherwise; the error of fn is returned as it is.
//
// A transaction holds a connection while fn runs, so fn must not wait for a client. It is never repeated once fn was called.
func (g *Gateway) Transaction(ctx context.Context, caller Caller, opt TransactionOptions, fn func(*Transaction) error) error {
	p, gate := g.door(&caller)
	r := request{pool: p, caller: &caller, timeout: opt.StatementTimeout, batch: batch{gate: gate}}
	for {
		out, key, err := g.transact(ctx, &r, opt, fn)
		if err != nil || out.err == nil {
			return err
		}
		again, err := g.judge(ctx, &r, &out, key)
		if !again {
			return err
		}
	}
}

// transact makes one try. The outcome is that of BEGIN and the gate; when it is good, err is the transaction's.
func (g *Gateway) transact(ctx context.Context, r *request, opt TransactionOptions, fn func(*Transaction) error) (out outcome, key *contextKey, err error) {
	res, err := r.pool.acquire(ctx, true, r.until)
	if err != nil {
		return out, nil, err
	}
	giveBack := r.pool.destroy // when it is broken or damaged, or when fn panics
	defer func() { giveBack(res) }()
	c := res.Value()

	e := g.envelopes.Get().(*envelope)
	defer func() {
		e.forget()
		g.envelopes.Put(e)
	}()
	key = g.key.Load()
	g.sign(e, r, key)

	out = c.begin(ctx, &r.batch)
	if out.err == nil {
		tx := &Transaction{c: c, role: r.caller.Role, parsed: map[string]bool{}}
		err = tx.finish(ctx, opt, fn(tx))
	}
	ended := out.err == nil && c.pg.TxStatus() == 'I' || c.end(rollbackSQL).err == nil
	switch {
	case out.lost && ctx.Err() == nil:
		giveBack = r.pool.discard
	case ended && !out.broken && !c.pg.IsClosed() && !damaged(ctx, &out) && c.clean(opt.Volatile):
		giveBack = r.pool.release
	}
	return out, key, err
}

// Query runs one statement and hands its rows to fn in text format; the bytes are valid only during the call. After an
// error the transaction can only be undone, and every further statement is refused.
func (t *Transaction) Query(ctx context.Context, st Statement, fn func(row [][]byte) error) error {
	if t.failed {
		return errors.New("gateway: the transaction has failed")
	}
	b := batch{key: statementKey{role: t.role, sql: st.SQL}, args: st.Args}
	if err := b.validate(); err != nil {
		t.failed = true
		return err
	}
	if fn == nil {
		fn = ignore
	}
	out := t.c.exchange(ctx, 1, fn, func() *prepared { return t.send(&b) })
	if out.err == nil && out.rowErr == nil {
		return nil
	}
	t.failed = true
	if out.err == nil {
		return out.rowErr
	}
	return t.explain(ctx, out.err)
}

// explain says what an error of a statement or of the commit means to the caller.
func (t *Transaction) explain(ctx context.Context, err error) error {
	var pgErr *pgconn.PgError
	switch {
	case !errors.As(err, &pgErr) || isFatal(pgErr):
		if ctx.Err() != nil {
			return canceled(ctx)
		}
		return unavailable(err)
	case isCanceled(ctx, pgErr):
		return canceled(ctx)
	}
	return err
}

// finish ends the transaction as fn and the options want.
func (t *Transaction) finish(ctx context.Context, opt TransactionOptions, err error) error {
	if err != nil || t.failed {
		if err == nil {
			err = errors.New("gateway: the transaction has failed")
		}
		return err // the caller rolls back
	}
	sql := commitSQL
	if opt.Rollback {
		sql = constraintsSQL
	}
	out := t.c.exchange(ctx, 1, ignore, func() *prepared {
		sendUnnamed(t.c.pg.Frontend(), sql, nil, nil, nil, nil)
		return nil
	})
	if out.err != nil {
		return t.explain(ctx, out.err)
	}
	return nil
}

// begin sends BEGIN, reset role and the gate.
func (c *conn) begin(ctx context.Context, b *batch) outcome {
	return c.exchange(ctx, int(stageGate)+1, ignore, func() *prepared {
		f := c.pg.Frontend()
		c.sendBegin()
		if c.unnamed {
			sendUnnamed(f, resetSQL, nil, nil, nil, nil)
			sendUnnamed(f, b.gate.sql, b.gate.types, b.gateParams, b.gate.formats, nil)
		} else {
			sendBound(f, resetName, nil, nil, nil)
			sendBound(f, b.gate.name, b.gateParams, b.gate.formats, nil)
		}
		return nil
	})
}

// end sends a statement of ours that must work even when the request is over.
func (c *conn) end(sql string) outcome {
	ctx, cancel := context.WithTimeout(context.Background(), finishTimeout)
	defer cancel()
	return c.exchange(ctx, 1, ignore, func() *prepared {
		sendUnnamed(c.pg.Frontend(), sql, nil, nil, nil, nil)
		return nil
	})
}

// clean drops what only a volatile function can leave behind, and tells whether the connection can be used again.
func (c *conn) clean(volatile bool) bool {
	if !volatile || c.unnamed {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), finishTimeout)
	defer cancel()
	pipeline := c.pg.StartPipeline(ctx)
	if !c.pg.IsBusy() {
		_ = pipeline.Close()
		return false
	}
	var out outcome
	c.sendScrub(pipeline)
	if err := pipeline.Flush(); err != nil {
		out.broken = true
	} else {
		c.receiveScrub(pipeline, &out)
	}
	_ = pipeline.Close()
	return !out.broken && !c.pg.IsClosed() && c.pg.TxStatus() == 'I'
}

// send queues a statement. Its first use prepares it anew: a form that an earlier request prepared may be out of date,
// and there would be no second try.
func (t *Transaction) send(b *batch) *prepared {
	c, f := t.c, t.c.pg.Frontend()
	if c.unnamed {
		sendUnnamed(f, b.key.sql, nil, b.args, nil, nil)
		return nil
	}
	known := c.statements.get(b.key)
	if known != nil && t.parsed[b.key.sql] {
		sendBound(f, known.name, b.args, nil, nil)
		return nil
	}
	if known != nil {
		c.statements.remove(known)
		f.SendClose(&pgproto3.Close{ObjectType: 'S', Name: known.name})
	} else if old := c.statements.evict(); old != nil {
		f.SendClose(&pgproto3.Close{ObjectType: 'S', Name: old.name})
	}
	t.parsed[b.key.sql] = true
	p := c.statements.next(b.key)
	f.SendParse(&pgproto3.Parse{Name: p.name, Query: b.key.sql})
	sendBound(f, p.name, b.args, nil, nil)
	return p
}

// exchange sends what send queues and a Sync in one write, and reads the answer up to ReadyForQuery. count is how many
// statements are sent; the outcome's stage is how many of them have completed.
func (c *conn) exchange(ctx context.Context, count int, row func([][]byte) error, send func() *prepared) (out outcome) {
	pipeline := c.pg.StartPipeline(ctx)
	if !c.pg.IsBusy() { // the context is done already, or the connection is closed
		out.err, out.broken = pipeline.Close(), c.pg.IsClosed()
		return out
	}
	finished := false
	defer func() {
		if !finished { // the row function panicked
			c.abandon()
			_ = pipeline.Close()
		}
	}()
	statement := send()
	pipeline.SendPipelineSync()
	if err := pipeline.Flush(); err != nil {
		out.lose(err)
	} else {
		c.complete(count, statement, row, &out)
		if !out.broken {
			c.receiveSync(pipeline, &out)
		}
	}
	finished = true
	_ = pipeline.Close()
	if c.pg.IsClosed() {
		out.broken = true
	}
	return out
}

// complete reads the answer up to the end of the last of count statements or to the first error.
func (c *conn) complete(count int, statement *prepared, row func([][]byte) error, out *outcome) {
	f := c.pg.Frontend()
	for int(out.stage) < count {
		msg, err := f.Receive()
		if err != nil {
			out.lose(err)
			return
		}
		switch msg := msg.(type) {
		case *pgproto3.DataRow:
			if int(out.stage) == count-1 && out.rowErr == nil {
				out.rowErr = row(msg.Values)
			}
		case *pgproto3.CommandComplete, *pgproto3.EmptyQueryResponse:
			out.stage++
		case *pgproto3.ParseComplete:
			if statement != nil {
				c.statements.add(statement)
				statement = nil
			}
		case *pgproto3.ErrorResponse:
			c.fail(pgconn.ErrorResponseToPgError(msg), out)
			return
		case *pgproto3.BindComplete, *pgproto3.CloseComplete,
			*pgproto3.NoticeResponse, *pgproto3.ParameterStatus, *pgproto3.NotificationResponse:
		default: // COPY, above all
			out.err, out.broken = fmt.Errorf("gateway: unexpected %T", msg), true
			c.abandon()
			return
		}
	}
}
