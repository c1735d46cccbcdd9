package main

import (
	"runtime"
	"testing"
	"time"
)

func TestHeapPercent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 1200}, {4 << 20, 1200}, {12 << 20, 400}, {48 << 20, 100}, {1 << 30, 100},
	} {
		if got := heapPercent(c.live); got != c.want {
			t.Errorf("%d MB: %d, want %d", c.live>>20, got, c.want)
		}
	}
}

// It must go on after the first collection. A call comes just before its successor is armed, so that the next collection may be
// too early for that one: collections go on until the call is there.
func TestAfterCollection(t *testing.T) {
	t.Parallel()
	calls := make(chan struct{}, 100)
	afterCollection(func() {
		select {
		case calls <- struct{}{}:
		default:
		}
	})
	deadline := time.After(10 * time.Second)
	for n := range 4 {
		for called := false; !called; {
			select {
			case <-calls:
				called = true
			case <-deadline:
				t.Fatalf("%d calls", n)
			case <-time.After(10 * time.Millisecond):
				runtime.GC()
			}
		}
	}
}
