// Package seal encrypts the few secrets that must be stored readable: TOTP secrets, tokens of identity providers,
// private signing keys. The key comes from the environment (auth.encryption_key) and never reaches PostgreSQL.
//
// The cipher is XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha): its 192-bit nonce may be random for any number of texts.
// What is authenticated along with a text is its [Place], so that a sealed text copied to another row, column or table
// does not open there.
//
// A sealed text is "v1.KEYID.BASE64URL(nonce || ciphertext)". KEYID is derived from the key and reveals nothing of it;
// it says which key opens the text, so that keys can be rotated: the one before stays readable as long as
// auth.encryption_key_previous names it, and Open reports texts that are due to be sealed anew.
package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/chacha20poly1305"
)

var (
	// ErrUnknownKey says that a text was sealed with a key that is not configured any more.
	ErrUnknownKey = errors.New("sealed with a key that is not configured")
	// ErrBroken says that a text was changed, cut, or belongs to another place.
	ErrBroken = errors.New("sealed text does not open")
)

const (
	version      = "v1"
	minKeyLength = 32 // characters
	mask         = "[sealer]"
)

// Place is where a sealed text is stored. The same place must be given to open it.
type Place struct {
	Table  string // with its schema: auth.mfa_factors
	Column string
	Row    string // its primary key
}

// Sealer seals with one key and opens with that or the one before. It is safe for concurrent use and prints as a mask.
type Sealer struct {
	// A function, because fmt prints unexported fields of an enclosing struct without asking Format.
	keys func() (current *key, previous *key)
}

type key struct {
	id   string
	aead cipher.AEAD
}

// New makes a sealer from the texts of auth.encryption_key and auth.encryption_key_previous; the latter may be empty.
func New(current, previous string) (*Sealer, error) {
	if current == "" {
		return nil, errors.New("auth.encryption_key is not set")
	}
	now, err := derive("auth.encryption_key", current)
	if err != nil {
		return nil, err
	}
	var before *key
	if previous != "" {
		if before, err = derive("auth.encryption_key_previous", previous); err != nil {
			return nil, err
		}
	}
	return &Sealer{keys: func() (*key, *key) { return now, before }}, nil
}

// derive makes a key and its id from a text (RFC 5869). The errors name the option, never the text.
func derive(option, text string) (*key, error) {
	if n := utf8.RuneCountInString(text); n < minKeyLength {
		return nil, fmt.Errorf("%s is too short: it has %d characters and needs at least %d random ones", option, n, minKeyLength)
	}
	material, err := hkdf.Key(sha256.New, []byte(text), nil, "fluxbase seal v1 key", chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	id, err := hkdf.Key(sha256.New, []byte(text), nil, "fluxbase seal v1 key id", 8)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	aead, err := chacha20poly1305.NewX(material)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	return &key{id: hex.EncodeToString(id), aead: aead}, nil
}

// KeyID is the id of the key that seals.
func (s *Sealer) KeyID() string {
	current, _ := s.keys()
	return current.id
}

// Seal encrypts a text for its place. Two calls give different results.
func (s *Sealer) Seal(place Place, text []byte) string {
	current, _ := s.keys()
	nonce := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(text)+chacha20poly1305.Overhead)
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	sealed := current.aead.Seal(nonce, nonce, text, place.bind(current.id))
	return version + "." + current.id + "." + base64.RawURLEncoding.EncodeToString(sealed)
}

// Open decrypts what Seal made for the same place. stale says that the key before did it: seal the text anew.
// The errors wrap [ErrUnknownKey] or [ErrBroken] and say nothing of the content.
func (s *Sealer) Open(place Place, sealed string) (text []byte, stale bool, err error) {
	form, rest, _ := strings.Cut(sealed, ".")
	id, encoded, found := strings.Cut(rest, ".")
	if form != version || !found {
		return nil, false, fmt.Errorf("%s.%s: %w", place.Table, place.Column, ErrBroken)
	}
	current, previous := s.keys()
	k := current
	switch {
	case id == current.id:
	case previous != nil && id == previous.id:
		k, stale = previous, true
	default:
		return nil, false, fmt.Errorf("%s.%s: key %.16q: %w", place.Table, place.Column, id, ErrUnknownKey)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") || // which the decoder skips
		len(raw) < chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead {
		return nil, false, fmt.Errorf("%s.%s: %w", place.Table, place.Column, ErrBroken)
	}
	nonce, box := raw[:chacha20poly1305.NonceSizeX], raw[chacha20poly1305.NonceSizeX:]
	text, err = k.aead.Open(nil, nonce, box, place.bind(id))
	if err != nil {
		return nil, false, fmt.Errorf("%s.%s: %w", place.Table, place.Column, ErrBroken)
	}
	return text, stale, nil
}

// bind is the additional data of the cipher: each part with its length, so that no two places give the same.
func (p Place) bind(keyID string) []byte {
	var b []byte
	for _, part := range [...]string{version, keyID, p.Table, p.Column, p.Row} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return b
}

// String returns a mask.
func (s *Sealer) String() string { return mask }

// GoString returns a mask.
func (s *Sealer) GoString() string { return mask }

// Format writes a mask for every verb.
func (s *Sealer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// LogValue is what slog prints: a mask.
func (s *Sealer) LogValue() slog.Value { return slog.StringValue(mask) }
