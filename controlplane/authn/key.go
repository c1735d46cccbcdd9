package authn

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

const (
	maxKeyLength = 128
	keyLifetime  = 30 * time.Second // how long a key is remembered
	maxKeys      = 4096             // that are remembered
)

// keyPrefixes are what API keys begin with.
var keyPrefixes = [...]string{"fb_live_", "fb_test_"}

// isKey reports whether a text has the form of an API key.
func isKey(text string) bool {
	if len(text) > maxKeyLength {
		return false
	}
	for _, prefix := range keyPrefixes {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			return rest != "" && strings.IndexFunc(rest, func(c rune) bool {
				return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-')
			}) < 0
		}
	}
	return false
}

type keyHash = [sha256.Size]byte

// apiKey is what the database says of a key.
type apiKey struct {
	ID     uuid.UUID       `json:"id"`
	UserID uuid.UUID       `json:"user_id"`
	OrgID  uuid.UUID       `json:"org_id"`
	Role   string          `json:"role"`
	Claims json.RawMessage `json:"claims"` // of a user's key; null for others
}

func (g *Gate) keyCaller(ctx context.Context, text string, o Origin) (gateway.Caller, error) {
	hash := sha256.Sum256([]byte(text))
	key, known := g.keys.get(hash)
	if !known {
		var err error
		if key, err = g.lookUp(ctx, hash, o); err != nil {
			return gateway.Caller{}, err
		}
		g.keys.put(hash, key)
	}
	return gateway.Caller{
		Role:      key.Role,
		UserID:    key.UserID,
		OrgID:     key.OrgID,
		APIKeyID:  key.ID,
		Claims:    key.Claims,
		IP:        o.IP,
		RequestID: o.RequestID,
	}, nil
}

// lookUp asks the database for a key that is alive.
func (g *Gate) lookUp(ctx context.Context, hash keyHash, o Origin) (apiKey, error) {
	answer, err := g.entries.Entry(ctx, o.anonymous(), sqlAPIKey, [][]byte{byteaArg(hash[:])})
	if err != nil {
		return apiKey{}, fmt.Errorf("look up an API key: %w", err)
	}
	if answer == nil || string(answer) == "null" {
		return apiKey{}, errInvalidKey
	}
	var key apiKey
	if err := json.Unmarshal(answer, &key); err != nil || key.ID == uuid.Nil || key.Role == "" {
		return apiKey{}, fmt.Errorf("look up an API key: unexpected answer of the database")
	}
	if string(key.Claims) == "null" {
		key.Claims = nil
	}
	return key, nil
}

// keyCache remembers keys that the database vouched for, for a short time and in bounded number, so that a request
// with a key is one round trip. It weakens nothing: the database probes the key's row with every batch.
type keyCache struct {
	clock func() time.Time

	mu      sync.Mutex
	entries map[keyHash]cachedKey
}

type cachedKey struct {
	apiKey
	expires time.Time
}

func (c *keyCache) get(hash keyHash) (apiKey, bool) {
	now := c.clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.entries[hash]
	if !ok || !now.Before(found.expires) {
		return apiKey{}, false
	}
	return found.apiKey, true
}

func (c *keyCache) put(hash keyHash, key apiKey) {
	expires := c.clock().Add(keyLifetime)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil || len(c.entries) >= maxKeys {
		c.entries = make(map[keyHash]cachedKey) // so many keys at once are rare, and each is a query away
	}
	c.entries[hash] = cachedKey{key, expires}
}

func (c *keyCache) forget(id uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for hash, key := range c.entries {
		if key.ID == id {
			delete(c.entries, hash)
		}
	}
}
