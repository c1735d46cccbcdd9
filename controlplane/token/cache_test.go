package token

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"testing"
)

// size counts what a cache holds.
func (c *cache) size() (entries, bytes int) {
	for i := range c.shards {
		s := &c.shards[i]
		for _, generation := range []map[[sha256.Size]byte]*claims{s.young, s.old} {
			for _, v := range generation {
				entries++
				bytes += entryCost + len(v.Claims)
			}
		}
	}
	return entries, bytes
}

func numberedKey(n int) *[sha256.Size]byte {
	key := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	return &key
}

func TestCacheIsUsed(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	text := forge(testSecret, testHeader, payload("", ""))
	first, err := g.verifier.Verify(text)
	if err != nil {
		t.Fatal(err)
	}
	second, err := g.verifier.Verify(text)
	if err != nil {
		t.Fatal(err)
	}
	if &first.Claims[0] != &second.Claims[0] {
		t.Error("the token was read twice")
	}
	if entries, _ := g.verifier.current().cache.size(); entries != 1 {
		t.Errorf("%d entries", entries)
	}
	if c := append(first.Claims, 'x'); &c[0] == &second.Claims[0] {
		t.Error("appending to the claims writes into those of others")
	}
}

func TestCacheChecksTheTime(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	text := forge(testSecret, testHeader, strings.Replace(payload("nbf", "1700000020"), `"iat":1700000000`, `"iat":1700000010`, 1))
	for _, step := range []struct {
		now  int64
		want error
	}{
		{testNow, nil},
		{testNow + 899, nil},
		{testNow + 900, ErrExpired},
		{testNow + 10_000, ErrExpired},
		{testNow - 10, nil},            // the clock went back: nbf = now + leeway
		{testNow - 11, ErrNotYetValid}, // nbf beyond it
		{testNow - 21, ErrNotYetValid},
		{testNow, nil},
	} {
		g.now = step.now
		if _, err := g.verifier.Verify(text); !errors.Is(err, step.want) {
			t.Errorf("at %d: got %v, want %v", step.now-testNow, err, step.want)
		}
	}
	if entries, _ := g.verifier.current().cache.size(); entries != 1 {
		t.Errorf("%d entries: the steps above did not meet the cache", entries)
	}
}

func TestCacheHoldsNoRefusals(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	good := forge(testSecret, testHeader, payload("", ""))
	for _, text := range []string{
		"", good + ".", good[:len(good)-1], forge(testSecret+"x", testHeader, payload("", "")),
		forge(testSecret, `{"alg":"none","typ":"JWT"}`, payload("", "")),
		forge(testSecret, testHeader, payload("sub", "")),
		forge(testSecret, testHeader, payload("iat", "1700000031")), // becomes valid in a second
	} {
		if _, err := g.verifier.Verify(text); err == nil {
			t.Errorf("accepts %q", text)
		}
	}
	if entries, _ := g.verifier.current().cache.size(); entries != 0 {
		t.Errorf("%d refused tokens are remembered", entries)
	}
	g.now++
	if _, err := g.verifier.Verify(forge(testSecret, testHeader, payload("iat", "1700000031"))); err != nil {
		t.Errorf("refused for ever: %v", err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ claims, n, atLeast int }{
		"by entries": {100, 4 * cacheEntries, cacheEntries / 3},
		"by bytes":   {6000, 2 * cacheEntries, cacheBytes / 6512 / 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := new(cache)
			verified := &claims{Access: Access{Claims: make([]byte, tc.claims)}}
			for n := range tc.n {
				c.put(numberedKey(n), verified)
				if n%3 == 0 {
					c.get(numberedKey(n / 2)) // moves between generations
				}
			}
			entries, bytes := c.size()
			if entries > cacheEntries || bytes > cacheBytes {
				t.Errorf("%d entries, %d bytes", entries, bytes)
			}
			if entries < tc.atLeast {
				t.Errorf("only %d entries", entries)
			}
		})
	}
}

// A token in use stays while others come and go.
func TestCacheKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	c := new(cache)
	used := &claims{Access: Access{Role: "used"}}
	c.put(numberedKey(-1), used)
	for n := range 3 * cacheEntries {
		c.put(numberedKey(n), &claims{})
		if n%100 == 0 && c.get(numberedKey(-1)) != used {
			t.Fatalf("forgotten after %d others", n)
		}
	}
	if c.get(numberedKey(0)) != nil {
		t.Error("what nobody used is still there")
	}
}

func TestReplaceForgetsTokens(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	text := forge(testSecret, testHeader, payload("", ""))
	if _, err := g.verifier.Verify(text); err != nil {
		t.Fatal(err)
	}
	if err := g.ring.Replace(mustKey(t, "", testSecret+"-rotated")); err != nil {
		t.Fatal(err)
	}
	refuse(t, g, text, ErrSignature)
	if err := g.ring.Replace(mustKey(t, "", testSecret)); err != nil {
		t.Fatal(err)
	}
	if _, err := g.verifier.Verify(text); err != nil {
		t.Errorf("with the key back: %v", err)
	}
}

// Many goroutines verify while keys rotate: after Replace has returned, no
// token of a key that is gone is accepted. Meaningful with -race too.
func TestVerifyWhileKeysRotate(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	a, b := mustKey(t, "a", testSecret), mustKey(t, "b", testSecret+"-b")
	textA := forge(testSecret, `{"alg":"HS256","typ":"JWT","kid":"a"}`, payload("", ""))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if _, err := g.verifier.Verify(textA); err != nil && !errors.Is(err, ErrUnknownKey) {
						t.Errorf("unexpected %v", err)
						return
					}
				}
			}
		})
	}
	for range 200 {
		if err := g.ring.Replace(a, b); err != nil {
			t.Fatal(err)
		}
		if _, err := g.verifier.Verify(textA); err != nil {
			t.Fatalf("with its key: %v", err)
		}
		if err := g.ring.Replace(b); err != nil {
			t.Fatal(err)
		}
		if _, err := g.verifier.Verify(textA); !errors.Is(err, ErrUnknownKey) {
			t.Fatalf("without its key: %v", err)
		}
	}
	close(stop)
	wg.Wait()
}
