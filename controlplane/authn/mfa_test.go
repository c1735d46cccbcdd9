package authn_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

func TestMFAEnrollChallengeVerify(t *testing.T) {
	t.Parallel()
	s, first := startWithAnn(t, sealKey)
	if user(t, s, first).Text("factors") != "" || bytes.Contains(user(t, s, first).Body, []byte("factors")) {
		t.Error("a user without factors has some")
	}

	a := s.Do(t, "POST", "/auth/v1/factors", map[string]string{"factor_type": "totp", "friendly_name": "phone", "issuer": "Acme"}, first.Bearer())
	expect(t, a, 200, "")
	var body struct {
		ID           string
		Type         string
		FriendlyName string `json:"friendly_name"`
		TOTP         struct {
			QRCode    string `json:"qr_code"`
			QRCodeURI string `json:"qr_code_uri"`
			QRCodePNG string `json:"qr_code_png"`
			Secret    string
			URI       string
		}
	}
	if err := json.Unmarshal(a.Body, &body); err != nil {
		t.Fatal(err)
	}
	if body.Type != "totp" || body.FriendlyName != "phone" || !strings.HasPrefix(body.TOTP.QRCode, "<svg ") ||
		!strings.HasPrefix(body.TOTP.QRCodeURI, "data:image/svg+xml;utf-8,%3Csvg") || !strings.HasPrefix(body.TOTP.QRCodePNG, "data:image/png;base64,") ||
		!strings.HasPrefix(body.TOTP.URI, "otpauth://totp/Acme:ann%40example.com?secret="+body.TOTP.Secret+"&issuer=Acme&") {
		t.Errorf("enrolled: %s", a.Body)
	}
	f := enrolled{body.ID, body.TOTP.Secret}

	a = s.Do(t, "POST", f.path("/challenge"), nil, first.Bearer())
	expect(t, a, 200, "")
	var asked struct {
		ID, Type  string
		ExpiresAt int64 `json:"expires_at"`
	}
	if err := json.Unmarshal(a.Body, &asked); err != nil || asked.Type != "totp" || asked.ExpiresAt-time.Now().Unix() < 240 || asked.ExpiresAt-time.Now().Unix() > 301 {
		t.Errorf("challenge: %v %s", err, a.Body)
	}
	expect(t, verify(t, s, first, f, asked.ID, f.wrongCode(t)), 422, "mfa_verification_failed")
	if claimsOf(t, first).AAL != "aal1" || s.Value(t, `select aal from auth.sessions`) != "aal1" {
		t.Error("a wrong code raised the session")
	}
	a = verify(t, s, first, f, asked.ID, f.code(t, 0))
	expect(t, a, 200, "")
	second := a.Tokens()

	// The same session, new tokens, both levels in them.
	before, after := claimsOf(t, first), claimsOf(t, second)
	if after.Session != before.Session || after.JTI == before.JTI || after.AAL != "aal2" || len(after.AMR) != 2 || after.AMR[0].Method != "totp" || after.AMR[1].Method != "password" {
		t.Errorf("claims %+v became %+v", before, after)
	}
	if !bytes.Contains(a.Body, []byte(`"factor_type":"totp"`)) || a.Text("token_type") != "bearer" {
		t.Errorf("verified: %s", a.Body)
	}
	var listed []struct {
		ID, Status    string
		FactorType    string `json:"factor_type"`
		LastChallenge string `json:"last_challenged_at"`
	}
	a = s.Do(t, "GET", "/auth/v1/factors", nil, second.Bearer())
	if err := json.Unmarshal(a.Body, &listed); err != nil || len(listed) != 1 || listed[0].ID != f.ID || listed[0].Status != "verified" || listed[0].FactorType != "totp" || listed[0].LastChallenge == "" {
		t.Errorf("factors: %v %s", err, a.Body)
	}
	if !bytes.Contains(user(t, s, second).Body, []byte(f.ID)) {
		t.Error("the user object does not list the factor")
	}
	expect(t, verify(t, s, second, f, asked.ID, f.code(t, 1)), 422, "mfa_challenge_expired") // a challenge is answered once

	// It lasts, and the refresh token from before cannot be exchanged for it.
	a = refresh(t, s, second.Refresh)
	expect(t, a, 200, "")
	if c := claimsOf(t, a.Tokens()); c.AAL != "aal2" || c.Session != before.Session || len(c.AMR) != 2 {
		t.Errorf("refreshed: %+v", c)
	}
	third := a.Tokens()
	expect(t, refresh(t, s, first.Refresh), 400, "refresh_token_already_used")
	expect(t, user(t, s, third), 401, "session_not_found")

	// What is stored and logged.
	if got := s.Value(t, `select secret from auth.mfa_factors`); strings.Contains(got, f.Secret) || !strings.HasPrefix(got, "v1.") {
		t.Errorf("stored: %s", got)
	}
	for _, text := range []string{s.Log.String(), s.Value(t, `select string_agg(l::text, ' ') from audit.log l`)} {
		if strings.Contains(text, f.Secret) {
			t.Error("the secret is in a log")
		}
	}
	if got := s.Value(t, `select string_agg(action || ' ' || outcome, ', ' order by id) from audit.log where action like 'mfa%'`); got != "mfa.factor_enrolled ok, mfa.verify denied, mfa.factor_verified ok" {
		t.Errorf("audit: %s", got)
	}
}

func TestMFAStepUpRefusesTheRefreshTokenFromBefore(t *testing.T) {
	t.Parallel()
	s, k := startWithAnn(t, sealKey)
	f := enroll(t, s, k, "phone")
	raised := stepUp(t, s, k, f)
	// Nobody has used the new token yet: a plain rotation would hand it out again.
	expect(t, refresh(t, s, k.Refresh), 400, "refresh_token_already_used")
	expect(t, user(t, s, raised), 401, "session_not_found")
}

func TestMFACodeWorksOnce(t *testing.T) {
	t.Parallel()
	s, k := startWithAnn(t, sealKey)
	f := enroll(t, s, k, "phone")
	stepUp(t, s, k, f)
	k = s.Login(t, ann)
	s.Exec(t, `select auth.set_setting('mfa_failures_before_delay', '100')`)
	forgetSteps(t, s)
	session := claimsOf(t, k).Session
	s.Exec(t, `insert into auth.mfa_challenges (factor_id, session_id, expires_at) select $1::uuid, $2::uuid, now() + interval '5 minutes' from generate_series(1, 50)`, f.ID, session)
	ids := strings.Fields(s.Value(t, `select string_agg(id::text, ' ') from auth.mfa_challenges where session_id = $1 and verified_at is null`, session))
	if len(ids) != 50 {
		t.Fatalf("%d challenges", len(ids))
	}
	code := f.code(t, 0)
	var good, refused atomic.Int32
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() {
			switch a := verify(t, s, k, f, id, code); {
			case a.Status == 200:
				good.Add(1)
			case a.Code() == "mfa_verification_failed":
				refused.Add(1)
			default:
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	all.Wait()
	if good.Load() != 1 || refused.Load() != 49 {
		t.Errorf("one code in 50 parallel tries: %d times good, %d refused", good.Load(), refused.Load())
	}
	// An older code than the last one used is refused too, a later one is good.
	k = s.Login(t, ann)
	expect(t, verify(t, s, k, f, challenge(t, s, k, f), f.code(t, -1)), 422, "mfa_verification_failed")
	expect(t, verify(t, s, k, f, challenge(t, s, k, f), f.code(t, 1)), 200, "")
}

func TestMFACodesAreSixDigits(t *testing.T) {
	t.Parallel()
	s, k := startWithAnn(t, sealKey)
	f := enroll(t, s, k, "phone")
	s.Exec(t, `select auth.set_setting('mfa_failures_before_delay', '100')`)
	id, code := challenge(t, s, k, f), f.code(t, 0)
	for _, other := range []string{" " + code, code + " ", code + "\n", "0" + code, code[:5], "", "+" + code[1:], strings.Map(func(r rune) rune { return r + 0xFF10 - '0' }, code)} {
		expect(t, verify(t, s, k, f, id, other), 422, "mfa_verification_failed")
	}
	expect(t, s.Do(t, "POST", f.path("/verify"), map[string]any{"challenge_id": id, "code": 123456}, k.Bearer()), 400, "bad_json")
	expect(t, s.Do(t, "POST", f.path("/verify"), map[string]any{"challenge_id": "x", "code": code}, k.Bearer()), 400, "validation_failed")
	expect(t, verify(t, s, k, f, id, f.code(t, 0)), 200, "")
}

// Whatever route, factor or session: an account has so many attempts.
func TestMFAAttemptsAreCountedPerAccount(t *testing.T) {
	t.Parallel()
	s, k := startWithAnn(t, sealKey)
	phone := enroll(t, s, k, "phone")
	k = stepUp(t, s, k, phone)
	tablet := enroll(t, s, k, "tablet")
	k = stepUp(t, s, k, tablet)
	codes := recoveryCodes(t, s, k)
	other := s.Login(t, ann)
	if n := s.Value(t, `select count(*) from auth.login_attempts where scope = 'mfa'`); n != "0" {
		t.Errorf("a good code leaves %s counters", n)
	}

	expect(t, verify(t, s, k, phone, challenge(t, s, k, phone), phone.wrongCode(t)), 422, "mfa_verification_failed")
	expect(t, verify(t, s, k, tablet, challenge(t, s, k, tablet), tablet.wrongCode(t)), 422, "mfa_verification_failed")
	expect(t, redeem(t, s, k, "00000-00000-00000-00000"), 422, "mfa_verification_failed")
	expect(t, redeem(t, s, other, "no code at all"), 422, "mfa_verification_failed")
	expect(t, verify(t, s, other, tablet, challenge(t, s, other, tablet), "x"), 422, "mfa_verification_failed")
	s.Exec(t, `update auth.login_attempts set slowed_until = now() + interval '1 minute' where scope = 'mfa' and slowed_until is not null`)
	forgetSteps(t, s)
	for name, a := range map[string]servertest.Answer{
		"a good code":                   verify(t, s, k, phone, challenge(t, s, k, phone), phone.code(t, 0)),
		"another factor":                verify(t, s, k, tablet, challenge(t, s, k, tablet), tablet.code(t, 0)),
		"another session":               verify(t, s, other, tablet, challenge(t, s, other, tablet), tablet.code(t, 0)),
		"a recovery code":               redeem(t, s, k, codes[0]),
		"a recovery code in the second": redeem(t, s, other, codes[0]),
	} {
		if expect(t, a, 429, "over_request_rate_limit"); a.Header.Get("Retry-After") != "60" && a.Header.Get("Retry-After") != "59" {
			t.Errorf("%s: Retry-After %q", name, a.Header.Get("Retry-After"))
		}
	}
	if n := s.Value(t, `select failures from auth.login_attempts where scope = 'mfa'`); n != "5" {
		t.Errorf("%s attempts counted", n)
	}
	s.Exec(t, `select auth.unlock_user($1)`, ann)
	expect(t, redeem(t, s, other, codes[0]), 200, "")
}

func TestMFAUnenrollNeedsAAL2(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, sealKey)
	s.CreateUser(t, ann)
	s.CreateUser(t, bob)
	old := s.Login(t, ann)
	f := enroll(t, s, old, "phone")
	raised := stepUp(t, s, old, f)
	recoveryCodes(t, s, raised)
	plain, foreign := s.Login(t, ann), s.Login(t, bob)
	unenroll := func(k servertest.Tokens) servertest.Answer {
		return s.Do(t, "DELETE", f.path(""), nil, k.Bearer())
	}
	expect(t, unenroll(plain), 403, "insufficient_aal")
	expect(t, unenroll(old), 403, "insufficient_aal") // a token from before the step up
	expect(t, unenroll(foreign), 404, "mfa_factor_not_found")
	s.Exec(t, `update auth.sessions set aal = 'aal1' where id = $1`, claimsOf(t, raised).Session)
	expect(t, unenroll(raised), 403, "insufficient_aal") // a token whose session was lowered
	s.Exec(t, `update auth.sessions set aal = 'aal2' where id = $1`, claimsOf(t, raised).Session)

	// So do another factor and recovery codes: a stolen password gains nothing.
	for _, k := range []servertest.Tokens{plain, old} {
		expect(t, s.Do(t, "POST", "/auth/v1/factors", map[string]string{"factor_type": "totp"}, k.Bearer()), 403, "insufficient_aal")
		expect(t, s.Do(t, "POST", "/auth/v1/factors/recovery-codes", nil, k.Bearer()), 403, "insufficient_aal")
	}
	tablet := enroll(t, s, raised, "tablet")
	expect(t, s.Do(t, "DELETE", tablet.path(""), nil, plain.Bearer()), 200, "") // unverified: it counts for nothing

	a := unenroll(raised)
	if expect(t, a, 200, ""); a.Text("id") != f.ID {
		t.Errorf("answer %s", a.Body)
	}
	expect(t, unenroll(raised), 404, "mfa_factor_not_found")
	if got := s.Value(t, `select (select count(*) from auth.recovery_codes) || ' ' || (select string_agg(distinct aal, ',') from auth.sessions)`); got != "0 aal1" {
		t.Errorf("recovery codes, levels: %s", got)
	}
	if c := claimsOf(t, refresh(t, s, raised.Refresh).Tokens()); c.AAL != "aal1" {
		t.Errorf("refreshed: %+v", c)
	}
}

func TestMFAPasswordAndAddressNeedAAL2(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, sealKey)
	autoconfirm(t, s)
	s.CreateUser(t, ann)
	old := s.Login(t, ann)
	update := func(k servertest.Tokens, body string) servertest.Answer {
		return s.Do(t, "PUT", "/auth/v1/user", body, k.Bearer())
	}
	f := enroll(t, s, old, "phone")
	expect(t, update(old, `{"password":"before the factor was verified"}`), 200, "")
	raised := stepUp(t, s, old, f)
	s.Exec(t, `select auth.set_password($1, $2, p_keep_sessions => true)`, ann, servertest.Password)
	for _, k := range []servertest.Tokens{old, s.Login(t, ann)} {
		expect(t, update(k, `{"password":"taken over by somebody else"}`), 403, "insufficient_aal")
		expect(t, update(k, `{"email":"mallory@example.com"}`), 403, "insufficient_aal")
		expect(t, update(k, `{"email":"ANN@example.com","data":{"a":1}}`), 200, "") // nothing that gives access
	}
	expect(t, update(raised, `{"email":"ann2@example.com","password":"chosen by herself, at last"}`), 200, "")
}

func TestMFAFactorsAndChallengesBelongToTheirOwner(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, sealKey)
	s.CreateUser(t, ann)
	s.CreateUser(t, bob)
	k, foreign := s.Login(t, ann), s.Login(t, bob)
	f := enroll(t, s, k, "phone")
	id := challenge(t, s, k, f)
	expect(t, s.Do(t, "POST", f.path("/challenge"), nil, foreign.Bearer()), 404, "mfa_factor_not_found")
	expect(t, verify(t, s, foreign, f, id, f.code(t, 0)), 404, "mfa_factor_not_found")
	other := s.Login(t, ann)
	expect(t, verify(t, s, other, f, id, f.code(t, 0)), 404, "mfa_factor_not_found") // another session's challenge
	own := enroll(t, s, foreign, "phone")
	expect(t, verify(t, s, foreign, own, id, own.code(t, 0)), 404, "mfa_factor_not_found")
	s.Exec(t, `update auth.mfa_challenges set expires_at = now()`)
	expect(t, verify(t, s, k, f, id, f.code(t, 0)), 422, "mfa_challenge_expired")
	for _, path := range []string{"/auth/v1/factors/x/challenge", "/auth/v1/factors/" + strings.ToUpper(f.ID) + "/challenge"} {
		expect(t, s.Do(t, "POST", path, nil, k.Bearer()), 404, "mfa_factor_not_found")
	}
	expect(t, s.Do(t, "GET", "/auth/v1/factors", nil), 401, "no_authorization")

	// A sealed secret that is moved to another row does not open there.
	s.Exec(t, `update auth.mfa_factors a set secret = b.secret from auth.mfa_factors b where a.id = $1 and b.id = $2`, own.ID, f.ID)
	a := verify(t, s, foreign, own, challenge(t, s, foreign, own), f.code(t, 0))
	expect(t, a, 500, "unexpected_failure")
}

func TestMFAEnrollRefuses(t *testing.T) {
	t.Parallel()
	s, k := startWithAnn(t, sealKey)
	post := func(body string) servertest.Answer { return s.Do(t, "POST", "/auth/v1/factors", body, k.Bearer()) }
	expect(t, post(`{}`), 400, "validation_failed")
	expect(t, post(`{"factor_type":"sms"}`), 400, "validation_failed")
	expect(t, post(`{"factor_type":"phone","phone":"+1"}`), 422, "mfa_phone_enroll_not_enabled")
	expect(t, post(`{"factor_type":"webauthn"}`), 422, "mfa_webauthn_enroll_not_enabled")
	expect(t, post(`{"factor_type":"totp","issuer":"a:b"}`), 400, "validation_failed")
	expect(t, post(`{"factor_type":"totp","friendly_name":"`+strings.Repeat("x", 101)+`"}`), 400, "validation_failed")
	expect(t, post(`{"factor_type":"totp","secret":"x"}`), 400, "bad_json")
	f := enroll(t, s, k, "phone")
	again := enroll(t, s, k, "phone") // begun and left
	if again.ID == f.ID || s.Value(t, `select count(*) from auth.mfa_factors`) != "1" {
		t.Error("a beginning was kept")
	}
	k = stepUp(t, s, k, again)
	expect(t, post(`{"factor_type":"totp","friendly_name":"phone"}`), 422, "mfa_factor_name_conflict")
	for i := range 9 {
		enroll(t, s, k, fmt.Sprint("n", i))
	}
	expect(t, post(`{"factor_type":"totp","friendly_name":"n10"}`), 422, "too_many_enrolled_mfa_factors")
	settle(t, s, "mfa_enforcement", "off", func() bool { return true })
	expect(t, post(`{"factor_type":"totp","friendly_name":"n1"}`), 422, "mfa_totp_enroll_not_enabled")
	stepUp(t, s, k, again) // what is there stays good
}

// The first verified factor of an account ends the sessions that have shown one factor, and other beginnings.
func TestMFAFirstFactorEndsOtherSessions(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, sealKey)
	s.CreateUser(t, ann)
	k, other := s.Login(t, ann), s.Login(t, ann)
	thief := enroll(t, s, other, "thief")
	k = stepUp(t, s, k, enroll(t, s, k, "phone"))
	expect(t, user(t, s, other), 401, "session_not_found")
	expect(t, user(t, s, k), 200, "")
	expect(t, s.Do(t, "POST", thief.path("/challenge"), nil, k.Bearer()), 404, "mfa_factor_not_found")

	later := s.Login(t, ann) // from then on a login stays what it is
	k = stepUp(t, s, k, enroll(t, s, k, "tablet"))
	expect(t, user(t, s, k), 200, "")
	if got := s.Value(t, `select string_agg(distinct revoked_reason, ',') from auth.sessions`); got != "mfa_enrolled" {
		t.Errorf("reasons: %s", got)
	}
	expect(t, user(t, s, later), 401, "session_not_found") // the tablet is a first verification, too
}

func TestMFAKeys(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	s := servertest.On(t, db, sealKey)
	s.CreateUser(t, ann)
	k := s.Login(t, ann)
	f := enroll(t, s, k, "phone")
	stepUp(t, s, k, f)
	const keyID = `select split_part(secret, '.', 2) from auth.mfa_factors`
	first := s.Value(t, keyID)

	none := servertest.On(t, db)
	k = none.Login(t, ann)
	for _, a := range []servertest.Answer{
		none.Do(t, "POST", "/auth/v1/factors", map[string]string{"factor_type": "totp"}, k.Bearer()),
		verify(t, none, k, f, challenge(t, none, k, f), f.code(t, 0)),
	} {
		if a.Status != 422 || !bytes.Contains(a.Body, []byte("auth.encryption_key")) || !strings.HasSuffix(a.Code(), "_not_enabled") {
			t.Errorf("without a key: %d %s", a.Status, a.Body)
		}
	}

	_, key, _ := strings.Cut(sealKey, "=")
	rotated := servertest.On(t, db, "FLUXBASE_AUTH_ENCRYPTION_KEY="+otherKey, "FLUXBASE_AUTH_ENCRYPTION_KEY_PREVIOUS="+key)
	forgetSteps(t, s)
	expect(t, verify(t, rotated, k, f, challenge(t, rotated, k, f), f.wrongCode(t)), 422, "mfa_verification_failed")
	if got := s.Value(t, keyID); got != first {
		t.Error("a wrong code made the secret be sealed anew")
	}
	k = stepUp(t, rotated, k, f)
	second := s.Value(t, keyID)
	if second == first {
		t.Error("a good code did not make the secret be sealed anew")
	}
	alone := servertest.On(t, db, "FLUXBASE_AUTH_ENCRYPTION_KEY="+otherKey)
	k = stepUp(t, alone, k, f)
	expect(t, verify(t, s, k, f, challenge(t, s, k, f), f.code(t, 1)), 500, "unexpected_failure")
	if log := s.Log.String(); !strings.Contains(log, second) || !strings.Contains(log, "not configured") {
		t.Error("the log does not name the key that is missing")
	}
}
