package token

import (
	"crypto/sha256"
	"sync"
)

const (
	cacheShards  = 16
	cacheEntries = 10_000   // verified tokens kept, at most
	cacheBytes   = 16 << 20 // memory they take, at most, estimated
	entryCost    = 512      // estimated bytes of an entry without its claims
)

// cache remembers verified tokens by the SHA-256 of their full text. It never
// holds a token that was refused and knows nothing about time: the caller
// checks that at each hit. Its size is bounded in entries and in bytes.
type cache struct {
	shards [cacheShards]cacheShard
}

// cacheShard keeps two generations. What is used moves to the young one; when
// that is full it becomes the old one, and the former old one is forgotten.
type cacheShard struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]*claims
	bytes      int      // estimated size of young
	_          [64]byte // keeps the locks on cache lines of their own
}

func (c *cache) shard(key *[sha256.Size]byte) *cacheShard {
	return &c.shards[key[0]%cacheShards]
}

// get returns nil for a token that is not there.
func (c *cache) get(key *[sha256.Size]byte) *claims {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if found, ok := s.young[*key]; ok {
		return found
	}
	found, ok := s.old[*key]
	if !ok {
		return nil
	}
	delete(s.old, *key)
	s.add(key, found)
	return found
}

// put adds a verified token.
func (c *cache) put(key *[sha256.Size]byte, verified *claims) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(key, verified)
}

func (s *cacheShard) add(key *[sha256.Size]byte, verified *claims) {
	if _, ok := s.young[*key]; ok {
		return
	}
	cost := entryCost + len(verified.Claims)
	full := len(s.young) >= cacheEntries/cacheShards/2 || s.bytes+cost > cacheBytes/cacheShards/2
	if s.young == nil || full {
		s.old, s.young, s.bytes = s.young, make(map[[sha256.Size]byte]*claims), 0
	}
	s.young[*key] = verified
	s.bytes += cost
}
