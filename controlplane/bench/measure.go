package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/token"
)

// get is a GET request as bytes.
func get(path, bearer string) []byte {
	if bearer != "" {
		bearer = "Authorization: Bearer " + bearer + "\r\n"
	}
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, bearer)
}

func post(path, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, len(body), body)
}

// notePath asks for one note by its primary key.
func (b *bench) notePath(n int) string {
	return fmt.Sprintf("/api/v1/rest/notes?select=id,body,created_at&id=eq.%d", b.ids[n%len(b.ids)])
}

// check reports an error when a run saw one: a rate with refused requests in it means nothing.
func (l load) check(what string) error {
	if l.errors > 0 {
		return fmt.Errorf("%s: %d of the requests failed, the first with: %s", what, l.errors, l.first)
	}
	return nil
}

// reads compares the secured read with the bare handler, with a token that is known and with tokens never seen before.
func (b *bench) reads(ctx context.Context) (rows []row, err error) {
	bareAddress, stop, err := b.bare(pool())
	if err != nil {
		return nil, err
	}
	defer stop()
	secured := make([][]byte, len(b.ids))
	bare := make([][]byte, len(b.ids))
	for i := range b.ids {
		secured[i] = get(b.notePath(i), b.token)
		bare[i] = get(fmt.Sprintf("/notes/%d", b.ids[i]), "")
	}
	pick := func(requests [][]byte) source {
		return func(c, n int, _ []byte) []byte { return requests[(c*31+n)%len(requests)] }
	}
	for _, connections := range []int{16, 64} {
		var known, fresh, tail, p99 []float64
		var rates string
		// Both have their connections, plans and caches before the first round.
		run(bareAddress, connections, time.Second, http.StatusOK, pick(bare))
		run(b.address, connections, time.Second, http.StatusOK, pick(secured))
		for range b.rounds {
			base := run(bareAddress, connections, b.duration, http.StatusOK, pick(bare))
			read := run(b.address, connections, b.duration, http.StatusOK, pick(secured))
			unseen, err := b.unseen(connections)
			if err != nil {
				return nil, err
			}
			first := run(b.address, connections, b.duration, http.StatusOK, unseen)
			for what, l := range map[string]load{"bare read": base, "secured read": read, "secured read, new tokens": first} {
				if err := l.check(what); err != nil {
					return nil, err
				}
			}
			known = append(known, read.rate/base.rate)
			fresh = append(fresh, first.rate/base.rate)
			tail = append(tail, float64(read.p99)/float64(read.p50))
			p99 = append(p99, float64(read.p99)/float64(time.Millisecond))
			rates = fmt.Sprintf("rounds %.2f, last %.0f/s of %.0f/s", known, read.rate, base.rate)
		}
		limit := 5.0
		if connections == 64 {
			limit = 3
		}
		rows = append(rows,
			row{fmt.Sprintf("secured read / bare handler, %d connections", connections), median(known), 0.50, false, rates},
			row{fmt.Sprintf("same, tokens never seen before, %d connections", connections), median(fresh), 0.42, false, ""},
			row{fmt.Sprintf("p99 / p50 of the secured read, %d connections", connections), median(tail), limit, true, fmt.Sprintf("p99 %.1f ms", median(p99))})
	}
	return rows, nil
}

// unseen returns requests whose access tokens the server has not met: other ids and times, the same living session.
func (b *bench) unseen(connections int) (source, error) {
	var claims map[string]any
	payload := strings.Split(b.token, ".")[1]
	decoded, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(decoded, &claims); err != nil {
		return nil, err
	}
	issuer, audience := fmt.Sprint(claims["iss"]), fmt.Sprint(claims["aud"])
	for _, name := range []string{"iss", "aud", "iat", "nbf", "exp", "jti"} {
		delete(claims, name)
	}
	fragment, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	secret, err := token.NewSecret(b.env["JWT_SECRET"])
	if err != nil {
		return nil, err
	}
	key, err := token.HMACKey("", secret)
	if err != nil {
		return nil, err
	}
	ring, err := token.NewKeyRing(key)
	if err != nil {
		return nil, err
	}
	signer, err := token.NewSigner(ring, token.Rules{Issuer: issuer, Audience: audience, MaxLifetime: time.Hour, Leeway: time.Second}, time.Now)
	if err != nil {
		return nil, err
	}
	// Signed before the run: about twice as many as can be asked for.
	each := int(b.duration.Seconds()*30000) / connections
	requests := make([][][]byte, connections)
	for c := range requests {
		for n := range each {
			text, _, err := signer.Sign(fragment, uuid.New(), 15*time.Minute)
			if err != nil {
				return nil, err
			}
			requests[c] = append(requests[c], get(b.notePath(c*31+n), text))
		}
	}
	return func(c, n int, _ []byte) []byte {
		if n >= len(requests[c]) {
			return nil
		}
		return requests[c][n]
	}, nil
}

// refreshes compares rotations through HTTP with bare single-row commits.
func (b *bench) refreshes(ctx context.Context) ([]row, error) {
	const connections = 16
	var ratios []float64
	var detail string
	for range b.rounds {
		commits, err := bareCommits(ctx, b.socket, connections, b.duration)
		if err != nil {
			return nil, err
		}
		tokens := make([]string, connections)
		for i := range tokens {
			s, err := b.login(fmt.Sprintf("bench%d@example.com", i))
			if err != nil {
				return nil, err
			}
			tokens[i] = s.RefreshToken
		}
		l := run(b.address, connections, b.duration, http.StatusOK, func(c, _ int, answer []byte) []byte {
			if answer != nil {
				var s session
				_ = json.Unmarshal(answer, &s)
				tokens[c] = s.RefreshToken
			}
			return post("/api/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, tokens[c]))
		})
		if err := l.check("refresh"); err != nil {
			return nil, err
		}
		ratios = append(ratios, l.rate/commits)
		detail = fmt.Sprintf("last round: %.0f/s of %.0f/s", l.rate, commits)
	}
	return []row{{"refreshes / bare UPDATE commits, 16 connections", median(ratios), 0.30, false, detail}}, nil
}

// logins compares logins with bare bcrypt comparisons, and reads beside a flood of logins with reads alone.
func (b *bench) logins(context.Context) ([]row, error) {
	login := func(c, n int, _ []byte) []byte {
		return post("/api/v1/auth/login", b.credentials(fmt.Sprintf("bench%d@example.com", (c+32*(n%2))%people)))
	}
	read := func(c, n int, _ []byte) []byte { return get(b.notePath(c*31+n), b.token) }
	long := 3 * b.duration
	var ratios, kept, p99 []float64
	var detail string
	for range b.rounds {
		bare, err := bareBcrypt(10, long)
		if err != nil {
			return nil, err
		}
		alone := run(b.address, 32, long, http.StatusOK, login)
		quiet := run(b.address, 16, b.duration, http.StatusOK, read)
		flood := make(chan load)
		go func() { flood <- run(b.address, 32, b.duration+time.Second, http.StatusOK, login) }()
		time.Sleep(500 * time.Millisecond)
		beside := run(b.address, 16, b.duration, http.StatusOK, read)
		for what, l := range map[string]load{"login": alone, "read": quiet, "read beside logins": beside, "login beside reads": <-flood} {
			if err := l.check(what); err != nil {
				return nil, err
			}
		}
		ratios = append(ratios, alone.rate/bare)
		kept = append(kept, beside.rate/quiet.rate)
		p99 = append(p99, float64(beside.p99)/float64(time.Millisecond))
		detail = fmt.Sprintf("last round: %.1f/s of %.1f/s", alone.rate, bare)
	}
	return []row{
		{"logins / bare bcrypt comparisons", median(ratios), 0.90, false, detail},
		{"reads during a flood of logins / without", median(kept), 0.60, false, ""},
		{"p99 of reads during a flood of logins, ms", median(p99), 50, true, ""},
	}, nil
}

// roundTrips counts on the wire, with a second server whose connections pass a counting proxy.
func (b *bench) roundTrips(ctx context.Context) ([]row, error) {
	u, err := url.Parse(b.env["DATABASE_URL"])
	if err != nil {
		return nil, err
	}
	wires := map[string]*wire{}
	cmd := exec.CommandContext(ctx, b.path("fluxbase"), "serve")
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "FLUXBASE_MODE=development", "FLUXBASE_SERVER_LISTEN=127.0.0.1:18091",
		"FLUXBASE_AUTH_JWT_SECRET="+b.env["JWT_SECRET"], "FLUXBASE_LOGGING_LEVEL=warn",
		// Settings are followed by LISTEN on a connection of its own; polling would be counted.
		"FLUXBASE_DATABASE_DIRECT_URL="+b.env["DATABASE_URL"])
	for login, variable := range map[string]string{"api": "URL", "service": "SERVICE_URL", "server": "SERVER_URL"} {
		if wires[login], err = newWire(u.Host); err != nil {
			return nil, err
		}
		dsn, err := b.serverURL(login, wires[login].address())
		if err != nil {
			return nil, err
		}
		cmd.Env = append(cmd.Env, "FLUXBASE_DATABASE_"+variable+"="+dsn)
	}
	if err := b.start(cmd, os.Stderr); err != nil {
		return nil, err
	}
	defer b.end(cmd)
	const address, requests = "127.0.0.1:18091", 200
	if err := waitFor(ctx, "http://"+address+"/readyz"); err != nil {
		return nil, err
	}
	count := func(what, login string, next source) (row, error) {
		limited := func(upTo int) source {
			return func(c, n int, answer []byte) []byte {
				if n >= upTo {
					return nil
				}
				return next(c, n, answer)
			}
		}
		// Connections are made before the count: a second one when a request comes before the answer to the last one has
		// given its connection back.
		if err := run(address, 1, time.Minute, http.StatusOK, limited(30)).check(what); err != nil {
			return row{}, err
		}
		// What the server asks for itself meanwhile, the catalog for example, would count too: of three runs the least counts.
		least, detail := math.Inf(1), ""
		for range 3 {
			before := wires[login].trips.Load()
			counted := run(address, 1, time.Minute, http.StatusOK, limited(requests))
			if err := counted.check(what); err != nil {
				return row{}, err
			}
			least = min(least, float64(wires[login].trips.Load()-before)/float64(counted.answers))
			detail = fmt.Sprintf("%d requests", counted.answers)
		}
		return row{"round trips on the wire: " + what, least, 1, true, detail}, nil
	}
	read, err := count("data request", "api", func(c, n int, _ []byte) []byte { return get(b.notePath(n), b.token) })
	if err != nil {
		return nil, err
	}
	s, err := b.login("bench0@example.com")
	if err != nil {
		return nil, err
	}
	refresh, err := count("token refresh", "server", func(_, _ int, answer []byte) []byte {
		if answer != nil {
			_ = json.Unmarshal(answer, &s)
		}
		return post("/api/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, s.RefreshToken))
	})
	if err != nil {
		return nil, err
	}
	login, err := count("login", "server", func(_, n int, _ []byte) []byte {
		if n >= 40 { // each takes as long as a hash
			return nil
		}
		return post("/api/v1/auth/login", b.credentials("bench1@example.com"))
	})
	login.budget = 2 // around the hash
	return []row{read, refresh, login}, err
}

func waitFor(ctx context.Context, address string) error {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		response, err := http.Get(address)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%s is not ready: %w", address, err)
		}
	}
}
