package token

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

const (
	maxRole   = 63 // bytes of a name in PostgreSQL
	maxLeeway = time.Minute
)

// Access is what a verified access token says.
type Access struct {
	Subject   uuid.UUID // sub: the user
	SessionID uuid.UUID // session_id
	JTI       uuid.UUID // jti
	OrgID     uuid.UUID // org_id, uuid.Nil without
	Actor     uuid.UUID // act.sub (RFC 8693 section 4.1), uuid.Nil without
	Role      string    // role: the database role asked for; whether it may be had is decided by PostgreSQL
	AAL       string    // aal, empty without
	Email     string    // email, empty without
	IssuedAt  int64     // iat, Unix seconds
	ExpiresAt int64     // exp, Unix seconds

	// Claims is the whole payload as compact JSON that PostgreSQL reads exactly
	// as it was read here. Shared between callers: never change its bytes.
	Claims []byte
}

// claims is Access and what only the package needs.
type claims struct {
	Access
	notBefore int64
}

// Rules are what signer and verifier agree on.
type Rules struct {
	Issuer   string // iss, compared byte by byte
	Audience string // aud, compared byte by byte; we sign and accept the string form only, never an array
	// MaxLifetime bounds exp - iat: a token that lives longer was not signed by us.
	MaxLifetime time.Duration
	// Leeway is how far iat and nbf may lie in the future because of clocks that
	// differ, at most a minute. There is none for exp.
	Leeway time.Duration
}

func (r Rules) check() error {
	switch {
	case r.Issuer == "" || !utf8.ValidString(r.Issuer):
		return errors.New("issuer of tokens is not set")
	case r.Audience == "" || !utf8.ValidString(r.Audience):
		return errors.New("audience of tokens is not set")
	case r.MaxLifetime < time.Second:
		return errors.New("lifetime of tokens is shorter than a second")
	case r.Leeway < 0 || r.Leeway > maxLeeway:
		return fmt.Errorf("leeway of tokens is not between 0 and %s", maxLeeway)
	}
	return nil
}

// reserved are the claims that the signer adds.
var reserved = [...]string{"iss", "aud", "iat", "nbf", "exp", "jti"}

// known are all claims that this package reads.
var known = [...]string{"iss", "aud", "iat", "nbf", "exp", "jti",
	"sub", "session_id", "role", "aal", "email", "org_id", "act"}

// read decodes a payload whose signature is right. It knows no clock: see checkTime.
func (r Rules) read(payload []byte) (*claims, error) {
	o, ok := parseObject(payload)
	if !ok {
		return nil, ErrMalformed
	}
	// A name that differs from one of ours in case only is nobody's claim: it
	// is there to be read as ours by someone who is less exact.
	for i := range o.members {
		name := string(o.name(i))
		for _, k := range known {
			if name != k && strings.EqualFold(name, k) {
				return nil, badClaim(k)
			}
		}
	}
	if iss, ok := o.stringValue("iss"); !ok || iss != r.Issuer {
		return nil, badClaim("iss")
	}
	if aud, ok := o.stringValue("aud"); !ok || aud != r.Audience {
		return nil, badClaim("aud")
	}
	c := &claims{Access: Access{Claims: slices.Clip(o.text)}}
	for _, m := range []struct {
		name     string
		into     *uuid.UUID
		required bool
	}{
		{"sub", &c.Subject, true},
		{"session_id", &c.SessionID, true},
		{"jti", &c.JTI, true},
		{"org_id", &c.OrgID, false},
	} {
		if !o.readUUID(m.name, m.into, m.required) {
			return nil, badClaim(m.name)
		}
	}
	for _, m := range []struct {
		name string
		into *int64
	}{{"iat", &c.IssuedAt}, {"nbf", &c.notBefore}, {"exp", &c.ExpiresAt}} {
		if *m.into, ok = numericDate(o.value(m.name)); !ok {
			return nil, badClaim(m.name)
		}
	}
	if c.Role, ok = o.stringValue("role"); !ok || c.Role == "" || len(c.Role) > maxRole {
		return nil, badClaim("role")
	}
	if !o.readString("aal", &c.AAL) {
		return nil, badClaim("aal")
	}
	if !o.readString("email", &c.Email) {
		return nil, badClaim("email")
	}
	if act := o.value("act"); !isNull(act) {
		actor, ok := parseObject(act)
		if !ok || len(actor.members) != 1 || !actor.readUUID("sub", &c.Actor, true) {
			return nil, badClaim("act")
		}
	}
	lifetime := c.ExpiresAt - c.IssuedAt
	if lifetime <= 0 || lifetime > int64(r.MaxLifetime/time.Second) || c.notBefore >= c.ExpiresAt {
		return nil, badClaim("exp")
	}
	return c, nil
}

// checkTime compares the claims with the clock, in Unix seconds.
func (r Rules) checkTime(c *claims, now int64) error {
	if now >= c.ExpiresAt {
		return ErrExpired
	}
	latest := now + int64(r.Leeway/time.Second)
	if c.IssuedAt > latest || c.notBefore > latest {
		return ErrNotYetValid
	}
	return nil
}

// badClaim names the claim, which is always one of our own constants.
func badClaim(name string) error { return fmt.Errorf("%w: %s", ErrClaims, name) }

func isNull(value []byte) bool { return value == nil || string(value) == "null" }

// readString reads an optional member; absent and null are the empty string.
func (o object) readString(name string, into *string) (ok bool) {
	if isNull(o.value(name)) {
		return true
	}
	*into, ok = o.stringValue(name)
	return ok
}

// readUUID reads a UUID in its one canonical, lower-case form, never the nil
// UUID. An optional member may be absent or null.
func (o object) readUUID(name string, into *uuid.UUID, required bool) bool {
	if !required && isNull(o.value(name)) {
		return true
	}
	text, ok := o.stringValue(name)
	if !ok {
		return false
	}
	id, err := uuid.Parse(text)
	if err != nil || id == uuid.Nil || id.String() != text {
		return false
	}
	*into = id
	return true
}

// numericDate reads Unix seconds (RFC 7519 section 2). We sign whole seconds,
// so fractions and exponents are refused with all that is no number.
func numericDate(value []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	return n, err == nil && n > 0
}
