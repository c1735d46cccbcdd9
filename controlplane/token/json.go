package token

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxDepth   = 32  // nesting of objects and arrays, the outermost included
	maxMembers = 64  // members of the outermost object
	maxDigits  = 400 // characters of a number; jsonb prints 1e308 as 309 digits
)

// object is a JSON object that was read strictly and written again without
// choice: no white space, the shortest escapes, everything else as UTF-8. The
// bytes of text are therefore read alike by every JSON reader, and writing
// them again changes nothing.
type object struct {
	text    []byte
	members []member // of the outermost object, in the order of the text
}

// member holds offsets into text: of the name without its quotes, and of the value.
type member struct {
	nameFrom, nameTo, valueFrom, valueTo int
}

// parseObject reads src as one JSON object (RFC 8259) with these restrictions,
// each of which is a place where readers are known to differ:
//
//   - names are unique in every object, and in the outermost one also when case
//     is ignored (encoding/json takes the last of role and ROLE, jsonb both);
//   - invalid UTF-8, lone surrogates and U+0000 are refused (encoding/json
//     replaces the first two, jsonb refuses all three);
//   - numbers are kept as written, never through a float; their length and
//     exponent are bounded so that they fit PostgreSQL's numeric;
//   - nesting and the number of outermost members are bounded.
func parseObject(src []byte) (object, bool) {
	s := scanner{src: src, out: make([]byte, 0, len(src)), members: make([]member, 0, 24)}
	s.space()
	if !s.object(1) {
		return object{}, false
	}
	s.space()
	if s.pos != len(src) || len(s.members) > maxMembers {
		return object{}, false
	}
	o := object{text: s.out, members: s.members}
	for i := range o.members {
		for j := range i {
			if bytes.EqualFold(o.name(i), o.name(j)) {
				return object{}, false
			}
		}
	}
	return o, true
}

// name returns the i-th name as it stands in the text, escapes included. Texts
// are canonical, so names are equal when these bytes are.
func (o object) name(i int) []byte { return o.text[o.members[i].nameFrom:o.members[i].nameTo] }

// value returns the text of a member's value, nil when there is none.
func (o object) value(name string) []byte {
	for i, m := range o.members {
		if string(o.name(i)) == name {
			return o.text[m.valueFrom:m.valueTo]
		}
	}
	return nil
}

// stringValue returns a member that is a string.
func (o object) stringValue(name string) (string, bool) {
	v := o.value(name)
	if len(v) == 0 || v[0] != '"' {
		return "", false
	}
	if !bytes.ContainsRune(v, '\\') {
		return string(v[1 : len(v)-1]), true
	}
	var s string
	err := json.Unmarshal(v, &s)
	return s, err == nil
}

// scanner reads src from pos and writes the canonical form to out, which is
// never longer than what was read.
type scanner struct {
	src     []byte
	pos     int
	out     []byte
	members []member
}

func (s *scanner) space() {
	for s.pos < len(s.src) && strings.IndexByte(" \t\n\r", s.src[s.pos]) >= 0 {
		s.pos++
	}
}

// take moves past c and writes it, if it is next.
func (s *scanner) take(c byte) bool {
	if s.pos == len(s.src) || s.src[s.pos] != c {
		return false
	}
	s.pos++
	s.out = append(s.out, c)
	return true
}

func (s *scanner) value(depth int) bool {
	if s.pos == len(s.src) {
		return false
	}
	switch s.src[s.pos] {
	case '{':
		return s.object(depth)
	case '[':
		return s.array(depth)
	case '"':
		return s.string()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

func (s *scanner) object(depth int) bool {
	if depth > maxDepth || !s.take('{') {
		return false
	}
	first := len(s.members)
	for s.space(); !s.take('}'); s.space() {
		if len(s.members) > first {
			if !s.take(',') {
				return false
			}
			s.space()
		}
		i := len(s.members)
		s.members = append(s.members, member{nameFrom: len(s.out) + 1})
		if !s.string() {
			return false
		}
		s.members[i].nameTo = len(s.out) - 1
		s.space()
		if !s.take(':') {
			return false
		}
		s.space()
		s.members[i].valueFrom = len(s.out)
		if !s.value(depth + 1) {
			return false
		}
		s.members[i].valueTo = len(s.out)
	}
	if s.repeats(s.members[first:]) {
		return false
	}
	if depth > 1 {
		s.members = s.members[:first]
	}
	return true
}

// repeats reports whether two of the members have the same name.
func (s *scanner) repeats(members []member) bool {
	if len(members) <= 16 {
		for i, m := range members {
			for _, n := range members[:i] {
				if bytes.Equal(s.out[m.nameFrom:m.nameTo], s.out[n.nameFrom:n.nameTo]) {
					return true
				}
			}
		}
		return false
	}
	seen := make(map[string]struct{}, len(members))
	for _, m := range members {
		seen[string(s.out[m.nameFrom:m.nameTo])] = struct{}{}
	}
	return len(seen) != len(members)
}

func (s *scanner) array(depth int) bool {
	if depth > maxDepth || !s.take('[') {
		return false
	}
	s.space()
	if s.take(']') {
		return true
	}
	for {
		s.space()
		if !s.value(depth + 1) {
			return false
		}
		s.space()
		if s.take(']') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

func (s *scanner) word(w string) bool {
	if !bytes.HasPrefix(s.src[s.pos:], []byte(w)) {
		return false
	}
	s.pos += len(w)
	s.out = append(s.out, w...)
	return true
}

func (s *scanner) number() bool {
	from := len(s.out)
	s.take('-')
	if !s.take('0') && s.digits() == 0 {
		return false
	}
	if s.take('.') && s.digits() == 0 {
		return false
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		if n := s.digits(); n == 0 || n > 3 {
			return false
		}
	}
	return len(s.out)-from <= maxDigits
}

func (s *scanner) digits() (n int) {
	for s.pos < len(s.src) && s.src[s.pos] >= '0' && s.src[s.pos] <= '9' {
		s.out = append(s.out, s.src[s.pos])
		s.pos++
		n++
	}
	return n
}

func (s *scanner) string() bool {
	if !s.take('"') {
		return false
	}
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; {
		case c == '"':
			return s.take('"')
		case c == '\\':
			s.pos++
			r, ok := s.escape()
			if !ok || r == 0 {
				return false
			}
			s.out = appendRune(s.out, r)
		case c < ' ':
			return false
		case c < utf8.RuneSelf:
			s.out = append(s.out, c)
			s.pos++
		default:
			r, n := utf8.DecodeRune(s.src[s.pos:])
			if r == utf8.RuneError && n == 1 {
				return false
			}
			s.out = append(s.out, s.src[s.pos:s.pos+n]...)
			s.pos += n
		}
	}
	return false
}

// escape reads what follows a backslash.
func (s *scanner) escape() (rune, bool) {
	if s.pos == len(s.src) {
		return 0, false
	}
	c := s.src[s.pos]
	s.pos++
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
		high, ok := s.hex4()
		if !ok || !utf16.IsSurrogate(high) {
			return high, ok
		}
		if !bytes.HasPrefix(s.src[s.pos:], []byte(`\u`)) {
			return 0, false
		}
		s.pos += 2
		low, ok := s.hex4()
		r := utf16.DecodeRune(high, low)
		return r, ok && r != utf8.RuneError
	default:
		return 0, false
	}
}

func (s *scanner) hex4() (r rune, ok bool) {
	if len(s.src)-s.pos < 4 {
		return 0, false
	}
	for _, c := range s.src[s.pos : s.pos+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	s.pos += 4
	return r, true
}

// appendRune appends one character of a string in its canonical form.
func appendRune(out []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(out, '\\', byte(r))
	case r >= ' ':
		return utf8.AppendRune(out, r)
	}
	if i := slices.Index([]rune("\b\f\n\r\t"), r); i >= 0 {
		return append(out, '\\', "bfnrt"[i])
	}
	const hex = "0123456789abcdef"
	return append(out, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
}

// appendString appends text, which is valid UTF-8, as a JSON string.
func appendString(out []byte, text string) []byte {
	out = append(out, '"')
	for _, r := range text {
		out = appendRune(out, r)
	}
	return append(out, '"')
}
