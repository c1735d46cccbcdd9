package rest

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

// contentLocation is the address of a read (RFC 9110 section 8.7), relative to the API: the parameters are in the order
// of their names, so that the same question has the same address. The query has been parsed before.
func contentLocation(name, rawQuery string) string {
	location := "/" + url.PathEscape(name)
	if rawQuery == "" {
		return location
	}
	type parameter struct{ key, value string }
	parameters := make([]parameter, 0, 8)
	size := 0
	for pair := range strings.SplitSeq(rawQuery, "&") {
		key, value, found := strings.Cut(pair, "=")
		if !found {
			continue
		}
		// What is no UTF-8 has been refused.
		key, _ = dialect.Unescape(key)
		value, _ = dialect.Unescape(value)
		parameters = append(parameters, parameter{key, value})
		size += len(pair) + 16
	}
	slices.SortStableFunc(parameters, func(a, b parameter) int { return cmp.Compare(a.key, b.key) })
	b := make([]byte, 0, len(location)+size)
	b = append(b, location...)
	for i, p := range parameters {
		separator := byte('&')
		if i == 0 {
			separator = '?'
		}
		b = appendQuery(append(b, separator), p.key)
		b = appendQuery(append(b, '='), p.value)
	}
	return string(b)
}

// appendQuery appends a text of a query with all but RFC 3986's unreserved characters escaped.
func appendQuery(dst []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}
