package guard_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

func TestSubjects(t *testing.T) {
	t.Parallel()
	user, key := uuid.New(), uuid.New()
	ip := netip.MustParseAddr("2001:db8:1:2:3::4")
	for name, c := range map[string]struct {
		scope string
		who   gateway.Caller
		want  string
	}{
		"address":           {"ip", someone, "203.0.113.9"},
		"IPv6":              {"ip", gateway.Caller{IP: ip}, "2001:db8:1:2::/64"},
		"unknown":           {"ip", gateway.Caller{}, "unknown"},
		"user":              {"user", gateway.Caller{UserID: user, Role: "authenticated"}, user.String()},
		"no user":           {"user", someone, ""},
		"key":               {"api_key", gateway.Caller{APIKeyID: key, Role: "service_role"}, key.String()},
		"key of browsers":   {"api_key", gateway.Caller{APIKeyID: key, Role: "anon"}, ""},
		"organization":      {"org", gateway.Caller{OrgID: user}, user.String()},
		"all":               {"global", someone, "*"},
		"client, key":       {"client", gateway.Caller{APIKeyID: key, Role: "service_role", IP: ip}, "key:" + key.String()},
		"client, user":      {"client", gateway.Caller{UserID: user, OrgID: key, Role: "authenticated", IP: ip}, "user:" + user.String()},
		"client, user's":    {"client", gateway.Caller{APIKeyID: key, UserID: user, Role: "authenticated"}, "user:" + user.String()},
		"client, org's":     {"client", gateway.Caller{APIKeyID: key, OrgID: user, Role: "authenticated"}, "org:" + user.String()},
		"client, anonymous": {"client", gateway.Caller{APIKeyID: key, Role: "anon", IP: ip}, "ip:2001:db8:1:2::/64"},
	} {
		l, d, _ := newLimiter(t, `[{"id":1,"scope":"`+c.scope+`","limit":3,"window_seconds":60,"mode":"enforce","durable":true}]`, map[int]int{1: 3})
		passes(t, l, "/x", c.who)
		got := ""
		for subject := range d.hits {
			got = subject
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// TestHeadIsGet sees that a rule for GET counts HEAD, which runs the same query, and that no other rule takes it for something else.
func TestHeadIsGet(t *testing.T) {
	t.Parallel()
	l, _, _ := newLimiter(t, `[{"id":1,"name":"reads","scope":"ip","method":"GET","path":"/a","limit":2,"window_seconds":60,"mode":"enforce","durable":true},
		{"id":2,"name":"writes","scope":"ip","method":"POST","path":"/a","limit":1,"window_seconds":60,"mode":"enforce","durable":true}]`, map[int]int{1: 2, 2: 1})
	refused := 0
	for _, method := range []string{"GET", "HEAD", "HEAD"} {
		d, err := l.Check(t.Context(), method, "/a", someone)
		if err != nil {
			t.Fatal(err)
		}
		if d.Refused {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("%d of 3 refused", refused)
	}
}

// The same table holds for ratelimit.matches.
func TestPathsOfRules(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../testdata/rate_limit_paths.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Rule    string
		Matches []string
		Others  []string
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		l, d, _ := newLimiter(t, fmt.Sprintf(`[{"id":1,"scope":"ip","path":%q,"limit":1000,"window_seconds":60,"mode":"enforce","durable":true}]`, c.Rule), map[int]int{1: 1000})
		for want, paths := range map[bool][]string{true: c.Matches, false: c.Others} {
			for _, path := range paths {
				d.asked = 0
				if passes(t, l, path, someone); (d.asked == 1) != want {
					t.Errorf("%s, %s: %t", c.Rule, path, !want)
				}
			}
		}
	}
}
