package dialect

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// rowScanner cuts the objects out of a JSON array, or the one object, that it reads, without understanding them: it
// looks for the brackets and strings alone, and a decoder then reads each object as it would have in a small body.
type rowScanner struct {
	in    io.Reader
	limit int // bytes of one object

	buf   []byte
	start int   // of the object at hand
	pos   int   // of the next byte
	base  int64 // of buf[0] in the body
	err   error // of the reader, once it has ended

	begun, list, ended bool
}

// next returns the next object, whose bytes are valid until the next call, or nil at the end of the body.
func (s *rowScanner) next() ([]byte, error) {
	c, more := s.blanks()
	switch {
	case s.ended:
	case !s.begun:
		s.begun = true
		switch c {
		case '{':
			s.ended = true
			return s.object()
		case '[':
			s.list = true
			s.pos++
			if c, more = s.blanks(); c == '{' {
				return s.object()
			}
		default:
			return nil, s.fail("expecting an object or an array of objects")
		}
		fallthrough
	case c == ']':
		if c != ']' {
			return nil, s.noObject(c, more)
		}
		s.pos++
		s.ended = true
		_, more = s.blanks()
	case c == ',':
		s.pos++
		if c, more = s.blanks(); c != '{' {
			return nil, s.noObject(c, more)
		}
		return s.object()
	default:
		return nil, s.fail(`expecting "," or "]"`)
	}
	if more {
		return nil, s.fail("expecting the end of the document")
	}
	if !errors.Is(s.err, io.EOF) {
		return nil, s.err
	}
	return nil, nil
}

// noObject refuses an element that begins with c and is no object, or the end of the body in its place.
func (s *rowScanner) noObject(c byte, more bool) error {
	if !more || strings.IndexByte(`"[tfn-0123456789`, c) < 0 {
		return s.fail("expecting a value")
	}
	return fault.Body(messageKeys, "")
}

// object cuts from the next byte, which is a brace, to the brace that closes it.
func (s *rowScanner) object() ([]byte, error) {
	s.start = s.pos
	depth := 0
	quoted, escaped := false, false
	for s.pos < len(s.buf) || s.fill() {
		c := s.buf[s.pos]
		s.pos++
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return s.buf[s.start:s.pos], nil
			}
		}
		if s.pos-s.start > s.limit {
			return nil, fault.Limit(http.StatusRequestEntityTooLarge, "row of a bulk insert", int64(s.limit))
		}
	}
	return nil, s.fail("an object does not end")
}

// blanks skips white space and returns the byte behind it; more is false at the end.
func (s *rowScanner) blanks() (c byte, more bool) {
	for {
		s.start = s.pos
		if s.pos == len(s.buf) && !s.fill() {
			return 0, false
		}
		switch c = s.buf[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c, true
		}
	}
}

// scanSize is how many bytes are read at once.
const scanSize = 64 << 10

// fill reads more behind the object at hand, and tells whether there was more.
func (s *rowScanner) fill() bool {
	if s.start > 0 {
		s.base += int64(s.start)
		s.buf = append(s.buf[:0], s.buf[s.start:]...)
		s.pos -= s.start
		s.start = 0
	}
	if cap(s.buf)-len(s.buf) < scanSize {
		larger := make([]byte, len(s.buf), 2*cap(s.buf)+2*scanSize)
		copy(larger, s.buf)
		s.buf = larger
	}
	for s.err == nil {
		var n int
		n, s.err = s.in.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		if n > 0 {
			return true
		}
	}
	return false
}

// fail makes the error for the place where the scanner stands: that of the reader, if it has one.
func (s *rowScanner) fail(why string) error {
	if s.err != nil && !errors.Is(s.err, io.EOF) {
		return s.err
	}
	d := decoder{base: s.base + int64(s.pos)}
	d.fail(why)
	return d.err
}
