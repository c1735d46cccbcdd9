package sqltest

import (
	"testing"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// The first proof of an address ends what let somebody in before; a later one, and the confirmation of the sign-up itself,
// end nothing.
func TestFirstProofOfAnAddress(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	for _, c := range []struct {
		name                    string
		confirmed, proven, keep bool
		want                    string // password, sessions, identities, keys, factors
	}{
		{"nobody has proven it", true, false, false, "false 0 email+github 0 1"},
		{"not even confirmed", false, false, false, "false 0 email+github 0 1"},
		{"the sign-up itself", false, false, true, "true 1 email+github+gitlab+google+other 1 1"},
		{"proven before", true, true, false, "true 1 email+github+gitlab+google+other 1 1"},
	} {
		exec(t, super, `delete from auth.users`)
		user := newUser(t, admin, "ann@example.com")
		newSession(t, super, user)
		for provider, data := range map[string]string{
			"github": `{"email": "Ann@example.com", "email_verified": true}`,
			"gitlab": `{"email": "ann@example.com", "email_verified": false}`,
			"google": `{"email": "mallory@example.com", "email_verified": true}`,
			"other":  `{"sub": "x"}`,
		} {
			exec(t, super, `insert into auth.identities (user_id, provider, provider_id, identity_data) values ($1, $2, $2, $3)`, user, provider, data)
		}
		exec(t, admin, `select auth.create_api_key('user', 'script', 'ann@example.com')`)
		exec(t, super, `insert into auth.mfa_factors (id, user_id, factor_type, status, secret) values (gen_random_uuid(), $1, 'totp', 'verified', 'v1.0123456789abcdef.' || repeat('A', 60))`, user)
		exec(t, super, `update auth.users set email_confirmed_at = case when $2 then now() end, email_proven_at = case when $3 then now() end, email_change = 'mallory@example.com'
			where id = $1`, user, c.confirmed, c.proven)
		exec(t, super, `select fluxbase.prove_address(u, $2) from auth.users u where u.id = $1`, user, c.keep)
		if got := one[string](t, super, `select concat_ws(' ', (u.encrypted_password is not null)::text,
				(select count(*) from auth.sessions s where s.user_id = u.id and s.revoked_at is null),
				(select string_agg(i.provider, '+' order by i.provider) from auth.identities i where i.user_id = u.id),
				(select count(*) from auth.api_keys k where k.user_id = u.id and k.revoked_at is null),
				(select count(*) from auth.mfa_factors f where f.user_id = u.id))
			from auth.users u where u.id = $1 and u.email_confirmed_at is not null and u.email_proven_at is not null`, user); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		ended := c.want[0] == 'f'
		if got := one[bool](t, super, `select email_change is null from auth.users where id = $1`, user); got != ended {
			t.Errorf("%s: the change of the address that waited has ended: %t", c.name, got)
		}
		if got := one[bool](t, super, `select exists (select from audit.log where subject_id = $1 and action = 'user.address_proven'
			and details @> '{"password_ended": true, "sessions_ended": 1, "identities_ended": 3, "keys_ended": 1}')`, user); got != ended {
			t.Errorf("%s: in the audit log: %t", c.name, got)
		}
	}
}

// Identity providers ask the same: an account that nobody has proven is not linked, one that somebody has is.
func TestProvidersAskWhetherTheAddressIsProven(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	user := newUser(t, admin, "ann@example.com")
	exec(t, super, `update auth.users set email_proven_at = null`)
	const signIn = `select fluxbase.oauth_user('google', 'sub-of-ann', 'ann@example.com', true, '{"email": "ann@example.com", "email_verified": true}') ->> 'status'`
	if got := one[string](t, super, signIn); got != "oauth_email_exists" {
		t.Errorf("before the proof: %s", got)
	}
	exec(t, super, `select fluxbase.prove_address(u, false) from auth.users u where u.id = $1`, user)
	if got := one[string](t, super, signIn); got != "ok" {
		t.Errorf("after it: %s", got)
	}
	if got := one[uuid.UUID](t, super, `select user_id from auth.identities where provider = 'google'`); got != user {
		t.Errorf("linked to %s", got)
	}
}
