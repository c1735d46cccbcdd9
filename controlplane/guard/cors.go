package guard

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

// What pages of allowed origins may always send and read: all that the APIs understand, and what supabase-js adds.
var (
	requestHeaders = []string{"accept", "accept-profile", "apikey", "authorization", "content-profile", "content-type", "if-none-match", "prefer",
		"range", "range-unit", "x-api-key", "x-client-info", "x-csrf-token", "x-fluxbase-session", "x-retry-count", "x-supabase-api-version"}
	answerHeaders = []string{"content-location", "content-profile", "content-range", "etag", "location", "preference-applied", "ratelimit-limit",
		"ratelimit-remaining", "ratelimit-reset", "retry-after", "www-authenticate", "x-request-id", "x-supabase-api-version"}
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
)

// cors answers by the Fetch standard, section 3.3. A nil *cors allows no other origin and adds nothing.
type cors struct {
	origins   map[string][]string // the origin, and the header's value for it
	common    headerSet           // of every answer, whoever asks: it depends on the origin
	actual    headerSet           // of answers to allowed origins
	preflight headerSet           // of answers to their questions beforehand
}

func newCORS(c config.CORS) *cors {
	if len(c.AllowedOrigins) == 0 {
		return nil
	}
	k := &cors{origins: make(map[string][]string, len(c.AllowedOrigins))}
	for _, origin := range c.AllowedOrigins {
		if origin != "null" && origin != "*" { // the configuration refuses them too
			k.origins[origin] = []string{origin}
		}
	}
	k.common.add("Vary", "Origin")
	k.actual.add("Access-Control-Expose-Headers", joined(answerHeaders, c.ExposedHeaders))
	k.preflight.add("Access-Control-Allow-Headers", joined(requestHeaders, c.AllowedHeaders))
	k.preflight.add("Access-Control-Allow-Methods", corsMethods)
	k.preflight.add("Access-Control-Max-Age", strconv.FormatInt(int64(c.MaxAge/time.Second), 10))
	k.preflight.add("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
	if c.AllowCredentials {
		k.actual.add("Access-Control-Allow-Credentials", "true")
		k.preflight.add("Access-Control-Allow-Credentials", "true")
	}
	return k
}

func joined(always, more []string) string {
	names := slices.Clone(always)
	for _, name := range more {
		names = append(names, strings.ToLower(name))
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// answer adds the headers of an answer. done says that the request was a question beforehand, which has its whole
// answer now; refused, that it asked for an origin that is not allowed.
func (k *cors) answer(h http.Header, r *http.Request) (done, refused bool) {
	if k == nil {
		return false, false
	}
	k.common.write(h)
	origin := r.Header["Origin"]
	if len(origin) == 0 {
		return false, false
	}
	allowed, ok := k.origins[origin[0]]
	ok = ok && len(origin) == 1
	before := r.Method == http.MethodOptions && r.Header["Access-Control-Request-Method"] != nil
	if before {
		k.preflight.write(h)
	}
	switch {
	case !ok && before:
		for _, name := range []string{"Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Max-Age", "Access-Control-Allow-Credentials"} {
			delete(h, name)
		}
		return false, true
	case !ok:
		return false, false
	}
	h["Access-Control-Allow-Origin"] = allowed
	if !before {
		k.actual.write(h)
	}
	return before, false
}
