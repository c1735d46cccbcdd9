package server_test

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/guard"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// startRedis runs a Redis of the test's own and returns its URL. Without the program the test is skipped, unless
// everything is asked for.
func startRedis(t testing.TB) (url string, stop func()) {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("FLUXBASE_TEST_REQUIRE_ALL") != "" {
			t.Fatal("no redis-server (apt-get install redis-server)")
		}
		t.Skip("no redis-server (apt-get install redis-server)")
	}
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir(), "--requirepass", "redis-test-password")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	wait(t, "Redis", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return "redis://:redis-test-password@" + address + "/0", stop
}

// Four servers count together, whatever they count in: 200 at once, of which exactly the limit passes.
func TestStores(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"PostgreSQL", "Redis"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			variables := []string{"FLUXBASE_RATE_LIMITING_ENABLED=true"}
			if store == "Redis" {
				url, _ := startRedis(t)
				variables = append(variables, "FLUXBASE_RATE_LIMITING_REDIS_URL="+url)
			}
			db := pgtest.Database(t)
			first := servertest.On(t, db)
			first.Exec(t, notes)
			for name, c := range map[string]struct {
				limit int
				path  string
			}{"exact": {10, "/api/v1/auth/login"}, "volume": {100, "/api/v1/rest/rpc/nap"}, "other": {3, "/api/v1/rest/rpc/other"}} {
				first.Exec(t, `select ratelimit.set_rule($1, 'ip', $2, '15 days', $3)`, name, c.limit, c.path)
			}
			first.Exec(t, `delete from ratelimit.rules where source = 'default'`)
			var servers []*servertest.Server
			for range 4 {
				servers = append(servers, servertest.On(t, db, variables...))
			}
			for _, c := range []struct {
				path  string
				limit int
				exact bool
			}{{"/auth/v1/login", 10, true}, {"/rest/v1/rpc/nap", 100, false}} {
				var mu sync.Mutex
				statuses := map[bool]int{}
				var all sync.WaitGroup
				for i := range 200 {
					all.Go(func() {
						a, err := servers[i%4].Try("POST", c.path, map[string]int{"seconds": 0})
						mu.Lock()
						defer mu.Unlock()
						if err != nil || a.Status >= 500 {
							t.Errorf("%s: %d %s %v", c.path, a.Status, a.Body, err)
						}
						statuses[a.Status != 429]++
					})
				}
				all.Wait()
				// All of a volume limit is given, but what lies with servers that nobody asks any more.
				if passed := statuses[true]; passed > c.limit || c.exact && passed != c.limit || passed < c.limit-4*5 {
					t.Errorf("%s: %d passed of %d", c.path, passed, c.limit)
				}
			}
			if got := first.Value(t, `select string_agg(details ->> 'rule' || ' ' || (details ->> 'subject'), ', ') from audit.log where action = 'ratelimit.refused'`); got != "exact 127.0.0.1" {
				t.Errorf("audit: %s", got)
			}
			want := map[string]string{"PostgreSQL": "true", "Redis": "false"}[store]
			if got := first.Value(t, `select exists (select from ratelimit.counters) and exists (select from ratelimit.volume_counters)`); got != want {
				t.Errorf("counted in PostgreSQL: %s", got)
			}
			if a := servers[0].Do(t, "POST", "/rest/v1/rpc/other", map[string]int{}); a.Header.Get("RateLimit-Limit") != "3" || a.Header.Get("RateLimit-Remaining") != "2" {
				t.Errorf("headers: %v", a.Header)
			}
		})
	}
}

// Two installations, whose rules have the same numbers, on one Redis: neither uses up what the other's clients may.
func TestInstallationsShareRedis(t *testing.T) {
	t.Parallel()
	url, _ := startRedis(t)
	var servers []*servertest.Server
	for range 2 {
		db := pgtest.Database(t)
		first := servertest.On(t, db)
		first.Exec(t, `delete from ratelimit.rules where source = 'default'`)
		first.Exec(t, `select ratelimit.set_rule('login', 'ip', 3, '15 days', '/api/v1/auth/login')`)
		servers = append(servers, servertest.On(t, db, "FLUXBASE_RATE_LIMITING_ENABLED=true", "FLUXBASE_RATE_LIMITING_REDIS_URL="+url))
	}
	if a, b := servers[0].Value(t, `fluxbase.installation_id()`), servers[1].Value(t, `fluxbase.installation_id()`); a == b || len(a) != 16 {
		t.Errorf("installations %s and %s", a, b)
	}
	for i, s := range servers {
		for n := range 4 {
			if a := s.Do(t, "POST", "/auth/v1/login", map[string]int{}); (a.Status == 429) != (n == 3) {
				t.Errorf("installation %d, request %d: %d", i, n, a.Status)
			}
		}
	}
}

// When Redis is gone, or hangs, authentication waits for it and data does not, unless the configuration says otherwise.
func TestRedisFails(t *testing.T) {
	t.Parallel()
	for failure, want := range map[string][2]bool{"refuse_sensitive": {true, false}, "refuse": {true, true}, "pass": {false, false}} {
		t.Run(failure, func(t *testing.T) {
			t.Parallel()
			url, stop := startRedis(t)
			s := start(t, "FLUXBASE_RATE_LIMITING_ENABLED=true", "FLUXBASE_RATE_LIMITING_REDIS_URL="+url, "FLUXBASE_RATE_LIMITING_STORE_FAILURE="+failure)
			s.Exec(t, `select ratelimit.set_rule('data', 'ip', 10, '1 hour', '/api/v1/rest/**')`)
			wait(t, "the rule", func() bool {
				return s.Do(t, "POST", "/rest/v1/rpc/nap", map[string]int{"seconds": 0}).Header.Get("RateLimit-Limit") == "10"
			})
			s.Exec(t, `select ratelimit.set_rule('data', 'ip', 11, '1 hour', '/api/v1/rest/**')`)
			wait(t, "the changed rule", func() bool {
				return s.Do(t, "POST", "/rest/v1/rpc/nap", map[string]int{"seconds": 0}).Header.Get("RateLimit-Limit") == "11"
			})
			stop()
			begun := time.Now()
			for i, path := range []string{"/auth/v1/login", "/rest/v1/rpc/nap"} {
				a := s.Do(t, "POST", path, map[string]int{"seconds": 0})
				if refused := a.Status >= 500; refused != want[i] {
					t.Errorf("%s: %d %s", path, a.Status, a.Body)
				}
			}
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
			if strings.Contains(s.Log.String(), "redis-test-password") || strings.Contains(fmt.Sprintf("%+v", servertest.Config(t, s.DB, "FLUXBASE_RATE_LIMITING_REDIS_URL="+url)), "redis-test-password") {
				t.Error("the password is in the log or printed with the configuration")
			}
		})
	}
}

// entries calls entry points on one connection.
type entries struct {
	mu   sync.Mutex
	conn *pgx.Conn
}

func (e *entries) Entry(ctx context.Context, _ gateway.Caller, sql string, args [][]byte) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	result := e.conn.PgConn().ExecParams(ctx, sql, args, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	return result.Rows[0][0], nil
}

// After a window whose limit was reached, the next one gives out what its share of time is worth and no more: at no moment, and
// in no window more than the limit. Who is refused learns when there is what was asked for.
func TestSlidingWindows(t *testing.T) {
	t.Parallel()
	const limit, length, want = 100, 2, 7
	for _, store := range []string{"PostgreSQL", "Redis"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Database(t)
			super := db.Conn(t, "superuser")
			var rule int
			if _, err := super.Exec(t.Context(), `select ratelimit.set_rule('slides', 'global', $1, make_interval(secs => $2))`, limit, length); err != nil {
				t.Fatal(err)
			}
			if err := super.QueryRow(t.Context(), `select id from ratelimit.rules where name = 'slides'`).Scan(&rule); err != nil {
				t.Fatal(err)
			}
			calls := &entries{conn: db.Conn(t, "fluxbase_server")}
			var counters guard.Counters = guard.NewDatabase(calls)
			if store == "Redis" {
				url, _ := startRedis(t)
				redis, err := guard.NewRedis(url, "test", calls)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = redis.Close() })
				counters = redis
			}
			take := func() guard.Taking {
				t.Helper()
				taken, err := counters.Take(t.Context(), []guard.Asking{{Rule: rule, Subject: "*", Want: want, Limit: limit, WindowSeconds: length, Enforced: true}})
				if err != nil || len(taken) != 1 {
					t.Fatalf("%v %v", taken, err)
				}
				return taken[0]
			}
			// Right after the beginning of a window.
			time.Sleep(time.Until(time.Now().Truncate(length * time.Second).Add(length*time.Second + 10*time.Millisecond)))
			first := take()
			granted := map[int64]int{first.Window: first.Granted}
			waited := 0
			for len(granted) < 4 {
				before := granted[first.Window]
				got := take()
				after := time.Now() // not before the moment at which the store decided
				granted[got.Window] += got.Granted
				previous, hits := granted[got.Window-length], granted[got.Window]
				left := 1 - float64(after.UnixMicro()-1e6*got.Window)/1e6/length // of the window
				if most := limit - int(math.Floor(float64(previous)*max(left, 0))); hits > most || hits > limit {
					t.Fatalf("%d of %d passed in the window %d, %.3f before its end, and %d in the one before", hits, limit, got.Window-first.Window, left, previous)
				}
				if got.Granted > 0 {
					continue
				}
				if got.Window == first.Window && before != limit {
					t.Errorf("refused after %d", before)
				}
				time.Sleep(time.Duration(got.ResetMS) * time.Millisecond)
				again := take()
				granted[again.Window] += again.Granted
				if waited++; again.Granted == 0 {
					t.Errorf("told to wait %d ms, and refused again", got.ResetMS)
				}
			}
			// All of the limit is there for whoever goes on asking, but what is lost to waiting for a lot.
			for _, n := range []int64{1, 2} {
				if got := granted[first.Window+n*length]; got < limit-3*want {
					t.Errorf("window %d: only %d passed", n, got)
				}
			}
			if waited < 10 {
				t.Errorf("waited %d times", waited)
			}
		})
	}
}
