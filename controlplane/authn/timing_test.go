package authn_test

import (
	"fmt"
	"os"
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
