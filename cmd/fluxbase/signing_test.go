package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// kidOf is the key that a token names.
func kidOf(t *testing.T, access string) string {
	t.Helper()
	head, err := base64.RawURLEncoding.DecodeString(strings.Split(access, ".")[0])
	var said struct{ Kid, Alg string }
	if err != nil || json.Unmarshal(head, &said) != nil {
		t.Fatalf("header of %q: %v", access, err)
	}
	return said.Kid
}

// Two server processes under load while the signing key is exchanged twice: from the secret of the environment to a pair,
// and from that to another one. Tokens of either server are used at either. No request fails; what the old keys signed
// is refused once their overlap is over.
func TestRotateSigningKeyUnderLoad(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := pgtest.Cluster(t, pgtest.Options{})
	conn := installed(t, c)
	const workers = 4
	_, err := conn.PgConn().Exec(ctx, `
		create table public.notes (id bigint primary key);
		insert into public.notes values (1);
		select auth.enable_rls(p_table => 'public.notes');
		grant select on public.notes to authenticated;
		create policy notes_all on public.notes for select to authenticated using ((select auth.is_authenticated()));
		select auth.set_setting('signing_key_lead_time', '5 seconds');
		select auth.create_user(p_email => format('user%s@example.com', n), p_password => '`+userPassword+`') from generate_series(1, 4) n`).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var bases []string
	for range 2 {
		bases = append(bases, startServe(t, c, "FLUXBASE_RATE_LIMITING_ENABLED=false",
			"FLUXBASE_AUTH_JWT_SECRET=rotation-Kz7wQ3xR9mT5vB2nL8pJ4hF6dS1g",
			"FLUXBASE_AUTH_ENCRYPTION_KEY=sealing-Kz7wQ3xR9mT5vB2nL8pJ4hF6dS1g"))
	}
	read := func(base, access string) int {
		status, text, err := request("GET", base+"/rest/v1/notes", access, "")
		if err != nil || status == http.StatusOK && text != `[{"id":1}]` {
			return 0
		}
		return status
	}

	var (
		stop     = make(chan struct{})
		wg       sync.WaitGroup
		requests atomic.Int64
		mu       sync.Mutex
		kids     = map[string]bool{}
		first    [workers]tokens
	)
	for w := range workers {
		logIn := fmt.Sprintf(`{"email":"user%d@example.com","password":"%s"}`, w+1, userPassword)
		session, ok := ask(bases[w%2], "/auth/v1/token?grant_type=password", logIn)
		if !ok {
			t.Fatal("cannot log in")
		}
		first[w] = session
		wg.Go(func() {
			for n := w; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				// The token is used at once at both servers, and it is younger than the shortest overlap.
				next, ok := ask(bases[n%2], "/auth/v1/token?grant_type=refresh_token", `{"refresh_token":"`+session.Refresh+`"}`)
				if !ok {
					t.Errorf("a refresh failed")
					return
				}
				session = next
				mu.Lock()
				kids[kidOf(t, session.Access)] = true
				mu.Unlock()
				for i := range 10 {
					if status := read(bases[(n+i+1)%2], session.Access); status != http.StatusOK {
						t.Errorf("a read failed: %d", status)
						return
					}
					requests.Add(1)
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	state := func(key string) (state string) {
		t.Helper()
		if err := conn.QueryRow(ctx, `select state from auth.admin_signing_keys where id::text = $1`, key).Scan(&state); err != nil {
			t.Fatal(err)
		}
		return state
	}
	wait := func(key, wanted string) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); state(key) != wanted; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("key %s is %s, not %s", key, state(key), wanted)
			}
		}
	}
	rotate := func(algorithm string) (id string) {
		t.Helper()
		if err := conn.QueryRow(ctx, `select auth.rotate_signing_key('3 seconds', $1)`, algorithm).Scan(&id); err != nil {
			t.Fatal(err)
		}
		wait(id, "signing")
		return id
	}
	pair := rotate("ES256")
	var secret string
	if err := conn.QueryRow(ctx, `select id from auth.admin_signing_keys where algorithm = 'HS256'`).Scan(&secret); err != nil {
		t.Fatal(err)
	}
	for _, base := range bases {
		if status := read(base, first[0].Access); status != http.StatusOK {
			t.Errorf("within the overlap: %d", status)
		}
		if _, document, err := request("GET", base+"/auth/v1/.well-known/jwks.json", "", ""); err != nil || strings.Count(document, `"kid"`) != 1 || !strings.Contains(document, pair) {
			t.Errorf("JWKS: %s %v", document, err)
		}
	}
	wait(secret, "over")
	time.Sleep(200 * time.Millisecond)
	for _, base := range bases {
		if status := read(base, first[0].Access); status != http.StatusUnauthorized {
			t.Errorf("after the overlap: %d", status)
		}
	}
	other := rotate("EdDSA")
	wait(pair, "over")
	time.Sleep(200 * time.Millisecond)
	close(stop)
	wg.Wait()
	if !kids[""] || !kids[pair] || !kids[other] || len(kids) != 3 {
		t.Errorf("tokens were signed by %v, the keys are %s and %s", kids, pair, other)
	}
	if requests.Load() < 200 {
		t.Errorf("only %d requests", requests.Load())
	}
	t.Logf("%d requests", requests.Load())
}
