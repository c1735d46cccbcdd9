package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// limits compares the secured read under a limit for all clients together with the same without limits, and the rate at
// which clients beyond their limit are answered with that of the read.
func (b *bench) limits(ctx context.Context) ([]row, error) {
	const free, limited, connections = "127.0.0.1:18092", "127.0.0.1:18093", 16
	conn, err := pgx.Connect(ctx, b.env["DATABASE_URL"])
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `select ratelimit.set_rule('bench: all', 'global', 1000000000, '15 days'),
		ratelimit.set_rule('bench: one', 'client', 1, '15 days', '/api/v1/rest/tasks')`); err != nil {
		return nil, err
	}
	for _, s := range []struct{ address, enabled string }{{free, "false"}, {limited, "true"}} {
		stop, err := b.serve(ctx, s.address, "FLUXBASE_RATE_LIMITING_ENABLED="+s.enabled)
		if err != nil {
			return nil, err
		}
		defer stop()
	}
	read := func(c, n int, _ []byte) []byte { return get(b.notePath(c*31+n), b.token) }
	refused := func(_, _ int, _ []byte) []byte { return get("/api/v1/rest/tasks", b.token) }
	for range 2 { // the one that passes, and the one that makes the refusal known
		run(limited, 1, b.duration, http.StatusOK, func(_, n int, _ []byte) []byte {
			if n > 0 {
				return nil
			}
			return refused(0, 0, nil)
		})
	}
	var cost, blocked, faster []float64
	var detail, cheaper, rates string
	for range b.rounds {
		without, plain, _ := b.busy(free, connections, http.StatusOK, read)
		with, counted, asking := b.busy(limited, connections, http.StatusOK, read)
		turned, cheap, again := b.busy(limited, connections, http.StatusTooManyRequests, refused)
		for what, l := range map[string]load{"read": without, "read under a limit": with, "refused": turned} {
			if err := l.check(what); err != nil {
				return nil, err
			}
		}
		cost = append(cost, counted/plain-1)
		blocked = append(blocked, counted/cheap)
		detail = fmt.Sprintf("last round: %.0f us, %.0f/s; without %.0f us, %.0f/s", counted, with.rate, plain, without.rate)
		cheaper = fmt.Sprintf("last round: %.0f us; with the load generator %.1f", cheap, (counted+asking)/(cheap+again))
		faster = append(faster, turned.rate/with.rate)
		rates = fmt.Sprintf("last round: %.0f/s of %.0f/s", turned.rate, with.rate)
	}
	return []row{
		{"cost of a limit for all clients on the secured read, CPU", median(cost), 0.05, true, detail},
		{"secured read / refused request, CPU", median(blocked), 5, false, cheaper},
		{"refused requests / secured reads a second", median(faster), 5, false, rates},
	}, nil
}

// busy is run, and the microseconds of CPU for one answer: those that all servers and PostgreSQL took, and those of the load
// generator, which takes them on the same machine and says nothing about the others.
func (b *bench) busy(address string, connections, status int, next source) (l load, perAnswer, perQuestion float64) {
	before, own := b.cpu(), ownCPU()
	l = run(address, connections, b.duration, status, next)
	answers := float64(max(l.answers, 1))
	return l, float64((b.cpu() - before).Microseconds()) / answers, float64((ownCPU() - own).Microseconds()) / answers
}

// ownCPU is what this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpu is what the processes that we started have used, their children included.
func (b *bench) cpu() time.Duration {
	const tick = time.Second / 100 // USER_HZ
	ours := map[string]bool{}
	for _, cmd := range b.procs {
		ours[strconv.Itoa(cmd.Process.Pid)] = true
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	parents, used := map[string]string{}, map[string]time.Duration{}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ") // after the name, which may hold anything
		fields := strings.Fields(rest)
		if len(fields) < 15 {
			continue
		}
		pid := filepath.Base(filepath.Dir(path))
		parents[pid] = fields[1]
		for _, field := range fields[11:15] { // utime, stime, cutime, cstime
			n, _ := strconv.ParseInt(field, 10, 64)
			used[pid] += time.Duration(n) * tick
		}
	}
	var sum time.Duration
	for pid, took := range used {
		for up := pid; up != "" && up != "0"; up = parents[up] {
			if ours[up] {
				sum += took
				break
			}
		}
	}
	return sum
}

// serve starts one more server on the database of the first.
func (b *bench) serve(ctx context.Context, address string, variables ...string) (stop func(), err error) {
	u, err := url.Parse(b.env["DATABASE_URL"])
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, b.path("fluxbase"), "serve")
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "FLUXBASE_MODE=development", "FLUXBASE_SERVER_LISTEN="+address,
		"FLUXBASE_AUTH_JWT_SECRET="+b.env["JWT_SECRET"], "FLUXBASE_LOGGING_LEVEL=warn")
	for login, variable := range map[string]string{"api": "URL", "service": "SERVICE_URL", "server": "SERVER_URL"} {
		dsn, err := b.serverURL(login, u.Host)
		if err != nil {
			return nil, err
		}
		cmd.Env = append(cmd.Env, "FLUXBASE_DATABASE_"+variable+"="+dsn)
	}
	cmd.Env = append(cmd.Env, variables...)
	if err := b.start(cmd, os.Stderr); err != nil {
		return nil, err
	}
	stop = func() { b.end(cmd) }
	if err := waitFor(ctx, "http://"+address+"/readyz"); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}
