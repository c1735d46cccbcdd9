package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
)

// Statements of the lane's tests: one that is fast, one that waits while its table is locked, one that fails for one row.
const (
	laneNote   = "select body from public.notes where id = $1"
	laneLocked = "select count(*)::text from public.gate"
	laneNap    = "select pg_sleep(0.01)::text"
	laneError  = "select (1 / (id - $1::int))::text from public.notes where id = 1"
)

var laneStatements = []string{laneNote, laneLocked, laneNap, laneError}

// laneSetup opens a gateway whose data pool has size connections, each of which knows the tests' statements as fast.
func laneSetup(t *testing.T, size int) *fixture {
	t.Helper()
	f := setup(t, func(c *Config) { c.API.Size = size })
	f.exec(t, `create table public.gate (); grant select on public.gate to authenticated`)
	for _, sql := range laneStatements {
		st := Statement{SQL: sql}
		if strings.Contains(sql, "$1") {
			st.Args = [][]byte{[]byte("3")}
		}
		var inside, all sync.WaitGroup // at once, so that each has a connection of its own
		inside.Add(size)
		for range size {
			all.Go(func() {
				if err := f.Query(t.Context(), annCaller(), st, read, func([][]byte) error {
					inside.Done()
					inside.Wait()
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	return f
}

// stop keeps the lane from sending anything until start is called; those who come queue up.
func (f *fixture) stop() (start func()) {
	l := f.api.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, sql := range laneStatements { // whatever the machine has been doing meanwhile
		l.pace.of(statementKey{role: "authenticated", sql: sql}).Store(100)
	}
	limit := l.limit
	l.limit, l.running = 0, l.running+1
	return func() {
		l.mu.Lock()
		l.limit = limit
		l.mu.Unlock()
		l.next(nil)
	}
}

// queued waits until n requests are in the queue.
func (f *fixture) queued(t *testing.T, n int) {
	t.Helper()
	l := f.api.lane
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		have := 0
		for _, s := range l.queue {
			if s.queued {
				have++
			}
		}
		l.mu.Unlock()
		if have == n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d requests are queued instead of %d", have, n)
		}
	}
}

// idle fails when the lane counts trains although none is under way.
func (f *fixture) idle(t *testing.T) {
	t.Helper()
	l := f.api.lane
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		running, queue := l.running, len(l.queue)
		l.mu.Unlock()
		if running == 0 && queue == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d trains, %d requests wait", running, queue)
		}
	}
}

// asked is what a request in the background got.
type asked struct {
	got  []string
	err  error
	took time.Duration
}

func (f *fixture) ask(ctx context.Context, c Caller, sql string, args ...string) <-chan asked {
	answer := make(chan asked, 1)
	go func() {
		started := time.Now()
		got, err := f.query(ctx, c, read, sql, args...)
		answer <- asked{got, err, time.Since(started)}
	}()
	return answer
}

// train queues requests in their order and sends them together.
func (f *fixture) train(t *testing.T, asks ...func() <-chan asked) []<-chan asked {
	t.Helper()
	start := f.stop()
	var answers []<-chan asked
	for i, ask := range asks {
		answers = append(answers, ask())
		f.queued(t, i+1)
	}
	start()
	return answers
}

func (f *fixture) note(t *testing.T, c Caller, id int) func() <-chan asked {
	return func() <-chan asked { return f.ask(t.Context(), c, laneNote, fmt.Sprint(id)) }
}

func want(t *testing.T, name string, answer <-chan asked, rows ...string) asked {
	t.Helper()
	select {
	case a := <-answer:
		if a.err != nil || fmt.Sprint(a.got) != fmt.Sprint(rows) {
			t.Errorf("%s: %q, %v", name, a.got, a.err)
		}
		return a
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: no answer", name)
		panic("unreachable")
	}
}

// lock makes laneLocked wait until unlock is called.
func (f *fixture) lock(t *testing.T) (unlock func()) {
	t.Helper()
	tx, err := f.super.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), `lock table public.gate`)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	return func() {
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// locked waits until laneLocked does.
func (f *fixture) locked(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); f.value(t, `select count(*) from pg_locks where not granted and relation = 'public.gate'::regclass`) == "0"; {
		if time.Now().After(deadline) {
			t.Fatal("nobody waits for the lock")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestTrainIsOneWrite(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 1)
	var asks []func() <-chan asked
	for range maxTrain {
		asks = append(asks, f.note(t, annCaller(), 1))
	}
	asks = append(asks, f.note(t, annCaller(), 3))
	f.wire.Reset()
	answers := f.train(t, asks...)
	for i, a := range answers[:maxTrain] {
		want(t, fmt.Sprint(i), a, "note 1")
	}
	want(t, "the ninth", answers[maxTrain], "note 3")
	if c := f.wire.Counts(); c.Writes != 2 || c.Ready != maxTrain+1 || c.Frontend['P'] != 0 {
		t.Errorf("%d writes, %d ends of transaction, %d statements parsed", c.Writes, c.Ready, c.Frontend['P'])
	}
	f.idle(t)
}

// Each request of a train is its own: caller, rights, refusal, error.
func TestTrainKeepsRequestsApart(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 1)
	ended := annCaller()
	ended.SessionID = uuid.New()
	divided := func() <-chan asked { return f.ask(t.Context(), annCaller(), laneError, "1") }
	answers := f.train(t, f.note(t, annCaller(), 1), f.note(t, bobCaller(), 1), f.note(t, ended, 1), f.note(t, bobCaller(), 2), divided,
		f.note(t, annCaller(), 3))
	want(t, "ann", answers[0], "note 1")
	want(t, "bob, ann's note", answers[1])
	if a := <-answers[2]; state(a.err) != "ZF401" {
		t.Errorf("a session that is no more: %q, %v", a.got, a.err)
	}
	want(t, "bob", answers[3], "note 2")
	if a := <-answers[4]; state(a.err) != "22012" {
		t.Errorf("1 / 0: %q, %v", a.got, a.err)
	}
	want(t, "ann again", answers[5], "note 3")
	f.idle(t)
}

func TestCallersInTrainsAreNotMixed(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 4)
	var wrong atomic.Int32
	var all sync.WaitGroup
	for n := range 32 {
		all.Go(func() {
			for i := range 100 {
				c, id := annCaller(), 1+2*((n+i)%5)
				if n%2 == 1 {
					c, id = bobCaller(), id+1
				}
				own, err := f.query(t.Context(), c, read, laneNote, fmt.Sprint(id))
				if err != nil || len(own) != 1 || own[0] != fmt.Sprint("note ", id) {
					wrong.Add(1)
					t.Errorf("own note %d: %q, %v", id, own, err)
				}
				foreign, err := f.query(t.Context(), c, read, laneNote, fmt.Sprint(11-id))
				if err != nil || len(foreign) != 0 {
					wrong.Add(1)
					t.Errorf("foreign note %d: %q, %v", 11-id, foreign, err)
				}
				if wrong.Load() > 3 {
					return
				}
			}
		})
	}
	all.Wait()
	f.idle(t)
}

// Nobody waits for long because somebody before him in a train does.
func TestStalledTrain(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 2)
	unlock := f.lock(t)
	slow := func() <-chan asked { return f.ask(t.Context(), annCaller(), laneLocked) }
	nap := func() <-chan asked { return f.ask(t.Context(), annCaller(), laneNap) } // the train is looked at before it stalls
	answers := f.train(t, nap, slow, f.note(t, annCaller(), 3), f.note(t, bobCaller(), 2))
	for i, row := range map[int]string{0: "", 2: "note 3", 3: "note 2"} {
		if a := want(t, row, answers[i], row); a.took > 2*time.Second {
			t.Errorf("%s took %v", row, a.took)
		}
	}
	want(t, "a request while the train stands", f.note(t, annCaller(), 5)(), "note 5")
	unlock()
	want(t, "the slow one", answers[1], "0")
	f.idle(t)
	if f.api.lane.pace.of(statementKey{role: "authenticated", sql: laneLocked}).fast() {
		t.Error("a statement that took long is called fast")
	}
	want(t, "afterwards", f.note(t, annCaller(), 7)(), "note 7")
}

// A request that is canceled takes nobody with it: those behind it are elsewhere before the cancel request is sent.
func TestCancelInTrain(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 2)
	f.lock(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answers := f.train(t, func() <-chan asked { return f.ask(ctx, annCaller(), laneLocked) }, f.note(t, annCaller(), 1), f.note(t, bobCaller(), 2))
	f.locked(t)
	cancel()
	if a := <-answers[0]; !errors.Is(a.err, context.Canceled) || a.took > 2*time.Second {
		t.Errorf("canceled: %q, %v after %v", a.got, a.err, a.took)
	}
	if n := f.value(t, `select count(*) from pg_locks where not granted and relation = 'public.gate'::regclass`); n != "0" {
		t.Error("PostgreSQL still runs the statement")
	}
	for i, row := range map[int]string{1: "note 1", 2: "note 2"} {
		want(t, row, answers[i], row)
	}
	f.idle(t)
}

// An answer that nobody waits for any more is nobody's.
func TestLeaveTrain(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 2)
	f.api.lane.stall = time.Hour
	unlock := f.lock(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answers := f.train(t, func() <-chan asked { return f.ask(t.Context(), annCaller(), laneLocked) },
		func() <-chan asked { return f.ask(ctx, annCaller(), laneNote, "1") }, f.note(t, bobCaller(), 2), f.note(t, annCaller(), 3))
	f.locked(t)
	cancel()
	if a := <-answers[1]; !errors.Is(a.err, context.Canceled) {
		t.Errorf("canceled: %q, %v", a.got, a.err)
	}
	unlock()
	for i, row := range map[int]string{0: "0", 2: "note 2", 3: "note 3"} {
		want(t, row, answers[i], row)
	}
	f.idle(t)
}

func TestLeaveQueue(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	start := f.stop()
	first, second := f.note(t, annCaller(), 1)(), f.ask(ctx, annCaller(), laneNote, "3")
	f.queued(t, 2)
	cancel()
	if a := <-second; !errors.Is(a.err, context.Canceled) {
		t.Errorf("canceled: %q, %v", a.got, a.err)
	}
	start()
	want(t, "first", first, "note 1")
	f.idle(t)
}

// A statement that a connection does not know yet is sent alone, and prepared once.
func TestTrainKnowsItsStatements(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 1)
	sql := laneNote + " and true"
	f.api.lane.pace.of(statementKey{role: "authenticated", sql: sql}).Store(100)
	f.wire.Reset()
	first := func() <-chan asked { return f.ask(t.Context(), annCaller(), sql, "1") }
	for _, answer := range f.train(t, f.note(t, annCaller(), 1), first, first, first) {
		want(t, "each", answer, "note 1")
	}
	if c := f.wire.Counts(); c.Frontend['P'] != 1 || c.Writes != 3 {
		t.Errorf("%d writes, %d statements parsed", c.Writes, c.Frontend['P'])
	}
	f.idle(t)
}

// When the first of a train has left before it goes, another leads it.
func TestFirstInTrainLeaves(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	start := f.stop()
	first := f.ask(ctx, annCaller(), laneNote, "1")
	f.queued(t, 1)
	second := f.note(t, bobCaller(), 2)()
	f.queued(t, 2)
	cancel()
	<-first
	start()
	want(t, "second", second, "note 2")
	f.idle(t)
}

func TestTrainOnBrokenConnection(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 2)
	for _, mode := range []string{"terminated", "panic", "damaged"} {
		t.Run(mode, func(t *testing.T) {
			head := f.note(t, annCaller(), 1)
			switch mode {
			case "terminated":
				f.exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'fluxbase_api' and datname = current_database()`)
			case "panic":
				head = func() <-chan asked {
					answer := make(chan asked, 1)
					go func() {
						defer func() { answer <- asked{got: []string{fmt.Sprint(recover())}} }()
						_ = f.Query(t.Context(), annCaller(), Statement{SQL: laneNote, Args: [][]byte{[]byte("1")}}, read,
							func([][]byte) error { panic("note 1") })
					}()
					return answer
				}
			case "damaged":
				// A volatile function behind a statement that nobody called volatile drops the gate.
				f.exec(t, `create or replace function public.damage() returns text language plpgsql as $$
					begin deallocate all; return 'note 1'; end $$`)
				sql := "select public.damage()"
				f.api.lane.pace.of(statementKey{role: "authenticated", sql: sql}).Store(100)
				head = func() <-chan asked { return f.ask(t.Context(), annCaller(), sql) }
			}
			answers := f.train(t, head, f.note(t, annCaller(), 3), f.note(t, bobCaller(), 2), f.note(t, annCaller(), 5))
			for i, row := range []string{"note 1", "note 3", "note 2", "note 5"} {
				want(t, row, answers[i], row)
			}
			f.idle(t)
			for range 3 { // on each connection
				want(t, "afterwards", f.note(t, annCaller(), 7)(), "note 7")
			}
		})
	}
}

// A lane that is never empty leaves the connection to others.
func TestLaneIsFair(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 16 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if _, err := f.query(ctx, annCaller(), read, laneNote, "1"); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		started := time.Now()
		f.one(t, annCaller(), write, `update public.notes set body = body where id = 1 returning body`)
		if took := time.Since(started); took > 2*time.Second {
			t.Errorf("a write waited %v", took)
		}
	}
	cancel()
	readers.Wait()
	f.idle(t)
}

func TestLaneIsBusy(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 1)
	f.api.timeout = 50 * time.Millisecond
	start := f.stop()
	if _, err := f.query(t.Context(), annCaller(), read, laneNote, "1"); !errors.Is(err, ErrBusy) {
		t.Errorf("a request that never gets its turn: %v", err)
	}
	start()
	want(t, "afterwards", f.note(t, annCaller(), 1)(), "note 1")
	f.idle(t)

	// Time in the queue counts when the request then waits for a connection.
	f.api.timeout = time.Second
	start = f.stop()
	res, err := f.api.acquire(t.Context(), false, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	answer := f.note(t, annCaller(), 1)()
	f.queued(t, 1)
	time.Sleep(700 * time.Millisecond)
	start()
	if a := <-answer; !errors.Is(a.err, ErrBusy) || a.took > 1500*time.Millisecond {
		t.Errorf("queue and pool: %q, %v after %v", a.got, a.err, a.took)
	}
	f.api.release(res)
	f.idle(t)
}

func TestPace(t *testing.T) {
	t.Parallel()
	cell := newPace().of(statementKey{role: "anon", sql: "select 1"})
	if cell.fast() {
		t.Error("a statement that never ran is fast")
	}
	cell.add(10 * time.Millisecond)
	if cell.fast() {
		t.Error("10 ms are fast")
	}
	for range 10 {
		cell.add(100 * time.Microsecond)
	}
	if !cell.fast() {
		t.Errorf("%d us after ten times 100 us", cell.Load())
	}
	cell.add(0)
	cell.add(time.Second)
	if cell.fast() {
		t.Error("a second is fast")
	}
}

// state is the SQLSTATE of an error, or empty.
func state(err error) string {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return ""
}
