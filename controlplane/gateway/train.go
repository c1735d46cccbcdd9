package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgproto3"
)

// train is what a connection has been sent in one write: one request or several, each with its own gate and Sync. The
// answers come in the same order, and each is read by its own request, which then calls the next. A connection's train
// is used again and again.
//
// A request behind another does not wait long for it. When no answer comes for stallTime, all that were not called yet
// are sent elsewhere, alone: they are read-only, and what they would have been answered here is dropped. Only then is a
// statement canceled whose request has ended, so that the cancel request meets no one else.
type train struct {
	lane    *lane
	conn    *conn
	watcher *ctxwatch.ContextWatcher

	mu       sync.Mutex
	res      *resource
	pipeline *pgconn.Pipeline
	seats    []*seat
	next     int             // the first seat that was not called
	reader   context.Context // of the request whose answer is being read, or nil
	since    time.Time       // when the last answer was complete
	timer    *time.Timer
	running  bool
	stalled  bool // does not count in lane.running
	broken   bool // the connection is not to be used again
	lost     bool // it was ended from outside
}

const (
	stallTime = 20 * time.Millisecond
	drainTime = time.Second // for an answer that nobody waits for, before it is canceled
)

var errLost = errors.New("gateway: the connection broke")

// depart sends a train that begins with the request s, on res or a connection from the pool, and returns it.
func (l *lane) depart(ctx context.Context, s *seat, res *resource) (*train, error) {
	if err := ctx.Err(); err != nil {
		l.next(res)
		return nil, l.pool.acquireError(ctx, err)
	}
	if res == nil {
		var err error
		if res, err = l.pool.acquire(ctx, false, s.request.until); err != nil {
			l.next(nil)
			return nil, err
		}
	}
	c := res.Value()
	if c.train == nil {
		c.train = newTrain(l, c)
	}
	t := c.train
	if !t.board(ctx, s, res) {
		l.next(nil)
		l.pool.destroy(res)
		return nil, unavailable(errors.New("the connection was closed"))
	}
	if err := t.pipeline.Flush(); err != nil {
		s.out.lose(err)
	}
	return t, nil
}

// board writes the messages of s, and of those who wait and fit, without sending them.
func (t *train) board(ctx context.Context, s *seat, res *resource) bool {
	c := t.conn
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pipeline = c.pg.StartPipeline(context.Background())
	if !c.pg.IsBusy() {
		return false
	}
	clear(t.seats)
	t.res, t.seats, t.next = res, append(t.seats[:0], s), 1
	t.running, t.stalled, t.broken, t.lost = true, false, false, false
	s.called, t.reader = true, ctx
	if c.statements.ready(s.request.batch.key) {
		t.lane.fill(t, c)
	}
	for i, s := range t.seats {
		s.prepared = c.send(&s.request.batch, &s.out)
		if i < len(t.seats)-1 {
			c.pg.Frontend().SendSync(&pgproto3.Sync{}) // the pipeline need not know of it
		}
	}
	t.pipeline.SendPipelineSync()
	t.since = time.Now()
	t.timer.Reset(t.lane.stall)
	return true
}

func newTrain(l *lane, c *conn) *train {
	t := &train{lane: l, conn: c, watcher: ctxwatch.NewContextWatcher(
		&pgconn.CancelRequestContextWatcherHandler{Conn: c.pg, DeadlineDelay: cancelTimeout})}
	t.timer = time.AfterFunc(l.stall, t.check)
	t.timer.Stop()
	return t
}

// take reads the answer of s, whose turn it is, and calls the next.
func (t *train) take(ctx context.Context, s *seat) {
	read := false
	defer func() {
		if !read { // the row function panicked
			s.out.broken = true
		}
		t.unwatch()
		s.took.add(t.advance(ctx, &s.out))
	}()
	if !s.out.broken {
		t.read(&s.request.batch, s.prepared, &s.out, s == t.seats[len(t.seats)-1])
	}
	read = true
}

// read reads one answer.
func (t *train) read(b *batch, p *prepared, out *outcome, last bool) {
	t.conn.receive(b, p, out)
	switch {
	case out.broken:
	case last:
		t.conn.receiveSync(t.pipeline, out)
	default:
		t.conn.receiveReady(out)
	}
}

// receiveReady reads up to a ReadyForQuery that the pipeline does not know of.
func (c *conn) receiveReady(out *outcome) {
	for !out.broken {
		msg, err := c.pg.Frontend().Receive()
		if err != nil {
			out.lose(err)
			return
		}
		switch msg := msg.(type) {
		case *pgproto3.ReadyForQuery:
			out.broken = msg.TxStatus != 'I'
			return
		case *pgproto3.ErrorResponse:
			c.fail(pgconn.ErrorResponseToPgError(msg), out)
		case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus, *pgproto3.NotificationResponse:
		default:
			out.err, out.broken = fmt.Errorf("gateway: unexpected %T instead of ReadyForQuery", msg), true
			c.abandon()
		}
	}
}

// drain reads an answer that nobody waits for any more.
func (t *train) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	t.mu.Lock()
	t.reader = ctx
	if t.stalled { // or else it is watched when the train stalls
		t.watch()
	}
	last := t.next == len(t.seats)
	t.mu.Unlock()
	var out outcome
	t.read(&batch{gate: requestGate, row: ignore}, nil, &out, last)
	t.unwatch()
	t.advance(ctx, &out)
}

// advance calls the request whose answer comes next, or ends the train. ctx is that of the request whose answer has come;
// how long that took is returned.
func (t *train) advance(ctx context.Context, out *outcome) (took time.Duration) {
	t.mu.Lock()
	now := time.Now()
	took, t.since = now.Sub(t.since), now
	switch {
	case out.broken:
		t.broken, t.lost = true, out.lost && ctx.Err() == nil
	case damaged(ctx, out):
		t.broken = true // those who follow find the damage, too
	}
	rest := t.seats[t.next:]
	if len(rest) > 0 && !out.broken {
		s := rest[0]
		t.next++
		if s.left {
			t.mu.Unlock()
			go t.drain()
			return took
		}
		s.called, t.reader = true, s.ctx
		t.mu.Unlock()
		s.turn <- turn{what: ride}
		return took
	}
	for _, s := range rest {
		s.called = true
	}
	t.running = false
	t.timer.Stop()
	t.mu.Unlock()
	t.end()
	for _, s := range rest { // now, as the pool knows that the connection is gone, and perhaps its server
		if !s.left {
			s.turn <- turn{what: lost}
		}
	}
	return took
}

// end gives the connection to the next train or back to the pool.
func (t *train) end() {
	res, pool := t.res, t.lane.pool
	if t.broken {
		t.conn.abandon() // or else the next line waits for answers, as long as it takes
	}
	_ = t.pipeline.Close()
	if t.conn.pg.IsClosed() || t.conn.pg.TxStatus() != 'I' {
		t.broken = true
	}
	switch {
	case !t.broken && !t.stalled:
		t.lane.next(res)
		return
	case !t.broken:
		pool.release(res)
		return
	case t.lost:
		pool.discard(res)
	default:
		pool.destroy(res)
	}
	if !t.stalled {
		t.lane.next(nil)
	}
}

// withdraw leaves the train; false when the answer of s is being read, or about to.
func (t *train) withdraw(s *seat) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.called || s.left {
		return false
	}
	s.left = true
	return true
}

// evict sends all elsewhere who were not called yet. The train is locked.
func (t *train) evict() {
	for _, s := range t.seats[t.next:] {
		if !s.left {
			s.left = true
			s.turn <- turn{what: leave}
		}
	}
}

// check looks whether the train stands still. One that does is no train of the lane any more: another may go.
func (t *train) check() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.running || t.stalled {
		return
	}
	if rest := t.lane.stall - time.Since(t.since); rest > 0 {
		t.timer.Reset(rest)
		return
	}
	t.stalled = true
	t.evict()
	t.watch()
	t.lane.next(nil)
}

// watch has the statement canceled when the context of its request ends. Only a train that stands still needs it: what
// is fast is over before it could be canceled. The train is locked.
func (t *train) watch() {
	if t.reader != nil {
		t.watcher.Watch(t.reader)
	}
}

// unwatch ends that, for good until the next answer is begun; when a cancel request is on its way, it waits for it.
func (t *train) unwatch() {
	t.mu.Lock()
	t.reader = nil
	t.mu.Unlock()
	t.watcher.Unwatch()
}
