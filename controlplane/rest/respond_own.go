package rest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// What SQL of the application may say about an answer: its status and headers, in the settings response.status and
// response.headers of the transaction or in an error of SQLSTATE PGRST.

// Bounds of the headers that SQL adds to one answer.
const (
	maxOwnHeaders     = 100
	maxOwnHeaderBytes = 16 << 10
)

// ownStatus reads the setting response.status: a final status of HTTP.
func ownStatus(text []byte) (int, *fault.Error) {
	status, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil || !isFinal(status) {
		return 0, fault.OwnStatus()
	}
	return status, nil
}

// isFinal tells whether a status may end an exchange (RFC 9110 section 15).
func isFinal(status int) bool { return status >= 200 && status <= 599 }

// ownHeaders reads the setting response.headers: a JSON array of objects with one string each.
func ownHeaders(text []byte) ([]fault.Header, *fault.Error) {
	if len(text) > maxOwnHeaderBytes {
		return nil, fault.OwnHeaders()
	}
	var objects []map[string]*string
	if json.Unmarshal(text, &objects) != nil || objects == nil || len(objects) > maxOwnHeaders {
		return nil, fault.OwnHeaders()
	}
	list := make([]fault.Header, len(objects))
	for i, object := range objects {
		if len(object) != 1 {
			return nil, fault.OwnHeaders()
		}
		for name, value := range object {
			if value == nil || !isToken(name) || !isFieldValue(*value) {
				return nil, fault.OwnHeaders()
			}
			list[i] = fault.Header{Name: http.CanonicalHeaderKey(name), Value: *value}
		}
	}
	return list, nil
}

// addOwn adds headers to an answer: the first of a name replaces what we would have said ourselves. It returns the
// names of those that are not SQL's to say.
func addOwn(header http.Header, own []fault.Header) (dropped []string) {
	for i, h := range own {
		switch {
		case isReserved(h.Name), h.Name == "Set-Cookie" && isReservedCookie(h.Value):
			dropped = append(dropped, h.Name)
		case h.Name == "Vary" || h.Name == "Set-Cookie" || namesBefore(own[:i], h.Name):
			header.Add(h.Name, h.Value)
		default:
			header.Set(h.Name, h.Value)
		}
	}
	return dropped
}

// namesBefore tells whether one of the headers has this name.
func namesBefore(own []fault.Header, name string) bool {
	for _, h := range own {
		if h.Name == name {
			return true
		}
	}
	return false
}

// isReserved tells whether a header, in its canonical form, is the server's alone: those that frame the message or belong
// to the connection, and those that protect the browser, say who may read the answer, send clients elsewhere or are
// counted on by our own protocol.
func isReserved(name string) bool {
	switch name {
	case "Alt-Svc", "Connection", "Content-Encoding", "Content-Length", "Content-Security-Policy",
		"Content-Security-Policy-Report-Only", "Date", "Keep-Alive", "Nel", "Permissions-Policy", "Referrer-Policy",
		"Report-To", "Reporting-Endpoints", "Strict-Transport-Security", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"X-Content-Type-Options", "X-Frame-Options", "X-Request-Id", "X-Xss-Protection":
		return true
	}
	for _, family := range [...]string{"Access-Control-", "Cross-Origin-", "Proxy-", "Ratelimit"} {
		if strings.HasPrefix(name, family) {
			return true
		}
	}
	return false
}

// reservedCookies is what the names of the cookies that hold sessions begin with.
const reservedCookies = "__host-fluxbase-"

// isReservedCookie tells whether a Set-Cookie would set a cookie that holds a session: whoever could, could sign people in
// as somebody else.
func isReservedCookie(value string) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimLeft(value, " \t=")), reservedCookies)
}

// isToken tells whether a text can be the name of a header (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

// isFieldValue tells whether a text can be the value of a header: no control character but the tab is in it, so that it
// cannot begin another header (RFC 9110 section 5.5).
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// hasContent tells whether an answer of this status may have a body (RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5).
func hasContent(status int) bool {
	return status != http.StatusNoContent && status != http.StatusResetContent && status != http.StatusNotModified
}
