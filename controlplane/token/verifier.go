package token

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"sync/atomic"
	"time"
)

// MaxBytes is the longest access token that is looked at.
const MaxBytes = 8192

// Verifier is the gate for access tokens.
type Verifier struct {
	ring  *KeyRing
	rules Rules
	now   func() time.Time
	state atomic.Pointer[verifierState]
}

// verifierState ties the cache to the keys that its tokens were verified with:
// other keys, other cache. A verification that began with the old keys ends in
// the old cache.
type verifierState struct {
	keys  *keySet
	cache cache
}

// NewVerifier makes a gate that accepts tokens signed with a key of the ring
// under the rules. now is the clock.
func NewVerifier(ring *KeyRing, rules Rules, now func() time.Time) (*Verifier, error) {
	if ring == nil || now == nil {
		return nil, errors.New("verifier needs a key ring and a clock")
	}
	if err := rules.check(); err != nil {
		return nil, err
	}
	return &Verifier{ring: ring, rules: rules, now: now}, nil
}

// Verify decides on the text of an access token. It accepts a token only if
//
//   - the text has at most MaxBytes bytes, and is three parts of canonical
//     base64url without padding (RFC 7515 section 2; RFC 4648 section 3.5);
//   - the header has the members alg, typ and kid only, once each, as strings:
//     so crit, b64, jku and jwk refuse the token (RFC 7515 section 4.1.11);
//     typ is JWT, kid names a key of the ring (none: the key with the empty id)
//     and alg is exactly the algorithm of that key (RFC 8725 section 3.1);
//   - the signature is that of the key;
//   - the payload is strict JSON (see parseObject) with iss and aud exactly
//     ours; sub, session_id and jti canonical UUIDs; a role; iat, nbf and exp
//     whole Unix seconds, not further apart than the longest lifetime;
//   - now is before exp, and iat and nbf are not after now plus the leeway.
//
// The payload is not looked at before the signature is right. A token that was
// accepted is remembered; only the time is then checked again. Whether the
// session is still alive is not known here.
func (v *Verifier) Verify(text string) (Access, error) {
	if len(text) > MaxBytes {
		return Access{}, ErrMalformed
	}
	state := v.current()
	key := sha256.Sum256([]byte(text))
	verified := state.cache.get(&key)
	cached := verified != nil
	if !cached {
		var err error
		if verified, err = v.rules.verify(state.keys, text); err != nil {
			return Access{}, err
		}
	}
	if err := v.rules.checkTime(verified, v.now().Unix()); err != nil {
		return Access{}, err
	}
	if !cached {
		state.cache.put(&key, verified)
	}
	return verified.Access, nil
}

// current returns the state for the keys that are in the ring now.
func (v *Verifier) current() *verifierState {
	for {
		state, keys := v.state.Load(), v.ring.current.Load()
		if state != nil && state.keys == keys {
			return state
		}
		v.state.CompareAndSwap(state, &verifierState{keys: keys})
	}
}

// verify checks everything but the time.
func (r Rules) verify(keys *keySet, text string) (*claims, error) {
	header, rest, ok := strings.Cut(text, ".")
	if !ok {
		return nil, ErrMalformed
	}
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok {
		return nil, ErrMalformed
	}
	head, ok := decodeSegment(header)
	if !ok {
		return nil, ErrMalformed
	}
	body, ok := decodeSegment(payload)
	if !ok {
		return nil, ErrMalformed
	}
	sum, ok := decodeSegment(signature)
	if !ok {
		return nil, ErrMalformed
	}
	key, err := keys.choose(head)
	if err != nil {
		return nil, err
	}
	signed := text[:len(header)+1+len(payload)]
	if err := key.verify(signed, sum); err != nil {
		return nil, ErrSignature
	}
	return r.read(body)
}

// choose returns the key that a header names, if everything else in the header suits it.
func (s *keySet) choose(header []byte) (*Key, error) {
	o, ok := parseObject(header)
	if !ok {
		return nil, ErrMalformed
	}
	for i := range o.members {
		switch string(o.name(i)) {
		case "alg", "typ", "kid":
		default:
			return nil, ErrHeader
		}
	}
	if typ, ok := o.stringValue("typ"); !ok || typ != "JWT" {
		return nil, ErrHeader
	}
	kid := ""
	if o.value("kid") != nil {
		if kid, ok = o.stringValue("kid"); !ok || kid == "" {
			return nil, ErrHeader
		}
	}
	key, ok := s.byID[kid]
	if !ok {
		return nil, ErrUnknownKey
	}
	if alg, ok := o.stringValue("alg"); !ok || alg != key.alg {
		return nil, ErrHeader
	}
	return key, nil
}

// decodeSegment decodes base64url in its one canonical spelling: no padding,
// unused bits zero, no other character. The decoder alone skips newlines even
// when strict.
func decodeSegment(text string) ([]byte, bool) {
	for i := range len(text) {
		if !isBase64URL(text[i]) {
			return nil, false
		}
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return data, err == nil
}

func isBase64URL(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}
