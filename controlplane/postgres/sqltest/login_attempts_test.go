package sqltest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// loginFrom begins a login from an address and returns the status; with right it also finishes it.
func loginFrom(t *testing.T, super, server *pgx.Conn, email, ip string, right bool) string {
	t.Helper()
	var status string
	anonymously(t, super, server, ip, func(tx pgx.Tx) error {
		var user, hash *string
		err := tx.QueryRow(t.Context(), `select b ->> 'status', b ->> 'user_id', b ->> 'encrypted_password'
			from fluxbase.login_begin(p_email => $1) b`, email).Scan(&status, &user, &hash)
		if err != nil || status != "ok" || !right {
			return err
		}
		return tx.QueryRow(t.Context(), `select fluxbase.login_finish(p_email => $1, p_user_id => $2::text::uuid, p_encrypted_password => $3,
			p_matched => true, p_new_hash => null, p_session_id => $4::uuid, p_refresh_hash => sha256($4::uuid::text::bytea),
			p_jti => $4::uuid, p_user_agent => null::text) ->> 'status'`, email, user, hash, uuid.New()).Scan(&status)
	})
	return status
}

// TestLoginAttempts sees whom failed logins slow down, and whom not.
func TestLoginAttempts(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, server := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_server")
	const ann, bob, here, there = "ann@example.com", "bob@example.com", "203.0.113.1", "203.0.113.2"
	newUser(t, super, ann)
	newUser(t, super, bob)
	exec(t, super, `select auth.set_setting('login_account_failures_before_delay', '12'), auth.set_setting('login_address_failures_before_delay', '9')`)
	expect := func(what, email, ip string, right bool, want string) {
		t.Helper()
		if got := loginFrom(t, super, server, email, ip, right); got != want {
			t.Fatalf("%s: %s, want %s", what, got, want)
		}
	}
	for range 5 {
		expect("a failure", ann, here, false, "ok")
	}
	expect("the sixth from there", ann, here, true, "slowed")
	expect("ann from elsewhere", ann, there, true, "ok")
	expect("bob from the slowed place", bob, here, true, "ok")
	if n := one[int](t, super, `select count(*)::int from auth.login_attempts where scope = 'account' and subject = fluxbase.account_subject($1)`, ann); n != 0 {
		t.Error("ann's failures are not forgotten when she logs in")
	}

	// A success is no failure of the address; many accounts from one address are.
	for range 20 {
		expect("a success", bob, there, true, "ok")
	}
	for i := range 9 {
		expect("many accounts from one address", fmt.Sprintf("nobody%d@example.com", i), there, false, "unknown")
	}
	expect("bob from that address", bob, there, true, "slowed")
	if n := one[int](t, super, `select count(*)::int from auth.login_attempts where scope = 'account' and subject = fluxbase.account_subject($1)`, bob); n != 0 {
		t.Error("an address that is being slowed moves the counter of an account")
	}

	// One account from many addresses.
	for i := range 12 {
		expect("many addresses", ann, fmt.Sprintf("198.51.100.%d", i), false, "ok")
	}
	expect("ann from anywhere", ann, "198.51.100.200", true, "slowed")
	// Where she has been she is known, but not to more than a few guesses, and not by a session that something has ended.
	expect("ann at home", ann, there, false, "slowed") // the address is slowed for its own part
	exec(t, super, `delete from auth.login_attempts where scope = 'address'`)
	for range 5 {
		expect("a guess at home", ann, there, false, "ok")
	}
	expect("one more guess at home", ann, there, false, "slowed")
	exec(t, super, `delete from auth.login_attempts where scope = 'pair'`)
	exec(t, super, `update auth.sessions set revoked_at = now(), revoked_reason = 'password_changed'`)
	expect("where a thief was", ann, there, true, "slowed")
	exec(t, super, `update auth.sessions set revoked_at = now(), revoked_reason = 'logout', created_at = now() - interval '31 days'`)
	expect("where she was long ago", ann, there, true, "slowed")
	exec(t, super, `update auth.sessions set created_at = now() - interval '29 days'`)
	expect("where she was lately", ann, there, true, "ok")
	for i := range 12 {
		expect("many addresses again", ann, fmt.Sprintf("198.51.101.%d", i), false, "ok")
	}
	exec(t, super, `select auth.unlock_user($1)`, ann)
	expect("unlocked", ann, "198.51.100.201", true, "ok")
}

// TestLoginAttemptsAreExact sees that parallel attempts do not get past the limit together.
func TestLoginAttemptsAreExact(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	newUser(t, super, "ann@example.com")
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		passed int
		signed sync.Mutex // the superuser's connection signs for all
	)
	for range 20 {
		server := db.Conn(t, "fluxbase_server")
		wg.Go(func() {
			context := fmt.Sprintf(`[1,null,null,null,null,"anon",null,"203.0.113.1","r",null,%d,null]`, time.Now().Unix())
			signed.Lock()
			var mac string
			err := super.QueryRow(t.Context(), `select fluxbase.context_mac(p_context => $1)`, context).Scan(&mac)
			signed.Unlock()
			var status string
			if err == nil {
				err = pgx.BeginFunc(t.Context(), server, func(tx pgx.Tx) error {
					if _, err := tx.Exec(t.Context(), `select fluxbase.begin_entry(null, null, null, $1, $2, null)`, context, mac); err != nil {
						return err
					}
					return tx.QueryRow(t.Context(), `select fluxbase.login_begin('ann@example.com') ->> 'status'`).Scan(&status)
				})
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(describe(err))
			}
			if status == "ok" {
				passed++
			}
		})
	}
	wg.Wait()
	if passed != 5 {
		t.Errorf("%d of 20 parallel attempts passed, want exactly 5", passed)
	}
}

// A household has a /64 of IPv6 addresses: all of it is one address to the limits, as one of IPv4 is.
func TestAddressesAreCountedByGroup(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, server := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_server")
	newUser(t, super, "ann@example.com")
	for i := range 5 {
		if got := loginFrom(t, super, server, "ann@example.com", fmt.Sprintf("2001:db8::%d", i+1), false); got != "ok" {
			t.Fatalf("attempt %d: %s", i+1, got)
		}
	}
	exec(t, super, `update auth.login_attempts set slowed_until = now() + interval '1 hour' where slowed_until is not null`) // a second is short
	for ip, want := range map[string]string{"2001:db8::ffff": "slowed", "2001:db8:0:1::1": "ok", "192.0.2.1": "ok"} {
		if got := loginFrom(t, super, server, "ann@example.com", ip, true); got != want {
			t.Errorf("%s: %s, want %s", ip, got, want)
		}
	}
}

// TestLoginState sees what an administrator is told of an account, and that nobody else is.
func TestLoginState(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin, server := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin"), db.Conn(t, "fluxbase_server")
	newUser(t, super, "ann@example.com")
	state := func(email string) string {
		t.Helper()
		return one[string](t, admin, `select concat_ws(' ', s ->> 'has_password', s ->> 'confirmed', s ->> 'failed_logins', s ->> 'failed_codes',
			(select string_agg(k, ' ') from jsonb_object_keys(s -> 'slowed_from') k), s ->> 'slowed_until' is not null, s ->> 'banned_until') from auth.login_state($1) s`, email)
	}
	for range 5 {
		loginFrom(t, super, server, "ann@example.com", "203.0.113.1", false)
		loginFrom(t, super, server, "nobody@example.com", "203.0.113.2", false)
	}
	exec(t, super, `update auth.login_attempts set slowed_until = now() + interval '1 hour' where slowed_until is not null`)
	exec(t, super, `insert into auth.login_attempts (scope, subject, failures) values ('code', fluxbase.account_subject('ann@example.com'), 2)`)
	if got := state("ANN@example.com"); got != "true true 5 2 203.0.113.1 f" {
		t.Errorf("ann: %s", got)
	}
	if got := state("nobody@example.com"); got != "false false 5 0 203.0.113.2 f" {
		t.Errorf("nobody: %s", got)
	}
	exec(t, admin, `select auth.ban_user('ann@example.com'), auth.unlock_user('ann@example.com')`)
	if got := state("ann@example.com"); got != "true true 0 0 f infinity" {
		t.Errorf("banned and unlocked: %s", got)
	}
	refused(t, server, "42501", nil, `select auth.login_state('ann@example.com')`)
}

// The delay doubles with each failure beyond those that are free, up to a longest one.
func TestLoginDelayGrows(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, server := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_server")
	exec(t, super, `select auth.set_setting('login_failures_before_delay', '2'), auth.set_setting('login_delay_maximum', '20 seconds')`)
	var delays []int
	for range 8 {
		if got := loginFrom(t, super, server, "ann@example.com", "203.0.113.1", false); got != "unknown" {
			t.Fatalf("got %s", got)
		}
		delays = append(delays, one[int](t, super, `select coalesce(floor(extract(epoch from slowed_until - last_attempt_at)), 0)::int from auth.login_attempts where scope = 'pair'`))
		if delays[len(delays)-1] > 0 {
			if got := loginFrom(t, super, server, "ann@example.com", "203.0.113.1", true); got != "slowed" {
				t.Errorf("within the delay: %s", got)
			}
		}
		exec(t, super, `update auth.login_attempts set slowed_until = now() where slowed_until is not null`)
	}
	if got := fmt.Sprint(delays); got != "[0 1 2 4 8 16 20 20]" {
		t.Errorf("delays: %s", got)
	}
}
