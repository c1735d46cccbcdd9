package token

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func newRefresh(t testing.TB, secret string) *RefreshTokens {
	t.Helper()
	r, err := NewRefreshTokens(mustSecret(t, secret))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The format is stored by clients: these texts must be recognised for ever. The
// values were computed once with OpenSSL (HKDF and HMAC), not with this package.
func TestRefreshFormat(t *testing.T) {
	t.Parallel()
	const text = "IiIiIqqqS7uMzAAAAAAAAgAAAAAAAAEC_1aXtFFlhjUcYVgNCaP_NESdAQC7BuLe"
	const hash = "991f8301c119957085c55b8fb498c77a6e80f9611bea0e537f8b276bdbf2b41e"
	got, sum := newRefresh(t, testSecret).Mint(mustUUID(testSess), 258)
	if got != text || hex.EncodeToString(sum[:]) != hash {
		t.Errorf("got %s %x", got, sum)
	}
}

func TestRefreshRoundTrip(t *testing.T) {
	t.Parallel()
	r := newRefresh(t, testSecret)
	for _, generation := range []int64{1, 2, 255, 1 << 40, math.MaxInt64} {
		text, hash := r.Mint(mustUUID(testSess), generation)
		if again, _ := r.Mint(mustUUID(testSess), generation); again != text {
			t.Error("minted differently the second time")
		}
		session, g, h, err := r.Parse(text)
		if err != nil || session != mustUUID(testSess) || g != generation || h != hash || h != sha256.Sum256([]byte(text)) {
			t.Errorf("generation %d: got %s %d %x %v", generation, session, g, h, err)
		}
	}
}

func TestRefreshRefuses(t *testing.T) {
	t.Parallel()
	r := newRefresh(t, testSecret)
	good, _ := r.Mint(mustUUID(testSess), 7)
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	text := func(session uuid.UUID, generation int64) string {
		text, _ := r.Mint(session, generation)
		return text
	}
	foreign, _ := newRefresh(t, testSecret+"x").Mint(mustUUID(testSess), 7)
	next := text(mustUUID(testSess), 8)
	for name, tc := range map[string]struct {
		text string
		want error
	}{
		"empty":              {"", ErrMalformed},
		"short":              {good[:63], ErrMalformed},
		"long":               {good + "A", ErrMalformed},
		"huge":               {strings.Repeat(good, 1000), ErrMalformed},
		"padded":             {good + "=", ErrMalformed},
		"newline":            {good[:63] + "\n", ErrMalformed},
		"newline more":       {good + "\n", ErrMalformed},
		"space":              {" " + good[1:], ErrMalformed},
		"standard alphabet":  {good[:10] + "+" + good[11:], ErrMalformed},
		"hexadecimal":        {hex.EncodeToString(raw)[:64], ErrSignature},
		"other secret":       {foreign, ErrSignature},
		"other generation":   {next[:32] + good[32:], ErrSignature},
		"generation 0":       {text(mustUUID(testSess), 0), ErrMalformed},
		"generation -1":      {text(mustUUID(testSess), -1), ErrMalformed},
		"no session":         {text(uuid.Nil, 7), ErrMalformed},
		"an access token":    {forge(testSecret, testHeader, payload("", "")), ErrMalformed},
		"MAC of jwt_secret":  {forgeRefresh(testSecret, raw[:24]), ErrSignature},
		"MAC of nothing":     {base64.RawURLEncoding.EncodeToString(append(raw[:24:24], make([]byte, 24)...)), ErrSignature},
		"zero everything":    {strings.Repeat("A", 64), ErrSignature},
		"all bits set":       {strings.Repeat("_", 64), ErrSignature},
		"characters swapped": {good[:40] + good[41:42] + good[40:41] + good[42:], ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			session, generation, hash, err := r.Parse(tc.text)
			if !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if session != uuid.Nil || generation != 0 || hash != [32]byte{} {
				t.Error("a refused token said something")
			}
		})
	}
	for i := range len(good) {
		for bit := range 6 {
			const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
			c := alphabet[strings.IndexByte(alphabet, good[i])^1<<bit]
			if _, _, _, err := r.Parse(good[:i] + string(c) + good[i+1:]); err == nil {
				t.Fatalf("bit %d of character %d does not count", bit, i)
			}
		}
	}
}

// forgeRefresh makes the MAC with a key that was not derived.
func forgeRefresh(secret string, said []byte) string {
	r := RefreshTokens{key: newSecret([]byte(secret))}
	return base64.RawURLEncoding.EncodeToString(append(said[:24:24], r.mac(said)...))
}

// A refresh token is no access token.
func TestRefreshIsNoAccessToken(t *testing.T) {
	t.Parallel()
	text, _ := newRefresh(t, testSecret).Mint(mustUUID(testSess), 1)
	refuse(t, newGate(t), text, ErrMalformed)
}
