package sqltest

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// A stranger's request that the gate let in meets the proof that puts the stranger out. Whichever way it asks for, nothing of it
// comes after: no password, key or identity.
func TestNothingOfAnEndedSessionComesAfter(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	const ways = `select concat_ws(' ', (u.encrypted_password is not null)::text,
			(select count(*) from auth.identities i where i.user_id = u.id and i.provider <> 'email'),
			(select count(*) from auth.api_keys k where k.user_id = u.id and k.revoked_at is null),
			(select count(*) from auth.sessions s where s.user_id = u.id and s.revoked_at is null))
		from auth.users u`
	const key = `'fb_live_abcd', sha256('key')`
	for name, call := range map[string]string{
		"password": `fluxbase.user_update(null, '$2a$10$' || repeat('x', 53), null, null, null, null, null, null, null)`,
		"identity": `fluxbase.oauth_id_token('google', 'stranger', null, false, '{}', true, gen_random_uuid(), sha256('r'), gen_random_uuid(), null)`,
		"key":      `fluxbase.key_create(gen_random_uuid(), null, 'later', null, null, ` + key + `)`,
		"next key": `fluxbase.key_rotate((select id from auth.api_keys where revoked_at is null), gen_random_uuid(), ` + key + `, 60)`,
	} {
		t.Run(name, func(t *testing.T) {
			exec(t, super, `delete from auth.users`)
			user := newUser(t, admin, "ann@example.com")
			session := newSession(t, super, user)
			exec(t, admin, `select auth.create_api_key('user', 'script', 'ann@example.com')`)
			exec(t, super, `update auth.users set email_proven_at = null`)
			owner, stranger, signer := db.Conn(t, "superuser"), db.Conn(t, "superuser"), db.Conn(t, "superuser")
			exec(t, owner, `begin`)
			exec(t, owner, `select fluxbase.prove_address(u, false) from auth.users u`)
			type answer struct {
				status string
				err    error
			}
			ended := make(chan answer, 1)
			go func() {
				status, err := entry(t, signer, stranger, user.String(), session.String(), call)
				ended <- answer{status, err}
			}()
			for deadline := time.Now().Add(20 * time.Second); len(ended) == 0 && !waits(t, super, stranger); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("it neither waits nor ends")
				}
			}
			exec(t, owner, `commit`)
			if got := <-ended; got.err != nil || got.status != "session_not_found" {
				t.Errorf("%s %v", got.status, describe(got.err))
			}
			if got := one[string](t, super, ways); got != "false 0 0 0" {
				t.Errorf("password, identities, keys and sessions: %s", got)
			}
		})
	}
}

// waits reports whether a connection waits for a lock.
func waits(t *testing.T, super, conn *pgx.Conn) bool {
	t.Helper()
	return one[bool](t, super, `select wait_event_type is not distinct from 'Lock' from pg_stat_activity where pid = $1`, int(conn.PgConn().PID()))
}
