package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapRoom is how many bytes may be allocated between two garbage collections, even when almost nothing is alive.
//
// What a request allocates dies with it, and a few MB are alive: the default would collect dozens of times a second,
// which cost a third of the reads. With 1,000 busy connections the live heap decides again, so the peak stays.
const heapRoom = 48 << 20

// tuneHeap makes the collector wait for heapRoom or, if that is more, for the live heap to double. GOGC or GOMEMLIMIT in
// the environment win.
func tuneHeap() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	runtime.GC() // what starting left behind would otherwise stay for a while
	afterCollection(func() { debug.SetGCPercent(heapPercent(liveHeap())) })
}

// heapPercent is the GOGC that leaves heapRoom above a live heap.
func heapPercent(live uint64) int {
	// Below 4 MB, GOGC is a percentage of 4 MB (runtime: heap minimum).
	return int(max(100, heapRoom*100/max(live, 4<<20)))
}

// liveHeap is what the last collection has found alive, in bytes, with stacks and globals, which count as well.
func liveHeap() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	var sum uint64
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			sum += s.Value.Uint64()
		}
	}
	return sum
}

// afterCollection calls f now and after each garbage collection, one call at a time.
func afterCollection(f func()) {
	f()
	type sentinel struct{ _ [16]byte } // a tiny object might share its block with one that lives
	runtime.AddCleanup(new(sentinel), func(struct{}) { afterCollection(f) }, struct{}{})
}
