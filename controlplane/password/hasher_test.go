package password

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func newHasher(t testing.TB, o Options) *Hasher {
	t.Helper()
	h, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// occupy keeps all workers busy until the returned function is called.
func occupy(t testing.TB, h *Hasher) (release func()) {
	t.Helper()
	stop := make(chan struct{})
	var running, ended sync.WaitGroup
	for range h.started {
		running.Add(1)
		ended.Go(func() {
			if err := h.do(context.Background(), func() { running.Done(); <-stop }); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	return sync.OnceFunc(func() { close(stop); ended.Wait() })
}

// eventually waits until a condition holds that goroutines are about to make true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

func TestHasher(t *testing.T) {
	t.Parallel()
	h, ctx := newHasher(t, Options{Cost: 4}), t.Context()
	hash, err := h.Hash(ctx, "correct horse")
	if err != nil || !strings.HasPrefix(hash, "$2a$04$") {
		t.Fatalf("got %q %v", hash, err)
	}
	if matched, rehash, err := h.Compare(ctx, hash, "correct horse"); !matched || rehash || err != nil {
		t.Errorf("right: %t %t %v", matched, rehash, err)
	}
	if matched, rehash, err := h.Compare(ctx, hash, "battery"); matched || rehash || err != nil {
		t.Errorf("wrong: %t %t %v", matched, rehash, err)
	}
	if matched, rehash, err := h.Compare(ctx, "", "battery"); matched || rehash || err != nil {
		t.Errorf("no user: %t %t %v", matched, rehash, err)
	}
	for password, want := range map[string]error{
		strings.Repeat("k9", 36) + "x": ErrTooLong,
		strings.Repeat("🍏", 19):        ErrTooLong,
		"a\x00":                        ErrNUL,
		"\x00":                         ErrNUL,
	} {
		if hash, err := h.Hash(ctx, password); !errors.Is(err, want) || hash != "" {
			t.Errorf("%q: got %q %v", password, hash, err)
		}
	}
	if err := h.SetCost(5); err != nil {
		t.Fatal(err)
	}
	if matched, rehash, err := h.Compare(ctx, hash, "correct horse"); !matched || !rehash || err != nil {
		t.Errorf("after the cost rose: %t %t %v", matched, rehash, err)
	}
	if hash, err := h.Hash(ctx, "correct horse"); err != nil || !strings.HasPrefix(hash, "$2a$05$") {
		t.Errorf("after the cost rose: %q %v", hash, err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Cost: 3}, {Cost: 15}, {Cost: -1}, {Workers: -1}, {Queue: -1}} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v accepted", o)
		}
	}
	h := newHasher(t, Options{Cost: 4})
	if err := h.SetCost(15); err == nil || h.cost.Load() != 4 {
		t.Errorf("cost 15: %v", err)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	h := newHasher(t, Options{})
	if h.cost.Load() != 10 || h.capacity != int64(h.started+32*runtime.GOMAXPROCS(0)) {
		t.Errorf("cost %d, capacity %d", h.cost.Load(), h.capacity)
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	h := newHasher(t, Options{Cost: 4, Workers: 2, Queue: 3})
	release := occupy(t, h)
	defer release()
	var answered atomic.Int64
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := h.Hash(context.Background(), "x"); err != nil {
				t.Errorf("in the queue: %v", err)
			}
			answered.Add(1)
		})
	}
	eventually(t, "queue full", func() bool { return h.inside.Load() == 5 })
	for range 10 { // each refusal leaves the count as it was
		if _, err := h.Hash(t.Context(), "x"); !errors.Is(err, ErrBusy) {
			t.Errorf("queue full: %v", err)
		}
		if _, _, err := h.Compare(t.Context(), "", "x"); !errors.Is(err, ErrBusy) {
			t.Errorf("queue full: %v", err)
		}
	}
	if answered.Load() != 0 {
		t.Error("somebody was answered while all workers were busy")
	}
	release()
	wg.Wait()
	if _, err := h.Hash(t.Context(), "x"); err != nil || h.inside.Load() != 0 {
		t.Errorf("afterwards: %v, %d inside", err, h.inside.Load())
	}
}

// Who gives up while waiting leaves the queue at once and costs no work.
func TestCancelledWhileWaiting(t *testing.T) {
	t.Parallel()
	h := newHasher(t, Options{Cost: 4, Workers: 1, Queue: 1})
	release := occupy(t, h)
	defer release()
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		var worked atomic.Bool
		go func() { ended <- h.do(ctx, func() { worked.Store(true) }) }()
		eventually(t, "waiting", func() bool { return h.inside.Load() == 2 })
		cancel()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("still waiting after it was cancelled")
		}
		if h.inside.Load() != 1 || worked.Load() {
			t.Errorf("%d inside, worked %t", h.inside.Load(), worked.Load())
		}
	}
}

func TestCancelledBefore(t *testing.T) {
	t.Parallel()
	h := newHasher(t, Options{Cost: 4})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 { // a worker is free, so both cases of the select would be ready
		if err := h.do(ctx, func() { t.Error("worked") }); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	}
}

// Who gives up while the worker is at it returns at once; the place in the
// count is free only when the worker is.
func TestCancelledWhileWorking(t *testing.T) {
	t.Parallel()
	h := newHasher(t, Options{Cost: 4, Workers: 1, Queue: 1})
	ctx, cancel := context.WithCancel(t.Context())
	started, stop, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() { ended <- h.do(ctx, func() { close(started); <-stop }) }()
	<-started
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if h.inside.Load() != 1 {
		t.Errorf("%d inside", h.inside.Load())
	}
	close(stop)
	if _, err := h.Hash(t.Context(), "x"); err != nil || h.inside.Load() != 0 {
		t.Errorf("afterwards: %v, %d inside", err, h.inside.Load())
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	h, err := New(Options{Cost: 4, Workers: 1, Queue: 5})
	if err != nil {
		t.Fatal(err)
	}
	started, stop := make(chan struct{}), make(chan struct{})
	working, waiting, closed := make(chan error), make(chan error), make(chan struct{})
	go func() { working <- h.do(context.Background(), func() { close(started); <-stop }) }()
	<-started
	go func() { waiting <- h.do(context.Background(), func() { t.Error("worked after Close") }) }()
	eventually(t, "waiting", func() bool { return h.inside.Load() == 2 })
	go func() { h.Close(); close(closed) }()
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Errorf("waiting: %v", err)
	}
	select {
	case <-closed:
		t.Error("closed before the work was done")
	default:
	}
	close(stop)
	if err := <-working; err != nil {
		t.Errorf("working: %v", err)
	}
	<-closed
	h.Close() // once more does no harm
	if _, err := h.Hash(t.Context(), "x"); !errors.Is(err, ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
	if _, _, err := h.Compare(t.Context(), "", "x"); !errors.Is(err, ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
}

// A system without priorities of threads gets half as many ordinary workers.
func TestWithoutPriorities(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 8: 4} {
		h := &Hasher{jobs: make(chan job), closed: make(chan struct{}), capacity: 100}
		h.start(n, func() error { return errors.ErrUnsupported })
		if h.started != want || h.nice {
			t.Errorf("%d asked: %d started, nice %t", n, h.started, h.nice)
		}
		release := occupy(t, h) // that many work at the same time
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := h.do(ctx, func() {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d asked: one more than %d works: %v", n, want, err)
		}
		cancel()
		release()
		h.Close()
	}
}

// Under a flood everybody is either answered rightly or told that we are busy.
func TestFlood(t *testing.T) {
	t.Parallel()
	h := newHasher(t, Options{Cost: 4, Workers: 2, Queue: 4})
	hash := mustHash(t, "right", 4)
	var answered, busy atomic.Int64
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			password := []string{"right", "wrong"}[i%2]
			switch matched, _, err := h.Compare(context.Background(), hash, password); {
			case errors.Is(err, ErrBusy):
				busy.Add(1)
			case err != nil || matched != (password == "right"):
				t.Errorf("%s: %t %v", password, matched, err)
			default:
				answered.Add(1)
			}
		})
	}
	wg.Wait()
	if answered.Load() < 6 || answered.Load()+busy.Load() != 200 || h.inside.Load() != 0 {
		t.Errorf("%d answered, %d busy, %d inside", answered.Load(), busy.Load(), h.inside.Load())
	}
}

func BenchmarkCompare(b *testing.B) {
	h := newHasher(b, Options{})
	hash := mustHash(b, "right", DefaultCost)
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := h.Compare(context.Background(), hash, "wrong"); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkBareBcrypt(b *testing.B) {
	hash := mustHash(b, "right", DefaultCost)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			compare(hash, "wrong", DefaultCost)
		}
	})
}
