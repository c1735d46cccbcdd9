package guard_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/guard"
)

type rows struct {
	text string
	err  error
}

func (r *rows) Entry(context.Context, gateway.Caller, string, [][]byte) ([]byte, error) {
	return []byte(r.text), r.err
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	r := &rows{text: `[{"address":"203.0.113.0/24","kind":"block","until":null},{"address":"203.0.113.7/32","kind":"allow","until":null},
		{"address":"203.0.113.8/29","kind":"allow","until":1800000060},{"address":"2001:db8::/32","kind":"block","until":1800000060},
		{"address":"2001:db8:1::/48","kind":"allow","until":null}]`}
	a := guard.NewAddresses(r, func() time.Time { return now })
	check := func(want map[string]bool) {
		t.Helper()
		for address, blocked := range want {
			if got := a.Blocked(netip.MustParseAddr(address)); got != blocked {
				t.Errorf("%s: %t", address, got)
			}
		}
	}
	check(map[string]bool{"203.0.113.1": false})
	if err := a.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(map[string]bool{"203.0.113.1": true, "203.0.113.7": false, "203.0.113.9": false, "203.0.112.1": false,
		"2001:db8:2::1": true, "2001:db8:1::1": false, "2001:db9::1": false})
	if a.Blocked(netip.Addr{}) {
		t.Error("no address is blocked")
	}
	r.err = errors.New("gone")
	if a.Reload(t.Context()) == nil {
		t.Error("no error")
	}
	now = now.Add(time.Hour) // a rule that is over says nothing, although nobody has read the list again
	check(map[string]bool{"203.0.113.1": true, "203.0.113.9": true, "2001:db8:2::1": false})
}
