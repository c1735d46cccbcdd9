package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestContext(t *testing.T) {
	t.Parallel()
	key := &contextKey{secret: []byte(strings.Repeat("k", 32))}
	now := time.Unix(1_700_000_000, 999)
	id := func(n byte) uuid.UUID { return uuid.UUID{0xab, 15: n} }
	claimsText := []byte(`{"sub":"x"}`)
	claimsSum := sha256.Sum256(claimsText)
	claimsHex := hex.EncodeToString(claimsSum[:])

	for name, tt := range map[string]struct {
		caller Caller
		want   []any
	}{
		"nobody": {
			Caller{Role: "anon"},
			[]any{1.0, nil, nil, nil, nil, "anon", nil, nil, nil, nil, 1_700_000_000.0, nil},
		},
		"everything": {
			Caller{
				Role: "authenticated", UserID: id(1), SessionID: id(2), OrgID: id(3), AAL: "aal2", APIKeyID: id(4),
				IP: netip.MustParseAddr("192.0.2.7"), RequestID: "r-1", ActorID: id(5), Claims: claimsText,
			},
			[]any{1.0, id(1).String(), id(2).String(), id(3).String(), "aal2", "authenticated", id(4).String(),
				"192.0.2.7", "r-1", id(5).String(), 1_700_000_000.0, claimsHex},
		},
		"precomputed hash": {
			Caller{Role: "anon", Claims: claimsText, ClaimsHash: "f00"},
			[]any{1.0, nil, nil, nil, nil, "anon", nil, nil, nil, nil, 1_700_000_000.0, "f00"},
		},
		"mapped and zoned addresses": {
			Caller{Role: "anon", IP: netip.MustParseAddr("::ffff:192.0.2.7")},
			[]any{1.0, nil, nil, nil, nil, "anon", nil, "192.0.2.7", nil, nil, 1_700_000_000.0, nil},
		},
		"zone": {
			Caller{Role: "anon", IP: netip.MustParseAddr("fe80::1%eth\"0")},
			[]any{1.0, nil, nil, nil, nil, "anon", nil, "fe80::1", nil, nil, 1_700_000_000.0, nil},
		},
		"escapes": {
			Caller{Role: "anon", RequestID: "\"\\\x01\n\u2028é\x00\xff]"},
			[]any{1.0, nil, nil, nil, nil, "anon", nil, nil, "\"\\\x01\n\u2028é\ufffd\ufffd]", nil, 1_700_000_000.0, nil},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var e envelope
			for range 2 { // the second use must not see the first
				text, mac := e.seal(key, &tt.caller, now)
				var got []any
				if err := json.Unmarshal(text, &got); err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("got %v, want %v", got, tt.want)
				}
				h := hmac.New(sha256.New, key.secret)
				h.Write(text)
				if want := hex.EncodeToString(h.Sum(nil)); string(mac) != want {
					t.Errorf("MAC %s, want %s", mac, want)
				}
			}
		})
	}
}

func TestEnvelopeFollowsKey(t *testing.T) {
	t.Parallel()
	var e envelope
	c := Caller{Role: "anon"}
	_, mac := e.seal(&contextKey{secret: []byte("one")}, &c, time.Unix(1, 0))
	first := string(mac)
	if _, mac = e.seal(&contextKey{secret: []byte("two")}, &c, time.Unix(1, 0)); string(mac) == first {
		t.Error("another key gave the same MAC")
	}
}

func TestTimeoutParameter(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]int64{
		0: -1, -time.Second: -1, 1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Second: 1000,
		1 << 62: 1<<31 - 1,
	} {
		var e envelope
		got := int64(-1)
		if b := e.milliseconds(d); b != nil {
			got = int64(int32(binary.BigEndian.Uint32(b)))
		}
		if got != want {
			t.Errorf("%v: %d ms, want %d", d, got, want)
		}
	}
}

func FuzzAppendText(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\x1f\"\\\xff\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		b := append([]byte{'['}, appendText(nil, s)[1:]...)
		var got []*string
		if err := json.Unmarshal(append(b, ']'), &got); err != nil || len(got) != 1 {
			t.Fatalf("%q: %s: %v", s, b, err)
		}
		want := strings.ReplaceAll(string([]rune(s)), "\x00", "\ufffd")
		if s == "" != (got[0] == nil) || got[0] != nil && *got[0] != want {
			t.Fatalf("%q became %q", s, *got[0])
		}
	})
}
