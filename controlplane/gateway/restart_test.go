package gateway

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// stub stands in for the installed gate on a private cluster.
const stub = `
	create role anon; create role fluxbase_api login noinherit password 'x'; grant anon to fluxbase_api;
	create role fluxbase_service login noinherit password 'x'; create role fluxbase_server login noinherit password 'x';
	create schema fluxbase;
	grant usage on schema fluxbase to fluxbase_api, fluxbase_service, fluxbase_server;
	create function fluxbase.context_key() returns bytea return sha256('x');
	create function fluxbase.begin_request(p_role text, p_session_id uuid, p_jti uuid, p_api_key_id uuid, p_context text,
		p_context_mac text, p_claims text, p_read_only boolean, p_statement_timeout integer) returns void language plpgsql as $$
	begin
		perform set_config('transaction_read_only', p_read_only::text, true), set_config('role', p_role, true);
	end $$;
	create function fluxbase.begin_issuer_request(p_role text, p_issuer_id uuid, p_context text, p_context_mac text, p_claims text,
		p_read_only boolean, p_statement_timeout integer) returns void language plpgsql as $$ begin end $$;
	create function fluxbase.begin_entry(p_session_id uuid, p_jti uuid, p_api_key_id uuid, p_context text,
		p_context_mac text, p_claims text) returns void language plpgsql as $$ begin end $$;
	create function fluxbase.begin_pending_entry(p_session_id uuid, p_jti uuid, p_api_key_id uuid, p_context text,
		p_context_mac text, p_claims text) returns void language plpgsql as $$ begin end $$;
	create table public.done (n bigint primary key);
	grant select, insert on public.done to anon;
`

// onCluster opens a gateway on a private cluster that a test may crash.
func onCluster(t *testing.T, size int) (*Gateway, *pgtest.PrivateCluster) {
	t.Helper()
	cluster := pgtest.Cluster(t, pgtest.Options{Durable: true})
	super, err := pgx.Connect(t.Context(), cluster.SuperuserURL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := super.Exec(t.Context(), stub); err != nil {
		t.Fatal(err)
	}
	_ = super.Close(t.Context())
	pool := func(login string) PoolConfig {
		return PoolConfig{URL: cluster.URL(login, "x", "postgres"), Size: size}
	}
	g, err := Open(t.Context(), Config{API: pool("fluxbase_api"), Service: pool("fluxbase_service"), Server: pool("fluxbase_server")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = g.Close(ctx)
	})
	return g, cluster
}

// fill makes n connections of the data pool busy at once, so that all exist afterwards.
func fill(t *testing.T, g *Gateway, n int) {
	t.Helper()
	var inside, wg sync.WaitGroup
	inside.Add(n)
	for range n {
		wg.Go(func() {
			arrived := false
			err := g.Query(t.Context(), anonCaller(), Statement{SQL: "select 1"}, read, func([][]byte) error {
				arrived = true
				inside.Done()
				inside.Wait()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if !arrived {
				inside.Done()
			}
		})
	}
	wg.Wait()
}

func TestRecoversFromRestart(t *testing.T) {
	t.Parallel()
	const size = 4
	g, cluster := onCluster(t, size)
	restart := func() {
		t.Helper()
		if err := cluster.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	insert := func(n string) error {
		return g.Query(t.Context(), anonCaller(), Statement{SQL: "insert into public.done values ($1)", Args: [][]byte{[]byte(n)}}, write, nil)
	}
	kill := func() { cluster.Kill() } // Restart replaces what the method belongs to
	for i, stop := range []func(){kill, func() { _ = cluster.Stop(t.Context()) }, kill} {
		n := strconv.Itoa(i)
		fill(t, g, size)
		stop()
		if err := g.Query(t.Context(), anonCaller(), Statement{SQL: "select 1"}, read, nil); !errors.Is(err, ErrUnavailable) {
			t.Errorf("while it is down: %v", err)
		}
		if err := insert("1" + n); !errors.Is(err, ErrUnavailable) {
			t.Errorf("while it is down: %v", err)
		}
		restart()
		fill(t, g, size)

		// Nobody noticed the next one: the pool is full of dead connections when the first request comes.
		stop()
		restart()
		if i == 0 {
			if err := insert("2" + n); err != nil {
				t.Errorf("a write after a restart: %v", err)
			}
		} else if err := g.Query(t.Context(), anonCaller(), Statement{SQL: "select 1"}, read, nil); err != nil {
			t.Errorf("a read after a restart: %v", err)
		}
		if _, err := g.Entry(t.Context(), anonCaller(), "select '1'::jsonb", nil); err != nil {
			t.Errorf("an entry point after a restart: %v", err)
		}
		fill(t, g, size)
	}
}

// Every write that was confirmed is there after a crash under load, and every one that was refused is not.
func TestCrashUnderLoad(t *testing.T) {
	t.Parallel()
	g, cluster := onCluster(t, 4)
	var mu sync.Mutex
	var wg sync.WaitGroup
	confirmed, unknown := map[string]bool{}, map[string]bool{}
	var next atomic.Int64
	var stop atomic.Bool
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				n := strconv.FormatInt(next.Add(1), 10)
				rows := 0
				err := g.Query(t.Context(), anonCaller(), Statement{SQL: "insert into public.done values ($1) returning n", Args: [][]byte{[]byte(n)}},
					write, func([][]byte) error { rows++; return nil })
				if err != nil && (!errors.Is(err, ErrUnavailable) || rows != 0) {
					t.Errorf("%d rows, %v", rows, err)
				}
				mu.Lock()
				if err == nil {
					confirmed[n] = true
				} else {
					unknown[n] = true
				}
				mu.Unlock()
				if err != nil {
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	var reads atomic.Int64
	for range 16 { // share writes, and fail in no other way
		wg.Go(func() {
			for !stop.Load() {
				err := g.Query(t.Context(), anonCaller(), Statement{SQL: "select 1"}, read, nil)
				if err == nil {
					reads.Add(1)
					continue
				}
				if !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrBusy) {
					t.Errorf("a read: %v", err)
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	for range 2 {
		time.Sleep(300 * time.Millisecond)
		cluster.Kill()
		if err := cluster.Restart(t.Context()); err != nil {
			t.Error(err)
			break
		}
	}
	time.Sleep(300 * time.Millisecond)
	before := reads.Load()
	time.Sleep(100 * time.Millisecond)
	if reads.Load() == before {
		t.Error("nobody can read afterwards")
	}
	stop.Store(true)
	wg.Wait()
	(&fixture{Gateway: g}).idle(t)
	found := 0
	err := g.Query(t.Context(), anonCaller(), Statement{SQL: "select n from public.done"}, read, func(row [][]byte) error {
		n := string(row[0])
		if !confirmed[n] && !unknown[n] {
			t.Errorf("row %s was never sent", n)
		}
		if confirmed[n] {
			found++
		}
		return nil
	})
	if err != nil || found != len(confirmed) || found == 0 || len(unknown) == 0 {
		t.Errorf("%d of %d confirmed rows are there, %d requests failed, %v", found, len(confirmed), len(unknown), err)
	}
}

// A write whose connection breaks after it was sent is not repeated; a read is, unless rows were handed out.
func TestBrokenConnection(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	kill := "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'fluxbase_api'"
	during := func(opt QueryOptions, sql string) ([]string, error) {
		var wg sync.WaitGroup
		defer wg.Wait() // it uses the fixture's own connection
		wg.Go(func() {
			for range 1000 {
				var n int
				_ = f.super.QueryRow(context.Background(), "select count(*) from pg_stat_activity where datname = current_database() and state = 'active' and wait_event = 'PgSleep'").Scan(&n)
				if n > 0 {
					_, _ = f.super.Exec(context.Background(), kill)
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
		return f.query(t.Context(), annCaller(), opt, sql)
	}
	_, err := during(write, "select nextval('public.ticks')::text || pg_sleep(0.5)")
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("a write: %v", err)
	}
	if got := f.value(t, "select last_value from public.ticks"); got != "1" {
		t.Errorf("the write ran %s times", got)
	}
	if got, err := during(read, "select pg_sleep(0.5)::text || 'done'"); err != nil || len(got) != 1 {
		t.Errorf("a read: %v, %v", got, err)
	}
	if got, err := during(read, "select repeat('x', 9000) || case when n = 9 then pg_sleep(5)::text else '' end from generate_series(1, 9) n"); !errors.Is(err, ErrUnavailable) || len(got) == 0 {
		t.Errorf("a read that had begun: %d rows, %v", len(got), err)
	}
}

func TestAlive(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		peer func(net.Conn)
		want bool
	}{
		"idle":         {func(net.Conn) {}, true},
		"notification": {func(c net.Conn) { _, _ = c.Write([]byte("A")) }, true},
		"error":        {func(c net.Conn) { _, _ = c.Write([]byte("E")) }, false},
		"closed":       {func(c net.Conn) { _ = c.Close() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close() //nolint:errcheck // a test's listener
			client, err := dial(t.Context(), "tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close() //nolint:errcheck // a test's connection
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close() //nolint:errcheck // a test's connection
			tt.peer(server)
			time.Sleep(20 * time.Millisecond)
			for range 2 { // looking must not consume
				if got := alive(client); got != tt.want {
					t.Errorf("alive: %t", got)
				}
			}
		})
	}
}
