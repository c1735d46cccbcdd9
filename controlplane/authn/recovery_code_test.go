package authn_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

func TestMFARecoveryCodes(t *testing.T) {
	t.Parallel()
	s, k := startWithAnn(t, sealKey)
	state := func(k servertest.Tokens) string {
		a := s.Do(t, "GET", "/auth/v1/factors/recovery-codes", nil, k.Bearer())
		expect(t, a, 200, "")
		var n struct{ Total, Remaining int }
		if err := json.Unmarshal(a.Body, &n); err != nil {
			t.Error(err)
		}
		return fmt.Sprint(n.Remaining, "/", n.Total)
	}
	expect(t, s.Do(t, "POST", "/auth/v1/factors/recovery-codes", nil, k.Bearer()), 404, "mfa_factor_not_found")
	f := enroll(t, s, k, "phone")
	k = stepUp(t, s, k, f)
	if got := state(k); got != "0/0" {
		t.Errorf("at first: %s", got)
	}
	old := recoveryCodes(t, s, k)
	codes := recoveryCodes(t, s, k)
	if len(codes) != 10 || len(slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(codes), old...))))) != 20 || state(k) != "10/10" {
		t.Errorf("codes %q, then %q", old, codes)
	}
	for _, code := range codes {
		if s.Value(t, `select count(*) from auth.recovery_codes r where strpos(r::text, $1) > 0`, strings.ReplaceAll(code, "-", "")) != "0" ||
			strings.Contains(s.Log.String(), code) || s.Value(t, `select count(*) from audit.log l where strpos(l::text, $1) > 0`, code) != "0" {
			t.Error("a code is stored")
		}
	}

	lost := s.Login(t, ann) // her phone
	a := redeem(t, s, lost, strings.ToUpper(strings.ReplaceAll(codes[0], "-", " ")))
	expect(t, a, 200, "")
	if c := claimsOf(t, a.Tokens()); c.AAL != "aal2" || c.Session != claimsOf(t, lost).Session || c.AMR[0].Method != "recovery_code" {
		t.Errorf("claims %+v", c)
	}
	lost = a.Tokens()
	expect(t, redeem(t, s, lost, codes[0]), 422, "mfa_verification_failed") // used
	expect(t, redeem(t, s, lost, old[0]), 422, "mfa_verification_failed")   // replaced
	if got := state(lost); got != "9/10" {
		t.Errorf("left: %s", got)
	}

	s.Exec(t, `select auth.set_setting('mfa_failures_before_delay', '100')`)
	var good, refused atomic.Int32
	var all sync.WaitGroup
	sessions := []servertest.Tokens{lost, s.Login(t, ann), s.Login(t, ann)}
	for i := range 50 {
		all.Go(func() {
			switch a := redeem(t, s, sessions[i%3], codes[1]); {
			case a.Status == 200:
				good.Add(1)
			case a.Code() == "mfa_verification_failed":
				refused.Add(1)
			default:
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	all.Wait()
	if good.Load() != 1 || refused.Load() != 49 {
		t.Errorf("one code in 50 parallel tries: %d times good, %d refused", good.Load(), refused.Load())
	}
	if got := state(lost); got != "8/10" {
		t.Errorf("left: %s", got)
	}
	expect(t, s.Do(t, "DELETE", f.path(""), nil, lost.Bearer()), 200, "") // the lost phone can be removed
}
