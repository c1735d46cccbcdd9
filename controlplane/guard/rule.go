package guard

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// rateRule is a row of ratelimit.rules, or the burst of one, whose id is negative.
type rateRule struct {
	ID            int    `json:"id"`
	Name          string `json:"name"`
	Scope         string `json:"scope"`
	Method        string `json:"method"`
	Path          string `json:"path"`
	Limit         int    `json:"limit"`
	WindowSeconds int    `json:"window_seconds"`
	Mode          string `json:"mode"`
	Durable       bool   `json:"durable"`

	segments []string
	fixed    string // what paths begin with that match
}

// readRules reads what fluxbase.rate_rules returns.
func readRules(text []byte) ([]rateRule, error) {
	var rules []rateRule
	if err := json.Unmarshal(text, &rules); err != nil {
		return nil, err
	}
	for i := range rules {
		rules[i].segments = strings.Split(rules[i].Path, "/")
		rules[i].fixed, _, _ = strings.Cut(rules[i].Path, "/*")
	}
	return rules, nil
}

// meeting is a rule that a request meets, with its counter.
type meeting struct {
	rule *rateRule
	key  lotKey
}

// meet adds to met the rules that a request meets.
func meet(met []meeting, rules []rateRule, method, path string, who *gateway.Caller) []meeting {
	for i := range rules {
		r := &rules[i]
		if !r.about(method) || !r.matches(path) {
			continue
		}
		if subject := r.subject(who); subject != "" {
			met = append(met, meeting{r, lotKey{r.ID, subject}})
		}
	}
	return met
}

// enforced is false for a rule that is only reported.
func (r *rateRule) enforced() bool { return r.Mode == "enforce" }

// want is how many requests a server takes at once: of a durable rule one, else a twentieth of the limit up to 100, and of
// limits above 10,000 a hundredth up to 1,000. A lot costs PostgreSQL as much as a few reads, and what of it is not given out is
// lost.
func (r *rateRule) want() int {
	if r.Durable {
		return 1
	}
	return max(min(r.Limit/20, 100), min(r.Limit/100, 1000), 1)
}

// about tells whether the rule is about a method. HEAD costs what GET does (RFC 9110 section 9.3.2).
func (r *rateRule) about(method string) bool {
	return r.Method == "" || r.Method == method || r.Method == http.MethodGet && method == http.MethodHead
}

// matches is ratelimit.matches.
func (r *rateRule) matches(path string) bool {
	if r.Path == "" {
		return true
	}
	if !strings.HasPrefix(path, r.fixed) { // most rules are about another route
		return false
	}
	rest, more := path, true
	for i, segment := range r.segments {
		if segment == "**" && i == len(r.segments)-1 {
			return true
		}
		if !more {
			return false
		}
		var part string
		part, rest, more = strings.Cut(rest, "/")
		if segment != part && (segment != "*" || part == "") {
			return false
		}
	}
	return !more
}

// subject is who is counted, empty for a request that the rule is not about.
func (r *rateRule) subject(who *gateway.Caller) string {
	switch r.Scope {
	case "global":
		return "*"
	case "ip":
		return address(who.IP)
	case "user":
		return id(who.UserID)
	case "api_key":
		return id(ownKey(who))
	case "org":
		return id(who.OrgID)
	case "client":
		return Subject(who)
	}
	return ""
}

// Subject is who a request counts for, whatever it comes with: the user; else the organization whose API key it has; else the
// key, unless it is the one that all browsers have; else the address, as [Group] has it. Users and organizations make keys
// themselves: one more is no limit more.
func Subject(who *gateway.Caller) string {
	switch {
	case who.UserID != uuid.Nil:
		return "user:" + who.UserID.String()
	case ownKey(who) != uuid.Nil && who.OrgID != uuid.Nil:
		return "org:" + who.OrgID.String()
	case ownKey(who) != uuid.Nil:
		return "key:" + who.APIKeyID.String()
	}
	return "ip:" + address(who.IP)
}

// ownKey is the key of a request, unless it is the one that all browsers have.
func ownKey(who *gateway.Caller) uuid.UUID {
	if who.Role == "anon" {
		return uuid.Nil
	}
	return who.APIKeyID
}

// address is how fluxbase.client_address writes it.
func address(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "unknown"
	case a.Is6():
		return netip.PrefixFrom(Group(a), 64).String()
	}
	return a.String()
}

func id(u uuid.UUID) string {
	if u == uuid.Nil {
		return ""
	}
	return u.String()
}
