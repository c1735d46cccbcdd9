package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// ForeignAlgorithms are those that tokens of other issuers may be signed with.
var ForeignAlgorithms = []string{
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

const (
	minForeignSecret = 32   // bytes (RFC 7518 section 3.2)
	minRSA           = 2048 // bits (RFC 7518 section 3.3)
	maxRSA           = 8192
	maxForeignKeys   = 64 // of one document
)

// ForeignKeys are the keys of another issuer, each with one algorithm. They are immutable.
type ForeignKeys struct {
	list []foreignKey
}

type foreignKey struct {
	id, alg string
	verify  func(signed string, signature []byte) error // a function, as in Key
}

// SecretKeys makes a key of a secret that is shared with the issuer. The algorithms that are not HMAC do not apply.
// Tokens may name any kid or none.
func SecretKeys(secret []byte, algorithms []string) (*ForeignKeys, error) {
	if len(secret) < minForeignSecret {
		return nil, fmt.Errorf("secret is %d bytes long; at least %d are needed", len(secret), minForeignSecret)
	}
	keys := new(ForeignKeys)
	for _, alg := range algorithms {
		if strings.HasPrefix(alg, "HS") {
			keys.list = append(keys.list, foreignKey{alg: alg, verify: verifyWith(alg, secret)})
		}
	}
	if len(keys.list) == 0 {
		return nil, errors.New("secret needs one of the algorithms HS256, HS384 and HS512")
	}
	return keys, nil
}

func verifyWith(alg string, key any) func(signed string, signature []byte) error {
	method := jwt.GetSigningMethod(alg)
	return func(signed string, signature []byte) error { return method.Verify(signed, signature, key) }
}

// foreignJWK is what is read of a key (RFC 7517, RFC 7518 section 6, RFC 8037).
type foreignJWK struct {
	KeyType    string   `json:"kty"`
	Use        string   `json:"use"`
	Operations []string `json:"key_ops"`
	Algorithm  string   `json:"alg"`
	KeyID      string   `json:"kid"`
	Curve      string   `json:"crv"`
	X          string   `json:"x"`
	Y          string   `json:"y"`
	N          string   `json:"n"`
	E          string   `json:"e"`
	K          string   `json:"k"`
}

// ParseJWKS reads a document of keys (RFC 7517 section 5), or one key. Keys that are for something else, of an
// algorithm that is not among those, or weak, are left out; secret says whether shared keys (kty oct) are read. A document
// with no key left is an error.
func ParseJWKS(document []byte, algorithms []string, secret bool) (*ForeignKeys, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, errors.New("is no JWK set")
	}
	if set.Keys == nil {
		set.Keys = []json.RawMessage{document}
	}
	if len(set.Keys) > maxForeignKeys {
		return nil, fmt.Errorf("has more than %d keys", maxForeignKeys)
	}
	keys := new(ForeignKeys)
	for _, text := range set.Keys {
		var jwk foreignJWK
		if json.Unmarshal(text, &jwk) != nil || jwk.Use != "" && jwk.Use != "sig" ||
			jwk.Operations != nil && !slices.Contains(jwk.Operations, "verify") {
			continue
		}
		fits, key, ok := jwk.material(secret)
		if !ok {
			continue
		}
		at := slices.IndexFunc(algorithms, func(alg string) bool {
			return slices.Contains(fits, alg) && (jwk.Algorithm == "" || jwk.Algorithm == alg)
		})
		known := jwk.KeyID != "" && slices.ContainsFunc(keys.list, func(k foreignKey) bool { return k.id == jwk.KeyID })
		if at < 0 || known {
			continue
		}
		keys.list = append(keys.list, foreignKey{id: jwk.KeyID, alg: algorithms[at], verify: verifyWith(algorithms[at], key)})
	}
	if len(keys.list) == 0 {
		return nil, errors.New("has no key for the algorithms " + strings.Join(algorithms, ", "))
	}
	return keys, nil
}

// material is the key itself with the algorithms that it could be for.
func (k foreignJWK) material(secret bool) (fits []string, key any, ok bool) {
	switch k.KeyType {
	case "oct":
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(k.K, "="))
		return []string{"HS256", "HS384", "HS512"}, raw, secret && err == nil && len(raw) >= minForeignSecret
	case "RSA":
		n, okN := decodeSegment(k.N)
		e, okE := decodeSegment(k.E)
		if !okN || !okE || len(e) == 0 || len(e) > 4 {
			return nil, nil, false
		}
		public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		bits := public.N.BitLen()
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, public, bits >= minRSA && bits <= maxRSA && public.E >= 3 && public.E%2 == 1
	case "EC":
		curve, alg := curveOf(k.Curve)
		x, okX := decodeSegment(k.X)
		y, okY := decodeSegment(k.Y)
		if curve == nil || !okX || !okY {
			return nil, nil, false
		}
		public, err := ecdsa.ParseUncompressedPublicKey(curve, bytes.Join([][]byte{{4}, x, y}, nil))
		return []string{alg}, public, err == nil
	case "OKP":
		x, okX := decodeSegment(k.X)
		return []string{"EdDSA"}, ed25519.PublicKey(x), okX && k.Curve == "Ed25519" && len(x) == ed25519.PublicKeySize
	}
	return nil, nil, false
}

func curveOf(name string) (curve elliptic.Curve, alg string) {
	switch name {
	case "P-256":
		return elliptic.P256(), "ES256"
	case "P-384":
		return elliptic.P384(), "ES384"
	case "P-521":
		return elliptic.P521(), "ES512"
	}
	return nil, ""
}

// choose returns the key that a token names. A key without id is for tokens with any kid or none, and a token without
// kid has the one key that there is; what fits two keys fits none.
func (k *ForeignKeys) choose(kid, alg string) (*foreignKey, error) {
	var found *foreignKey
	for i := range k.list {
		key := &k.list[i]
		switch {
		case key.alg != alg || key.id != "" && kid != "" && key.id != kid:
			continue
		case found != nil:
			return nil, ErrUnknownKey
		}
		found = key
	}
	if found == nil {
		return nil, ErrUnknownKey
	}
	return found, nil
}
