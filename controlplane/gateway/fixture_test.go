package gateway

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/gateway/wiretest"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

var (
	ann        = uuid.MustParse("00000000-0000-4000-8000-00000000000a")
	bob        = uuid.MustParse("00000000-0000-4000-8000-00000000000b")
	annSession = uuid.MustParse("10000000-0000-4000-8000-00000000000a")
	bobSession = uuid.MustParse("10000000-0000-4000-8000-00000000000b")
)

// application is what the tests' database holds beside Fluxbase: one table under row level security, one schema that
// only signed-in users may see, and functions with holes in them.
const application = `
	insert into auth.users (id, email) values ('00000000-0000-4000-8000-00000000000a', 'ann@example.com'),
		('00000000-0000-4000-8000-00000000000b', 'bob@example.com');
	insert into auth.sessions (id, user_id, expires_at) select ('1' || substr(id::text, 2))::uuid, id, now() + interval '1 hour'
		from auth.users;
	create table public.notes (id int primary key, user_id uuid not null, body text);
	alter table public.notes enable row level security, force row level security;
	create policy own on public.notes to authenticated using (user_id = (select auth.current_user_id()))
		with check (user_id = (select auth.current_user_id()));
	create policy service on public.notes to service_role using (true);
	create policy nobody on public.notes to anon using (false);
	grant select, insert, update, delete on public.notes to authenticated, service_role;
	grant select on public.notes to anon;
	insert into public.notes select n, case when n % 2 = 1 then '00000000-0000-4000-8000-00000000000a'::uuid
		else '00000000-0000-4000-8000-00000000000b' end, 'note ' || n from generate_series(1, 10) n;
	create schema app;
	grant usage on schema app to authenticated;
	create table app.things (id int primary key, note_id int references public.notes deferrable initially deferred);
	grant select, insert on app.things to authenticated;
	create function public.run(p_sql text) returns void language plpgsql volatile as $$ begin execute p_sql; end $$;
	create sequence public.ticks;
	grant usage on sequence public.ticks to authenticated;
`

type fixture struct {
	*Gateway
	db    *pgtest.DB
	super *pgx.Conn
	wire  *wiretest.Counter
}

func TestMain(m *testing.M) { pgtest.Main(m) }

// setup opens a gateway on a database of the test's own. change may adjust the configuration.
func setup(t testing.TB, change func(*Config)) *fixture {
	t.Helper()
	return setupOn(t, pgtest.Database(t), func(_ *pgtest.DB, c *Config) {
		if change != nil {
			change(c)
		}
	})
}

// setupOn opens a gateway on db.
func setupOn(t testing.TB, db *pgtest.DB, change func(*pgtest.DB, *Config)) *fixture {
	t.Helper()
	f := &fixture{db: db, wire: wiretest.New()}
	f.super = f.db.Conn(t, "superuser")
	f.exec(t, application)
	config := Config{
		API:            PoolConfig{URL: f.db.URL("fluxbase_api"), Size: 1},
		Service:        PoolConfig{URL: f.db.URL("fluxbase_service"), Size: 1},
		Server:         PoolConfig{URL: f.db.URL("fluxbase_server"), Size: 1},
		AcquireTimeout: 5 * time.Second,
		DialFunc:       f.wire.Dial(dial),
	}
	change(db, &config)
	var err error
	if f.Gateway, err = Open(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return f
}

// exec runs SQL as the superuser.
func (f *fixture) exec(t testing.TB, sql string) {
	t.Helper()
	if _, err := f.super.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// value reads one value as the superuser.
func (f *fixture) value(t testing.TB, sql string) string {
	t.Helper()
	var v string
	if err := f.super.QueryRow(t.Context(), "select ("+sql+")::text").Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func annCaller() Caller {
	return Caller{Role: "authenticated", UserID: ann, SessionID: annSession, JTI: uuid.New(), AAL: "aal1", Claims: []byte(`{"sub":"ann"}`)}
}

func bobCaller() Caller {
	return Caller{Role: "authenticated", UserID: bob, SessionID: bobSession, JTI: uuid.New(), AAL: "aal1"}
}

func anonCaller() Caller { return Caller{Role: "anon"} }

var (
	read  = QueryOptions{ReadOnly: true}
	write = QueryOptions{}
	rpc   = QueryOptions{Volatile: true}
)

// query returns the first column of all rows.
func (f *fixture) query(ctx context.Context, c Caller, opt QueryOptions, sql string, args ...string) ([]string, error) {
	st := Statement{SQL: sql}
	for _, a := range args {
		st.Args = append(st.Args, []byte(a))
	}
	var got []string
	err := f.Query(ctx, c, st, opt, func(row [][]byte) error {
		got = append(got, string(row[0]))
		return nil
	})
	return got, err
}

// one is query for a test that expects one row.
func (f *fixture) one(t testing.TB, c Caller, opt QueryOptions, sql string, args ...string) string {
	t.Helper()
	got, err := f.query(t.Context(), c, opt, sql, args...)
	if err != nil || len(got) != 1 {
		t.Fatalf("%s: %q, %v", sql, got, err)
	}
	return got[0]
}
