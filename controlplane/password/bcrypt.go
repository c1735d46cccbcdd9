package password

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

const (
	// MinCost and MaxCost bound the cost that a Hasher may be set to. Settings
	// are expected to start at DefaultCost; lower costs are for tests.
	MinCost = bcrypt.MinCost
	MaxCost = 14
	// DefaultCost is the default of the setting.
	DefaultCost = 10

	// MaxBytes is the longest password that bcrypt looks at in full.
	MaxBytes = 72

	// maxStoredCost bounds the work that a stored hash can ask for (an import may
	// have been made with more than MaxCost): 16 takes some 5 seconds.
	maxStoredCost = 16

	hashBytes = 60
	// dummyTail ends a well-formed hash that no known password has.
	dummyTail = "fluxbase/no/such/user.eUnknownUnknownUnknownUnknownUn"
)

var (
	// ErrTooLong: the password has more than MaxBytes bytes.
	ErrTooLong = errors.New("password is longer than 72 bytes")
	// ErrNUL: the password has a NUL byte, which PostgreSQL cannot store and
	// other implementations of bcrypt take for the end.
	ErrNUL = errors.New("password has a NUL byte")
)

// dummy is a well-formed hash to compare with where there is none.
func dummy(cost int) []byte { return fmt.Appendf(nil, "$2a$%02d$%s", cost, dummyTail) }

// costOf returns the cost of a stored hash, ok false when it is none that we
// compare with: exactly $2a$, $2b$ or $2y$, two digits, 53 characters. The
// library also accepts $2x$, which stands for a broken hash, and ignores what
// follows the 60th byte.
func costOf(hash string) (cost int, ok bool) {
	if len(hash) != hashBytes || !strings.HasPrefix(hash, "$2") || hash[3] != '$' || hash[6] != '$' {
		return 0, false
	}
	switch hash[2] {
	case 'a', 'b', 'y':
	default:
		return 0, false
	}
	for _, c := range []byte(hash[4:6]) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	for _, c := range []byte(hash[7:]) {
		if !isRadix64(c) {
			return 0, false
		}
	}
	cost = int(hash[4]-'0')*10 + int(hash[5]-'0')
	return cost, cost >= bcrypt.MinCost && cost <= maxStoredCost
}

func isRadix64(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '/'
}

// check reports what makes a password impossible to hash.
func check(password string) error {
	switch {
	case len(password) > MaxBytes:
		return ErrTooLong
	case strings.IndexByte(password, 0) >= 0:
		return ErrNUL
	}
	return nil
}

// generate hashes a password that check accepts.
func generate(password string, cost int) (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return string(hash), nil
}

// compare costs what bcrypt costs at the given cost, whatever is compared, or
// more if the stored hash has a higher cost.
func compare(hash, password string, cost int) (matched, rehash bool) {
	possible := check(password) == nil
	password = password[:min(len(password), MaxBytes)]
	for i, step := range steps(hash, cost) {
		same := bcrypt.CompareHashAndPassword(step, []byte(password)) == nil
		if i == 0 {
			matched = same && possible && string(step) == hash
		}
	}
	stored, _ := costOf(hash)
	return matched, matched && stored < cost
}

// steps returns the hashes to compare with, the stored one first. Comparing
// with cost c is 2^c units of work. A stored hash of a lower cost c is followed
// by dummies of the costs c, c+1, ... cost-1, and
// 2^c + (2^c + 2^(c+1) + ... + 2^(cost-1)) = 2^cost.
func steps(hash string, cost int) [][]byte {
	stored, ok := costOf(hash)
	if !ok {
		return [][]byte{dummy(cost)}
	}
	all := [][]byte{[]byte(hash)}
	for c := stored; c < cost; c++ {
		all = append(all, dummy(c))
	}
	return all
}
