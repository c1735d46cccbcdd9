package sqltest

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

const takeSQL = `select fluxbase.rate_limit(p_requests => jsonb_build_array(jsonb_build_object('rule', $1::integer, 'subject', $2::text, 'want', $3::integer)))
  -> 'taken' -> 0 ->> 'granted'`

// ruleID makes a rule with a window of half a month that has just begun or lasts for a while.
func ruleID(t *testing.T, conn *pgx.Conn, name string, limit int, path string) int {
	t.Helper()
	exec(t, conn, `select ratelimit.set_rule(p_name => $1, p_scope => 'ip', p_limit => $2, p_window => '15 days', p_path => $3)`, name, limit, path)
	if one[bool](t, conn, `select extract(epoch from now())::bigint % 1296000 > 1295700`) {
		t.Skip("the window ends while the test runs")
	}
	return one[int](t, conn, `select id from ratelimit.rules where name = $1`, name)
}

// Requests in parallel never pass the limit, and all of it is given: one by one, and in lots whose last is smaller.
func TestRateLimitIsExact(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	for _, c := range []struct {
		path              string
		want, limit, sent int
	}{
		{"/api/v1/auth/login", 1, 10, 25}, {"/api/v1/rest/notes", 7, 100, 10},
	} {
		rule := ruleID(t, super, c.path, c.limit, c.path)
		var granted atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			conn := db.Conn(t, "fluxbase_server")
			all.Go(func() {
				for range c.sent {
					var n int64
					var text string
					if err := conn.QueryRow(t.Context(), takeSQL, rule, "203.0.113.9", c.want).Scan(&text); err != nil {
						t.Error(err)
						return
					}
					_, _ = fmt.Sscan(text, &n)
					granted.Add(n)
				}
			})
		}
		all.Wait()
		if granted.Load() != int64(c.limit) {
			t.Errorf("%s: %d passed of %d", c.path, granted.Load(), c.limit)
		}
		// The counter says so, and who is refused writes nothing.
		const counter = `select hits || ' ' || xmin from (select rule_id, subject, hits, xmin from ratelimit.counters
			union all select rule_id, subject, hits, xmin from ratelimit.volume_counters) c where rule_id = $1`
		one[string](t, super, takeSQL, rule, "203.0.113.9", 1)
		before := one[string](t, super, counter, rule)
		if got := one[string](t, super, takeSQL, rule, "203.0.113.9", 1); got != "0" || !strings.HasPrefix(before, fmt.Sprint(c.limit, " ")) ||
			one[string](t, super, counter, rule) != before {
			t.Errorf("%s: got %s, counter %s", c.path, got, before)
		}
		if other := one[string](t, super, takeSQL, rule, "203.0.113.10", 1); other != "1" {
			t.Errorf("%s: another subject gets %s", c.path, other)
		}
	}
	// Of the rule that counts each request, the first refusal is on record, and no other.
	if got := strings.Join(lines(t, super, `select outcome || ' ' || details::text from audit.log where action = 'ratelimit.refused'`), "\n"); got !=
		`denied {"rule": "/api/v1/auth/login", "subject": "203.0.113.9"}` {
		t.Errorf("audit: %s", got)
	}
	if n := one[string](t, super, `select (select count(*) from ratelimit.counters) || ' ' || (select count(*) from ratelimit.volume_counters)`); n != "2 2" {
		t.Errorf("counters: %s", n)
	}
}

func TestRateLimitWindows(t *testing.T) {
	t.Parallel()
	super := pgtest.Database(t).Conn(t, "superuser")
	exec(t, super, `select ratelimit.set_rule(p_name => 'short', p_scope => 'ip', p_limit => 1, p_window => '2 seconds', p_path => '/api/v1/auth/login')`)
	rule := one[int](t, super, `select id from ratelimit.rules where name = 'short'`)
	exec(t, super, `select pg_sleep(2 - extract(epoch from clock_timestamp())::numeric % 2)`)
	got := one[string](t, super, takeSQL, rule, "a", 1) + one[string](t, super, takeSQL, rule, "a", 1)
	if got != "10" {
		t.Errorf("first window: %s", got)
	}
	// A counter that another call has moved to the next window does not go back.
	exec(t, super, `update ratelimit.counters set window_start = window_start + interval '1 hour'`)
	if got := one[string](t, super, takeSQL, rule, "a", 1); got != "0" {
		t.Errorf("an older window opens a newer one: %s", got)
	}
	exec(t, super, `update ratelimit.counters set window_start = window_start - interval '2 hours'`)
	if got := one[string](t, super, takeSQL, rule, "a", 1); got != "1" {
		t.Errorf("the next window: %s", got)
	}
}

// A burst is counted by the second, and the rest of the window is left for later.
func TestRateLimitBurst(t *testing.T) {
	t.Parallel()
	super := pgtest.Database(t).Conn(t, "superuser")
	exec(t, super, `select ratelimit.set_rule(p_name => 'calm', p_scope => 'ip', p_limit => 6, p_window => '15 days', p_path => '/api/v1/auth/x', p_burst => 2)`)
	rule := one[int](t, super, `select id from ratelimit.rules where name = 'calm'`)
	if got := one[string](t, super, `select string_agg(format('%s %s/%s', sign((e ->> 'id')::integer), e ->> 'limit', e ->> 'window_seconds'), ', ')
		from jsonb_array_elements(fluxbase.rate_rules()) e where e ->> 'name' = 'calm'`); got != "-1 2/1, 1 6/1296000" {
		t.Errorf("rules for servers: %s", got)
	}
	take := func() string { // in one call, as a server does
		return one[string](t, super, `select string_agg(e ->> 'granted', '') from jsonb_array_elements(fluxbase.rate_limit(
			jsonb_build_array(jsonb_build_object('rule', $1::integer, 'subject', 'a', 'want', 1), jsonb_build_object('rule', -$1::integer, 'subject', 'a', 'want', 1))) -> 'taken') e`, rule)
	}
	second := func() string {
		exec(t, super, `select pg_sleep(1.001 - extract(epoch from clock_timestamp())::numeric % 1)`)
		return take() + " " + take() + " " + take()
	}
	if got := second() + ", " + second() + ", " + second() + ", " + second(); got != "11 11 0, 11 11 0, 11 11 0, 10 10 0" {
		t.Errorf("got %s", got)
	}
	refused(t, super, "23514", nil, `select ratelimit.set_rule(p_name => 'x', p_scope => 'ip', p_limit => 5, p_window => '1 minute', p_burst => 6)`)
	exec(t, super, `select ratelimit.drop_rule('calm')`)
	if n := one[int](t, super, `select count(*)::integer from ratelimit.counters`); n != 0 {
		t.Errorf("%d counters of no rule", n)
	}
}

func TestRateLimitAdministration(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	rule := ruleID(t, super, "mine", 2, "/api/v1/rest/*")
	for range 3 {
		one[string](t, super, takeSQL, rule, "203.0.113.9", 1)
	}
	why := `select string_agg(rule || ' ' || used || '/' || max_requests || ' ' || verdict, ', ') from ratelimit.why('203.0.113.9', $1)`
	for path, want := range map[string]string{"/api/v1/rest/notes": "mine 2/2 refused", "/api/v1/auth/login": "login 0/5 passes",
		"/api/v1/auth/factors/x/verify": "second factor 0/15 passes"} {
		if got := one[string](t, super, why, path); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	if got := one[string](t, super, `select rule || ' ' || subject || ' ' || used from ratelimit.top()`); got != "mine 203.0.113.9 2" {
		t.Errorf("top: %s", got)
	}
	if n := one[int](t, super, `select ratelimit.reset('203.0.113.9')`); n != 1 || one[string](t, super, takeSQL, rule, "203.0.113.9", 1) != "1" {
		t.Errorf("reset: %d", n)
	}
	refused(t, super, "22023", []string{"neither"}, `select ratelimit.reset()`)
	exec(t, super, `select ratelimit.drop_rule('mine')`)
	refused(t, super, "P0002", []string{"active_rules"}, `select ratelimit.drop_rule('mine')`)
	if n := one[int](t, super, `select count(*)::integer from ratelimit.volume_counters`); n != 0 {
		t.Errorf("%d counters of no rule", n)
	}
	refused(t, super, "23514", []string{"scope of the rule", "api_key"}, `select ratelimit.set_rule(p_name => 'x', p_scope => 'nobody', p_limit => 1, p_window => '1 minute')`)
	refused(t, super, "23514", []string{"max_requests of the rule"}, `select ratelimit.set_rule(p_name => 'x', p_scope => 'ip', p_limit => 0, p_window => '1 minute')`)
	refused(t, super, "23502", []string{"window_seconds of the rule", "p_window"}, `select ratelimit.set_rule(p_name => 'x', p_scope => 'ip', p_limit => 1, p_window => null)`)
	if got := strings.Join(lines(t, super, `select action from audit.log where action like 'ratelimit.%' order by action`), " "); got != "ratelimit.reset ratelimit.rule_dropped ratelimit.rule_set" {
		t.Errorf("audit: %s", got)
	}
	for _, role := range []string{"fluxbase_api", "fluxbase_service", "fluxbase_server"} {
		refused(t, db.Conn(t, role), "42501", nil, `select ratelimit.reset('x')`)
	}
	refused(t, db.Conn(t, "fluxbase_api"), "42501", nil, `select fluxbase.rate_limit('[]')`)
}

// A rule by the name that clients of Supabase use is about the same requests.
func TestRateLimitNamesOfPaths(t *testing.T) {
	t.Parallel()
	super := pgtest.Database(t).Conn(t, "superuser")
	for path, want := range map[string]string{"/auth/v1/login": "/api/v1/auth/login true", "/rest/v1/*": "/api/v1/rest/* false",
		"/rest/v10": "/rest/v10 false", "/x/rest/v1": "/x/rest/v1 false"} {
		exec(t, super, `select ratelimit.set_rule(p_name => 'named', p_scope => 'ip', p_limit => 1, p_window => '1 minute', p_path => $1)`, path)
		if got := one[string](t, super, `select path || ' ' || durable from ratelimit.active_rules() where name = 'named'`); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	exec(t, super, `select ratelimit.drop_rule('named')`)
	if got := one[string](t, super, `select string_agg(rule, ', ') from ratelimit.why('203.0.113.9', '/auth/v1/login')`); got != "login" {
		t.Errorf("why: %s", got)
	}
}

func TestRateLimitsOfTheConfiguration(t *testing.T) {
	t.Parallel()
	super := pgtest.Database(t).Conn(t, "superuser")
	apply := func(rules string) string {
		exec(t, super, `select fluxbase.apply_rate_limits($1::jsonb)`, rules)
		return strings.Join(lines(t, super, `select name || ' ' || max_requests from ratelimit.active_rules() where path is null or path = '/api/v1/auth/login' order by name`), ", ")
	}
	login := func(n int) string {
		return fmt.Sprintf(`[{"name": "config: login", "scope": "ip", "path": "/api/v1/auth/login", "limit": %d, "window_seconds": 60}]`, n)
	}
	exec(t, super, `select ratelimit.set_rule(p_name => 'mine', p_scope => 'global', p_limit => 9, p_window => '1 minute')`)
	// The rule of the configuration replaces the default one, and what stands in psql stays.
	for _, c := range []struct{ rules, want string }{
		{`[]`, "login 5, mine 9"}, {login(50), "config: login 50, mine 9"}, {login(40), "config: login 40, mine 9"}, {`[]`, "login 5, mine 9"},
	} {
		if got := apply(c.rules); got != c.want {
			t.Errorf("%s: got %s", c.rules, got)
		}
	}
}

// Counters of sensitive rules are there after a crash; those of the others need not be.
func TestRateLimitCounters(t *testing.T) {
	t.Parallel()
	super := pgtest.Database(t).Conn(t, "superuser")
	if got := one[string](t, super, `select string_agg(relname || ' ' || relpersistence::text, ', ' order by relname) from pg_class
		where oid in ('ratelimit.counters'::regclass, 'ratelimit.volume_counters'::regclass)`); got != "counters p, volume_counters u" {
		t.Errorf("got %s", got)
	}
}

// The share of the window before shrinks as the current one goes on.
func TestRateLimitRoom(t *testing.T) {
	t.Parallel()
	super := pgtest.Database(t).Conn(t, "superuser")
	for _, c := range []struct {
		previous, hits int
		age            float64
		want           int
	}{
		{0, 0, 0.5, 100}, {0, 30, 0.5, 70}, {0, 100, 0.99, 0},
		{100, 0, 0, 0}, {100, 0, 0.005, 1}, {100, 0, 0.25, 25}, {100, 25, 0.25, 0}, {100, 25, 0.5, 25}, {40, 50, 0.5, 30},
		{100, 20, -0.5, -20},                                                      // another call has begun the window meanwhile
		{100, 100, 1, 0}, {7, 100, 1.25, 25}, {7, 100, 2, 100}, {7, 100, 50, 100}, // one that nobody has touched since
		{1, 0, 0.5, 100}, {1, 0, 0, 99}, {200, 0, 0.25, -50}, // counted under another limit
	} {
		if got := one[int](t, super, `select ratelimit.room(p_limit => 100, p_previous => $1, p_hits => $2, p_age => $3)`, c.previous, c.hits, c.age); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// What psql sees is what the next request will meet.
func TestRateLimitUsageSlides(t *testing.T) {
	t.Parallel()
	super := pgtest.Database(t).Conn(t, "superuser")
	rule := ruleID(t, super, "slides", 100, "/api/v1/rest/notes")
	if got := one[string](t, super, takeSQL, rule, "a", 100); got != "100" {
		t.Fatalf("took %s", got)
	}
	exec(t, super, `update ratelimit.volume_counters set window_start = window_start - interval '15 days'`)
	used := one[int](t, super, `select used from ratelimit.usage() where subject = 'a'`)
	share := one[float64](t, super, `select 1 - (extract(epoch from now()) % 1296000)::float8 / 1296000`)
	if want := int(100 * share); used != want {
		t.Errorf("used %d, want %d", used, want)
	}
	granted := one[string](t, super, takeSQL, rule, "a", 100)
	if granted != fmt.Sprint(100-used) {
		t.Errorf("used %d, and %s are given", used, granted)
	}
	if got := one[string](t, super, `select used || ' ' || verdict from ratelimit.why('a', '/api/v1/rest/notes')`); got != "100 refused" {
		t.Errorf("why: %s", got)
	}
	exec(t, super, `update ratelimit.volume_counters set window_start = window_start - interval '30 days'`)
	if n := one[int](t, super, `select count(*)::int from ratelimit.usage()`); n != 0 {
		t.Errorf("%d counters of long ago", n)
	}
}

// Which paths a rule is about is decided by servers and, for psql, by ratelimit.matches: by one table.
func TestRateLimitPaths(t *testing.T) {
	t.Parallel()
	super := pgtest.Database(t).Conn(t, "superuser")
	text, err := os.ReadFile("../../../testdata/rate_limit_paths.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Rule    string
		Matches []string
		Others  []string
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		for want, paths := range map[bool][]string{true: c.Matches, false: c.Others} {
			for _, path := range paths {
				if got := one[bool](t, super, `select ratelimit.matches(p_pattern => $1, p_path => $2)`, c.Rule, path); got != want {
					t.Errorf("%s, %s: %t", c.Rule, path, got)
				}
			}
		}
	}
}
