package server_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// fresh waits until no window of a minute or an hour ends for a while.
func fresh(t *testing.T, s *servertest.Server) {
	t.Helper()
	s.Exec(t, `select pg_sleep(case when s > 45 then 60.1 - s else 0 end) from (select extract(epoch from clock_timestamp())::numeric % 60) w (s)`)
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, "FLUXBASE_RATE_LIMITING_ENABLED=true", "FLUXBASE_SERVER_TRUSTED_PROXIES=127.0.0.1")
	fresh(t, s)
	body := map[string]string{"email": ann} // counted before it is read
	login := func(path, ip string) servertest.Answer {
		return s.Do(t, "POST", path, body, "X-Forwarded-For: "+ip)
	}
	// Every name of the route, every spelling of it and every address of a network are one.
	paths := []string{"/api/v1/auth/login", "/auth/v1/token?grant_type=password", "/auth/v1/login", "/auth/v1/token?x=1&grant_type=%70assword", "/api/v1/auth/token?grant_type=password"}
	for i, path := range paths {
		a := login(path, "2001:db8:1:2::"+strconv.Itoa(i+1))
		if a.Status != 400 || a.Header.Get("RateLimit-Limit") != "5" || a.Header.Get("RateLimit-Remaining") != strconv.Itoa(4-i) || a.Header.Get("RateLimit-Reset") == "" {
			t.Errorf("%d: %d %v", i, a.Status, a.Header)
		}
	}
	for _, path := range append(paths, "/api/v1/auth/%6cogin", "/auth/v1//login", "/auth/v1/LOGIN", "/auth/v1/login/", "/auth/v1/./login") {
		a := login(path, "2001:db8:1:2:ffff::1")
		if a.Status == 404 {
			continue // not the route at all
		}
		wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
		if a.Status != 429 || a.Code() != "over_request_rate_limit" || err != nil || wait < 1 || wait > 60 || a.Header.Get("RateLimit-Remaining") != "0" {
			t.Errorf("%s: %d %s %v", path, a.Status, a.Body, a.Header)
		}
	}
	if a := login(paths[0], "2001:db8:1:3::1"); a.Status != 400 {
		t.Errorf("another network: %d", a.Status)
	}
	if a := s.Do(t, "GET", "/auth/v1/settings", nil, "X-Forwarded-For: 2001:db8:1:2::1"); a.Status != 200 {
		t.Errorf("another route: %d", a.Status)
	}
	if n := s.RoundTrips(func() { login(paths[0], "2001:db8:1:2::1") }); n != 0 {
		t.Errorf("a blocked client takes %d round trips", n)
	}
	s.Exec(t, `select ratelimit.reset('2001:db8:1:2::/64')`)
	wait(t, "the reset", func() bool { return login(paths[0], "2001:db8:1:2::1").Status == 400 })
	// A rule made in psql.
	s.Exec(t, `select ratelimit.set_rule('closed', 'global', 1, '1 hour', '/api/v1/auth/settings')`)
	closed := func() bool { return s.Do(t, "GET", "/auth/v1/settings", nil).Status == 429 }
	wait(t, "the rule", closed)
	s.Exec(t, `select ratelimit.reset(p_rule => 'closed')`) // its window goes on
	wait(t, "the reset of the rule", func() bool { return !closed() })
}

// A new password costs as much as a login: nobody who is signed in keeps the workers from all others.
func TestRateLimitOfUserUpdates(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, "FLUXBASE_RATE_LIMITING_ENABLED=true")
	fresh(t, s)
	s.CreateUser(t, ann)
	s.CreateUser(t, bob)
	hers, his := s.Login(t, ann), s.Login(t, bob)
	update := func(k servertest.Tokens) int {
		return s.Do(t, "PUT", "/auth/v1/user", map[string]any{"data": map[string]any{"a": 1}}, k.Bearer()).Status
	}
	passed := 0
	for range 35 {
		switch status := update(hers); status {
		case 200:
			passed++
		case 429:
		default:
			t.Fatalf("%d", status)
		}
	}
	if passed < 5 || passed > 30 {
		t.Errorf("%d of 35 passed", passed)
	}
	if a := s.Do(t, "GET", "/auth/v1/user", nil, hers.Bearer()); a.Status != 200 {
		t.Errorf("reading: %d %s", a.Status, a.Body)
	}
	if status := update(his); status != 200 {
		t.Errorf("another user: %d", status)
	}
}

// The keys of an organization have limits of their own, so organizations are not made without end.
func TestRateLimitOfNewOrganizations(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, "FLUXBASE_RATE_LIMITING_ENABLED=true")
	fresh(t, s)
	s.CreateUser(t, ann)
	s.CreateUser(t, bob)
	hers, his := s.Login(t, ann), s.Login(t, bob)
	found := func(k servertest.Tokens, slug string) int {
		return s.Do(t, "POST", "/api/v1/auth/organizations", map[string]any{"slug": slug, "name": "x"}, k.Bearer()).Status
	}
	made := 0
	for n := range 25 {
		switch status := found(hers, "hers-"+strconv.Itoa(n)); status {
		case 201:
			made++
		case 429:
		default:
			t.Fatalf("%d", status)
		}
	}
	if made != 20 {
		t.Errorf("%d of 25 were made", made)
	}
	if a := s.Do(t, "GET", "/api/v1/auth/organizations", nil, hers.Bearer()); a.Status != 200 {
		t.Errorf("reading: %d %s", a.Status, a.Body)
	}
	if status := found(his, "his"); status != 201 {
		t.Errorf("another user: %d", status)
	}
}

func TestRateLimitOfData(t *testing.T) {
	t.Parallel()
	s := start(t, "FLUXBASE_RATE_LIMITING_ENABLED=true", "FLUXBASE_RATE_LIMITING_PER_HOUR=500",
		`FLUXBASE_RATE_LIMITING_ENDPOINTS=[{"path":"/rest/v1/notes","method":"GET","per_hour":20},{"path":"/api/v1/auth/login","per_minute":100}]`)
	fresh(t, s)
	s.CreateUser(t, ann)
	s.CreateUser(t, bob)
	hers, his := s.Login(t, ann), s.Login(t, bob)
	passed := 0
	for range 30 {
		for _, path := range []string{"/rest/v1/notes", "/api/v1/rest/n%6ftes"} {
			switch a := s.Do(t, "GET", path, nil, hers.Bearer()); a.Status {
			case 200:
				passed++
			case 429:
				if a.Code() != "over_request_rate_limit" || !strings.Contains(string(a.Body), `"details"`) {
					t.Errorf("%s", a.Body)
				}
			default:
				t.Errorf("%d %s", a.Status, a.Body)
			}
		}
	}
	if passed != 20 {
		t.Errorf("%d passed", passed)
	}
	if a := s.Do(t, "POST", "/rest/v1/notes", map[string]string{"body": "x"}, hers.Bearer()); a.Status != 201 {
		t.Errorf("another method: %d", a.Status)
	}
	if a := s.Do(t, "GET", "/rest/v1/notes", nil, his.Bearer()); a.Status != 200 {
		t.Errorf("another user: %d", a.Status)
	}
	// A lot of requests costs one round trip more than none.
	if n := s.RoundTrips(func() {
		for range 10 {
			s.Do(t, "POST", "/rest/v1/notes", map[string]string{"body": "x"}, his.Bearer())
		}
	}); n > 11 {
		t.Errorf("ten inserts take %d round trips", n)
	}
	// Whoever shows bad tokens is counted by address.
	for range 600 {
		if s.Do(t, "GET", "/rest/v1/other", nil, "Authorization: Bearer x").Status == 429 {
			return
		}
	}
	t.Error("bad tokens are not counted")
}

// A request that was refused a moment ago is refused without looking at it: the same answer, counted, without a line in the log.
func TestRefusedAgain(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	s := start(t, "FLUXBASE_RATE_LIMITING_ENABLED=true", "FLUXBASE_SERVER_METRICS_LISTEN="+address)
	s.CreateUser(t, ann)
	k := s.Login(t, ann)
	s.Exec(t, `select ratelimit.set_rule('data', 'client', 1, '15 days', '/api/v1/rest/notes', 'GET'), ratelimit.set_rule('auth', 'global', 1, '15 days', '/api/v1/auth/settings')`)
	const version = "X-Supabase-Api-Version: 2024-01-01"
	for _, c := range []struct {
		path, rule string
		headers    []string
	}{{"/rest/v1/notes", "data", []string{k.Bearer()}}, {"/auth/v1/settings", "auth", nil}, {"/auth/v1/settings", "auth", []string{version}}} {
		var first servertest.Answer
		wait(t, "the refusal", func() bool {
			first = s.Do(t, "GET", c.path, nil, c.headers...)
			return first.Status == 429
		})
		logged := strings.Count(s.Log.String(), `"status":429`)
		before := counted(t, address, `fluxbase_rate_limited_total{rule="`+c.rule+`"}`)
		for range 3 {
			again := s.Do(t, "GET", c.path, nil, c.headers...)
			if again.Status != 429 || string(again.Body) != string(first.Body) {
				t.Errorf("%s: %d %s, first %s", c.path, again.Status, again.Body, first.Body)
			}
			for name := range first.Header {
				if got := again.Header.Get(name); got != first.Header.Get(name) && name != "X-Request-Id" && name != "Date" && name != "Retry-After" && name != "Ratelimit-Reset" || got == "" {
					t.Errorf("%s: %s is %q, first %q", c.path, name, got, first.Header.Get(name))
				}
			}
			if len(again.Header) != len(first.Header) || again.Header.Get("X-Request-Id") == first.Header.Get("X-Request-Id") {
				t.Errorf("%s: %v, first %v", c.path, again.Header, first.Header)
			}
		}
		if n := strings.Count(s.Log.String(), `"status":429`); n != logged {
			t.Errorf("%s: %d more lines in the log", c.path, n-logged)
		}
		if n := counted(t, address, `fluxbase_rate_limited_total{rule="`+c.rule+`"}`) - before; n != 3 {
			t.Errorf("%s: %d counted", c.path, n)
		}
	}
	// Other requests of the same client are looked at.
	if a := s.Do(t, "POST", "/rest/v1/notes", map[string]string{"body": "x"}, k.Bearer()); a.Status != 201 {
		t.Errorf("another method: %d %s", a.Status, a.Body)
	}
	if a := s.Do(t, "GET", "/rest/v1/notes", nil, "Authorization: Bearer x"); a.Status != 401 {
		t.Errorf("another token: %d %s", a.Status, a.Body)
	}
}

// counted is the value of a series in the metrics, 0 without.
func counted(t *testing.T, address, series string) int {
	t.Helper()
	a, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), series+" ")
	line, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.Atoi(line)
	return n
}
