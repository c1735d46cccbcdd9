package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// train is what a connection has been sent in one write: one request or several, each with its own gate and Sync. The
// answers come in the same order, and each is read by its own request, which then calls the next. A connection's train
// is used again and again.
//
// A request behind another does not wait long for it. When no answer comes for stallTime, all that were not called yet
// are sent elsewhere, alone: they are read-only, and what they would have been answered here is dropped. The same
// happens before a statement is canceled, so that the cancel request meets no one else.
type train struct {
	lane    *lane
	conn    *conn
	watcher *ctxwatch.ContextWatcher

	mu       sync.Mutex
	res      *resource
	pipeline *pgconn.Pipeline
	seats    []*seat
	next     int       // the first seat that was not called
	since    time.Time // when the last answer was complete
	timer    *time.Timer
	running  bool
	stalled  bool  // does not count in lane.running
	err      error // why the connection is not to be used again
	lost     bool  // it was ended from outside
}

const (
	stallTime = 20 * time.Millisecond
	drainTime = time.Second // for an answer that nobody waits for, before it is canceled
)

var (
	errDamaged = errors.New("gateway: the session was damaged by an earlier request")
	errLost    = errors.New("gateway: the connection broke")
)

// depart sends a train that begins with the request s, on res or a connection from the pool, and returns it.
func (l *lane) depart(ctx context.Context, s *seat, res *resource) (*train, error) {
	if err := ctx.Err(); err != nil {
		l.next(res)
		return nil, l.pool.acquireError(ctx, err)
	}
	if res == nil {
		var err error
		if res, err = l.pool.acquire(ctx, false); err != nil {
			l.next(nil)
			return nil, err
		}
	}
	c := res.Value()
	if c.train == nil {
		c.train = newTrain(l, c)
	}
	t := c.train
	if !t.board(s, res) {
		l.next(nil)
		l.pool.destroy(res)
		return nil, unavailable(errors.New("the connection was closed"))
	}
	t.watcher.Watch(ctx)
	if err := t.pipeline.Flush(); err != nil {
		s.out.lose(err)
	}
	return t, nil
}

// board writes the messages of s, and of those who wait and fit, without sending them.
func (t *train) board(s *seat, res *resource) bool {
	c := t.conn
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pipeline = c.pg.StartPipeline(context.Background())
	if !c.pg.IsBusy() {
		return false
	}
	clear(t.seats)
	t.res, t.seats, t.next = res, append(t.seats[:0], s), 1
	t.running, t.stalled, t.err, t.lost = true, false, nil, false
	s.called = true
	if c.statements.get(s.request.batch.key) != nil {
		t.lane.fill(t, c)
	}
	for _, s := range t.seats {
		s.prepared = c.send(&s.request.batch, &s.out)
		t.pipeline.SendPipelineSync()
	}
	t.since = time.Now()
	t.timer.Reset(t.lane.stall)
	return true
}

func newTrain(l *lane, c *conn) *train {
	t := &train{lane: l, conn: c}
	t.watcher = newWatcher(t)
	t.timer = time.AfterFunc(l.stall, t.check)
	t.timer.Stop()
	return t
}

// take reads the answer of s, whose turn it is, and calls the next.
func (t *train) take(ctx context.Context, s *seat) {
	read := false
	defer func() {
		if !read { // the row function panicked
			t.conn.abandon()
			s.out.broken = true
		}
		t.watcher.Unwatch()
		if !s.out.broken && damaged(ctx, &s.out) {
			t.fail(errDamaged, false)
		}
		s.took.add(t.advance(&s.out, s.out.lost && ctx.Err() == nil))
	}()
	if !s.out.broken {
		t.read(&s.request.batch, s.prepared, &s.out)
	}
	read = true
}

// read reads one answer.
func (t *train) read(b *batch, p *prepared, out *outcome) {
	c := t.conn
	c.receive(b, p, out)
	if !out.broken {
		c.receiveSync(t.pipeline, out)
	}
	if !out.broken && c.pg.TxStatus() != 'I' {
		out.broken = true
	}
}

// drain reads an answer that nobody waits for any more.
func (t *train) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	t.watcher.Watch(ctx)
	var out outcome
	t.read(&batch{gate: requestGate, row: ignore}, nil, &out)
	t.watcher.Unwatch()
	if !out.broken && damaged(ctx, &out) {
		t.fail(errDamaged, false)
	}
	t.advance(&out, out.lost && ctx.Err() == nil)
}

func (t *train) fail(err error, lost bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failLocked(err, lost)
}

func (t *train) failLocked(err error, lost bool) {
	if t.err == nil {
		t.err = err
	}
	t.lost = t.lost || lost
}

// advance calls the request whose answer comes next, or ends the train. It returns how long the answer took that has
// come.
func (t *train) advance(out *outcome, lostNow bool) (took time.Duration) {
	t.mu.Lock()
	now := time.Now()
	took = now.Sub(t.since)
	if out.broken {
		err := out.err
		if err == nil {
			err = errLost
		}
		t.failLocked(err, lostNow)
	}
	t.since = now
	broken := out.broken
	for t.next < len(t.seats) {
		s := t.seats[t.next]
		t.next++
		switch {
		case s.left && broken:
			continue
		case s.left:
			t.mu.Unlock()
			go t.drain()
			return took
		case broken:
			s.called = true
			s.turn <- turn{what: lost}
			continue
		}
		s.called = true
		t.mu.Unlock()
		s.turn <- turn{what: ride}
		return took
	}
	t.running = false
	t.timer.Stop()
	t.mu.Unlock()
	t.end()
	return took
}

// end gives the connection to the next train or back to the pool.
func (t *train) end() {
	res, pool := t.res, t.lane.pool
	_ = t.pipeline.Close() // reads on and fails when an answer was not read to its end; that is known
	if t.err == nil && (t.conn.pg.IsClosed() || t.conn.pg.TxStatus() != 'I') {
		t.err = errLost
	}
	switch {
	case t.err == nil && !t.stalled:
		t.lane.next(res)
		return
	case t.err == nil:
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

// evict sends all elsewhere who were not called yet.
func (t *train) evict() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.evictLocked()
}

func (t *train) evictLocked() {
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
	t.evictLocked()
	t.lane.next(nil)
}

// watcher ends the statement of the request whose answer is being read when its context ends.
type watcher struct {
	pgconn.CancelRequestContextWatcherHandler
	train *train
}

func newWatcher(t *train) *ctxwatch.ContextWatcher {
	return ctxwatch.NewContextWatcher(&watcher{
		CancelRequestContextWatcherHandler: pgconn.CancelRequestContextWatcherHandler{Conn: t.conn.pg, DeadlineDelay: cancelTimeout},
		train:                              t,
	})
}

// HandleCancel sends the cancel request when nobody else can be met by it.
func (w *watcher) HandleCancel(ctx context.Context) {
	w.train.evict()
	w.CancelRequestContextWatcherHandler.HandleCancel(ctx)
}
