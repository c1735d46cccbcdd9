package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

const (
	burst    = 100                    // statements in one burst
	patience = 200 * time.Millisecond // after which a burst of slow statements ends
	bursts   = 20                     // of each side, taking turns
)

// A side is one of two ways of asking the same thing.
type side func(ctx context.Context) error

// one opens a gateway with a single connection for requests, and returns the process of PostgreSQL that serves it.
func (b *bench) one(ctx context.Context) (g *gateway.Gateway, pid int, err error) {
	conn, err := pgx.ParseConfig(b.env["DATABASE_URL"])
	if err != nil {
		return nil, 0, err
	}
	var pools [3]gateway.PoolConfig
	for i, login := range []string{"api", "service", "server"} {
		dsn, err := b.serverURL(login, fmt.Sprintf("%s:%d", conn.Host, conn.Port))
		if err != nil {
			return nil, 0, err
		}
		pools[i] = gateway.PoolConfig{URL: dsn, Size: 1}
	}
	if g, err = gateway.Open(ctx, gateway.Config{API: pools[0], Service: pools[1], Server: pools[2]}); err != nil {
		return nil, 0, err
	}
	err = g.Query(ctx, gateway.Caller{Role: "anon"}, gateway.Statement{SQL: `select pg_backend_pid()`}, gateway.QueryOptions{ReadOnly: true},
		func(row [][]byte) (err error) {
			pid, err = strconv.Atoi(string(row[0]))
			return err
		})
	return g, pid, err
}

// caller is a person with a session in an organization.
func caller(ctx context.Context, owner *pgx.Conn, orgID, userID string) (c gateway.Caller, err error) {
	c = gateway.Caller{Role: "authenticated", JTI: uuid.New(), AAL: "aal1", RequestID: "bench"}
	err = owner.QueryRow(ctx, `insert into auth.sessions (user_id, org_id, expires_at) values ($1, $2, now() + interval '1 hour') returning user_id, id`, userID, orgID).
		Scan(&c.UserID, &c.SessionID)
	c.Claims = fmt.Appendf(nil, `{"sub":"%s"}`, c.UserID)
	return c, err
}

// compare takes turns, a burst of each, and returns the medians in microseconds of the time of its processor.
func compare(ctx context.Context, pid int, under, hand side) (policy, byHand float64, err error) {
	var a, b []float64
	for n := range bursts + 1 {
		first, err := burstOf(ctx, pid, under)
		if err != nil {
			return 0, 0, err
		}
		second, err := burstOf(ctx, pid, hand)
		if err != nil {
			return 0, 0, err
		}
		if n > 0 { // the first one plans
			a, b = append(a, first), append(b, second)
		}
	}
	return median(a), median(b), nil
}

// burstOf returns microseconds of processor time for one answer.
func burstOf(ctx context.Context, pid int, ask side) (float64, error) {
	started, before := time.Now(), processor(pid)
	n := 0
	for n < burst && (n == 0 || time.Since(started) < patience) {
		if err := ask(ctx); err != nil {
			return 0, err
		}
		n++
	}
	return float64((processor(pid) - before).Nanoseconds()) / 1000 / float64(n), nil
}

// processor is how long a process was on a processor, whatever else the machine does meanwhile. Where /proc does not say, the
// clock on the wall has to do.
func processor(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err == nil {
		on, _, _ := strings.Cut(string(text), " ")
		if n, err := strconv.ParseInt(on, 10, 64); err == nil {
			return time.Duration(n)
		}
	}
	return time.Since(begun)
}

var begun = time.Now()
