package guard

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// Asking is what a server wants of one counter.
type Asking struct {
	Rule    int    `json:"rule"` // negative: the burst of the rule
	Subject string `json:"subject"`
	Want    int    `json:"want"`

	Limit         int  `json:"-"`
	WindowSeconds int  `json:"-"`
	Enforced      bool `json:"-"` // a refusal ends the list
	Durable       bool `json:"-"` // its windows are fixed; those of the others slide
}

// Taking is what it got.
type Taking struct {
	Rule      int    `json:"rule"`
	Subject   string `json:"subject"`
	Granted   int    `json:"granted"`   // of what was wanted; 0 is a refusal
	Remaining int    `json:"remaining"` // of the window
	Window    int64  `json:"window"`    // when it began, Unix seconds
	ResetMS   int64  `json:"reset_ms"`  // until it ends, or until there is something to take for whoever got nothing
}

// Counters count for all servers together. The list is in the order of the rules; what comes after the refusal of an
// enforced rule is neither counted nor answered.
type Counters interface {
	Take(ctx context.Context, list []Asking) ([]Taking, error)
}

// Database counts in PostgreSQL. It is safe for concurrent use.
type Database struct{ entries Entries }

// NewDatabase counts by the entry points of the schema fluxbase.
func NewDatabase(entries Entries) *Database { return &Database{entries} }

// Take is of Counters, by fluxbase.rate_limit.
func (d *Database) Take(ctx context.Context, list []Asking) ([]Taking, error) {
	text, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	if text, err = d.entries.Entry(ctx, gateway.Caller{Role: "anon"}, sqlRateLimit, [][]byte{text}); err != nil {
		return nil, fmt.Errorf("count a request: %w", err)
	}
	var answer struct {
		Taken []Taking `json:"taken"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("count a request: %w", err)
	}
	return answer.Taken, nil
}
