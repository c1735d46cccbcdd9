package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// wantCode fails unless err is PostgreSQL's error of that code.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != code {
		t.Fatalf("got %v, want SQLSTATE %s", err, code)
	}
}

const countNotes = "select count(*) from public.notes where id <= 10"

func TestEachCallerSeesOwnRows(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	for range 3 { // one connection, alternating
		for _, tt := range []struct {
			caller Caller
			want   string
		}{{annCaller(), "1,3,5,7,9"}, {bobCaller(), "2,4,6,8,10"}, {anonCaller(), ""}, {Caller{Role: "service_role"}, "1,2,3,4,5,6,7,8,9,10"}} {
			got, err := f.query(t.Context(), tt.caller, read, "select id from public.notes order by id")
			if err != nil || strings.Join(got, ",") != tt.want {
				t.Errorf("%s %s: %v, %v", tt.caller.Role, tt.caller.UserID, got, err)
			}
		}
	}
	if got := f.one(t, annCaller(), read, "select auth.jwt()->>'sub'"); got != "ann" {
		t.Errorf("claims: %q", got)
	}
	if got := f.one(t, annCaller(), read, "select current_user||' '||session_user"); got != "authenticated fluxbase_api" {
		t.Errorf("roles: %q", got)
	}
	if got := f.one(t, Caller{Role: "service_role"}, read, "select current_user||' '||session_user"); got != "service_role fluxbase_service" {
		t.Errorf("roles: %q", got)
	}
}

func TestOneRoundTrip(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	if err := f.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	entry := func() error {
		_, err := f.Entry(t.Context(), anonCaller(), "select fluxbase.error_codes()", nil)
		return err
	}
	query := func(opt QueryOptions, sql string, args ...string) func() error {
		return func() error {
			_, err := f.query(t.Context(), annCaller(), opt, sql, args...)
			return err
		}
	}
	for _, tt := range []struct {
		name  string
		run   func() error
		ready int
	}{
		{"read", query(read, "select body from public.notes where id = $1", "1"), 1},
		{"write", query(write, "update public.notes set body = $2 where id = $1 returning body", "1", "x"), 1},
		{"rpc", query(rpc, "select nextval('public.ticks')"), 2},
		{"entry", entry, 1},
	} {
		for use := range 3 {
			f.wire.Reset()
			if err := tt.run(); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			got := f.wire.Counts()
			if got.Writes != 1 || got.Reads > tt.ready || got.Ready != tt.ready || got.Frontend['S'] != tt.ready {
				t.Errorf("%s, use %d: %d writes, %d reads, %d times ready", tt.name, use, got.Writes, got.Reads, got.Ready)
			}
			parses := 0
			if use == 0 {
				parses = 1
			}
			if tt.ready == 1 && got.Frontend['P'] != parses || got.Frontend['D'] != 0 || got.Frontend['H'] != 0 {
				t.Errorf("%s, use %d: messages %v", tt.name, use, got.Frontend)
			}
		}
	}
}

func TestFirstUseIsParsedUnderTheRole(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	// Only authenticated may look into the schema; the login may not.
	if got := f.one(t, annCaller(), read, "select count(*) from app.things"); got != "0" {
		t.Errorf("got %s", got)
	}
	_, err := f.query(t.Context(), anonCaller(), read, "select count(*) from app.things")
	wantCode(t, err, "42501")
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	const insert = "insert into public.notes values ($1, auth.uid(), 'new')"
	if _, err := f.query(t.Context(), annCaller(), write, insert, "100"); err != nil {
		t.Fatal(err)
	}
	f.exec(t, "update auth.sessions set revoked_at = now(), revoked_reason = 'test' where id = '"+annSession.String()+"'")
	f.wire.Reset()
	_, err := f.query(t.Context(), annCaller(), write, insert, "101") // prepared before
	wantCode(t, err, "ZF401")
	if got := f.wire.Counts().Writes; got != 1 {
		t.Errorf("%d writes for a refusal", got)
	}
	_, err = f.query(t.Context(), annCaller(), write, insert+" returning id", "102") // seen for the first time
	wantCode(t, err, "ZF401")
	_, err = f.query(t.Context(), Caller{Role: "fluxbase_owner"}, write, insert, "103")
	wantCode(t, err, "ZF403")
	if err == nil || errors.Is(err, ErrUnavailable) {
		t.Errorf("a refusal is an answer: %v", err)
	}
	_, err = f.Entry(t.Context(), annCaller(), "select to_jsonb(nextval('public.ticks'))", nil)
	wantCode(t, err, "ZF401")
	if got := f.value(t, "select string_agg(id::text, ',') from public.notes where id > 10"); got != "100" {
		t.Errorf("rows %s were written behind a refusal", got)
	}
	if got := f.one(t, bobCaller(), read, countNotes); got != "5" {
		t.Errorf("the next request: %s", got)
	}
}

func TestErrorsAreIsolated(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	for range 2 {
		_, err := f.query(t.Context(), annCaller(), write, "insert into public.notes select 200, auth.uid(), (1/0)::text")
		wantCode(t, err, "22012")
		_, err = f.query(t.Context(), annCaller(), read, "select no_such_column")
		wantCode(t, err, "42703")
		_, err = f.query(t.Context(), annCaller(), read, "insert into public.notes values (201, auth.uid(), '')")
		wantCode(t, err, "25006")
		_, err = f.query(t.Context(), annCaller(), read, "select $1::int", "x")
		wantCode(t, err, "22P02")
		if got := f.one(t, annCaller(), read, countNotes); got != "5" {
			t.Errorf("the next request: %s", got)
		}
	}
	if got := f.value(t, "select count(*) from public.notes where id > 10"); got != "0" {
		t.Errorf("%s rows of failed requests", got)
	}
}

func TestStatementTimeout(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	_, err := f.query(t.Context(), annCaller(), QueryOptions{ReadOnly: true, StatementTimeout: 50 * time.Millisecond}, "select pg_sleep(10)")
	wantCode(t, err, "57014")
	if got := f.one(t, annCaller(), read, "select current_setting('statement_timeout')"); got == "50ms" {
		t.Error("the timeout outlived its request")
	}
}

func TestWritesAreReportedAfterTheCommit(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	// The foreign key is checked at commit.
	got, err := f.query(t.Context(), annCaller(), write, "insert into app.things values (1, 999) returning id")
	wantCode(t, err, "23503")
	if got != nil {
		t.Errorf("rows %v of a write that was rolled back", got)
	}
	committed := ""
	err = f.Query(t.Context(), annCaller(), Statement{SQL: "insert into app.things values (2, 1), (3, null) returning id, note_id"}, write,
		func(row [][]byte) error {
			committed += fmt.Sprintf("%s:%s:%t ", row[0], row[1], row[1] == nil)
			if n := f.value(t, "select count(*) from app.things"); n != "2" {
				t.Errorf("%s rows visible to others", n)
			}
			return nil
		})
	if err != nil || committed != "2:1:false 3::true " {
		t.Errorf("%q, %v", committed, err)
	}
}

func TestReadsAreStreamed(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	got, err := f.query(t.Context(), annCaller(), read, "select 1/(3-n) from generate_series(1,5) n")
	wantCode(t, err, "22012")
	if len(got) != 2 {
		t.Errorf("rows before the error: %v", got)
	}
	stop := errors.New("stop")
	calls := 0
	err = f.Query(t.Context(), annCaller(), Statement{SQL: "select n from generate_series(1,100000) n"}, read,
		func([][]byte) error { calls++; return stop })
	if err != stop || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
	if got := f.one(t, annCaller(), read, "select length($1)", strings.Repeat("x", 1<<20)); got != "1048576" {
		t.Errorf("long parameter: %s", got)
	}
	if err := f.Query(t.Context(), annCaller(), Statement{SQL: "select repeat('x', 1 << 20)"}, read, nil); err != nil {
		t.Error(err)
	}
}

func TestPanicReleasesTheConnection(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	func() {
		defer func() { _ = recover() }()
		_ = f.Query(t.Context(), annCaller(), Statement{SQL: "select n from generate_series(1,100000) n"}, read,
			func([][]byte) error { panic("in the caller") })
	}()
	if got := f.one(t, annCaller(), read, countNotes); got != "5" {
		t.Errorf("the next request: %s", got)
	}
}

func TestNotAStatement(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	for _, sql := range []string{"copy (select 1) to stdout", "copy app.things from stdin", "begin"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := f.query(ctx, annCaller(), write, sql)
		if sql != "begin" && (err == nil || ctx.Err() != nil) {
			t.Errorf("%s: %v", sql, err)
		}
		cancel()
		waitFor(t, func() bool { // a connection with an open transaction is closed, in the background
			return f.value(t, "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'") == "0"
		})
		if got := f.one(t, annCaller(), read, countNotes); got != "5" {
			t.Errorf("after %s: %s", sql, got)
		}
	}
	f.wire.Reset()
	if _, err := f.query(t.Context(), annCaller(), read, "select 1\x00;drop table public.notes"); err == nil || f.wire.Counts().Writes != 0 {
		t.Errorf("a statement with a NUL was sent: %v", err)
	}
	if got, err := f.query(t.Context(), annCaller(), read, ""); err != nil || got != nil {
		t.Errorf("the empty statement: %v, %v", got, err)
	}
	many := Statement{SQL: "select 1", Args: make([][]byte, 65536)}
	if err := f.Query(t.Context(), annCaller(), many, read, nil); err == nil {
		t.Error("65536 parameters were accepted")
	}
	if got := f.one(t, annCaller(), read, countNotes); got != "5" {
		t.Errorf("afterwards: %s", got)
	}
}

func TestEntry(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	got, err := f.Entry(t.Context(), annCaller(), "select jsonb_build_object('user', auth.uid(), 'arg', $1::text)", [][]byte{[]byte("ä")})
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ User, Arg string }
	if err := json.Unmarshal(got, &v); err != nil || v.User != ann.String() || v.Arg != "ä" {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := f.Entry(t.Context(), anonCaller(), "select null::jsonb", nil); got != nil || err != nil {
		t.Errorf("NULL: %s, %v", got, err)
	}
	for _, sql := range []string{"select 1 where false", "select 1, 2", "select generate_series(1, 2)"} {
		if got, err := f.Entry(t.Context(), anonCaller(), sql, nil); err == nil {
			t.Errorf("%s: %s", sql, got)
		}
	}
}

func TestStatementCacheIsBounded(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *Config) { c.StatementCacheSize = 3 })
	for round := range 3 {
		for i := range 5 {
			if got := f.one(t, anonCaller(), read, fmt.Sprintf("select %d", i)); got != fmt.Sprint(i) {
				t.Fatalf("round %d: %s instead of %d", round, got, i)
			}
		}
	}
	// This one and two others, reset role and the two gates.
	if got := f.one(t, anonCaller(), read, "select count(*) from pg_prepared_statements"); got != "6" {
		t.Errorf("%s prepared statements", got)
	}
}

func TestKeyIsReadAgain(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	f.refreshGap = 0
	f.one(t, annCaller(), read, countNotes)
	f.exec(t, "select auth.rotate_context_key()")
	if got := f.one(t, annCaller(), read, countNotes); got != "5" {
		t.Errorf("after the rotation: %s", got)
	}
	// A forged context is refused, costs a look at the key, and is not tried for ever.
	f.wire.Reset()
	_, err := f.query(t.Context(), annCaller(), read,
		"select count(*) from public.notes n, lateral (select set_config('fluxbase.context', '[1]', true) offset 0) s where auth.uid() is not null and n.id > length(s.set_config)")
	wantCode(t, err, "42501")
	if got := f.wire.Counts().Writes; got > 3 {
		t.Errorf("%d writes", got)
	}
	f.refreshGap = time.Hour
	f.wire.Reset()
	_, err = f.query(t.Context(), annCaller(), read, "select set_config('fluxbase.context', '[1]', true), auth.uid()")
	wantCode(t, err, "42501")
	if got := f.wire.Counts().Writes; got != 1 {
		t.Errorf("%d writes although the key was just read", got)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	pid := f.one(t, annCaller(), read, "select pg_backend_pid()")
	for _, opt := range []QueryOptions{read, write} {
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("the client is gone")
		time.AfterFunc(100*time.Millisecond, func() { cancel(gone) })
		start := time.Now()
		_, err := f.query(ctx, annCaller(), opt, "select pg_sleep(30)")
		if !errors.Is(err, gone) || !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) || time.Since(start) > 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if n := f.value(t, "select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep(30)%' and pid <> pg_backend_pid() and datname = current_database()"); n != "0" {
			t.Errorf("%s statements still run", n)
		}
		if _, err := f.query(ctx, annCaller(), opt, "select 1"); !errors.Is(err, gone) {
			t.Errorf("a dead context: %v", err)
		}
	}
	if got := f.one(t, annCaller(), read, "select pg_backend_pid()"); got != pid {
		t.Errorf("the connection was replaced")
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *Config) { c.AcquireTimeout = 100 * time.Millisecond })
	entered, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := f.Query(t.Context(), annCaller(), Statement{SQL: "select 1"}, read, func([][]byte) error {
			close(entered)
			<-leave
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-entered
	_, err := f.query(t.Context(), annCaller(), read, "select 1")
	if !errors.Is(err, ErrBusy) || errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := f.query(ctx, annCaller(), read, "select 1"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
	close(leave)
	wg.Wait()
	f.one(t, annCaller(), read, "select 1")
}

func TestClose(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	slow := make(chan error, 1)
	go func() {
		_, err := f.query(t.Context(), annCaller(), write, "insert into app.things select 7, null from pg_sleep(0.3)")
		slow <- err
	}()
	waitFor(t, func() bool { return f.api.inner.Stat().AcquiredResources() == 1 })
	if err := f.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-slow; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	if got := f.value(t, "select count(*) from app.things"); got != "1" {
		t.Errorf("%s rows", got)
	}
	if _, err := f.query(t.Context(), annCaller(), read, "select 1"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
	waitFor(t, func() bool { // a backend notices the end a moment later
		return f.value(t, "select count(*) from pg_stat_activity where datname = current_database() and usename like 'fluxbase%'") == "0"
	})
}

func TestCloseRunsOutOfPatience(t *testing.T) {
	t.Parallel()
	f := setup(t, nil)
	slow := make(chan error, 1)
	go func() {
		_, err := f.query(t.Context(), annCaller(), read, "select pg_sleep(60)")
		slow <- err
	}()
	waitFor(t, func() bool { return f.api.inner.Stat().AcquiredResources() == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := f.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := <-slow; !errors.Is(err, ErrUnavailable) {
		t.Errorf("the request in flight: %v", err)
	}
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	good := "postgres://u@127.0.0.1:1/db"
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"bad URL":           {func(c *Config) { c.Service.URL = "postgres://:x:y" }, "service pool"},
		"run-time settings": {func(c *Config) { c.API.URL += "?search_path=x" }, `"search_path"`},
		"pooler":            {func(c *Config) { c.Pooler = "statement" }, `"statement"`},
		"unreachable":       {func(c *Config) {}, ErrUnavailable.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Config{API: PoolConfig{URL: good}, Service: PoolConfig{URL: good}, Server: PoolConfig{URL: good}}
			tt.change(&c)
			if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestConcurrentCallersAreNotMixed(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *Config) { c.API.Size = 3 })
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			c, want := annCaller(), "1,3,5,7,9"
			if i%2 == 1 {
				c, want = bobCaller(), "2,4,6,8,10"
			}
			opt := []QueryOptions{read, write, rpc}[i%3]
			for range 30 {
				got, err := f.query(t.Context(), c, opt, "select id from public.notes order by id")
				if err != nil || strings.Join(got, ",") != want {
					t.Errorf("%v, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestRowsBufferIsReused(t *testing.T) {
	t.Parallel()
	var r rows
	for _, want := range [][]string{{"a", "", "ccc"}, {"x"}} {
		r.reset()
		for _, v := range want {
			_ = r.add([][]byte{[]byte(v), nil})
		}
		var got []string
		_ = r.each(func(row [][]byte) error {
			if len(row) != 2 || row[0] == nil || row[1] != nil {
				t.Errorf("row %q", row)
			}
			got = append(got, string(row[0]))
			return nil
		})
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
