package guard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/guard"
)

// database is fluxbase.rate_limit in memory, with one window that the test moves.
type database struct {
	mu     sync.Mutex
	rules  string
	limits map[int]int
	hits   map[string]int
	asked  int
	window int64
	reset  int64 // ms
	err    error
}

func (d *database) Entry(_ context.Context, _ gateway.Caller, sql string, args [][]byte) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, d.err
	}
	if strings.Contains(sql, "rate_rules") {
		return []byte(d.rules), nil
	}
	d.asked++
	var ask []struct {
		Rule    int    `json:"rule"`
		Subject string `json:"subject"`
		Want    int    `json:"want"`
	}
	if err := json.Unmarshal(args[0], &ask); err != nil {
		return nil, err
	}
	type row map[string]any
	var taken []row
	for _, a := range ask {
		granted := min(a.Want, d.limits[a.Rule]-d.hits[a.Subject])
		d.hits[a.Subject] += granted
		taken = append(taken, row{"rule": a.Rule, "subject": a.Subject, "granted": granted, "remaining": d.limits[a.Rule] - d.hits[a.Subject],
			"window": d.window, "reset_ms": d.reset})
	}
	return json.Marshal(row{"taken": taken})
}

func newLimiter(t *testing.T, rules string, limits map[int]int) (*guard.Limiter, *database, *time.Time) {
	t.Helper()
	d := &database{rules: rules, limits: limits, hits: map[string]int{}, window: 1, reset: 60_000}
	now := time.Unix(1_800_000_000, 0)
	l := guard.NewLimiter(d, nil, config.RefuseSensitive, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err := l.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l, d, &now
}

func passes(t *testing.T, l *guard.Limiter, path string, who gateway.Caller) bool {
	t.Helper()
	d, err := l.Check(t.Context(), "POST", path, who)
	if err != nil {
		t.Fatal(err)
	}
	return !d.Refused
}

var someone = gateway.Caller{Role: "anon", IP: netip.MustParseAddr("203.0.113.9")}

func TestDurableRulesAskEachTime(t *testing.T) {
	t.Parallel()
	l, d, now := newLimiter(t, `[{"id":1,"scope":"ip","path":"/login","limit":3,"window_seconds":60,"mode":"enforce","durable":true}]`, map[int]int{1: 3})
	for i := range 3 {
		if !passes(t, l, "/login", someone) || d.asked != i+1 {
			t.Errorf("request %d: asked %d times", i+1, d.asked)
		}
	}
	for range 5 {
		if passes(t, l, "/login", someone) {
			t.Error("one more passes")
		}
	}
	if d.asked != 4 {
		t.Errorf("a blocked client asks the database: %d times", d.asked)
	}
	if !passes(t, l, "/logout", someone) || !passes(t, l, "/login/", someone) || !passes(t, l, "/login", gateway.Caller{IP: netip.MustParseAddr("203.0.113.10")}) {
		t.Error("another path or address is refused")
	}
	*now = now.Add(61 * time.Second)
	clear(d.hits)
	d.window = 2
	if !passes(t, l, "/login", someone) {
		t.Error("the next window is closed")
	}
}

// A durable rule with room for lots is asked each time, too.
func TestDurableRulesHaveNoLots(t *testing.T) {
	t.Parallel()
	l, d, _ := newLimiter(t, `[{"id":1,"scope":"ip","limit":1000,"window_seconds":60,"mode":"enforce","durable":true}]`, map[int]int{1: 1000})
	for range 3 {
		passes(t, l, "/x", someone)
	}
	if d.asked != 3 || d.hits["203.0.113.9"] != 3 {
		t.Errorf("asked %d times, %v", d.asked, d.hits)
	}
}

func TestLots(t *testing.T) {
	t.Parallel()
	l, d, now := newLimiter(t, `[{"id":1,"scope":"client","limit":1000,"window_seconds":60,"mode":"enforce"}]`, map[int]int{1: 1000})
	for i := range 1000 {
		decision, err := l.Check(t.Context(), "GET", "/x", someone)
		if err != nil || decision.Refused || decision.Limit != 1000 || decision.Remaining != 999-i {
			t.Fatalf("request %d: %+v %v", i, decision, err)
		}
	}
	if d.asked != 20 {
		t.Errorf("asked %d times", d.asked)
	}
	if passes(t, l, "/x", someone) {
		t.Error("more than the limit passes")
	}
	// What is left of a lot is worth nothing in the next window.
	*now, d.window = now.Add(2*time.Minute), 2
	clear(d.hits)
	passes(t, l, "/x", someone)
	*now, d.window = now.Add(2*time.Minute), 3
	clear(d.hits)
	passed := 0
	for range 1100 {
		if passes(t, l, "/x", someone) {
			passed++
		}
	}
	if passed != 1000 {
		t.Errorf("%d pass with what was left of the window before", passed)
	}
	*now, d.window = now.Add(2*time.Minute), 4
	clear(d.hits)
	passes(t, l, "/x", someone)
	*now, d.window = now.Add(2*time.Minute), 5
	d.hits["ip:203.0.113.9"] = 1000
	if passes(t, l, "/x", someone) {
		t.Error("the lot of an old window is used")
	}
}

// A lot is worth its question, and a small part of the limit.
func TestLotsGrowWithTheLimit(t *testing.T) {
	t.Parallel()
	for limit, lot := range map[int]int{3: 1, 60: 3, 1000: 50, 2000: 100, 10_000: 100, 20_000: 200, 100_000: 1000, 1_000_000_000: 1000} {
		l, d, _ := newLimiter(t, fmt.Sprintf(`[{"id":1,"scope":"ip","limit":%d,"window_seconds":60,"mode":"enforce"}]`, limit), map[int]int{1: limit})
		if passes(t, l, "/x", someone); d.hits["203.0.113.9"] != lot {
			t.Errorf("of %d a server takes %d, want %d", limit, d.hits["203.0.113.9"], lot)
		}
	}
}

// How much all clients together have left is told to none of them, until it refuses one.
func TestGlobalRulesTellNothing(t *testing.T) {
	t.Parallel()
	l, _, _ := newLimiter(t, `[{"id":1,"scope":"global","path":"/a","limit":2,"window_seconds":60,"mode":"enforce"},
		{"id":2,"scope":"client","path":"/b","limit":40,"window_seconds":60,"mode":"enforce"},
		{"id":3,"scope":"global","path":"/b","limit":20,"window_seconds":60,"mode":"enforce"}]`, map[int]int{1: 2, 2: 40, 3: 20})
	for i, c := range []struct {
		path             string
		limit, remaining int
		refused          bool
	}{{"/a", 0, 0, false}, {"/a", 0, 0, false}, {"/a", 2, 0, true}, {"/b", 40, 39, false}, {"/b", 40, 38, false}} {
		d, err := l.Check(t.Context(), "GET", c.path, someone)
		if err != nil || d.Limit != c.limit || d.Remaining != c.remaining || d.Refused != c.refused {
			t.Errorf("request %d: %+v %v", i+1, d, err)
		}
	}
}

func TestReportedRulesRefuseNobody(t *testing.T) {
	t.Parallel()
	l, d, _ := newLimiter(t, `[{"id":1,"scope":"ip","limit":1,"window_seconds":60,"mode":"report","durable":true}]`, map[int]int{1: 1})
	for range 5 {
		if !passes(t, l, "/x", someone) {
			t.Error("refused")
		}
	}
	if d.asked != 2 {
		t.Errorf("asked %d times", d.asked)
	}
}

// When nobody counts, sensitive rules let nobody through and others everybody, unless the configuration says otherwise.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		failure config.StoreFailure
		durable bool
		mode    string
		refused bool
	}{
		{config.RefuseSensitive, true, "enforce", true}, {config.RefuseSensitive, false, "enforce", false}, {config.RefuseSensitive, true, "report", false},
		{config.RefuseAll, true, "enforce", true}, {config.RefuseAll, false, "enforce", true}, {config.RefuseAll, false, "report", false},
		{config.PassAll, true, "enforce", false}, {config.PassAll, false, "enforce", false},
	} {
		d := &database{rules: fmt.Sprintf(`[{"id":1,"scope":"ip","limit":1,"window_seconds":60,"mode":%q,"durable":%t}]`, c.mode, c.durable)}
		l := guard.NewLimiter(d, nil, c.failure, time.Now, slog.New(slog.DiscardHandler))
		if err := l.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.err = errors.New("gone")
		if _, err := l.Check(t.Context(), "POST", "/x", someone); (err != nil) != c.refused {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// After a reset in psql, whoever was refused is asked for anew.
func TestReloadForgetsRefusals(t *testing.T) {
	t.Parallel()
	l, d, _ := newLimiter(t, `[{"id":1,"scope":"ip","limit":1,"window_seconds":60,"mode":"enforce","durable":true}]`, map[int]int{1: 1})
	passes(t, l, "/x", someone)
	if passes(t, l, "/x", someone) {
		t.Fatal("the limit does not hold")
	}
	clear(d.hits)
	if err := l.Reload(t.Context()); err != nil || !passes(t, l, "/x", someone) {
		t.Errorf("still refused: %v", err)
	}
}

// The cost of a rule for all requests when a lot is at hand, and of a refusal.
func BenchmarkLimiter(b *testing.B) {
	for name, limit := range map[string]int{"served": 1_000_000_000, "refused": 1} {
		b.Run(name, func(b *testing.B) {
			d := &database{rules: fmt.Sprintf(`[{"id":1,"scope":"client","limit":%d,"window_seconds":60,"mode":"enforce"}]`, limit),
				limits: map[int]int{1: limit}, hits: map[string]int{}, window: 1, reset: 3_600_000}
			l := guard.NewLimiter(d, nil, config.RefuseSensitive, time.Now, slog.New(slog.DiscardHandler))
			if err := l.Reload(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.Check(b.Context(), "GET", "/api/v1/rest/notes", someone); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// slow holds up questions until it is told to go on.
type slow struct {
	*database
	begun, next chan struct{}
}

func (s slow) Entry(ctx context.Context, caller gateway.Caller, sql string, args [][]byte) ([]byte, error) {
	if strings.Contains(sql, "rate_limit(") {
		s.begun <- struct{}{}
		select {
		case <-s.next:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.database.Entry(ctx, caller, sql, args)
}

// Requests that come while a lot is on its way wait for it, whatever becomes of the request that asked: whoever leaves meanwhile
// is counted and does not take the lot with them.
func TestOneQuestionAtATime(t *testing.T) {
	t.Parallel()
	d := &database{rules: `[{"id":1,"scope":"client","limit":1000,"window_seconds":60,"mode":"enforce"}]`, limits: map[int]int{1: 1000},
		hits: map[string]int{}, window: 1, reset: 60_000}
	s := slow{d, make(chan struct{}, 100), make(chan struct{}, 100)}
	// The strictest answer to a failure: what another request's end does to these shows.
	l := guard.NewLimiter(s, nil, config.RefuseAll, time.Now, slog.New(slog.DiscardHandler))
	if err := l.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	first, cancel := context.WithCancel(t.Context())
	firstEnded := make(chan error)
	go func() { _, err := l.Check(first, "GET", "/x", someone); firstEnded <- err }()
	<-s.begun
	var others sync.WaitGroup
	for range 40 {
		others.Go(func() {
			if decision, err := l.Check(t.Context(), "GET", "/x", someone); err != nil || decision.Refused {
				t.Errorf("%+v %v", decision, err)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	cancel()
	for range cap(s.next) { // more than the one may ask, where they do not wait
		s.next <- struct{}{}
	}
	if err := <-firstEnded; err != nil {
		t.Errorf("the first: %v", err)
	}
	others.Wait()
	if d.asked != 1 || d.hits["ip:203.0.113.9"] != 50 {
		t.Errorf("asked %d times, %v, for a lot of 50 that serves 41", d.asked, d.hits)
	}
}

// Whoever is refused under a rule that slides passes again within the same window, by lots, and the log has one line of it.
func TestRefusedUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	d := &database{rules: `[{"id":1,"scope":"client","limit":100,"window_seconds":60,"mode":"enforce"}]`, limits: map[int]int{1: 5},
		hits: map[string]int{}, window: 1, reset: 60_000}
	now := time.Unix(1_800_000_000, 0)
	var log bytes.Buffer
	l := guard.NewLimiter(d, nil, config.RefuseSensitive, func() time.Time { return now }, slog.New(slog.NewTextHandler(&log, nil)))
	if err := l.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for round := range 4 {
		for i := range 5 {
			if !passes(t, l, "/x", someone) {
				t.Fatalf("round %d: request %d is refused", round, i)
			}
		}
		d.reset = 3000 // of a refusal: until there is a lot again
		asked := d.asked
		for range 10 {
			if decision, err := l.Check(t.Context(), "GET", "/x", someone); err != nil || !decision.Refused || decision.Reset != 3*time.Second {
				t.Fatalf("round %d: %+v %v", round, decision, err)
			}
		}
		if d.asked != asked+1 {
			t.Errorf("round %d: asked %d times while refused", round, d.asked-asked)
		}
		now = now.Add(3 * time.Second)
		d.limits[1] += 5
		d.reset = 45_000
	}
	if n := strings.Count(log.String(), "rate limit reached"); n != 1 {
		t.Errorf("%d lines: %s", n, &log)
	}
	// A lot is good until its window ends, and a refusal does not make it longer.
	passes(t, l, "/x", someone)
	now = now.Add(46 * time.Second)
	asked := d.asked
	if passes(t, l, "/x", someone); d.asked != asked+1 {
		t.Error("a lot outlives its window")
	}
}
