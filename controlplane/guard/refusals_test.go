package guard_test

import (
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/guard"
)

// A refusal is remembered for requests that are counted alike and for no others, and not for long.
func TestRefusals(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	m := guard.NewRefusals(func() time.Time { return now })
	here := netip.MustParseAddr("203.0.113.9")
	recall := func(from netip.Addr, line string, headers ...string) (guard.Decision, bool) {
		method, target, _ := strings.Cut(line, " ")
		r := httptest.NewRequest(method, target, nil)
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ": ")
			r.Header.Add(name, value)
		}
		return m.Recall(r, from)
	}
	remember := func(line string, headers ...string) {
		method, target, _ := strings.Cut(line, " ")
		r := httptest.NewRequest(method, target, nil)
		for _, header := range headers {
			name, value, _ := strings.Cut(header, ": ")
			r.Header.Add(name, value)
		}
		m.Remember(r, here, guard.Decision{Refused: true, Rule: "mine", Limit: 7, Reset: time.Minute})
	}
	const token, key = "Authorization: Bearer a", "apikey: fb_live_a"
	remember("GET /rest/v1/notes?id=eq.1", token, key)
	now = now.Add(2 * time.Second)
	if d, ok := recall(here, "GET /rest/v1/notes?id=eq.2", token, key); !ok || !d.Refused || d.Rule != "mine" || d.Limit != 7 || d.Reset != 58*time.Second {
		t.Errorf("the same: %+v %t", d, ok)
	}
	for name, c := range map[string]struct {
		from    netip.Addr
		line    string
		headers []string
	}{
		"another address":   {netip.MustParseAddr("203.0.113.10"), "GET /rest/v1/notes", []string{token, key}},
		"another method":    {here, "HEAD /rest/v1/notes", []string{token, key}},
		"another path":      {here, "GET /rest/v1/note", []string{token, key}},
		"another spelling":  {here, "GET /rest/v1/note%73", []string{token, key}},
		"another token":     {here, "GET /rest/v1/notes", []string{"Authorization: Bearer b", key}},
		"another key":       {here, "GET /rest/v1/notes", []string{token, "apikey: fb_live_b"}},
		"no key":            {here, "GET /rest/v1/notes", []string{token}},
		"the key elsewhere": {here, "GET /rest/v1/notes", []string{token, "X-API-Key: fb_live_a"}},
		"two tokens":        {here, "GET /rest/v1/notes", []string{token, token, key}},
		"cookies":           {here, "GET /rest/v1/notes", []string{token, key, "Cookie: a=b"}},
	} {
		if _, ok := recall(c.from, c.line, c.headers...); ok {
			t.Errorf("%s is refused, too", name)
		}
	}
	// What a token says may have changed.
	now = now.Add(3 * time.Second)
	if _, ok := recall(here, "GET /rest/v1/notes", token, key); ok {
		t.Error("nobody looks again after five seconds")
	}
	// Of the one route that is several, the query counts.
	remember("POST /auth/v1/token?grant_type=password")
	_, same := recall(here, "POST /auth/v1/token?grant_type=password")
	if _, other := recall(here, "POST /auth/v1/token?grant_type=refresh_token"); !same || other {
		t.Errorf("the same grant %t, another %t", same, other)
	}
	m.Forget()
	if _, ok := recall(here, "POST /auth/v1/token?grant_type=password"); ok {
		t.Error("what was forgotten is known")
	}
	// Cookies, and credentials that nobody keeps.
	for _, header := range []string{"Cookie: a=b", "Authorization: Bearer " + strings.Repeat("x", 5000), "Authorization: "} {
		remember("GET /x", header)
		if _, ok := recall(here, "GET /x", header); ok {
			t.Errorf("%.20s is remembered", header)
		}
	}
	// However many there are, it stays small; the last is known.
	for i := range 10_000 {
		remember(fmt.Sprintf("GET /%d", i))
	}
	known := 0
	for i := range 10_000 {
		if _, ok := recall(here, fmt.Sprintf("GET /%d", i)); ok {
			known++
		}
	}
	if _, ok := recall(here, "GET /9999"); !ok || known > 4096 {
		t.Errorf("%d are known, the last: %t", known, ok)
	}
	// Neither do long ones take more than 4 MB, which whoever sends them could fill otherwise.
	m.Forget()
	long := strings.Repeat("x", 4000)
	headers := func(i int) []string {
		return []string{fmt.Sprintf("Authorization: Bearer %d%s", i, long), "apikey: " + long, "X-API-Key: " + long}
	}
	known = 0
	for i := range 1000 {
		remember("GET /x", headers(i)...)
	}
	for i := range 1000 {
		if _, ok := recall(here, "GET /x", headers(i)...); ok {
			known++
		}
	}
	if _, ok := recall(here, "GET /x", headers(999)...); !ok || known*3*len(long) > 4<<20 {
		t.Errorf("%d bytes are kept, the last: %t", known*3*len(long), ok)
	}
}
