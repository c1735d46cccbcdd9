package sqltest

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// newFactor makes a factor in the sealed form, which nobody here can open.
func newFactor(t *testing.T, super *pgx.Conn, user uuid.UUID, status string) uuid.UUID {
	t.Helper()
	return one[uuid.UUID](t, super, `insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, secret, last_step)
		values (gen_random_uuid(), $1, gen_random_uuid()::text, 'totp', $2, 'v1.0123456789abcdef.' || repeat('A', 80), 100) returning id`, user, status)
}

func raise(t *testing.T, super *pgx.Conn, session, factor uuid.UUID) {
	t.Helper()
	exec(t, super, `update auth.sessions set aal = 'aal2', mfa_factor_id = $2 where id = $1`, session, factor)
}

func levels(t *testing.T, super *pgx.Conn, sessions ...uuid.UUID) string {
	t.Helper()
	return one[string](t, super, `select string_agg(s.aal, ' ' order by i.ord) from unnest($1::uuid[]) with ordinality i (id, ord) join auth.sessions s using (id)`, sessions)
}

// Whoever writes the table, psql included: owner and used steps stand, and a factor that goes takes its level along.
func TestMFAFactorsHoldForEveryWriter(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	ann, bob := newUser(t, admin, "ann@example.com"), newUser(t, admin, "bob@example.com")
	exec(t, super, `set session_replication_role = replica`) // ordinary triggers sleep
	phone, tablet := newFactor(t, super, ann, "verified"), newFactor(t, super, ann, "verified")
	refused(t, super, "22023", []string{"work again"}, `update auth.mfa_factors set last_step = 99 where id = $1`, phone)
	refused(t, super, "22023", []string{"whose it is"}, `update auth.mfa_factors set user_id = $2 where id = $1`, phone, bob)
	refused(t, super, "22023", nil, `update auth.mfa_factors set id = gen_random_uuid() where id = $1`, phone)
	refused(t, super, "23514", []string{"mfa_factors_secret_ck"}, `update auth.mfa_factors set secret = 'JBSWY3DPEHPK3PXP' where id = $1`, phone)
	refused(t, super, "23514", []string{"mfa_factors_totp_secret_ck"}, `update auth.mfa_factors set secret = null where id = $1`, phone)

	byPhone, byTablet, byCode, foreign := newSession(t, super, ann), newSession(t, super, ann), newSession(t, super, ann), newSession(t, super, bob)
	raise(t, super, byPhone, phone)
	raise(t, super, byTablet, tablet)
	exec(t, super, `update auth.sessions set aal = 'aal2' where id in ($1, $2)`, byCode, foreign)
	exec(t, super, `insert into auth.recovery_codes (user_id, code_hash) values ($1, sha256('a')), ($2, sha256('a'))`, ann, bob)
	exec(t, super, `delete from auth.mfa_factors where id = $1`, phone)
	if got := levels(t, super, byPhone, byTablet, byCode, foreign); got != "aal1 aal2 aal2 aal2" {
		t.Errorf("one of two factors gone: %s", got)
	}
	exec(t, admin, `select auth.set_setting('mfa_enforcement', 'required')`)
	exec(t, super, `update auth.mfa_factors set status = 'unverified' where id = $1`, tablet)
	if got := levels(t, super, byPhone, byTablet, byCode, foreign); got != "aal1 aal1 aal1 aal2" {
		t.Errorf("the last one gone: %s", got)
	}
	if got := one[string](t, super, `select string_agg(u.email, ' ') from auth.recovery_codes r join auth.users u on u.id = r.user_id`); got != "bob@example.com" {
		t.Errorf("recovery codes are left to %s", got)
	}
	if one[bool](t, super, `select mfa_pending from auth.sessions where id = $1`, byPhone) || !one[bool](t, super, `select mfa_pending from auth.sessions where id = $1`, byTablet) {
		t.Error("a session that falls back while a factor is required owes one")
	}
	exec(t, super, `reset session_replication_role`)
	newFactor(t, super, ann, "verified")
	exec(t, admin, `select auth.delete_user('ann@example.com')`)
	if n := one[int](t, super, `select count(*)::int from auth.mfa_factors`); n != 0 {
		t.Errorf("%d factors outlive their user", n)
	}
}

func TestMFAInPsql(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	ann := newUser(t, admin, "ann@example.com")
	refused(t, admin, "22023", []string{"no verified factor"}, `select auth.generate_recovery_codes('ann@example.com', 'call')`)
	factor := newFactor(t, super, ann, "verified")
	newFactor(t, super, ann, "unverified")
	session, other := newSession(t, super, ann), newSession(t, super, ann)
	raise(t, super, session, factor)
	exec(t, super, `insert into auth.mfa_challenges (factor_id, session_id, expires_at) values ($1, $2, now() + interval '5 minutes')`, factor, session)
	exec(t, super, `insert into auth.login_attempts (scope, subject, failures, slowed_until) values ('mfa', $1::text, 7, now() + interval '1 minute')`, ann.String())

	codes := lines(t, admin, `select auth.generate_recovery_codes('Ann@example.com', 'lost phone, called from the number on file')`)
	form := regexp.MustCompile(`^([0-9a-f]{5}-){3}[0-9a-f]{5}$`)
	for _, code := range codes {
		if !form.MatchString(code) || !one[bool](t, super, `select exists (select from auth.recovery_codes where code_hash = sha256(convert_to($1, 'UTF8')))`, strings.ReplaceAll(code, "-", "")) {
			t.Errorf("code %s", code)
		}
	}
	if got := one[string](t, admin, `select concat_ws(' ', s ->> 'required', s ->> 'verified_factors', s ->> 'unverified_factors', s ->> 'open_challenges', s ->> 'recovery_codes_left',
		s ->> 'pending_sessions', s ->> 'failed_attempts', s ->> 'slowed_until' is not null) from auth.mfa_state('ann@example.com') s`); len(codes) != 10 || got != "false 1 1 1 10 0 7 t" {
		t.Errorf("%d codes, state %s", len(codes), got)
	}
	if got := one[string](t, admin, `select string_agg(concat_ws(' ', email, factor_type, status, key_id), ', ' order by status) from auth.mfa_factors_of('ann@example.com')`); got != "ann@example.com totp unverified 0123456789abcdef, ann@example.com totp verified 0123456789abcdef" {
		t.Errorf("factors: %s", got)
	}
	if text := one[string](t, admin, `select string_agg(f::text, '') from auth.admin_mfa_factors f`); strings.Contains(text, "AAAA") {
		t.Errorf("the view shows the secret: %s", text)
	}
	for _, table := range []string{"mfa_factors", "mfa_challenges", "recovery_codes"} {
		refused(t, admin, "42501", nil, `select * from auth.`+table)
		if !one[bool](t, super, `select relrowsecurity from pg_class where oid = ('auth.' || $1)::regclass`, table) {
			t.Errorf("%s has no row security", table)
		}
	}
	if n := one[int](t, admin, `select auth.cancel_mfa_challenges('ann@example.com')`); n != 1 {
		t.Errorf("%d challenges ended", n)
	}
	refused(t, admin, "22023", []string{"reason"}, `select auth.remove_mfa_factor($1, ' ')`, factor)
	refused(t, admin, "P0002", []string{"mfa_factors_of"}, `select auth.remove_mfa_factor(gen_random_uuid(), 'x')`)
	exec(t, admin, `select auth.remove_mfa_factor($1, 'stolen')`, factor)
	if got := one[string](t, super, `select string_agg(concat_ws(' ', aal, revoked_reason), ', ' order by revoked_reason) from auth.sessions`); got != "aal1 mfa_factor_removed, aal1" {
		t.Errorf("after remove_mfa_factor: %s", got)
	}

	newFactor(t, super, ann, "verified")
	for _, reason := range []any{nil, "", " "} {
		refused(t, admin, "22023", []string{"reason"}, `select auth.reset_mfa('ann@example.com', $1)`, reason)
	}
	refused(t, admin, "P0002", nil, `select auth.reset_mfa('nobody@example.com', 'x')`)
	exec(t, super, `insert into auth.recovery_codes (user_id, code_hash) values ($1, sha256('b'))`, ann)
	if n := one[int](t, admin, `select auth.reset_mfa('ann@example.com', 'passport shown')`); n != 2 {
		t.Errorf("%d factors reset", n)
	}
	if got := one[string](t, admin, `select concat_ws(' ', s ->> 'verified_factors', s ->> 'unverified_factors', s ->> 'recovery_codes_left', s ->> 'failed_attempts') from auth.mfa_state('ann@example.com') s`); got != "0 0 0 0" {
		t.Errorf("after the reset: %s", got)
	}
	if got := one[string](t, super, `select coalesce(revoked_reason, 'alive') from auth.sessions where id = $1`, other); got != "mfa_reset" {
		t.Errorf("sessions ended: %s", got)
	}
	if got := one[string](t, super, `select details ->> 'reason' from audit.log where action = 'mfa.reset' and subject_id = $1`, ann); got != "passport shown" {
		t.Errorf("audited: %s", got)
	}
	for _, action := range []string{"mfa.recovery_codes_replaced", "mfa.challenges_cancelled", "mfa.factor_removed"} {
		if audited(t, super, action) != 1 {
			t.Errorf("%s is not audited", action)
		}
	}
}

func TestMFASettings(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	ann := newUser(t, admin, "ann@example.com")
	for _, c := range [][2]string{{"mfa_enforcement", "on"}, {"mfa_enforcement", ""}, {"mfa_issuer", "a:b"}, {"mfa_issuer", ""}, {"mfa_failures_before_delay", "0"}, {"mfa_challenge_lifetime", "2 hours"}} {
		refused(t, admin, "22023", nil, `select auth.set_setting($1, $2)`, c[0], c[1])
	}
	// What cannot be set and stands there anyway asks for a factor too many rather than one too few.
	exec(t, super, `update auth.settings set value = 'requird' where key = 'mfa_enforcement'`)
	if !one[bool](t, super, `select fluxbase.mfa_required($1)`, ann) {
		t.Error("an unknown value requires nothing")
	}
}
