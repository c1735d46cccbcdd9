package guard

import (
	"net/http"
	"strconv"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

// headerSet is a list of headers that is the same for every answer. The values are shared between answers: each has no
// room behind it, so that whoever adds to one gets a copy.
type headerSet []struct {
	name  string
	value []string
}

func (s *headerSet) add(name, value string) {
	if value == "" || value == config.HeaderOff {
		return
	}
	*s = append(*s, struct {
		name  string
		value []string
	}{http.CanonicalHeaderKey(name), []string{value}})
}

func (s headerSet) write(h http.Header) {
	for i := range s {
		h[s[i].name] = s[i].value
	}
}

// protective are the headers that every answer begins with. An answer may replace Cache-Control; without a word of its
// own it is kept by nobody, since what it says depends on who asks.
func protective(c config.Server) headerSet {
	var s headerSet
	s.add("Cache-Control", "no-store")
	s.add("Content-Security-Policy", c.Headers.ContentSecurityPolicy)
	s.add("Cross-Origin-Opener-Policy", c.Headers.CrossOriginOpenerPolicy)
	s.add("Cross-Origin-Resource-Policy", c.Headers.CrossOriginResourcePolicy)
	s.add("Permissions-Policy", c.Headers.PermissionsPolicy)
	s.add("Referrer-Policy", c.Headers.ReferrerPolicy)
	s.add("Strict-Transport-Security", strictTransport(c.TLS))
	s.add("X-Content-Type-Options", "nosniff")
	s.add("X-Frame-Options", c.Headers.FrameOptions)
	s.add("X-Xss-Protection", "0") // the filters that it would switch on had holes of their own
	return s
}

// strictTransport is the value of Strict-Transport-Security (RFC 6797 section 6.1), empty where clients do not come
// by TLS.
func strictTransport(c config.TLS) string {
	if c.HSTSMaxAge == 0 || !c.Enabled && !c.TerminatedByProxy {
		return ""
	}
	value := "max-age=" + strconv.FormatInt(int64(c.HSTSMaxAge/time.Second), 10)
	if c.HSTSIncludeSubdomains {
		value += "; includeSubDomains"
	}
	if c.HSTSPreload {
		value += "; preload"
	}
	return value
}
