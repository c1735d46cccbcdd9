package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// The algorithms of key pairs that this package makes and signs with.
const (
	ES256 = "ES256" // ECDSA on P-256 with SHA-256 (RFC 7518 section 3.4)
	EdDSA = "EdDSA" // Ed25519 (RFC 8037 section 3.1)
)

// publicJWK is the public part of a pair as JWKS shows it (RFC 7517 section 4).
type publicJWK struct {
	KeyType   string   `json:"kty"`
	Use       string   `json:"use"`
	Operation []string `json:"key_ops"`
	Algorithm string   `json:"alg"`
	KeyID     string   `json:"kid"`
	Curve     string   `json:"crv"`
	X         string   `json:"x"`
	Y         string   `json:"y,omitempty"`
}

// NewPair makes a key pair. private is its PKCS #8 form (RFC 5958), to be sealed before it is stored; public is its
// JWK, which everybody may see.
func NewPair(id, alg string) (private, public []byte, err error) {
	var secret crypto.Signer
	switch alg {
	case ES256:
		secret, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, secret, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, nil, fmt.Errorf("algorithm %.16q has no key pairs here", alg)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make a key pair: %w", err)
	}
	if private, err = x509.MarshalPKCS8PrivateKey(secret); err != nil {
		return nil, nil, fmt.Errorf("make a key pair: %w", err)
	}
	key, err := PrivateKey(id, alg, private)
	if err != nil {
		return nil, nil, err
	}
	return private, key.jwk, nil
}

// PrivateKey makes the key of a pair from the private part that NewPair made.
func PrivateKey(id, alg string, private []byte) (*Key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, errors.New("private key is not in the form of PKCS #8")
	}
	var key *Key
	switch secret := parsed.(type) {
	case *ecdsa.PrivateKey:
		if alg != ES256 || secret.Curve != elliptic.P256() {
			return nil, errors.New("private key does not belong to the algorithm")
		}
		if key, err = ecdsaKey(id, &secret.PublicKey); err == nil {
			key.sign = func(signed string) ([]byte, error) { return signECDSA(secret, signed) }
		}
	case ed25519.PrivateKey:
		if alg != EdDSA {
			return nil, errors.New("private key does not belong to the algorithm")
		}
		if key, err = ed25519Key(id, secret.Public().(ed25519.PublicKey)); err == nil {
			key.sign = func(signed string) ([]byte, error) { return ed25519.Sign(secret, []byte(signed)), nil }
		}
	default:
		return nil, errors.New("private key does not belong to the algorithm")
	}
	return key, err
}

// signatureES256 is the length of R and S, each in 32 bytes (RFC 7518 section 3.4).
const signatureES256 = 64

// signECDSA gives the smaller of the two values of S that would verify, the only one that ecdsaKey accepts.
func signECDSA(secret *ecdsa.PrivateKey, signed string) ([]byte, error) {
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, secret, sum[:])
	if err != nil {
		return nil, err
	}
	if n := secret.Params().N; s.Cmp(half(n)) > 0 {
		s.Sub(n, s)
	}
	signature := make([]byte, signatureES256)
	r.FillBytes(signature[:signatureES256/2])
	s.FillBytes(signature[signatureES256/2:])
	return signature, nil
}

func half(n *big.Int) *big.Int { return new(big.Int).Rsh(n, 1) }

// ecdsaKey accepts one signature of the two that ECDSA has for a text, so that a token has one spelling here, too.
func ecdsaKey(id string, public *ecdsa.PublicKey) (*Key, error) {
	point, err := public.Bytes()
	if err != nil {
		return nil, errors.New("public key is not a point of its curve")
	}
	encode := base64.RawURLEncoding.EncodeToString
	limit := half(public.Params().N)
	return pairKey(id, publicJWK{KeyType: "EC", Algorithm: ES256, Curve: "P-256", X: encode(point[1:33]), Y: encode(point[33:])},
		func(signed string, signature []byte) error {
			if len(signature) != signatureES256 {
				return ErrSignature
			}
			r := new(big.Int).SetBytes(signature[:signatureES256/2])
			s := new(big.Int).SetBytes(signature[signatureES256/2:])
			sum := sha256.Sum256([]byte(signed))
			if s.Cmp(limit) > 0 || !ecdsa.Verify(public, sum[:], r, s) {
				return ErrSignature
			}
			return nil
		})
}

func ed25519Key(id string, public ed25519.PublicKey) (*Key, error) {
	return pairKey(id, publicJWK{KeyType: "OKP", Algorithm: EdDSA, Curve: "Ed25519", X: base64.RawURLEncoding.EncodeToString(public)},
		func(signed string, signature []byte) error {
			if !ed25519.Verify(public, []byte(signed), signature) {
				return ErrSignature
			}
			return nil
		})
}

// pairKey completes a key whose public part is shown.
func pairKey(id string, public publicJWK, verify func(signed string, signature []byte) error) (*Key, error) {
	if id == "" {
		return nil, errors.New("key of a pair needs an id")
	}
	if err := checkKeyID(id); err != nil {
		return nil, err
	}
	public.KeyID, public.Use, public.Operation = id, "sig", []string{"verify"}
	jwk, err := json.Marshal(public)
	if err != nil {
		return nil, err
	}
	return &Key{id: id, alg: public.Algorithm, header: headerOf(id, public.Algorithm), jwk: jwk, verify: verify}, nil
}
