package gateway

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/wayli-app/fluxbase/controlplane/postgres"
)

const benchSelect = "select body from public.notes where id = $1"

// BenchmarkBare is what pgx needs for the same statement without any security, as a superuser.
func BenchmarkBare(b *testing.B) {
	f := setup(b, nil)
	config, err := pgxpool.ParseConfig(f.socket(b, "superuser"))
	if err != nil {
		b.Fatal(err)
	}
	pool, err := pgxpool.NewWithConfig(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	ctx, cancel := context.WithCancel(b.Context()) // as a request's
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		var body string
		if err := pool.QueryRow(ctx, benchSelect, 1).Scan(&body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQuery(b *testing.B) {
	for name, opt := range map[string]QueryOptions{"read": read, "write": write, "volatile": {ReadOnly: true, Volatile: true}} {
		b.Run(name, func(b *testing.B) { benchmarkQuery(b, opt, PoolerNone) })
	}
	b.Run("pooler", func(b *testing.B) { benchmarkQuery(b, read, PoolerTransaction) })
}

func benchmarkQuery(b *testing.B, opt QueryOptions, pooler Pooler) {
	f := setup(b, nil)
	g, err := Open(b.Context(), Config{
		API:     PoolConfig{URL: f.socket(b, "fluxbase_api")},
		Service: PoolConfig{URL: f.socket(b, "fluxbase_service")},
		Server:  PoolConfig{URL: f.socket(b, "fluxbase_server")},
		Pooler:  pooler,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close(b.Context()) //nolint:errcheck // the benchmark is over
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	caller, args := annCaller(), [][]byte{[]byte("1")}
	rows := 0
	count := func([][]byte) error { rows++; return nil }
	b.ReportAllocs()
	for b.Loop() {
		if err := g.Query(ctx, caller, Statement{SQL: benchSelect, Args: args}, opt, count); err != nil {
			b.Fatal(err)
		}
	}
	if rows != b.N {
		b.Fatalf("%d rows for %d requests", rows, b.N)
	}
}

// BenchmarkEnvelope is the part that needs no database: context and MAC.
func BenchmarkEnvelope(b *testing.B) {
	var e envelope
	key, c := &contextKey{secret: make([]byte, 32)}, annCaller()
	c.RequestID = "0195f1c2-1111-7000-8000-000000000000"
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		e.request(key, &c, now, true, 0)
	}
}

// socket is the URL of a login over the cluster's Unix socket.
func (f *fixture) socket(b *testing.B, login string) string {
	dir := f.value(b, "split_part(current_setting('unix_socket_directories'), ',', 1)")
	if dir == "" {
		return f.db.URL(login)
	}
	url, err := postgres.WithParam(f.db.URL(login), "host", dir)
	if err != nil {
		b.Fatal(err)
	}
	return url
}
