package token

import "errors"

// What can be wrong with a token. Callers tell them apart with errors.Is; for a
// client all of them mean the same 401. No error quotes any part of the token.
var (
	// ErrMalformed: not the one spelling of a token that we accept (size,
	// characters, number of parts, base64url, JSON).
	ErrMalformed = errors.New("token is malformed")
	// ErrHeader: an algorithm, type or header member that does not belong to the key.
	ErrHeader = errors.New("token header is not accepted")
	// ErrUnknownKey: no key of that id in the ring.
	ErrUnknownKey = errors.New("token names an unknown key")
	// ErrSignature: the signature is not that of the key.
	ErrSignature = errors.New("token signature is wrong")
	// ErrClaims: a claim is missing, of the wrong type or has a value that we never sign.
	ErrClaims = errors.New("token claims are not accepted")
	// ErrExpired: the time of exp has come (RFC 7519 section 4.1.4).
	ErrExpired = errors.New("token has expired")
	// ErrNotYetValid: iat or nbf lies in the future by more than the leeway.
	ErrNotYetValid = errors.New("token is not valid yet")
	// ErrTooLarge: the claims to sign give a token that the gate would refuse for its size.
	ErrTooLarge = errors.New("token would be too large")
	// ErrNoKey: the ring has no key to sign with.
	ErrNoKey = errors.New("no key to sign with")
)
