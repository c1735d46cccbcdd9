package authn

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

const randomLength = 43 // characters of 32 bytes

// randomText is 256 random bits.
func randomText() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// isRandomText reports whether a text has the form of a random one.
func isRandomText(text string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(raw) == 32 && len(text) == randomLength
}

// hashOf is what the database stores of a random text.
func hashOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}
