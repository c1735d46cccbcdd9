package token

import (
	"crypto/sha256"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// MaxForeignBytes is the longest token of another issuer that is looked at.
const MaxForeignBytes = 16 << 10

// ForeignRules are what tokens of another issuer must be like. Their shape is the issuer's, so less is asked of them
// than of ours ([Rules]); what is asked is checked as strictly.
type ForeignRules struct {
	Issuer      string   // iss, compared byte by byte; empty: the tokens have none
	Audience    string   // aud is this, or an array that has it; empty: it is not looked at
	Algorithms  []string // allowed ones; each key has one of them
	Role        RolePath // where the role stands
	DefaultRole string   // for tokens without a role; empty: they are refused
	Required    []string // claims that must be there, besides
	// SubjectIsUser makes a sub that is a UUID the user of the request. Otherwise the request has none.
	SubjectIsUser bool
	Leeway        time.Duration // for iat and nbf, as in Rules; there is none for exp
}

// Foreign is the gate for tokens of one other issuer. It is safe for concurrent use.
type Foreign struct {
	rules ForeignRules
	now   func() time.Time
	state atomic.Pointer[foreignState]
}

// foreignState ties the cache to the keys, as in Verifier.
type foreignState struct {
	keys  *ForeignKeys
	cache cache
}

// NewForeign makes a gate that accepts nothing before its first keys.
func NewForeign(rules ForeignRules, now func() time.Time) (*Foreign, error) {
	for _, alg := range rules.Algorithms {
		if !slices.Contains(ForeignAlgorithms, alg) {
			return nil, errors.New("algorithm is not known")
		}
	}
	if len(rules.Algorithms) == 0 || len(rules.Role.steps) == 0 || rules.Leeway < 0 || rules.Leeway > maxLeeway {
		return nil, errors.New("rules for tokens of another issuer are not complete")
	}
	f := &Foreign{rules: rules, now: now}
	f.SetKeys(new(ForeignKeys))
	return f, nil
}

// SetKeys exchanges the keys. Tokens of those before are verified anew.
func (f *Foreign) SetKeys(keys *ForeignKeys) { f.state.Store(&foreignState{keys: keys}) }

// Peek returns the issuer that a token claims, unverified, to choose whose keys and rules decide. ok is false for a text
// that is no token.
func Peek(text string) (issuer string, ok bool) {
	if len(text) > MaxForeignBytes {
		return "", false
	}
	_, rest, _ := strings.Cut(text, ".")
	payload, _, found := strings.Cut(rest, ".")
	if !found {
		return "", false
	}
	body, ok := decodeSegment(payload)
	if !ok {
		return "", false
	}
	o, ok := parseObject(body)
	if !ok {
		return "", false
	}
	return issuer, o.readString("iss", &issuer)
}

// Verify decides on a token: its text is three parts of canonical base64url; typ, if it is there, is JWT or at+jwt
// (RFC 9068); there is no crit; the signature is that of the key which kid names, with that key's algorithm, which is an
// allowed one (RFC 8725 section 3.1); jku, jwk, x5u and x5c are not looked at. The payload is strict JSON with the issuer,
// audience, times, required claims and role of the rules.
//
// Of the result only Subject (see ForeignRules), Role, IssuedAt, ExpiresAt and Claims are set.
func (f *Foreign) Verify(text string) (Access, error) {
	if len(text) > MaxForeignBytes {
		return Access{}, ErrMalformed
	}
	state := f.state.Load()
	hash := sha256.Sum256([]byte(text))
	verified := state.cache.get(&hash)
	cached := verified != nil
	if !cached {
		var err error
		if verified, err = f.rules.verify(state.keys, text); err != nil {
			return Access{}, err
		}
	}
	now := f.now().Unix()
	latest := now + int64(f.rules.Leeway/time.Second)
	switch {
	case verified.ExpiresAt != 0 && now >= verified.ExpiresAt:
		return Access{}, ErrExpired
	case verified.IssuedAt > latest || verified.notBefore > latest:
		return Access{}, ErrNotYetValid
	}
	if !cached {
		state.cache.put(&hash, verified)
	}
	return verified.Access, nil
}

// verify checks everything but the time.
func (r *ForeignRules) verify(keys *ForeignKeys, text string) (*claims, error) {
	header, rest, _ := strings.Cut(text, ".")
	payload, signature, found := strings.Cut(rest, ".")
	if !found {
		return nil, ErrMalformed
	}
	head, okH := decodeSegment(header)
	body, okB := decodeSegment(payload)
	sum, okS := decodeSegment(signature)
	if !okH || !okB || !okS {
		return nil, ErrMalformed
	}
	o, ok := parseObject(head)
	if !ok {
		return nil, ErrMalformed
	}
	var typ, kid, alg string
	if !o.readString("typ", &typ) || !o.readString("kid", &kid) || !o.readString("alg", &alg) || o.value("crit") != nil {
		return nil, ErrHeader
	}
	if typ != "" && !strings.EqualFold(typ, "JWT") && !strings.EqualFold(typ, "at+jwt") || !slices.Contains(r.Algorithms, alg) {
		return nil, ErrHeader
	}
	key, err := keys.choose(kid, alg)
	if err != nil {
		return nil, err
	}
	if key.verify(text[:len(header)+1+len(payload)], sum) != nil {
		return nil, ErrSignature
	}
	return r.read(body)
}

func (r *ForeignRules) read(payload []byte) (*claims, error) {
	o, ok := parseObject(payload)
	if !ok {
		return nil, ErrMalformed
	}
	var issuer string
	if !o.readString("iss", &issuer) || issuer != r.Issuer {
		return nil, badClaim("iss")
	}
	if r.Audience != "" && !o.hasAudience(r.Audience) {
		return nil, badClaim("aud")
	}
	for _, name := range r.Required {
		if isNull(o.value(name)) {
			return nil, badClaim("one that is required")
		}
	}
	c := &claims{Access: Access{Claims: slices.Clip(o.text)}}
	for _, m := range []struct {
		name string
		into *int64
	}{{"iat", &c.IssuedAt}, {"nbf", &c.notBefore}, {"exp", &c.ExpiresAt}} {
		if value := o.value(m.name); !isNull(value) {
			if *m.into, ok = foreignDate(value); !ok {
				return nil, badClaim(m.name)
			}
		}
	}
	c.Role, ok = r.Role.find(o)
	if !ok {
		c.Role = r.DefaultRole
	}
	if c.Role == "" || len(c.Role) > maxRole || strings.ContainsRune(c.Role, 0) {
		return nil, badClaim("role")
	}
	if sub, ok := o.stringValue("sub"); ok && r.SubjectIsUser {
		if id, err := uuid.Parse(sub); err == nil && id != uuid.Nil && id.String() == sub {
			c.Subject = id
		}
	}
	return c, nil
}

// hasAudience reports whether aud is, or has, the audience (RFC 7519 section 4.1.3).
func (o object) hasAudience(audience string) bool {
	value := o.value("aud")
	for i := 0; len(value) > 0 && value[0] == '['; i++ {
		item := element(value, i)
		if item == nil {
			return false
		}
		if text, ok := (object{text: item, members: []member{{valueTo: len(item)}}}).stringValue(""); ok && text == audience {
			return true
		}
	}
	text, ok := o.stringValue("aud")
	return ok && text == audience
}

// foreignDate reads Unix seconds, with a fraction or not (RFC 7519 section 2), cut to whole ones.
func foreignDate(value []byte) (int64, bool) {
	n, err := strconv.ParseFloat(string(value), 64)
	if err != nil || !(n >= 1 && n < 1e12) {
		return 0, false
	}
	return int64(math.Floor(n)), true
}
