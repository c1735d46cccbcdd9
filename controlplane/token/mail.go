package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

const mailLabel = "fluxbase mail token v1"

// MailTokens makes what mailed links and codes consist of, from the id of the row that stands for one:
//
//	link = base64url(HMAC-SHA256(key, "link" | id)), 43 characters without padding
//	code = HMAC-SHA256(key, "code" | id) modulo a million, six digits
//
// under a key that HKDF (RFC 5869) derives from auth.jwt_secret. So a mail that has to be sent again says the same, and
// the database needs no secret to begin a flow. It stores hashes: of the link its SHA-256, and of the code, whose six
// digits could be searched, an HMAC of code and address. Changing the secret voids the codes that are under way; links
// keep working.
type MailTokens struct {
	key Secret
}

// NewMailTokens derives the key.
func NewMailTokens(secret Secret) (*MailTokens, error) {
	key, err := secret.derive(mailLabel)
	if err != nil {
		return nil, fmt.Errorf("derive key of mail tokens: %w", err)
	}
	return &MailTokens{key: key}, nil
}

// Mint returns the secrets of a row. The same id gives the same.
func (m *MailTokens) Mint(id uuid.UUID) (link, code string) {
	link = base64.RawURLEncoding.EncodeToString(m.mac("link", id[:]))
	code = fmt.Sprintf("%06d", binary.BigEndian.Uint64(m.mac("code", id[:]))%1_000_000)
	return link, code
}

// LinkHash is what the database stores of a link.
func (m *MailTokens) LinkHash(link string) [sha256.Size]byte { return sha256.Sum256([]byte(link)) }

// CodeHash is what the database stores of a code that was mailed to an address; the case of A to Z does not matter in it.
func (m *MailTokens) CodeHash(address, code string) (hash [sha256.Size]byte) {
	folded := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, address)
	copy(hash[:], m.mac("hash", []byte(code+"\n"+folded)))
	return hash
}

func (m *MailTokens) mac(use string, said []byte) []byte {
	h := hmac.New(sha256.New, m.key.bytes())
	h.Write([]byte(use + "\n"))
	h.Write(said)
	return h.Sum(nil)
}
