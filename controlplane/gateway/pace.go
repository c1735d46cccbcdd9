package gateway

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// fastTime is the longest time, on average, that a statement may take to be called fast.
const fastTime = 2 * time.Millisecond

// pace remembers how long statements took, in a fixed number of cells: statements that share one are taken for each
// other, which costs speed and nothing else. It is safe for concurrent use.
type pace struct {
	seed  maphash.Seed
	cells [4096]cellTime
}

// cellTime is a moving average in microseconds; 0 is not known yet.
type cellTime struct{ atomic.Uint32 }

func newPace() *pace { return &pace{seed: maphash.MakeSeed()} }

func (p *pace) of(key statementKey) *cellTime {
	return &p.cells[maphash.Comparable(p.seed, key)%uint64(len(p.cells))]
}

func (t *cellTime) fast() bool {
	v := t.Load()
	return v > 0 && v <= uint32(fastTime/time.Microsecond)
}

// add counts one run. Of two at once, one may be lost.
func (t *cellTime) add(took time.Duration) {
	v := int64(min(max(took, time.Microsecond), time.Hour) / time.Microsecond)
	if old := int64(t.Load()); old > 0 {
		v = max(old+(v-old)/4, 1)
	}
	t.Store(uint32(v))
}
