package main

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// Four server processes, 200 logins at once, a limit of 10: exactly ten are read, whichever server they come to.
func TestRateLimitOfSeveralServers(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t, pgtest.Options{})
	installed(t, c)
	if left := time.Until(time.Now().Truncate(time.Hour).Add(time.Hour)); left < time.Minute {
		t.Skip("the window ends while the test runs")
	}
	var bases []string
	for range 4 {
		bases = append(bases, startServe(t, c, `FLUXBASE_RATE_LIMITING_ENDPOINTS=[{"path":"/api/v1/auth/login","per_hour":10}]`))
	}
	var passed, refused, other atomic.Int64
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range 200 {
		all.Go(func() {
			<-start
			path := []string{"/api/v1/auth/login", "/auth/v1/token?grant_type=password"}[i%2]
			status, _, err := request("POST", bases[i%4]+path, "", `{"email":"nobody@example.com"}`)
			switch {
			case err == nil && status == http.StatusBadRequest:
				passed.Add(1)
			case err == nil && status == http.StatusTooManyRequests:
				refused.Add(1)
			default:
				other.Add(1)
				t.Logf("%d %v", status, err)
			}
		})
	}
	close(start)
	all.Wait()
	if passed.Load() != 10 || refused.Load() != 190 {
		t.Errorf("%d passed, %d were refused, %d got something else", passed.Load(), refused.Load(), other.Load())
	}
}
