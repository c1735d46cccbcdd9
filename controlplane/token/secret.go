package token

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"unicode/utf8"
)

const (
	minSecretCharacters = 32
	minSecretDistinct   = 8
	mask                = "[secret]"
)

// Secret is the value of auth.jwt_secret. It prints as a mask; the zero value
// holds nothing and is refused by everything that needs a secret.
type Secret struct {
	// A function, because fmt prints unexported fields of an enclosing struct by
	// reflection, without asking Format, and follows pointers under a verb that
	// does not suit them. Of a function it knows the address only.
	reveal func() []byte
}

// NewSecret accepts at least 32 characters, of which at least 8 differ: HMAC
// needs a key as long as its hash (RFC 7518 section 3.2), and the JWT library
// accepts even an empty one. The error names the setting, never the value.
func NewSecret(text string) (Secret, error) {
	n := utf8.RuneCountInString(text)
	switch {
	case n == 0:
		return Secret{}, errors.New("auth.jwt_secret is not set: it needs at least 32 random characters")
	case n < minSecretCharacters:
		return Secret{}, fmt.Errorf("auth.jwt_secret is too short: it has %d characters and needs at least %d random ones",
			n, minSecretCharacters)
	}
	distinct := make(map[rune]struct{}, n)
	for _, r := range text {
		distinct[r] = struct{}{}
	}
	if len(distinct) < minSecretDistinct {
		return Secret{}, fmt.Errorf("auth.jwt_secret is too simple: only %d different characters, use random ones",
			len(distinct))
	}
	return newSecret([]byte(text)), nil
}

func newSecret(value []byte) Secret {
	return Secret{reveal: func() []byte { return value }}
}

// bytes returns the secret itself, nil for the zero value.
func (s Secret) bytes() []byte {
	if s.reveal == nil {
		return nil
	}
	return s.reveal()
}

// derive makes a key for one use, which the label names, by HKDF (RFC 5869).
func (s Secret) derive(label string) (Secret, error) {
	if s.bytes() == nil {
		return Secret{}, errors.New("auth.jwt_secret is not set")
	}
	key, err := hkdf.Key(sha256.New, s.bytes(), nil, label, sha256.Size)
	return newSecret(key), err
}

// String returns a mask.
func (s Secret) String() string { return mask }

// GoString returns a mask.
func (s Secret) GoString() string { return mask }

// Format writes a mask for every verb, also for those that pass String by (%d).
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// LogValue is what slog prints: a mask.
func (s Secret) LogValue() slog.Value { return slog.StringValue(mask) }
