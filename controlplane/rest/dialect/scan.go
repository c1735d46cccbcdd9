package dialect

import (
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// scanner reads the small languages of PostgREST's query parameters from left to right. Positions
// are bytes; what it returns are slices of its text unless a backslash had to be removed.
type scanner struct {
	text  string
	pos   int
	shift int // added to the columns of errors: what PostgREST's parser has read before the text
}

// end tells whether everything was read.
func (s *scanner) end() bool { return s.pos >= len(s.text) }

// peek returns the next byte, 0 at the end. The text holds no NUL (see unescape).
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

// take reads one byte when it is c.
func (s *scanner) take(c byte) bool {
	if s.peek() == c {
		s.pos++
		return true
	}
	return false
}

// takeString reads word when it comes next.
func (s *scanner) takeString(word string) bool {
	if strings.HasPrefix(s.text[s.pos:], word) {
		s.pos += len(word)
		return true
	}
	return false
}

// blanks skips blanks and tabs.
func (s *scanner) blanks() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.pos++
	}
}

// nameBytes are the ASCII bytes of a name that needs no quotes.
var nameBytes = func() (set [256]bool) {
	for c := range set {
		set[c] = c >= 0x80 || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			c == '_' || c == '$' || c == ' '
	}
	return set
}()

// name reads a field name: a quoted one, or letters, digits, _, $, blanks and dashes (a dash before
// > begins a JSON path). ok is false when there is none.
func (s *scanner) name() (name string, ok bool) {
	s.blanks()
	if s.peek() == '"' {
		name, ok = s.quoted()
		return name, ok && name != ""
	}
	start := s.pos
	for !s.end() {
		c := s.text[s.pos]
		if !nameBytes[c] && (c != '-' || strings.HasPrefix(s.text[s.pos:], "->")) {
			break
		}
		s.pos++
	}
	name = strings.TrimRight(s.text[start:s.pos], " ")
	return name, name != ""
}

// endsStep tells whether a step of a JSON path ends at a position: at the end, at a byte that means something
// behind a path, or at the next arrow.
func (s *scanner) endsStep(at int) bool {
	return at >= len(s.text) || strings.IndexByte(".,>():", s.text[at]) >= 0 || strings.HasPrefix(s.text[at:], "->")
}

// key reads a key of a JSON path: a quoted one, or all bytes up to the end of the step.
func (s *scanner) key() (key string, ok bool) {
	if s.peek() == '"' {
		return s.quoted()
	}
	start := s.pos
	for !s.endsStep(s.pos) {
		s.pos++
	}
	return s.text[start:s.pos], s.pos > start
}

// index reads an array index of a JSON path: digits, perhaps after a minus, that are the whole step.
func (s *scanner) index() (digits string, ok bool) {
	end := s.pos
	if end < len(s.text) && s.text[end] == '-' {
		end++
	}
	first := end
	for end < len(s.text) && s.text[end] >= '0' && s.text[end] <= '9' {
		end++
	}
	if n := end - first; n == 0 || n > 9 || !s.endsStep(end) {
		return "", false
	}
	digits = s.text[s.pos:end]
	s.pos = end
	return digits, true
}

// quoted reads "..." in which a backslash takes the next byte literally. ok is false, and nothing is
// read, when the closing quote is missing.
func (s *scanner) quoted() (value string, ok bool) {
	rest := s.text[s.pos+1:]
	i := strings.IndexAny(rest, `"\`)
	if i >= 0 && rest[i] == '"' {
		s.pos += i + 2
		return rest[:i], true
	}
	var b strings.Builder
	for i = 0; i < len(rest); i++ {
		switch rest[i] {
		case '"':
			s.pos += i + 2
			return b.String(), true
		case '\\':
			if i++; i < len(rest) {
				b.WriteByte(rest[i])
			}
		default:
			b.WriteByte(rest[i])
		}
	}
	return "", false
}

// element reads one element of a list in parentheses: a quoted value, or everything up to the next
// comma or closing parenthesis. A quote that does not enclose the whole element is an ordinary byte.
func (s *scanner) element() (value string, quoted bool) {
	if s.peek() == '"' {
		start := s.pos
		if value, ok := s.quoted(); ok && (s.end() || s.peek() == ',' || s.peek() == ')') {
			return value, true
		}
		s.pos = start
	}
	start := s.pos
	if i := strings.IndexAny(s.text[start:], ",)"); i >= 0 {
		s.pos = start + i
	} else {
		s.pos = len(s.text)
	}
	return s.text[start:s.pos], false
}

// array reads {...} without nested braces, quotes and commas included. ok is false, and nothing is
// read, when there is none.
func (s *scanner) array() (value string, ok bool) {
	if s.peek() != '{' {
		return "", false
	}
	rest := s.text[s.pos+1:]
	i := strings.IndexAny(rest, "{}")
	if i < 0 || rest[i] != '}' {
		return "", false
	}
	value = s.text[s.pos : s.pos+i+2]
	s.pos += i + 2
	return value, true
}

// fail makes the error for the place the scanner stopped at.
func (s *scanner) fail(what, expected string) *fault.Error {
	found := "end of input"
	if !s.end() {
		found = `"` + s.text[s.pos:s.pos+1] + `"`
		if s.text[s.pos] >= 0x80 {
			found = "that character"
		}
	}
	return fault.Syntax(what, s.text, s.shift+s.pos+1, "unexpected "+found+" expecting "+expected)
}
