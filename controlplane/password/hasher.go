package password

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

var (
	// ErrBusy: as many passwords are waiting as may wait. HTTP answers 503 with Retry-After.
	ErrBusy = errors.New("too many passwords are waiting to be hashed")
	// ErrClosed: the hasher was closed.
	ErrClosed = errors.New("password hasher is closed")
)

// Options of a Hasher.
type Options struct {
	Cost    int // bcrypt cost, MinCost to MaxCost; 0 is DefaultCost
	Workers int // threads; 0 is one a processor (GOMAXPROCS at the time of New)
	Queue   int // how many may wait while all workers are busy; 0 is 32 a worker, about 2 s of work at cost 10
}

// Hasher hashes and compares passwords on a few threads of its own.
//
// On Linux there is one worker a processor, each an operating system thread of
// the lowest priority (nice 19): alone they use the machine in full, beside
// other work they take what it leaves. They still occupy a P of the Go
// scheduler each, hence RecommendedMaxProcs. Where a thread cannot have its own
// priority, half as many ordinary workers do the work.
//
// All methods are safe for concurrent use. bcrypt cannot be interrupted: a
// caller whose context ends while a worker has its password returns at once,
// the worker finishes nevertheless.
type Hasher struct {
	jobs     chan job      // unbuffered: who waits to send is the queue, in order
	closed   chan struct{} // closed by Close
	close    sync.Once
	workers  sync.WaitGroup
	capacity int64        // jobs that may be at work or waiting
	inside   atomic.Int64 // jobs that are
	cost     atomic.Int64
	started  int  // workers
	nice     bool // they are of low priority
	maxProcs int
}

// job is work for a worker; it must not block.
type job func()

// New starts the workers. Close ends them.
func New(o Options) (*Hasher, error) {
	procs := runtime.GOMAXPROCS(0)
	if o.Cost == 0 {
		o.Cost = DefaultCost
	}
	if o.Workers == 0 {
		o.Workers = procs
	}
	if o.Queue == 0 {
		o.Queue = 32 * o.Workers
	}
	if o.Workers < 0 || o.Queue < 0 {
		return nil, errors.New("password hasher: negative number of workers or queue")
	}
	h := &Hasher{jobs: make(chan job), closed: make(chan struct{}), maxProcs: procs}
	if err := h.SetCost(o.Cost); err != nil {
		return nil, err
	}
	h.start(o.Workers, lowerPriority)
	h.capacity = int64(h.started + o.Queue)
	if h.nice {
		h.maxProcs += h.started
	}
	return h, nil
}

// start starts n workers on threads whose priority lower can lower, or half as
// many where it cannot.
func (h *Hasher) start(n int, lower func() error) {
	lowered := make(chan bool)
	h.workers.Add(n)
	for i := range n {
		go onOwnThread(func() {
			defer h.workers.Done()
			ok := lower() == nil
			lowered <- ok
			if ok || i < max(1, n/2) {
				h.work()
			}
		})
	}
	h.started, h.nice = n, true
	for range n {
		if !<-lowered {
			h.started, h.nice = max(1, n/2), false
		}
	}
}

// onOwnThread runs f on a thread that ends with it: no other goroutine ever
// runs there or starts threads from there. The main thread cannot end, and its
// priority is what others see as that of the process, so f runs elsewhere.
func onOwnThread(f func()) {
	runtime.LockOSThread() // never unlocked, so that the thread ends
	if !onMainThread() {
		f()
		return
	}
	elsewhere := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(elsewhere)
		f()
	}()
	<-elsewhere
	runtime.UnlockOSThread()
}

func (h *Hasher) work() {
	for {
		select {
		case <-h.closed:
			return
		case do := <-h.jobs:
			do()
		}
	}
}

// Close lets the workers finish what they have begun and ends them. Callers
// that wait get ErrClosed.
func (h *Hasher) Close() {
	h.close.Do(func() { close(h.closed) })
	h.workers.Wait()
}

// SetCost changes the cost of hashes from now on.
func (h *Hasher) SetCost(cost int) error {
	if cost < MinCost || cost > MaxCost {
		return fmt.Errorf("bcrypt cost %d is not between %d and %d", cost, MinCost, MaxCost)
	}
	h.cost.Store(int64(cost))
	return nil
}

// RecommendedMaxProcs is what to set runtime.GOMAXPROCS to: as it was when New
// was called, plus one for each worker of low priority, so that a worker which
// the system leaves without time does not hold a P that requests need.
func (h *Hasher) RecommendedMaxProcs() int { return h.maxProcs }

// Hash returns the bcrypt hash of a password at the hasher's cost. Errors:
// ErrTooLong, ErrNUL, ErrBusy, ErrClosed, and those of the context.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := check(password); err != nil {
		return "", err
	}
	cost := int(h.cost.Load())
	var (
		hash string
		err  error
	)
	if waitErr := h.do(ctx, func() { hash, err = generate(password, cost) }); waitErr != nil {
		return "", waitErr
	}
	return hash, err
}

// Compare reports whether the password is that of the stored hash, and if so
// whether it should be hashed again because the cost has risen since.
//
// It always does the work of one comparison at the hasher's cost, so that time
// tells nothing: also when the hash is empty (there is no such user, or one
// without password), malformed or of a cost above 16, none of which ever
// matches; when it has a lower cost (the difference is made up for); and when
// the password is one that Hash refuses, which never matches. Only a hash of a
// higher cost than the hasher's takes longer: after the setting was lowered or
// after an import, its owner can be told from an unknown user.
//
// Errors: ErrBusy, ErrClosed, and those of the context.
func (h *Hasher) Compare(ctx context.Context, hash, password string) (matched, rehash bool, err error) {
	cost := int(h.cost.Load())
	var m, r bool
	if err := h.do(ctx, func() { m, r = compare(hash, password, cost) }); err != nil {
		return false, false, err
	}
	return m, r, nil
}

// do runs f on a worker and waits for it. What f writes may be read only after
// do returned nil.
func (h *Hasher) do(ctx context.Context, f func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if h.inside.Add(1) > h.capacity {
		h.inside.Add(-1)
		return ErrBusy
	}
	done := make(chan struct{})
	select {
	case h.jobs <- func() { f(); h.inside.Add(-1); close(done) }:
	case <-ctx.Done():
		h.inside.Add(-1)
		return ctx.Err()
	case <-h.closed:
		h.inside.Add(-1)
		return ErrClosed
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
