package guard

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

const sqlAddressRules = `select fluxbase.address_rules()`

// Addresses says which addresses are kept out, by the rows of the database. It is safe for concurrent use.
type Addresses struct {
	entries Entries
	clock   func() time.Time
	rules   atomic.Pointer[addressRules]
}

// addressRules are looked up by the lengths of the networks there are, the longest first.
type addressRules struct {
	lengths []int // of IPv4 and IPv6 alike: a network of the other family is not found
	rules   map[netip.Prefix]addressRule
}

type addressRule struct {
	block bool
	until time.Time // zero for never
}

// NewAddresses makes a list without rules; see [Addresses.Reload].
func NewAddresses(entries Entries, clock func() time.Time) *Addresses {
	a := &Addresses{entries: entries, clock: clock}
	a.rules.Store(new(addressRules))
	return a
}

// Reload reads the rules. After an error the old ones hold.
func (a *Addresses) Reload(ctx context.Context) error {
	text, err := a.entries.Entry(ctx, gateway.Caller{Role: "anon"}, sqlAddressRules, nil)
	if err != nil {
		return fmt.Errorf("read rules for addresses: %w", err)
	}
	var rows []struct {
		Address string `json:"address"`
		Kind    string `json:"kind"`
		Until   *int64 `json:"until"`
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		return fmt.Errorf("read rules for addresses: %w", err)
	}
	next := &addressRules{rules: make(map[netip.Prefix]addressRule, len(rows))}
	for _, row := range rows {
		network, err := netip.ParsePrefix(row.Address)
		if err != nil {
			return fmt.Errorf("read rules for addresses: %w", err)
		}
		rule := addressRule{block: row.Kind == "block"}
		if row.Until != nil {
			rule.until = time.Unix(*row.Until, 0)
		}
		next.rules[network] = rule
		if !slices.Contains(next.lengths, network.Bits()) {
			next.lengths = append(next.lengths, network.Bits())
		}
	}
	slices.SortFunc(next.lengths, func(x, y int) int { return cmp.Compare(y, x) })
	a.rules.Store(next)
	return nil
}

// Blocked reports whether requests from an address are refused: the smallest network with a rule decides.
func (a *Addresses) Blocked(address netip.Addr) bool {
	list := a.rules.Load()
	for _, bits := range list.lengths {
		network, err := address.Prefix(bits)
		if err != nil {
			continue // longer than an address of this family
		}
		if rule, ok := list.rules[network]; ok && (rule.until.IsZero() || a.clock().Before(rule.until)) {
			return rule.block
		}
	}
	return false
}
