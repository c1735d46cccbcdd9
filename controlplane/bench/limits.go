package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"

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
	var stops []func()
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	together, err := b.apart(func() error {
		for _, s := range []struct{ address, enabled string }{{free, "false"}, {limited, "true"}} {
			stop, err := b.serve(ctx, s.address, "FLUXBASE_RATE_LIMITING_ENABLED="+s.enabled)
			if err != nil {
				return err
			}
			stops = append(stops, stop)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	defer together()
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
	answers := func(what, address string, status int, next source) (turn, error) {
		t := b.turn(address, connections, status, next)
		return t, t.check(what)
	}
	var cost, blocked, faster []float64
	var detail, cheaper, rates string
	for range b.rounds * turns {
		without, err := answers("read", free, http.StatusOK, read)
		if err != nil {
			return nil, err
		}
		with, err := answers("read under a limit", limited, http.StatusOK, read)
		if err != nil {
			return nil, err
		}
		turned, err := answers("refused", limited, http.StatusTooManyRequests, refused)
		if err != nil {
			return nil, err
		}
		cost = append(cost, with.server/without.server-1)
		blocked = append(blocked, with.server/turned.server)
		faster = append(faster, turned.rate/with.rate)
		detail = fmt.Sprintf("last turn: %.0f us, %.0f/s; without %.0f us, %.0f/s", with.server, with.rate, without.server, without.rate)
		cheaper = fmt.Sprintf("last turn: %.0f us; with the load generator %.1f", turned.server, (with.server+with.own)/(turned.server+turned.own))
		rates = fmt.Sprintf("last turn: %.0f/s of %.0f/s", turned.rate, with.rate)
	}
	return []row{
		{"cost of a limit for all clients on the secured read, CPU", median(cost), 0.05, true, detail},
		{"secured read / refused request, CPU", median(blocked), 5, false, cheaper},
		{"refused requests / secured reads a second", median(faster), 5, false, rates},
	}, nil
}

// turns are short, and many in a round: a few hundredths are to be told apart, and a machine changes its pace all the time.
const turns = 6

// A turn is one run with the microseconds of CPU for one answer: those that all servers and PostgreSQL took, and those of the
// load generator, which say nothing about the others.
type turn struct {
	load
	server, own float64
}

func (b *bench) turn(address string, connections, status int, next source) turn {
	before, own := b.cpu(), ownCPU()
	l := run(address, connections, b.duration/3, status, next)
	answers := float64(max(l.answers, 1))
	return turn{l, float64((b.cpu() - before).Microseconds()) / answers, float64((ownCPU() - own).Microseconds()) / answers}
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
