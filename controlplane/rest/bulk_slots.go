package rest

import (
	"sync"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// maxBulk is how many bulk inserts run at once, and maxBulkEach how many of them for one caller: a user, else a key, else
// an address. Another one is told to come back.
const (
	maxBulk     = 4
	maxBulkEach = 2
)

// bulkSlots counts the bulk inserts that run. It is safe for concurrent use.
type bulkSlots struct {
	mu    sync.Mutex
	total int
	each  map[any]int // by caller
}

// take reserves a place for a caller, if there is one; leave gives it back.
func (s *bulkSlots) take(caller *gateway.Caller) (leave func(), ok bool) {
	var who any = caller.IP
	switch {
	case caller.UserID != uuid.Nil:
		who = caller.UserID
	case caller.APIKeyID != uuid.Nil:
		who = caller.APIKeyID
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= maxBulk || s.each[who] >= maxBulkEach {
		return nil, false
	}
	if s.each == nil {
		s.each = map[any]int{}
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
