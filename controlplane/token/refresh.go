package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"
)

const (
	refreshLabel = "fluxbase refresh token v1"
	refreshMAC   = 24
	refreshRaw   = 16 + 8 + refreshMAC
	refreshText  = refreshRaw / 3 * 4
)

// RefreshTokens makes and recognises refresh tokens:
//
//	base64url(session id, 16 bytes | generation, 8 bytes big endian | MAC, 24 bytes)
//
// 64 characters without padding. The MAC is HMAC-SHA256, cut to 192 bits, under
// a key that HKDF (RFC 5869) derives from auth.jwt_secret, so that nothing
// signed as an access token is ever a refresh token or the reverse. It makes a
// forged token cost no query, and a lost token can be made again from session
// and generation. Whether a genuine one may be used is decided by the database,
// which stores the SHA-256 of the text. Changing the secret ends all sessions.
type RefreshTokens struct {
	key Secret
}

// NewRefreshTokens derives the key.
func NewRefreshTokens(secret Secret) (*RefreshTokens, error) {
	key, err := secret.derive(refreshLabel)
	if err != nil {
		return nil, fmt.Errorf("derive key of refresh tokens: %w", err)
	}
	return &RefreshTokens{key: key}, nil
}

// Mint returns the token of a session's generation, counted from 1, and the
// hash that the database stores. The same arguments give the same token.
func (r *RefreshTokens) Mint(session uuid.UUID, generation int64) (text string, hash [sha256.Size]byte) {
	raw := make([]byte, 0, refreshRaw)
	raw = append(raw, session[:]...)
	raw = binary.BigEndian.AppendUint64(raw, uint64(generation))
	raw = append(raw, r.mac(raw)...)
	text = base64.RawURLEncoding.EncodeToString(raw)
	return text, sha256.Sum256([]byte(text))
}

// Parse returns what a token says and the hash to look for, or ErrMalformed or
// ErrSignature for a text that Mint never returned for a session's generation.
func (r *RefreshTokens) Parse(text string) (session uuid.UUID, generation int64, hash [sha256.Size]byte, err error) {
	if len(text) != refreshText {
		return uuid.Nil, 0, hash, ErrMalformed
	}
	raw, ok := decodeSegment(text)
	if !ok {
		return uuid.Nil, 0, hash, ErrMalformed
	}
	said, mac := raw[:refreshRaw-refreshMAC], raw[refreshRaw-refreshMAC:]
	if !hmac.Equal(mac, r.mac(said)) {
		return uuid.Nil, 0, hash, ErrSignature
	}
	session = uuid.UUID(said[:16])
	generation = int64(binary.BigEndian.Uint64(said[16:]))
	if session == uuid.Nil || generation < 1 {
		return uuid.Nil, 0, hash, ErrMalformed
	}
	return session, generation, sha256.Sum256([]byte(text)), nil
}

func (r *RefreshTokens) mac(said []byte) []byte {
	h := hmac.New(sha256.New, r.key.bytes())
	h.Write(said)
	return h.Sum(nil)[:refreshMAC]
}
