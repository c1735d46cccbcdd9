package token

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/google/uuid"
)

const (
	csrfLabel  = "fluxbase csrf token v1"
	csrfRandom = 18
	csrfMAC    = 24
	csrfRaw    = csrfRandom + csrfMAC
	csrfText   = csrfRaw / 3 * 4
)

// CSRF makes and recognises the tokens by which a page shows that it can read what the server has said to it:
//
//	base64url(random, 18 bytes | MAC, 24 bytes)
//
// The MAC is HMAC-SHA256, cut to 192 bits, of the random bytes and the session, under a key that HKDF (RFC 5869)
// derives from auth.jwt_secret. So a token is good for one session, and [uuid.Nil] is the session of a browser that has
// none yet. It lives as long as its session and buys nothing without that session's cookies.
type CSRF struct {
	key Secret
}

// NewCSRF derives the key.
func NewCSRF(secret Secret) (*CSRF, error) {
	key, err := secret.derive(csrfLabel)
	if err != nil {
		return nil, fmt.Errorf("derive key of CSRF tokens: %w", err)
	}
	return &CSRF{key: key}, nil
}

// Mint returns a new token of a session.
func (c *CSRF) Mint(session uuid.UUID) string {
	raw := make([]byte, csrfRandom, csrfRaw)
	_, _ = rand.Read(raw) // never fails
	return base64.RawURLEncoding.EncodeToString(append(raw, c.mac(raw, session)...))
}

// Check reports whether a text is a token of this session.
func (c *CSRF) Check(session uuid.UUID, text string) bool {
	if len(text) != csrfText {
		return false
	}
	raw, ok := decodeSegment(text)
	return ok && hmac.Equal(raw[csrfRandom:], c.mac(raw[:csrfRandom], session))
}

func (c *CSRF) mac(random []byte, session uuid.UUID) []byte {
	h := hmac.New(sha256.New, c.key.bytes())
	h.Write(session[:])
	h.Write(random)
	return h.Sum(nil)[:csrfMAC]
}
