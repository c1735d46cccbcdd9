package main

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// Four server processes, 200 logins at once, a limit of 10: exactly ten are read, whichever server they come to.
func TestRateLimitOfSeveralServers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := pgtest.Cluster(t, pgtest.Options{})
	if _, err := c.Superuser(t, "postgres").Exec(ctx, `create database app encoding 'UTF8' template template0`); err != nil {
		t.Fatal(err)
	}
	conn := c.Superuser(t, "app")
	if _, err := install.Migrate(ctx, conn, fluxbase.Files, install.Options{To: install.Latest}); err != nil {
		t.Fatal(err)
	}
	passwords := install.Passwords{API: "crash-password-of-api", Service: "crash-password-of-service", Server: "crash-password-of-server"}
	if err := install.SetPasswords(ctx, conn, passwords); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(time.Now().Truncate(time.Hour).Add(time.Hour)); left < time.Minute {
		t.Skip("the window ends while the test runs")
	}
	var bases []string
	for range 4 {
		bases = append(bases, startServe(t, c, "app", `FLUXBASE_RATE_LIMITING_ENDPOINTS=[{"path":"/api/v1/auth/login","per_hour":10}]`))
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
