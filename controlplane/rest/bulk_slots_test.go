package rest

import (
	"net/netip"
	"testing"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// One caller is one with all addresses of a network and all keys of an organization, and whoever has nothing but the key that all
// browsers have is not all of them.
func TestBulkSlotsOfOneCaller(t *testing.T) {
	t.Parallel()
	caller := func(address, role string, key, org uuid.UUID) gateway.Caller {
		return gateway.Caller{Role: role, APIKeyID: key, OrgID: org, IP: netip.MustParseAddr(address)}
	}
	shared, org := uuid.New(), uuid.New()
	for name, c := range map[string]struct {
		holders [maxBulkEach]gateway.Caller
		next    gateway.Caller
		place   bool
	}{
		"another address": {[...]gateway.Caller{caller("192.0.2.1", "anon", uuid.Nil, uuid.Nil), caller("192.0.2.1", "anon", uuid.Nil, uuid.Nil)},
			caller("192.0.2.2", "anon", uuid.Nil, uuid.Nil), true},
		"another address of the network": {[...]gateway.Caller{caller("2001:db8:1:2::1", "anon", uuid.Nil, uuid.Nil), caller("2001:db8:1:2::2", "anon", uuid.Nil, uuid.Nil)},
			caller("2001:db8:1:2::3", "anon", uuid.Nil, uuid.Nil), false},
		"another key of the organization": {[...]gateway.Caller{caller("192.0.2.1", "authenticated", uuid.New(), org), caller("192.0.2.1", "authenticated", uuid.New(), org)},
			caller("192.0.2.1", "authenticated", uuid.New(), org), false},
		"the key of all browsers": {[...]gateway.Caller{caller("192.0.2.1", "anon", shared, uuid.Nil), caller("192.0.2.1", "anon", shared, uuid.Nil)},
			caller("192.0.2.2", "anon", shared, uuid.Nil), true},
	} {
		var s bulkSlots
		for _, holder := range c.holders {
			if _, ok := s.take(&holder); !ok {
				t.Fatalf("%s: the first ones have no place", name)
			}
		}
		if _, ok := s.take(&c.next); ok != c.place {
			t.Errorf("%s: %t", name, ok)
		}
	}
}
