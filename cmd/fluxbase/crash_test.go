package main

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// PostgreSQL is killed under load, three times. What was answered with success must be there afterwards, nothing may be
// half done, and the server must come back by itself.
func TestPostgreSQLKilledUnderLoad(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := pgtest.Cluster(t, pgtest.Options{Durable: true})
	conn := installed(t, c)
	_, err := conn.PgConn().Exec(ctx, `
		create table public.events (id uuid primary key, user_id uuid not null default auth.current_user_id());
		select auth.enable_rls(p_table => 'public.events');
		grant select, insert on public.events to authenticated;
		create policy events_owner on public.events to authenticated using (user_id = (select auth.current_user_id()));
		select auth.create_user(p_email => format('user%s@example.com', n), p_password => '`+userPassword+`') from generate_series(1, 4) n`).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	base := startServe(t, c, "FLUXBASE_RATE_LIMITING_ENABLED=false")

	var (
		mu       sync.Mutex
		events   []string // inserted, as the server said
		sessions []tokens // the newest tokens of each session
		wg       sync.WaitGroup
		stop     = make(chan struct{})
	)
	for n := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			credentials := fmt.Sprintf(`{"email":"user%d@example.com","password":%q}`, n+1, userPassword)
			for {
				select {
				case <-stop:
					return
				default:
				}
				current, ok := ask(base, "/api/v1/auth/login", credentials)
				if !ok {
					time.Sleep(50 * time.Millisecond)
					continue
				}
				for range 20 {
					id := uuid.NewString()
					if status, _, err := request("POST", base+"/api/v1/rest/events", current.Access, fmt.Sprintf(`{"id":%q}`, id)); err == nil && status == http.StatusCreated {
						mu.Lock()
						events = append(events, id)
						mu.Unlock()
					}
					if next, ok := ask(base, "/api/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, current.Refresh)); ok {
						current = next
					}
				}
				mu.Lock()
				sessions = append(sessions, current)
				mu.Unlock()
			}
		}()
	}
	for range 3 {
		time.Sleep(1500 * time.Millisecond)
		c.Kill()
		time.Sleep(200 * time.Millisecond)
		if err := c.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		awaitReady(t, base, 20*time.Second)
	}
	time.Sleep(time.Second)
	close(stop)
	wg.Wait()
	if len(events) < 20 || len(sessions) < 2 {
		t.Fatalf("too little happened to prove anything: %d events, %d sessions", len(events), len(sessions))
	}

	conn = c.Superuser(t, "app")
	var lost, halfDone int
	if err := conn.QueryRow(ctx, `select count(*) from unnest($1::uuid[]) as a (id) where not exists
		(select from public.events e where e.id = a.id)`, events).Scan(&lost); err == nil && lost > 0 {
		t.Errorf("%d of %d acknowledged writes are lost", lost, len(events))
	} else if err != nil {
		t.Fatal(err)
	}
	// A login is a session, its refresh tokens without a gap, and its audit row.
	err = conn.QueryRow(ctx, `select count(*) from auth.sessions s
		where s.generation <> (select count(*) from auth.refresh_tokens r where r.session_id = s.id)
		   or not exists (select from auth.refresh_tokens r where r.session_id = s.id and r.generation = s.generation and r.used_at is null)
		   or not exists (select from audit.log l where l.session_id = s.id and l.action = 'login')`).Scan(&halfDone)
	if err != nil {
		t.Fatal(err)
	}
	if halfDone > 0 {
		t.Errorf("%d sessions are half done", halfDone)
	}
	for _, s := range sessions {
		if _, ok := ask(base, "/api/v1/auth/refresh", fmt.Sprintf(`{"refresh_token":%q}`, s.Refresh)); !ok {
			t.Error("a refresh token that was given out is refused")
		}
	}
	t.Logf("%d writes and %d sessions survived three crashes", len(events), len(sessions))
}
