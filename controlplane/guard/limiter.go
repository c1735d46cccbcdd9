package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

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

type rateRule struct {
	ID            int    `json:"id"`
	Name          string `json:"name"`
	Scope         string `json:"scope"`
	Method        string `json:"method"`
	Path          string `json:"path"`
	Limit         int    `json:"limit"`
	WindowSeconds int    `json:"window_seconds"`
	Mode          string `json:"mode"`
	Durable       bool   `json:"durable"`

	segments []string
	fixed    string // what paths begin with that match
}

type lotKey struct {
	rule    int
	subject string
}

// lot is what a server knows of one counter for a time: until the window ends, or, when nothing is left, until there is
// something to take.
type lot struct {
	left      int // requests that may pass without asking
	remaining int // in the database, when it was asked last
	window    int64
	until     time.Time
	exhausted bool // nothing is left, here and there
	logged    bool // that the limit was reached in this window
}

// question is one call of the counters for a lot. Requests that come meanwhile wait for it: each with a lot of its own would
// take the rest of the limit for this server and leave it lying.
type question struct {
	done chan struct{}
	err  error // valid after done
}

// maxLots bounds the memory: beyond it, what ended is forgotten, and then everything, which is asked again.
const maxLots = 100_000

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
	var rules []rateRule
	if err := json.Unmarshal(text, &rules); err != nil {
		return fmt.Errorf("read rate limits: %w", err)
	}
	for i := range rules {
		rules[i].segments = strings.Split(rules[i].Path, "/")
		rules[i].fixed, _, _ = strings.Cut(rules[i].Path, "/*")
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
	var (
		d      Decision
		ask    []Asking
		atHand [4]meeting
		met    = atHand[:0]
	)
	for i := range *rules {
		r := &(*rules)[i]
		if !r.about(method) || !r.matches(path) {
			continue
		}
		if subject := r.subject(who); subject != "" {
			met = append(met, meeting{r, lotKey{r.ID, subject}})
		}
	}
	for {
		refusal, refused, wait := l.fromMemory(now, met, &d, &ask)
		if refused {
			return refusal, nil
		}
		if wait == nil {
			break
		}
		select {
		case <-wait.done:
		case <-ctx.Done():
			return Decision{}, ctx.Err()
		}
		if wait.err != nil {
			return l.uncounted(met, wait.err)
		}
		now = l.clock()
	}
	if len(ask) == 0 {
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

// answered lets those go on who wait for the lots of ask.
func (l *Limiter) answered(ask []Asking, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range ask {
		key := lotKey{a.Rule, a.Subject}
		if q := l.asking[key]; q != nil && !a.Durable {
			q.err = err
			close(q.done)
			delete(l.asking, key)
		}
	}
}

// meeting is a rule that a request meets, with its counter.
type meeting struct {
	rule *rateRule
	key  lotKey
}

// fromMemory refuses what is known to be refused, gives out of the lots, and lists what must be asked; or it does nothing and
// says what to wait for.
func (l *Limiter) fromMemory(now time.Time, met []meeting, d *Decision, ask *[]Asking) (refusal Decision, refused bool, wait *question) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range met {
		if k, ok := l.lots[m.key]; ok && k.exhausted && now.Before(k.until) && m.rule.enforced() {
			return Decision{Refused: true, Rule: m.rule.Name, Limit: m.rule.Limit, Reset: k.until.Sub(now)}, true, nil
		}
	}
	for _, m := range met {
		if q := l.asking[m.key]; q != nil && !l.lots[m.key].serves(now) {
			return Decision{}, false, q
		}
	}
	for _, m := range met {
		k := l.lots[m.key]
		switch {
		case !k.serves(now):
			*ask = append(*ask, Asking{m.rule.ID, m.key.subject, m.rule.want(), m.rule.Limit, m.rule.WindowSeconds, m.rule.enforced(), m.rule.Durable})
			if !m.rule.Durable {
				l.asking[m.key] = &question{done: make(chan struct{})}
			}
		case k.exhausted: // reported before
		default:
			k.left--
			l.lots[m.key] = k
			d.nearest(m.rule, k.left+k.remaining, k.until.Sub(now))
		}
	}
	return Decision{}, false, nil
}

// serves tells whether the lot answers a request without a question.
func (k lot) serves(now time.Time) bool { return now.Before(k.until) && (k.exhausted || k.left > 0) }

// settle decides by what was granted and keeps the rest. Windows end by the clock from before the question, which is
// never later than that of the database.
func (l *Limiter) settle(now time.Time, met []meeting, taken []Taking, d Decision) Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shrink(now)
	for _, t := range taken {
		key := lotKey{t.Rule, t.Subject}
		var rule *rateRule
		for _, m := range met {
			if m.key == key {
				rule = m.rule
			}
		}
		if rule == nil {
			continue
		}
		reset := time.Duration(t.ResetMS) * time.Millisecond
		k := l.lots[key]
		switch {
		case t.Window < k.window: // another request has begun the next one meanwhile
		case t.Window > k.window:
			k = lot{window: t.Window}
			fallthrough
		default:
			k.remaining = t.Remaining
			switch {
			case t.Granted > 0:
				k.left += t.Granted - 1
				k.until, k.exhausted = now.Add(reset), false
			case k.left > 0 && now.Before(k.until): // of a lot that came meanwhile
				k.left--
				t.Granted = 1
			default:
				k.until, k.exhausted = now.Add(reset), true
				if !k.logged {
					k.logged = true
					l.log.Warn("rate limit reached", "rule", rule.Name, "subject", t.Subject, "mode", rule.Mode)
				}
			}
			l.lots[key] = k
		}
		if t.Granted > 0 {
			d.nearest(rule, t.Granted-1+t.Remaining, reset)
			continue
		}
		if rule.enforced() {
			return Decision{Refused: true, Rule: rule.Name, Limit: rule.Limit, Reset: reset}
		}
	}
	return d
}

func (l *Limiter) shrink(now time.Time) {
	if len(l.lots) < maxLots {
		return
	}
	for key, k := range l.lots {
		if !now.Before(k.until) {
			delete(l.lots, key)
		}
	}
	if len(l.lots) >= maxLots {
		clear(l.lots)
	}
}

// nearest keeps the numbers of the rule under which the client has the fewest requests left.
func (d *Decision) nearest(r *rateRule, remaining int, reset time.Duration) {
	if r.Scope != "global" && (d.Limit == 0 || remaining < d.Remaining) {
		d.Limit, d.Remaining, d.Reset = r.Limit, remaining, reset
	}
}

func (r *rateRule) enforced() bool { return r.Mode == "enforce" }

// want is how many requests a server takes at once: of a durable rule one, else a twentieth of the limit up to 100, and of
// limits above 10,000 a hundredth up to 1,000. A lot costs PostgreSQL as much as a few reads, and what of it is not given out is
// lost.
func (r *rateRule) want() int {
	if r.Durable {
		return 1
	}
	return max(min(r.Limit/20, 100), min(r.Limit/100, 1000), 1)
}

// about tells whether the rule is about a method. HEAD costs what GET does (RFC 9110 section 9.3.2).
func (r *rateRule) about(method string) bool {
	return r.Method == "" || r.Method == method || r.Method == http.MethodGet && method == http.MethodHead
}

// matches is ratelimit.matches.
func (r *rateRule) matches(path string) bool {
	if r.Path == "" {
		return true
	}
	if !strings.HasPrefix(path, r.fixed) { // most rules are about another route
		return false
	}
	rest, more := path, true
	for i, segment := range r.segments {
		if segment == "**" && i == len(r.segments)-1 {
			return true
		}
		if !more {
			return false
		}
		var part string
		part, rest, more = strings.Cut(rest, "/")
		if segment != part && (segment != "*" || part == "") {
			return false
		}
	}
	return !more
}

// subject is who is counted, empty for a request that the rule is not about.
func (r *rateRule) subject(who gateway.Caller) string {
	switch r.Scope {
	case "global":
		return "*"
	case "ip":
		return address(who.IP)
	case "user":
		return id(who.UserID)
	case "api_key":
		return id(ownKey(who))
	case "org":
		return id(who.OrgID)
	case "client": // users and organizations make keys themselves: one more is no limit more
		switch {
		case who.UserID != uuid.Nil:
			return "user:" + who.UserID.String()
		case ownKey(who) != uuid.Nil && who.OrgID != uuid.Nil:
			return "org:" + who.OrgID.String()
		case ownKey(who) != uuid.Nil:
			return "key:" + who.APIKeyID.String()
		}
		return "ip:" + address(who.IP)
	}
	return ""
}

// ownKey is the key of a request, unless it is the one that all browsers have.
func ownKey(who gateway.Caller) uuid.UUID {
	if who.Role == "anon" {
		return uuid.Nil
	}
	return who.APIKeyID
}

// address is how fluxbase.client_address writes it.
func address(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "unknown"
	case a.Is6():
		return netip.PrefixFrom(Group(a), 64).String()
	}
	return a.String()
}

func id(u uuid.UUID) string {
	if u == uuid.Nil {
		return ""
	}
	return u.String()
}
