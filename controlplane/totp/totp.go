// Package totp makes and checks time-based one-time passwords (RFC 6238: SHA-1, 30 seconds, six digits, which is what
// authenticator apps know) and draws the code that an app scans.
//
// It decides whether a code fits and for which time step. That a step is used once is decided by PostgreSQL, which
// stores the last one in the same statement that compares it.
package totp

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

const (
	period     = 30 // seconds of a step
	skew       = 1  // steps that clocks may differ, either way (RFC 6238 section 5.2)
	secretSize = 20 // bytes: the length of SHA-1's output (RFC 4226 section 4, R6)
)

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// ErrCode says that a text is not six ASCII digits.
var ErrCode = errors.New("a code is exactly six digits")

// Key is a new secret with what an app needs to know of it. Secret and URI must be shown once and not logged.
type Key struct {
	Secret string // base32, for typing
	URI    string // otpauth://totp/...

	key *otp.Key
}

// NewSecret makes a random secret, in base32.
func NewSecret() string {
	b := make([]byte, secretSize)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return encoding.EncodeToString(b)
}

// NewKey describes a secret for an app; issuer and account are what the app shows. Both are needed, and neither may hold
// a colon, which separates them.
//
// The URI is written here and read back by the library: its own writer leaves an ampersand in the issuer as it is, so
// that an issuer could replace the secret.
func NewKey(secret, issuer, account string) (*Key, error) {
	if _, err := encoding.DecodeString(secret); err != nil || secret == "" {
		return nil, errors.New("totp: the secret is not base32")
	}
	if issuer == "" || account == "" || strings.Contains(issuer+account, ":") {
		return nil, errors.New("totp: issuer and account are needed and have no colon")
	}
	escape := func(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
	uri := fmt.Sprintf("otpauth://totp/%s:%s?secret=%s&issuer=%s&algorithm=SHA1&digits=6&period=%d",
		escape(issuer), escape(account), secret, escape(issuer), period)
	key, err := otp.NewKeyFromURL(uri)
	if err != nil {
		return nil, errors.New("totp: the URI cannot be read back")
	}
	return &Key{Secret: secret, URI: uri, key: key}, nil
}

// Check returns the time step whose code this is, among the current one and its neighbours. Every step is computed and
// compared whatever the code is. A code that is not six ASCII digits is [ErrCode]: the library trims spaces, which
// would make two codes of one.
func Check(secret, code string, now time.Time) (step int64, ok bool, err error) {
	if !isCode(code) {
		return 0, false, ErrCode
	}
	options := totp.ValidateOpts{Period: period, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}
	current := now.Unix() / period
	for candidate := current + skew; candidate >= current-skew; candidate-- {
		expected, err := totp.GenerateCodeCustom(secret, time.Unix(candidate*period, 0), options)
		if err != nil {
			return 0, false, errors.New("totp: the secret is not base32")
		}
		if subtle.ConstantTimeCompare([]byte(expected), []byte(code)) == 1 {
			step, ok = candidate, true // the oldest wins, so that a step is not skipped
		}
	}
	return step, ok, nil
}

func isCode(code string) bool {
	if len(code) != 6 {
		return false
	}
	for i := range len(code) {
		if code[i] < '0' || code[i] > '9' {
			return false
		}
	}
	return true
}
