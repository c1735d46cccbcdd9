package catalog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// stub loads catalogs of chosen versions and counts.
type stub struct {
	loads   atomic.Int64
	version atomic.Pointer[string]
	err     atomic.Pointer[error]
	block   chan struct{} // when not nil a load waits for it
}

func newStub(version string) *stub {
	s := &stub{}
	s.version.Store(&version)
	return s
}

func (s *stub) load(ctx context.Context) (*Catalog, error) {
	s.loads.Add(1)
	version := *s.version.Load() // what the database looks like when the load begins
	if s.block != nil {
		<-s.block
	}
	if err := s.err.Load(); err != nil {
		return nil, *err
	}
	return &Catalog{Version: version, Schemas: []string{"public"}}, nil
}

func (s *stub) change(version string) { s.version.Store(&version) }

func TestCacheKeepsEqualCatalogs(t *testing.T) {
	t.Parallel()
	s := newStub("1")
	c := NewCache(s.load, time.Now)
	if c.Current() != nil {
		t.Fatal("a catalog before the first load")
	}
	for range 2 {
		if err := c.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	first := c.Current()
	if s.loads.Load() != 2 || first == nil {
		t.Fatalf("%d loads, %v", s.loads.Load(), first)
	}
	if err := c.Reload(t.Context()); err != nil || c.Current() != first {
		t.Error("an equal catalog replaced the current one")
	}
	s.change("2")
	if err := c.Reload(t.Context()); err != nil || c.Current() == first {
		t.Error("a newer catalog did not replace the current one")
	}
	failure := errors.New("database gone")
	s.err.Store(&failure)
	second := c.Current()
	if err := c.Reload(t.Context()); !errors.Is(err, failure) || c.Current() != second {
		t.Errorf("failed reload: %v", err)
	}
}

// TestReloadSeesEarlierChanges sees that a reload never shares a load that began before it: that
// load may have missed the change that the reload is about.
func TestReloadSeesEarlierChanges(t *testing.T) {
	t.Parallel()
	s := newStub("old")
	s.block = make(chan struct{})
	c := NewCache(s.load, time.Now)
	go func() { _ = c.Reload(context.Background()) }()
	for s.loads.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	s.change("new")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := c.Reload(t.Context()); err != nil || c.Current().Version != "new" {
				t.Errorf("%v %v", err, c.Current())
			}
		})
	}
	time.Sleep(20 * time.Millisecond) // all fifty wait now
	close(s.block)
	wg.Wait()
	if n := s.loads.Load(); n > 3 {
		t.Errorf("%d loads for fifty concurrent reloads", n)
	}
}

// TestMissesDoNotStorm sends many misses at once and over time.
func TestMissesDoNotStorm(t *testing.T) {
	t.Parallel()
	s := newStub("1")
	var seconds atomic.Int64
	c := NewCache(s.load, func() time.Time { return time.Unix(seconds.Load(), 0) })
	if err := c.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := c.Current()
	misses := func() {
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() { c.Refresh(t.Context(), seen) })
		}
		wg.Wait()
	}
	for range missBurst {
		misses()
	}
	if n := s.loads.Load(); n != 1+missBurst {
		t.Errorf("%d loads for %d misses, want the first and %d more", n, missBurst*200, missBurst)
	}
	s.change("2")
	if c.Refresh(t.Context(), seen) != seen {
		t.Error("loaded again too early")
	}
	seconds.Add(int64(missInterval / time.Second))
	if now := c.Refresh(t.Context(), seen); now == seen || now.Version != "2" {
		t.Errorf("not loaded after the interval: %v", now)
	}
	if c.Refresh(t.Context(), seen).Version != "2" || s.loads.Load() != 2+missBurst {
		t.Error("an old catalog was not simply replaced by the current one")
	}
}

func TestRefreshGivesUpWithTheRequest(t *testing.T) {
	t.Parallel()
	s := newStub("1")
	s.block = make(chan struct{})
	defer close(s.block)
	c := NewCache(s.load, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := c.Refresh(ctx, nil); got != nil {
		t.Errorf("%v", got)
	}
}

func ExampleCache() {
	c := NewCache(newStub("1").load, time.Now)
	if err := c.Reload(context.Background()); err != nil { // at start and at each notification
		fmt.Println(err)
	}
	fmt.Println(c.Current().Version)
	// Output: 1
}
