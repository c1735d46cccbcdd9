package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// TestBulkInsert sends a body above 1 MB through the whole server: within rest.max_bulk_bytes it is inserted, by as many
// round trips as it has chunks, and rest.statement_timeout bounds each of them; beyond it is refused.
func TestBulkInsert(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, "FLUXBASE_REST_MAX_BULK_BYTES=3MB", "FLUXBASE_SERVER_MAX_BODY_BYTES=64kB", "FLUXBASE_REST_STATEMENT_TIMEOUT=20s")
	s.Exec(t, `create table public.numbers (n integer primary key, body text)`)
	s.Exec(t, `grant select, insert on public.numbers to anon`)
	rows := func(count, size int) string {
		var b strings.Builder
		for i := range count {
			fmt.Fprintf(&b, `,{"n":%d,"body":"%s"}`, i, strings.Repeat("x", size))
		}
		return "[" + b.String()[1:] + "]"
	}
	if a := s.Do(t, "POST", "/rest/v1/numbers", rows(4000, 1000)); a.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("4 MB: %d %s", a.Status, a.Body)
	}
	if a := s.Do(t, "POST", "/rest/v1/numbers", rows(20, 100_000)); a.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("a row of 100 kB: %d %s", a.Status, a.Body)
	}
	if n := s.Value(t, `select count(*) from public.numbers`); n != "0" {
		t.Errorf("%s rows of refused bodies", n)
	}
	var a servertest.Answer
	trips := s.RoundTrips(func() {
		a = s.Do(t, "POST", "/rest/v1/numbers", rows(2500, 1000), "Prefer: resolution=ignore-duplicates")
	})
	if n := s.Value(t, `select count(*) from public.numbers`); a.Status != http.StatusCreated || n != "2500" || trips != 6 {
		t.Errorf("2.5 MB: %d %s, %s rows in %d round trips", a.Status, a.Body, n, trips)
	}
	s.Exec(t, `create function public.slow() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return null; end $$`)
	s.Exec(t, `create trigger slow after insert on public.numbers execute function public.slow()`)
	s.Exec(t, `truncate public.numbers`)
	slow := servertest.On(t, s.DB, "FLUXBASE_REST_STATEMENT_TIMEOUT=200ms")
	if a := slow.Do(t, "POST", "/rest/v1/numbers", rows(2500, 1000)); a.Status < 500 || a.Code() != "57014" {
		t.Errorf("slow: %d %s", a.Status, a.Body)
	}
	if n := s.Value(t, `select count(*) from public.numbers`); n != "0" {
		t.Errorf("%s rows of an insert that was too slow", n)
	}
}
