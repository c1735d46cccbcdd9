package rest

import (
	"sync"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/guard"
)

// maxBulk is how many bulk inserts run at once, and maxBulkEach how many of them for one caller, as [guard.Subject] says.
// Another one is told to come back.
const (
	maxBulk     = 4
	maxBulkEach = 2
)

// bulkSlots counts the bulk inserts that run. It is safe for concurrent use.
type bulkSlots struct {
	mu    sync.Mutex
	total int
	each  map[string]int // by caller
}

// take reserves a place for a caller, if there is one; leave gives it back.
func (s *bulkSlots) take(caller *gateway.Caller) (leave func(), ok bool) {
	who := guard.Subject(caller)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= maxBulk || s.each[who] >= maxBulkEach {
		return nil, false
	}
	if s.each == nil {
		s.each = map[string]int{}
	}
	s.total++
	s.each[who]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.total--
		if s.each[who]--; s.each[who] == 0 {
			delete(s.each, who)
		}
	}, true
}
