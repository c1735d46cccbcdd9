package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// lane is where a pool's read-only requests with fast statements go. It uses a part of the pool's connections, and while
// those are busy, the requests that wait are sent together: several in one write, each a transaction of its own behind
// its own gate. See [train].
type lane struct {
	pool  *pool
	pace  *pace
	stall time.Duration // see stallTime

	mu      sync.Mutex
	limit   int // trains that may be under way
	running int // those that are, or are about to be; without the stalled ones
	queue   []*seat
}

// maxTrain is the greatest number of requests in one write.
const maxTrain = 8

// seat is the place of one request in a lane.
type seat struct {
	request  *request
	ctx      context.Context // of the request
	took     *cellTime
	timer    *time.Timer // stopped, unless it waits
	turn     chan turn   // capacity 1; at most one turn comes
	out      outcome
	prepared *prepared // statement that the request prepares, or nil

	queued bool   // waits in the queue; guarded by lane.mu
	train  *train // which took it from the queue; guarded by lane.mu

	called bool // to read its answer; guarded by train.mu
	left   bool // nobody waits for its answer; guarded by train.mu
}

// turn is what a waiting request is told.
type turn struct {
	what what
	res  *resource // with lead: the connection to use, nil to acquire one
}

type what int

const (
	lead  what = iota // send the next train
	ride              // your answer is the next to be read
	lost              // the connection broke before your answer came
	leave             // something before you takes long: go alone
)

var seats = sync.Pool{New: func() any {
	s := &seat{turn: make(chan turn, 1), timer: time.NewTimer(time.Hour)}
	s.timer.Stop()
	return s
}}

// newSeat returns a seat for one attempt of a request.
func newSeat(ctx context.Context, r *request, took *cellTime) *seat {
	s := seats.Get().(*seat)
	s.request, s.ctx, s.took = r, ctx, took
	return s
}

// free gives back the seat of a request that was answered, or told that it is lost.
func (s *seat) free() {
	*s = seat{timer: s.timer, turn: s.turn}
	seats.Put(s)
}

func newLane(p *pool, size int) *lane {
	return &lane{pool: p, pace: newPace(), stall: stallTime, limit: max(size/2, 1)}
}

// takes reports whether a request belongs into the lane: it leaves nothing behind, can be sent a second time, and its
// statement is known to be fast.
func (l *lane) takes(r *request, took *cellTime) bool {
	b := &r.batch
	return b.gate != nil && !b.once && !b.fresh && !b.scrub && !b.rollback && b.before == nil && b.maxCost == 0 &&
		!r.triedConnection && !r.triedStatement && took.fast()
}

// enter reports whether the request is to send a train itself; otherwise it waits in the queue.
func (l *lane) enter(s *seat) (leads bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running < l.limit {
		l.running++
		return true
	}
	s.queued = true
	l.queue = append(l.queue, s)
	return false
}

// wait returns the turn of a request in the queue. After an error the seat must not be used again.
func (l *lane) wait(ctx context.Context, s *seat) (turn, error) {
	if s.request.until.IsZero() {
		s.request.until = time.Now().Add(l.pool.timeout)
	}
	s.timer.Reset(time.Until(s.request.until))
	defer s.timer.Stop()
	expired := s.timer.C
	for {
		select {
		case t := <-s.turn:
			return t, nil
		case <-expired:
			expired = nil // once on its way it waits no longer for a connection
			if _, queued := l.withdraw(s); queued {
				return turn{}, fmt.Errorf("%w: %s pool", ErrBusy, l.pool.name)
			}
		case <-ctx.Done():
			t, queued := l.withdraw(s)
			if queued || t != nil && t.withdraw(s) {
				return turn{}, fmt.Errorf("gateway: wait for a connection: %w", contextError(ctx))
			}
			return <-s.turn, nil
		}
	}
}

// withdraw takes a request out of the queue. When it is there no more, the train that has it is returned, or nil when it
// was called to lead one.
func (l *lane) withdraw(s *seat) (t *train, queued bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	queued, s.queued = s.queued, false
	return s.train, queued
}

// first returns the first request of the queue, or nil. The lane is locked.
func (l *lane) first() *seat {
	for len(l.queue) > 0 && !l.queue[0].queued { // withdrawn
		l.pop()
	}
	if len(l.queue) == 0 {
		return nil
	}
	return l.queue[0]
}

// pop removes the first of the queue. The lane is locked.
func (l *lane) pop() {
	l.queue[0].queued = false
	l.queue[0] = nil
	l.queue = l.queue[1:]
}

// fill moves requests from the queue into a train, as long as the connection knows their statements.
func (l *lane) fill(t *train, c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(t.seats) < maxTrain {
		s := l.first()
		if s == nil || !c.statements.ready(s.request.batch.key) {
			return
		}
		l.pop()
		s.train = t
		t.seats = append(t.seats, s)
	}
}

// next calls whoever waits to send the next train, on res if that is given and no one else waits for a connection.
func (l *lane) next(res *resource) {
	if res != nil && !l.pool.keeps(res) {
		l.pool.release(res)
		res = nil
	}
	l.mu.Lock()
	s := l.first()
	if s != nil {
		l.pop()
	} else {
		l.running--
	}
	l.mu.Unlock()
	switch {
	case s != nil:
		s.turn <- turn{what: lead, res: res}
	case res != nil:
		l.pool.release(res)
	}
}
