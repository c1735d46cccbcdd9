package token

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Signer makes access tokens.
type Signer struct {
	ring   *KeyRing
	rules  Rules
	now    func() time.Time
	issuer []byte // `{"iss":"...","aud":"...","iat":`
}

// NewSigner makes a signer that signs with the first key of the ring under the
// rules. now is the clock.
func NewSigner(ring *KeyRing, rules Rules, now func() time.Time) (*Signer, error) {
	if ring == nil || now == nil {
		return nil, errors.New("signer needs a key ring and a clock")
	}
	if err := rules.check(); err != nil {
		return nil, err
	}
	issuer := appendString([]byte(`{"iss":`), rules.Issuer)
	issuer = appendString(append(issuer, `,"aud":`...), rules.Audience)
	issuer = append(issuer, `,"iat":`...)
	return &Signer{ring: ring, rules: rules, now: now, issuer: slices.Clip(issuer)}, nil
}

// Sign returns the text of a token and its exp in Unix seconds. claims is the
// JSON object that the database gave for the session, without iss, aud, iat,
// nbf, exp and jti: these are added here, and an object that has one of them,
// in any case, is refused. The lifetime counts in whole seconds from now.
//
// What Verify would refuse is not signed: errors are ErrMalformed, ErrClaims,
// ErrTooLarge and ErrNoKey.
func (s *Signer) Sign(claims []byte, jti uuid.UUID, lifetime time.Duration) (text string, expiresAt int64, err error) {
	o, ok := parseObject(claims)
	if !ok {
		return "", 0, fmt.Errorf("sign access token: %w", ErrMalformed)
	}
	for i := range o.members {
		for _, name := range reserved {
			if strings.EqualFold(string(o.name(i)), name) {
				return "", 0, fmt.Errorf("sign access token: %w", badClaim(name))
			}
		}
	}
	issuedAt := s.now().Unix()
	expiresAt = issuedAt + int64(lifetime/time.Second)

	payload := make([]byte, 0, len(s.issuer)+len(o.text)+128)
	payload = strconv.AppendInt(append(payload, s.issuer...), issuedAt, 10)
	payload = strconv.AppendInt(append(payload, `,"nbf":`...), issuedAt, 10)
	payload = strconv.AppendInt(append(payload, `,"exp":`...), expiresAt, 10)
	payload = appendString(append(payload, `,"jti":`...), jti.String())
	payload = append(payload, ',')
	payload = append(payload, o.text[1:]...)
	if _, err := s.rules.read(payload); err != nil {
		return "", 0, fmt.Errorf("sign access token: %w", err)
	}

	key := s.ring.current.Load().signing
	if key == nil {
		return "", 0, fmt.Errorf("sign access token: %w", ErrNoKey)
	}
	signed := key.header + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := key.sign(signed)
	if err != nil {
		return "", 0, fmt.Errorf("sign access token: %w", err)
	}
	text = signed + "." + base64.RawURLEncoding.EncodeToString(signature)
	if len(text) > MaxBytes {
		return "", 0, fmt.Errorf("sign access token: %w", ErrTooLarge)
	}
	return text, expiresAt, nil
}
