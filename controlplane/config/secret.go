package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"
)

// masked stands for a secret wherever one would be shown.
const masked = "********"

// Secret holds a text that must not be seen. The text lies behind a pointer, so that even fmt's walk through
// unexported fields finds an address only.
type Secret struct{ text *string }

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal is the text itself; empty when there is none. Never log it.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero says that no secret is set.
func (s Secret) IsZero() bool { return s.text == nil }

func (s Secret) hides() bool { return !s.IsZero() }

// String is a mask, or empty when no secret is set.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return masked
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue is String, for slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is String, for encoding/json and its like.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// minSecretBytes is the least length of an HMAC-SHA256 key (RFC 7518, section 3.2).
const minSecretBytes = 32

// minSecretSymbols is how many different characters a secret needs. 32 random hexadecimal digits have fewer than 8
// in less than one of ten million cases.
const minSecretSymbols = 8

// sampleSecrets are fragments of secrets that documentation prints, in lower case and without punctuation.
var sampleSecrets = []string{
	"yoursecret", "yoursuper", "yourjwt", "mysecret", "supersecret", "reallyreally", "changeme", "changethis",
	"replaceme", "replacethis", "placeholder", "examplesecret", "jwtsecretkey", "insecuresecret",
	"notasecret", "atleast32char", "abcdefghijklmnop", "0123456789abcdef0123456789",
}

// parseSigningSecret accepts a secret fit to sign tokens.
func parseSigningSecret(text string) (Secret, error) {
	if err := checkSecretText(text); err != nil {
		return Secret{}, err
	}
	if n := len(text); n < minSecretBytes {
		return Secret{}, hinted{fmt.Sprintf("is %d bytes long; at least %d are needed", n, minSecretBytes), makeSecret}
	}
	if weakness := secretWeakness(text); weakness != "" {
		return Secret{}, hinted{weakness, makeSecret}
	}
	return NewSecret(text), nil
}

// makeSecret tells how to make a secret.
const makeSecret = "make one with: openssl rand -base64 48"

// checkSecretText refuses what can only be a slip: control characters, and white space at either end.
func checkSecretText(text string) error {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return errors.New("must be one line of printable text")
	}
	if strings.TrimSpace(text) != text {
		return errors.New("begins or ends with white space")
	}
	return nil
}

// secretWeakness says why a secret can be guessed, or nothing.
func secretWeakness(text string) string {
	symbols := map[rune]bool{}
	plain := strings.Builder{}
	for _, r := range strings.ToLower(text) {
		symbols[r] = true
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			plain.WriteRune(r)
		}
	}
	for _, sample := range sampleSecrets {
		if strings.Contains(plain.String(), sample) {
			return "is an example out of a manual, or close to one"
		}
	}
	if len(symbols) < minSecretSymbols {
		return fmt.Sprintf("has only %d different characters; at least %d are needed", len(symbols), minSecretSymbols)
	}
	if isRepetition(text) {
		return "is a repetition of one shorter text"
	}
	return ""
}

// isRepetition says that text is a block of at most half its length, over and over; the last one may be cut.
func isRepetition(text string) bool {
	for period := 1; period <= len(text)/2; period++ {
		if text[period:] == text[:len(text)-period] {
			return true
		}
	}
	return false
}
