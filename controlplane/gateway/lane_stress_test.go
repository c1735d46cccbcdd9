package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Whatever happens to the requests of a lane at once, each sees its own rows or an error that it can expect, nothing is
// called after its end, and nothing is left behind.
func TestLaneUnderStress(t *testing.T) {
	t.Parallel()
	f := laneSetup(t, 4)
	f.api.lane.stall = 3 * time.Millisecond // so that many answers come while the train is looked at
	f.exec(t, `create or replace function public.damage() returns text language plpgsql as $$
		begin deallocate all; return 'note 0'; end $$`)
	const slow = "select body from public.notes, pg_sleep($2::float8) where id = $1"
	fast := func() { // whatever they took
		for _, sql := range append(laneStatements, slow, "select public.damage()", "copy public.notes to stdout") {
			f.api.lane.pace.of(statementKey{role: "authenticated", sql: sql}).Store(100)
		}
	}
	stop, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	var answers, ended, broken atomic.Int64
	request := func(n int) {
		caller, id := annCaller(), 1+2*rand.IntN(5)
		if n%2 == 1 {
			caller, id = bobCaller(), id+1
		}
		st := Statement{SQL: laneNote, Args: [][]byte{fmt.Append(nil, id)}}
		rows, expected, panics := 1, fmt.Sprint("note ", id), false
		ctx := t.Context()
		var may func(error) bool
		switch rand.IntN(24) {
		case 0, 1, 2: // canceled
			c, cancel := context.WithTimeout(ctx, rand.N(8*time.Millisecond))
			defer cancel()
			ctx, may = c, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }
		case 3, 4: // slow, and perhaps canceled
			st = Statement{SQL: slow, Args: [][]byte{st.Args[0], fmt.Appendf(nil, "%.4f", 0.001+rand.Float64()/150)}}
			c, cancel := context.WithTimeout(ctx, 5*time.Millisecond+rand.N(20*time.Millisecond))
			defer cancel()
			ctx, may = c, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }
		case 5: // the other one's
			st.Args[0] = fmt.Append(nil, 11-id)
			rows = 0
		case 6:
			caller.SessionID = uuid.New()
			rows, may = 0, func(err error) bool { return state(err) == "ZF401" }
		case 7:
			st = Statement{SQL: laneError, Args: [][]byte{[]byte("1")}}
			rows, may = 0, func(err error) bool { return state(err) == "22012" }
			if n%2 == 1 {
				may = nil // sees no row, divides nothing
			}
		case 8:
			panics = rand.IntN(4) == 0
		case 9:
			if rand.IntN(4) == 0 {
				st, expected = Statement{SQL: "select public.damage()"}, "note 0"
			}
		case 10:
			if rand.IntN(4) == 0 {
				st = Statement{SQL: "copy public.notes to stdout"}
				rows, may = 0, func(err error) bool { return errors.Is(err, ErrUnavailable) }
			}
		}
		if may == nil {
			may = func(error) bool { return false }
		}
		var over atomic.Bool
		got := 0
		err := func() (err error) {
			defer over.Store(true)
			defer func() {
				if recover() != nil {
					err = errLost
				}
			}()
			return f.Query(ctx, caller, st, read, func(row [][]byte) error {
				if over.Load() {
					t.Error("a row after the end")
				}
				if got++; string(row[0]) != expected {
					t.Errorf("%q instead of %q", row[0], expected)
				}
				if panics {
					panic("a row")
				}
				return nil
			})
		}()
		switch {
		case err == nil && got == rows:
			answers.Add(1)
		case err == nil:
			t.Errorf("%s %s: %d rows", st.SQL, st.Args, got)
		case may(err) || panics && err == errLost:
			ended.Add(1)
		case errors.Is(err, ErrUnavailable): // lost twice
			broken.Add(1)
		default:
			t.Errorf("%s %s: %v", st.SQL, st.Args, err)
		}
	}
	var all sync.WaitGroup
	for n := range 24 {
		all.Go(func() {
			for stop.Err() == nil && !t.Failed() {
				request(n)
			}
		})
	}
	all.Go(func() { // writes and key changes beside it
		for stop.Err() == nil && !t.Failed() {
			fast()
			if _, err := f.query(t.Context(), annCaller(), write, `update public.notes set body = body where id = 1`); err != nil && !errors.Is(err, ErrUnavailable) {
				t.Error("a write: ", err)
			}
			time.Sleep(rand.N(10 * time.Millisecond))
		}
	})
	all.Go(func() {
		for stop.Err() == nil {
			time.Sleep(rand.N(400 * time.Millisecond))
			f.exec(t, `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'fluxbase_api'
				and datname = current_database() and random() < 0.3`)
		}
	})
	all.Wait()
	f.idle(t)
	t.Logf("%d answers, %d ended as they should, %d lost twice", answers.Load(), ended.Load(), broken.Load())
	if answers.Load() < 100 || ended.Load() == 0 {
		t.Error("nothing happened")
	}
	time.Sleep(200 * time.Millisecond)
	for _, s := range f.Stats() {
		if s.Busy != 0 {
			t.Errorf("%d connections of %s are in use", s.Busy, s.Name)
		}
	}
	for n := range 16 {
		want(t, fmt.Sprint("afterwards ", n), f.note(t, annCaller(), 1)(), "note 1")
	}
}
