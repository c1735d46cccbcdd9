package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/golang-jwt/jwt/v5"
)

const maxKeyID = 64

// Key is one key of the ring: an id (the kid of the header, empty for the key
// of tokens without kid) and exactly one algorithm (RFC 8725 section 3.1).
type Key struct {
	id     string
	alg    string
	header string // first part of every token signed with this key
	jwk    []byte // public part of a pair, nil for a shared secret
	// Functions, so that fmt has no key to print: see Secret.
	sign   func(signed string) ([]byte, error)
	verify func(signed string, signature []byte) error
}

// HMACKey makes an HS256 key. The id may be empty.
func HMACKey(id string, secret Secret) (*Key, error) {
	value := secret.bytes()
	if value == nil {
		return nil, errors.New("auth.jwt_secret is not set")
	}
	if err := checkKeyID(id); err != nil {
		return nil, err
	}
	method := jwt.SigningMethodHS256
	return &Key{
		id:     id,
		alg:    method.Alg(),
		header: headerOf(id, method.Alg()),
		sign:   func(signed string) ([]byte, error) { return method.Sign(signed, value) },
		verify: func(signed string, signature []byte) error { return method.Verify(signed, signature, value) },
	}, nil
}

func checkKeyID(id string) error {
	if len(id) > maxKeyID {
		return fmt.Errorf("key id is longer than %d bytes", maxKeyID)
	}
	for _, c := range []byte(id) {
		if !isBase64URL(c) {
			return errors.New("key id has characters other than A-Z a-z 0-9 - _")
		}
	}
	return nil
}

// headerOf is the first part of tokens of a key.
func headerOf(id, alg string) string {
	header := []byte(`{"alg":"` + alg + `","typ":"JWT"`)
	if id != "" {
		header = appendString(append(header, `,"kid":`...), id)
	}
	return base64.RawURLEncoding.EncodeToString(append(header, '}'))
}

// KeyRing holds the keys that tokens are checked with and, first among them,
// the one that they are signed with. Signer and Verifier share one ring, so a
// rotation is one call of Replace.
type KeyRing struct {
	current atomic.Pointer[keySet]
}

// JWKS is the document of all public keys of the ring (RFC 7517 section 5). A shared secret is not among them.
func (r *KeyRing) JWKS() []byte { return r.current.Load().jwks }

// keySet is one immutable state of the ring.
type keySet struct {
	signing *Key // nil without
	byID    map[string]*Key
	jwks    []byte
}

// NewKeyRing makes a ring; the first key signs.
func NewKeyRing(keys ...*Key) (*KeyRing, error) {
	if len(keys) == 0 || keys[0] == nil {
		return nil, errors.New("key ring needs a key that signs")
	}
	r := new(KeyRing)
	if err := r.Replace(keys[0], keys[1:]...); err != nil {
		return nil, err
	}
	return r, nil
}

// Replace exchanges all keys at once; the first key signs from now on. A nil
// key in its place signs nothing, and the others verify. Tokens of keys that
// are no longer in the ring are refused from the next call of Verify on,
// cached or not. On error the ring stays as it was.
func (r *KeyRing) Replace(signing *Key, others ...*Key) error {
	public := []json.RawMessage{}
	keys := others
	if signing != nil {
		keys = append([]*Key{signing}, others...)
	}
	set := &keySet{signing: signing, byID: make(map[string]*Key, len(keys))}
	for _, k := range keys {
		if k == nil || k.verify == nil {
			return errors.New("key ring has a key without algorithm")
		}
		if _, ok := set.byID[k.id]; ok {
			return fmt.Errorf("key ring has two keys with the id %q", k.id)
		}
		set.byID[k.id] = k
		if k.jwk != nil {
			public = append(public, k.jwk)
		}
	}
	var err error
	if set.jwks, err = json.Marshal(map[string]any{"keys": public}); err != nil {
		return err
	}
	r.current.Store(set)
	return nil
}
