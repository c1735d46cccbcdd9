package catalog

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Loader reads a catalog, usually by Load.
type Loader func(context.Context) (*Catalog, error)

// Cache holds the current catalog. Reading it takes no lock; loads run one at a time. It is safe for
// concurrent use.
type Cache struct {
	load  Loader
	clock func() time.Time

	current atomic.Pointer[Catalog]

	loading sync.Mutex    // held while the database is read
	mu      sync.Mutex    // guards the rest
	next    *flight       // a load that has not begun to read yet
	miss    *flight       // the load that the last miss asked for
	spent   time.Time     // until when the loads of misses have had their share of the time
	took    time.Duration // the last load
}

// flight is one load and everybody who waits for it.
type flight struct {
	done chan struct{}
	err  error // valid after done
}

// The patience of a Cache.
const (
	// loadTimeout bounds one load; it is not bound to the request that asked for it.
	loadTimeout = 30 * time.Second
	// missInterval is the most, and missLeast the least time from one load to the next, of those that requests cause by
	// naming what is not there. Between them it is missShare times what the last load took, so that no more than a tenth
	// of a connection goes into it. missBurst loads may come at once: somebody makes a table, mistypes its name, and tries again.
	missInterval = 5 * time.Second
	missLeast    = 100 * time.Millisecond
	missShare    = 10
	missBurst    = 5
)

// NewCache returns a cache that is empty until the first Reload. clock is time.Now outside of tests.
func NewCache(load Loader, clock func() time.Time) *Cache {
	return &Cache{load: load, clock: clock}
}

// Current returns the catalog, nil before the first successful load.
func (c *Cache) Current() *Catalog { return c.current.Load() }

// Reload reads the catalog anew and waits until a load that began after the call has finished. Calls
// that come while another waits share its load. When the load fails the catalog stays as it was.
func (c *Cache) Reload(ctx context.Context) error {
	c.mu.Lock()
	f := c.enqueue()
	c.mu.Unlock()
	return f.wait(ctx)
}

// Refresh is for a request that named something seen does not have: it returns a catalog other than
// seen when there is one, and loads it unless the loads for all requests together come too often. It
// returns seen when nothing has changed.
func (c *Cache) Refresh(ctx context.Context, seen *Catalog) *Catalog {
	if now := c.current.Load(); now != seen {
		return now
	}
	c.mu.Lock()
	c.allow()
	f := c.miss
	c.mu.Unlock()
	if f.wait(ctx) != nil {
		return seen
	}
	return c.current.Load()
}

// allow begins a load for a miss, if it is time for one. Misses that come while it runs wait for it. Called with mu held.
func (c *Cache) allow() {
	if c.miss != nil && !c.miss.over() {
		return
	}
	now, interval := c.clock(), min(missInterval, max(missLeast, missShare*c.took))
	if c.miss != nil && c.spent.Sub(now) > (missBurst-1)*interval {
		return
	}
	if c.spent.Before(now) {
		c.spent = now
	}
	c.spent = c.spent.Add(interval)
	c.miss = c.enqueue()
}

// enqueue returns the load that has not begun yet, and starts one when there is none. Called with mu held.
func (c *Cache) enqueue() *flight {
	if c.next == nil {
		c.next = &flight{done: make(chan struct{})}
		go c.run(c.next)
	}
	return c.next
}

// run waits for its turn and loads.
func (c *Cache) run(f *flight) {
	defer close(f.done)
	c.loading.Lock()
	defer c.loading.Unlock()
	c.mu.Lock()
	c.next = nil // whoever comes from now on may know of a change that this load misses
	c.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
	defer cancel()
	began := c.clock()
	catalog, err := c.load(ctx)
	c.mu.Lock()
	c.took = c.clock().Sub(began)
	c.mu.Unlock()
	if err != nil {
		f.err = err
		return
	}
	if old := c.current.Load(); old == nil || old.Version != catalog.Version {
		c.current.Store(catalog)
	}
}

func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// over reports whether the load has ended.
func (f *flight) over() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}
