package authn_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// Whether an address is known cannot be measured from outside: 200 known and 200 unknown addresses, one after the other,
// at login, sign-up and recovery. The medians differ by less than 5 % in two of three runs. It takes minutes, on a machine
// that does nothing else: it wants FLUXBASE_TEST_LONG.
func TestAnswersTakeEqualTime(t *testing.T) {
	if os.Getenv("FLUXBASE_TEST_LONG") == "" {
		t.Skip("FLUXBASE_TEST_LONG is not set")
	}
	const samples, runs, limit = 200, 3, 0.05
	m := startMailed(t)
	m.Exec(t, `select auth.set_setting('login_failures_before_delay', '100'), auth.set_setting('login_account_failures_before_delay', '100000'),
		auth.set_setting('login_address_failures_before_delay', '100000')`)
	m.CreateUser(t, "hash@example.com")
	hash := m.Value(t, `select encrypted_password from auth.users`)
	for _, route := range []struct {
		path   string
		status int
		body   func(email string) map[string]any
	}{
		{"token?grant_type=password", 400, func(email string) map[string]any { return map[string]any{"email": email, "password": "wrong"} }},
		{"signup", 200, func(email string) map[string]any {
			return map[string]any{"email": email, "password": servertest.Password}
		}},
		{"recover", 200, func(email string) map[string]any { return map[string]any{"email": email} }},
	} {
		t.Run(route.path, func(t *testing.T) {
			good, bad := 0, 0
			var seen []string
			for run := range runs {
				name := fmt.Sprintf("%c%d", route.path[0], run)
				m.Exec(t, `insert into auth.users (email, encrypted_password, email_confirmed_at) select format('known-%s-%s@example.com', $1::text, n), $2, now()
					from generate_series(0, $3 - 1) n`, name, hash, samples)
				m.Exec(t, `delete from auth.login_attempts`)
				m.Exec(t, `vacuum analyze auth.users`)
				var known, unknown []time.Duration
				for n := range samples {
					sides := []struct {
						email string
						into  *[]time.Duration
					}{{fmt.Sprintf("known-%s-%d@example.com", name, n), &known}, {fmt.Sprintf("other-%s-%d@example.com", name, n), &unknown}}
					if n%2 == 1 { // neither is always the second
						sides[0], sides[1] = sides[1], sides[0]
					}
					for _, side := range sides {
						started := time.Now()
						a := m.Do(t, "POST", "/auth/v1/"+route.path, route.body(side.email))
						*side.into = append(*side.into, time.Since(started))
						if a.Status != route.status {
							t.Fatalf("%s: %d %s", side.email, a.Status, a.Body)
						}
					}
				}
				difference := apart(known, unknown)
				noise := max(apart(known[:samples/2], known[samples/2:]), apart(unknown[:samples/2], unknown[samples/2:]))
				switch {
				case difference < limit:
					good++
				case noise < limit:
					bad++
				}
				seen = append(seen, fmt.Sprintf("%s and %s (%.3f, noise %.3f)", median(known), median(unknown), difference, noise))
			}
			t.Logf("known and unknown: %s", seen)
			switch {
			case bad >= 2:
				t.Errorf("the medians differ: %s", seen)
			case good < 2:
				t.Skipf("the machine is too busy to measure: %s", seen)
			}
		})
	}
}

func TestRefusedLoginsTakeEqualTime(t *testing.T) {
	s := servertest.Start(t) // not parallel: it measures
	s.CreateUser(t, ann)
	s.Exec(t, `select auth.set_setting('login_failures_before_delay', '100'), auth.set_setting('login_account_failures_before_delay', '100000'), auth.set_setting('login_address_failures_before_delay', '100000')`)
	try := func(email string) func() {
		return func() { expect(t, login(t, s, email, "wrong"), 400, "invalid_credentials") }
	}
	takeEqualTime(t, 40, func() { s.Exec(t, `delete from auth.login_attempts`) }, try(ann), try("nobody@example.com"))
}

// takeEqualTime fails unless the medians of a known and an unknown address differ by less than 5 % in two of three runs.
// Samples of the two alternate, so that other load meets both. A run in which the halves of one side differ as much
// measured the load of the machine and does not count.
func takeEqualTime(t *testing.T, samples int, before, known, unknown func()) {
	t.Helper()
	const limit, patience = 0.05, 40 * time.Second
	started := time.Now()
	measure := func() (difference, noise float64) {
		before()
		var a, b []time.Duration
		for range samples {
			for _, side := range []struct {
				call func()
				into *[]time.Duration
			}{{known, &a}, {unknown, &b}} {
				started := time.Now()
				side.call()
				*side.into = append(*side.into, time.Since(started))
			}
		}
		noise = max(apart(a[:samples/2], a[samples/2:]), apart(b[:samples/2], b[samples/2:]))
		return apart(a, b), noise
	}
	good, bad := 0, 0
	var seen []float64
	for range 5 {
		difference, noise := measure()
		switch {
		case difference < limit:
			good++
		case noise < limit:
			bad++
		}
		seen = append(seen, difference, noise)
		if good == 2 || bad == 2 || time.Since(started) > patience {
			break
		}
	}
	switch {
	case bad == 2:
		t.Errorf("the medians differ: %.3v (difference and noise of each run)", seen)
	case good < 2:
		t.Skipf("the machine is too busy to measure: %.3v (difference and noise of each run)", seen)
	}
	t.Logf("%.3v (difference and noise of each run)", seen)
}

// apart is the relative difference of two medians.
func apart(a, b []time.Duration) float64 {
	x, y := float64(median(a)), float64(median(b))
	return (max(x, y) - min(x, y)) / min(x, y)
}

func median(samples []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(samples))[len(samples)/2]
}
