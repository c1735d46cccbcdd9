package sqltest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// entry is a call of an entry point in a request of its own, of a session or of nobody.
func entry(t *testing.T, super, server *pgx.Conn, user, session, call string) (string, error) {
	who := `null,null,null,null,"anon"`
	ids := "null, null"
	if session != "" {
		who, ids = fmt.Sprintf(`"%s","%s",null,"aal1","authenticated"`, user, session), "'"+session+"', gen_random_uuid()"
	}
	signed := fmt.Sprintf(`[1,%s,null,"203.0.113.1","r",null,%d,null]`, who, time.Now().Unix())
	var mac, status string
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := super.QueryRow(ctx, `select fluxbase.context_mac(p_context => $1)`, signed).Scan(&mac); err != nil {
		return "", err
	}
	return status, pgx.BeginFunc(ctx, server, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select fluxbase.begin_entry(`+ids+`, null, $1, $2, null)`, signed, mac); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `select `+call+` ->> 'status'`).Scan(&status)
	})
}

// Two calls meet while somebody else holds a row that the first of them wants. With one order of locks for all, the second
// waits behind the first; with two orders, each has what the other wants, and PostgreSQL ends one of them.
func TestOneOrderOfLocks(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	user := newUser(t, admin, "ann@example.com")
	session := newSession(t, super, user)
	subject := one[string](t, super, `select fluxbase.account_subject('ann@example.com')`)
	const verify = `fluxbase.verify('email', null, 'ann@example.com', sha256('000000'), null, gen_random_uuid(), sha256('r'), gen_random_uuid(), null)`
	const change = `fluxbase.user_update(null, '$2a$10$' || repeat('x', 53), null, null, null, sha256('000000'), null, null, null)`
	const begin = `fluxbase.login_begin('ann@example.com')`
	finish := `fluxbase.login_finish('ann@example.com', '` + user.String() + `', '` +
		one[string](t, super, `select encrypted_password from auth.users`) + `', true, null, '%s', sha256('%[1]s'), gen_random_uuid(), null)`
	both := `fluxbase.user_update(null, '$2a$10$' || repeat('x', 53), null, (select encrypted_password from auth.users), true, sha256('other'), null, null, null)`
	type call struct{ session, text, want string }
	for _, c := range []struct {
		name, held    string
		first, second call
	}{
		{"a code for a change of the password, and one to sign in", `select from auth.users for no key update`,
			call{session.String(), change, "reauthentication_not_valid"}, call{"", verify, "ok"}},
		{"the other way round", `select from auth.users for no key update`,
			call{"", verify, "ok"}, call{session.String(), change, "reauthentication_not_valid"}},
		{"a login begins, and one ends", `select from auth.login_attempts where scope = 'pair' for update`,
			call{"", begin, "ok"}, call{"", finish, "ok"}},
		{"an administrator unlocks, and a login begins", `select from auth.login_attempts where scope = 'pair' for update`,
			call{"", begin, "ok"}, call{"", `(select jsonb_build_object('status', auth.unlock_user('ann@example.com')))`, ""}},
		{"a change of the password with all that proves it, and an administrator unlocks", `select from auth.users for no key update`,
			call{session.String(), both, "reauthentication_not_valid"}, call{"", `(select jsonb_build_object('status', auth.unlock_user('ann@example.com')))`, ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			exec(t, super, `delete from auth.login_attempts`)
			exec(t, super, `delete from auth.one_time_tokens`)
			exec(t, super, `insert into auth.one_time_tokens (purpose, user_id, email, token_hash, code_hash, expires_at)
				values ('magiclink', $1, 'ann@example.com', sha256('link'), sha256('000000'), now() + interval '1 hour')`, user)
			if !strings.Contains(c.held, "users") || c.first.text == both {
				exec(t, super, `insert into auth.login_attempts (scope, subject, failures) values ('account', $1, 1), ('code', $1, 1), ('pair', $1 || '@203.0.113.1', 1), ('address', '203.0.113.1', 1)`, subject)
			}
			holder := db.Conn(t, "superuser")
			exec(t, holder, `begin`)
			exec(t, holder, c.held)
			ended := make(chan error, 2)
			for i, each := range []call{c.first, c.second} {
				conn, signer := db.Conn(t, "superuser"), db.Conn(t, "superuser")
				go func() {
					text := each.text
					if strings.Contains(text, "%s") {
						text = fmt.Sprintf(text, uuid.New())
					}
					got, err := entry(t, signer, conn, user.String(), each.session, text)
					if err == nil && each.want != "" && got != each.want {
						err = fmt.Errorf("%s: %s, want %s", text, got, each.want)
					}
					ended <- err
				}()
				for deadline := time.Now().Add(20 * time.Second); one[int](t, super, `select count(*)::int from pg_stat_activity
						where datname = current_database() and wait_event_type = 'Lock'`) <= i; time.Sleep(5 * time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("call %d does not wait: %v", i, describe(<-ended))
					}
				}
			}
			exec(t, holder, `commit`)
			for range 2 {
				if err := <-ended; err != nil {
					t.Error(describe(err))
				}
			}
		})
	}
}
