package guard

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// Entries calls entry points of the schema fluxbase; [gateway.Gateway] does.
type Entries interface {
	Entry(ctx context.Context, caller gateway.Caller, sql string, args [][]byte) ([]byte, error)
}

// The entry points that a Limiter calls.
const (
	sqlRateRules = `select fluxbase.rate_rules()`
	sqlRateLimit = `select fluxbase.rate_limit(p_requests => $1)`

	sqlRateRefused = `select fluxbase.rate_refused(p_rule_id => $1, p_subject => $2)`
)

// Decision is what the limits say of a request. The numbers are those of the rule that refuses or, of the client's own, of the
// one that is nearest to its limit; Limit 0 is none. What all clients together have left tells each how busy the others are,
// and is told to nobody.
type Decision struct {
	Refused   bool
	Rule      string // that refuses
	Limit     int
	Remaining int
	Reset     time.Duration // until the window ends, or until a request passes again
}

// Limiter counts requests by the rules of the database, which counts them for all servers together.
//
// Of a durable rule each request is counted there on its own. Of the others a server takes a lot of requests at once and
// gives them out itself; what it has not given out when the window ends is lost, so that servers together never let
// through more than the limit. Who has reached a limit is refused from memory until there is something to take again.
//
// The counters are those of the database, or of Redis for those who ask for it; the rules are always rows.
//
// A Limiter without rules costs nothing. It is safe for concurrent use.
type Limiter struct {
	entries  Entries
	counters Counters
	failure  Failure
	clock    func() time.Time
	log      *slog.Logger
	rules    atomic.Pointer[[]rateRule]

	mu     sync.Mutex
	lots   map[lotKey]lot
	asking map[lotKey]*question // lots that are on their way
}

// Failure says what becomes of requests when the counters can't be reached.
type Failure = config.StoreFailure

// NewLimiter makes a limiter without rules; see [Limiter.Reload]. Without counters it counts in the database.
func NewLimiter(entries Entries, counters Counters, failure Failure, clock func() time.Time, log *slog.Logger) *Limiter {
	if counters == nil {
		counters = NewDatabase(entries)
	}
	return &Limiter{entries: entries, counters: counters, failure: failure, clock: clock, log: log, lots: map[lotKey]lot{}, asking: map[lotKey]*question{}}
}

// Reload reads the rules, and forgets who is refused: counters may have been reset. After an error the old ones hold.
func (l *Limiter) Reload(ctx context.Context) error {
	text, err := l.entries.Entry(ctx, gateway.Caller{Role: "anon"}, sqlRateRules, nil)
	if err != nil {
		return fmt.Errorf("read rate limits: %w", err)
	}
	rules, err := readRules(text)
	if err != nil {
		return fmt.Errorf("read rate limits: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.rules.Swap(&rules); old == nil || !reflect.DeepEqual(*old, rules) {
		clear(l.lots)
	}
	for key, k := range l.lots {
		if k.exhausted {
			delete(l.lots, key)
		}
	}
	return nil
}

// Check counts a request. The path is that of the route, below /api/v1, whatever the client wrote. When the counters
// can't be asked, requests pass the rules that are not durable, unless the configuration says otherwise; for the others
// that is the error.
func (l *Limiter) Check(ctx context.Context, method, path string, who gateway.Caller) (Decision, error) {
	rules := l.rules.Load()
	if rules == nil || len(*rules) == 0 {
		return Decision{}, nil
	}
	now := l.clock()
	var atHand [4]meeting
	met := meet(atHand[:0], *rules, method, path, &who)
	d, ask, wait := l.fromMemory(now, met)
	for wait != nil {
		select {
		case <-wait.done:
		case <-ctx.Done():
			return Decision{}, ctx.Err()
		}
		if wait.err != nil {
			return l.uncounted(met, wait.err)
		}
		now = l.clock()
		d, ask, wait = l.fromMemory(now, met)
	}
	if d.Refused || len(ask) == 0 {
		return d, nil
	}
	d, err := l.ask(ctx, now, met, ask, d)
	if err != nil {
		return l.uncounted(met, err)
	}
	return d, nil
}

// ask asks the counters and decides. The end of the request does not end the question: whoever leaves at once is counted like
// everybody, and cannot lose the lot that others wait for.
func (l *Limiter) ask(ctx context.Context, now time.Time, met []meeting, ask []Asking, d Decision) (_ Decision, err error) {
	defer func() { l.answered(ask, err) }()
	taken, err := l.counters.Take(context.WithoutCancel(ctx), ask)
	if err != nil {
		return d, err
	}
	return l.settle(now, met, taken, d), nil
}

// uncounted decides about a request whose counters could not be asked.
func (l *Limiter) uncounted(met []meeting, err error) (Decision, error) {
	for _, m := range met {
		if m.rule.enforced() && (l.failure == config.RefuseAll || m.rule.Durable && l.failure != config.PassAll) {
			return Decision{}, err
		}
	}
	l.log.Warn("rate limits were not counted", "error", err)
	return Decision{}, nil
}

// nearest keeps the numbers of the rule under which the client has the fewest requests left.
func (d *Decision) nearest(r *rateRule, remaining int, reset time.Duration) {
	if r.Scope != "global" && (d.Limit == 0 || remaining < d.Remaining) {
		d.Limit, d.Remaining, d.Reset = r.Limit, remaining, reset
	}
}
