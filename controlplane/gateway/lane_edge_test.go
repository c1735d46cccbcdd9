package gateway

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// seat returns the seat of a request for Ann's first note, and counts it as a train under way if it leads one.
func (f *fixture) seat(ctx context.Context, leads bool) *seat {
	caller := annCaller()
	r := &request{pool: f.api, caller: &caller, readOnly: true, batch: batch{gate: requestGate, row: ignore,
		key: statementKey{role: "authenticated", sql: laneNote}, args: [][]byte{[]byte("1")}}}
	f.sign(new(envelope), r, f.key.Load())
	s := newSeat(ctx, r, new(cellTime))
	l := f.api.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.queued = !leads; leads {
		l.running++
	} else {
		l.queue = append(l.queue, s)
	}
	return s
}

// A request whose answer is complete is not watched any more, even if the train is looked at before the next is called:
// the end of its context would cancel somebody else's statement, or the next one to be watched would meet it.
func TestNoWatchAfterAnswer(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := f.seat(ctx, true)
	train, err := f.api.lane.depart(ctx, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	train.read(&s.request.batch, s.prepared, &s.out, true)
	train.unwatch()
	train.mu.Lock()
	train.since = time.Now().Add(-time.Hour)
	train.mu.Unlock()
	train.check()
	train.advance(ctx, &s.out)

	nap := f.ask(t.Context(), annCaller(), "select pg_sleep(0.3)::text || 'slept'") // on the same connection
	time.Sleep(100 * time.Millisecond)
	cancel()
	want(t, "somebody else", nap, "slept")
	f.idle(t)
}

// Those behind a request that lost its connection hear of it when the pool knows, or else they would be sent a second time,
// which is the last, on another connection of the server that went away.
func TestLostAfterDiscard(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 1)
	f.exec(t, `select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = 'fluxbase_api' and datname = current_database()`)
	first, second := f.seat(t.Context(), true), f.seat(t.Context(), false)
	second.turn = make(chan turn) // nobody can tell it before it listens
	train, err := f.api.lane.depart(t.Context(), first, nil)
	if err != nil {
		t.Fatal(err)
	}
	generation := f.api.generation.Load()
	go train.take(t.Context(), first)
	for deadline := time.Now().Add(5 * time.Second); f.api.generation.Load() == generation; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("the pool does not know")
			break
		}
	}
	if turn := <-second.turn; turn.what != lost {
		t.Error(turn.what)
	}
	f.idle(t)
}

// A statement that the connection does not know gets into no train behind a request that has left.
func TestUnknownStatementBehindOneThatLeft(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 1)
	sql := laneNote + " and true"
	f.api.lane.pace.of(statementKey{role: "authenticated", sql: sql}).Store(100)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stay, left []<-chan asked
	start := f.stop()
	for i, sql := range []string{laneNote, sql, sql} {
		stay = append(stay, f.ask(t.Context(), annCaller(), sql, "1"))
		f.queued(t, 2*i+1)
		left = append(left, f.ask(ctx, annCaller(), laneNote, "1"))
		f.queued(t, 2*i+2)
	}
	cancel()
	for _, answer := range left {
		<-answer
	}
	f.wire.Reset()
	start()
	for _, answer := range stay {
		want(t, "who stayed", answer, "note 1")
	}
	if c := f.wire.Counts(); c.Frontend['P'] != 1 {
		t.Errorf("%d statements parsed", c.Frontend['P'])
	}
	f.idle(t)
}

// deaf is a connection that drops what it receives once all are told to.
type deaf struct {
	net.Conn
	on *atomic.Bool
}

func (d deaf) Read(p []byte) (int, error) {
	for {
		n, err := d.Conn.Read(p)
		if err != nil || !d.on.Load() {
			return n, err
		}
	}
}

// A request that is canceled ends, even if the server does not answer any more.
func TestCancelWithoutAnswer(t *testing.T) {
	t.Parallel()
	var on atomic.Bool
	f := setup(t, func(c *Config) {
		c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := dial(ctx, network, address)
			return deaf{nc, &on}, err
		}
	})
	f.one(t, annCaller(), read, laneNote, "1")
	f.stop()()
	on.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	select {
	case a := <-f.ask(ctx, annCaller(), laneNote, "1"):
		if !errors.Is(a.err, context.DeadlineExceeded) {
			t.Errorf("%q, %v", a.got, a.err)
		}
	case <-time.After(cancelTimeout + 10*time.Second):
		t.Error("the request does not end")
		f.api.cut()
	}
	on.Store(false)
	f.idle(t)
}

// A lane that is never empty does not keep the gateway from closing: it gives its connection back.
func TestCloseWhileLaneIsFull(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 1)
	l := f.api.lane
	res, err := f.api.acquire(t.Context(), false, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	l.running++ // the train that holds it
	l.pace.of(statementKey{role: "authenticated", sql: laneNote}).Store(100)
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	closed := make(chan error, 1)
	go func() { closed <- f.Close(ctx) }()
	time.Sleep(200 * time.Millisecond)
	answer := f.note(t, annCaller(), 1)()
	f.queued(t, 1)
	l.next(res)
	if a := <-answer; !errors.Is(a.err, ErrUnavailable) {
		t.Errorf("a request after the end: %q, %v", a.got, a.err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	f.idle(t)
}

// A connection prepares a statement anew that it found stale, whoever repeats the request, and wherever: a lane that is never
// empty keeps its connection.
func TestStaleStatement(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	f.exec(t, `create table public.wide (a int); grant select on public.wide to authenticated`)
	s := f.seat(t.Context(), true)
	f.api.lane.next(nil)
	s.request.batch.key.sql, s.request.batch.args = "select * from public.wide", nil
	res, err := f.api.acquire(t.Context(), false, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.api.release(res)
	c, b := res.Value(), &s.request.batch
	for i, want := range []string{"", "", codeFeatureNotSupported, "", ""} {
		if i == 2 {
			f.exec(t, `alter table public.wide add b int`)
		}
		ready := c.statements.ready(b.key)
		if out := c.run(t.Context(), b); state(out.err) != want || (out.err == nil) != (want == "") || ready != (i != 0 && i != 3) {
			t.Errorf("%d: %v, ready %t", i, out.err, ready)
		}
	}
}
