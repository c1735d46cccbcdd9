//go:build unix

package gateway

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/postgres"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestBehindPgBouncer(t *testing.T) {
	t.Parallel()
	f := setupOn(t, pgtest.Database(t), func(db *pgtest.DB, c *Config) {
		logins := map[string]string{}
		for _, login := range []string{"fluxbase_api", "fluxbase_service", "fluxbase_server"} {
			logins[login] = pgtest.Password(login)
		}
		address := pgtest.PgBouncer(t, db.URL("superuser"), logins)
		c.Pooler = PoolerTransaction
		for login, pool := range map[string]*PoolConfig{"fluxbase_api": &c.API, "fluxbase_service": &c.Service, "fluxbase_server": &c.Server} {
			url, err := postgres.WithUser(fmt.Sprintf("postgres://%s/%s?sslmode=disable", address, db.Name), login, pgtest.Password(login))
			if err != nil {
				t.Fatal(err)
			}
			pool.URL, pool.Size = url, 4
		}
	})
	if err := f.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}

	// Two tenants and nobody, interleaved over one server connection.
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			c, want := []Caller{annCaller(), bobCaller(), anonCaller()}[i%3], []string{"1,3,5,7,9", "2,4,6,8,10", ""}[i%3]
			for range 20 {
				got, err := f.query(t.Context(), c, []QueryOptions{read, write, rpc}[i%2], "select id from public.notes order by id")
				if err != nil || strings.Join(got, ",") != want {
					t.Errorf("%v, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := f.value(t, "select count(*) from pg_stat_activity where datname = current_database() and usename = 'fluxbase_api'"); got != "1" {
		t.Errorf("%s server connections", got)
	}

	f.wire.Reset()
	f.one(t, annCaller(), read, "select body from public.notes where id = $1", "1")
	if got := f.wire.Counts(); got.Writes != 1 || got.Ready != 1 || got.Frontend['P'] != 3 || got.Frontend['D'] != 0 {
		t.Errorf("on the wire: %+v", got)
	}
	if got := f.one(t, annCaller(), read, "select count(*) from pg_prepared_statements"); got != "0" {
		t.Errorf("%s prepared statements on the shared connection", got)
	}
	f.one(t, annCaller(), QueryOptions{Rollback: true}, "insert into public.notes values (100, auth.uid(), 'new') returning id")
	if got := f.one(t, annCaller(), read, "select count(*) from public.notes where id = 100"); got != "0" {
		t.Error("what was to be undone stayed")
	}
	if _, err := f.Entry(t.Context(), annCaller(), "select to_jsonb(auth.uid())", nil); err != nil {
		t.Error(err)
	}
	_, err := f.query(t.Context(), annCaller(), read, "select 1/0")
	wantCode(t, err, "22012")
	_, err = f.query(t.Context(), annCaller(), QueryOptions{StatementTimeout: 50 * time.Millisecond}, "select pg_sleep(9)")
	wantCode(t, err, "57014")
	f.one(t, bobCaller(), rpc, run, "select set_config('search_path', 'pg_temp', false), set_config('role', 'anon', false), pg_advisory_lock(7)")
	if got := f.one(t, annCaller(), read, "select current_user || current_setting('search_path') || (select count(*) from pg_locks where locktype = 'advisory')"); got != `authenticated"$user", public0` {
		t.Errorf("leftovers: %s", got)
	}
}
