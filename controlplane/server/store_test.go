package server_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

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
