package dialect

import (
	"fmt"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// messageKeys is the refusal of an array that is not made of objects with the same keys, in PostgREST's words.
const messageKeys = "All object keys must match"

// decodePayload reads a JSON document that is an object or an array of objects, and re-encodes it. It is
// stricter than encoding/json, because PostgreSQL is going to read the text a second time and both must
// understand it alike: exactly one document, valid UTF-8, no lone surrogate, no U+0000, no key twice in
// a row. What lies inside a value PostgreSQL alone reads, so there a key may stand twice. Numbers keep
// their text.
//
// Without columns all objects must have the same keys. With columns only those keys count, and an object
// may lack some: with defaults it then goes into a part of its own kind.
func decodePayload(src []byte, nesting int, columns []string, defaults bool) (Payload, *fault.Error) {
	d := decoder{src: src, out: make([]byte, 0, len(src)+2), nesting: nesting}
	parts := partition{columns: columns, defaults: defaults}
	var p Payload
	d.blanks()
	switch d.peek() {
	case '{':
		keys := d.object(1, true)
		parts.add(&d, 0, keys)
	case '[':
		p.List = true
		d.rows(&parts)
	default:
		d.fail("expecting an object or an array of objects")
	}
	if d.err == nil {
		if d.blanks(); d.pos < len(d.src) {
			d.fail("expecting the end of the document")
		}
	}
	if d.err != nil {
		return Payload{}, d.err
	}
	p.Parts, p.Rows = parts.finish(), parts.rows
	return p, nil
}

// decodeDocument reads any JSON document with the same strictness and returns it re-encoded.
func decodeDocument(src []byte, nesting int) ([]byte, *fault.Error) {
	d := decoder{src: src, out: make([]byte, 0, len(src)), nesting: nesting}
	d.blanks()
	d.value(1)
	if d.err == nil {
		if d.blanks(); d.pos < len(d.src) {
			d.fail("expecting the end of the document")
		}
	}
	return d.out, d.err
}

// maxMembers is how many keys one object may have; a table has at most 1,600 columns.
const maxMembers = 10_000

// decoder reads JSON from src and writes it, compact and canonical, to out. The first failure is kept
// in err; afterwards pos stands at the end, so that every loop finishes.
type decoder struct {
	src     []byte
	pos     int
	out     []byte
	nesting int
	base    int64 // where src begins in the body
	err     *fault.Error
}

// rows reads an array of objects.
func (d *decoder) rows(parts *partition) {
	d.put('[')
	d.out = d.out[:0]
	d.blanks()
	if d.peek() == ']' {
		d.pos++
		return
	}
	for d.err == nil {
		d.blanks()
		if d.peek() != '{' {
			if d.value(2); d.err == nil {
				d.err = fault.Body(messageKeys, "")
			}
			return
		}
		start := len(d.out)
		keys := d.object(2, true)
		parts.add(d, start, keys)
		d.blanks()
		switch d.peek() {
		case ',':
			d.pos++
		case ']':
			d.pos++
			return
		default:
			d.fail(`expecting "," or "]"`)
		}
	}
}

// value reads any JSON value at the given depth.
func (d *decoder) value(depth int) {
	switch c := d.peek(); {
	case c == '{':
		d.object(depth, false)
	case c == '[':
		if d.deep(depth) {
			return
		}
		d.array(func() { d.value(depth + 1) })
	case c == '"':
		d.string()
	case c == '-' || c >= '0' && c <= '9':
		d.number()
	case c == 't':
		d.word("true")
	case c == 'f':
		d.word("false")
	case c == 'n':
		d.word("null")
	default:
		d.fail("expecting a value")
	}
}

// deep refuses a value nested deeper than allowed.
func (d *decoder) deep(depth int) bool {
	if depth > d.nesting {
		d.fail(fmt.Sprintf("nested deeper than %d", d.nesting))
		return true
	}
	return false
}

// array reads [element,...]; element is called at the first byte of each.
func (d *decoder) array(element func()) {
	d.put('[')
	d.blanks()
	if d.peek() == ']' {
		d.put(']')
		return
	}
	for d.err == nil {
		d.blanks()
		element()
		d.blanks()
		switch d.peek() {
		case ',':
			d.put(',')
		case ']':
			d.put(']')
			return
		default:
			d.fail(`expecting "," or "]"`)
		}
	}
}

// object reads {"key":value,...}. Of a row it returns the keys, which differ.
func (d *decoder) object(depth int, row bool) (keys []string) {
	if d.deep(depth) {
		return nil
	}
	d.put('{')
	d.blanks()
	if d.peek() == '}' {
		d.put('}')
		return nil
	}
	var seen map[string]bool // used when a linear search would be slow
	for d.err == nil {
		d.blanks()
		if d.peek() != '"' {
			d.fail("expecting a key")
			return nil
		}
		if name := d.string(); row {
			key := string(name)
			if seen[key] || seen == nil && slices.Contains(keys, key) {
				d.fail("a key stands twice in one object")
				return nil
			}
			if keys = append(keys, key); len(keys) > maxMembers {
				d.fail(fmt.Sprintf("more than %d keys in one object", maxMembers))
				return nil
			}
			if seen != nil {
				seen[key] = true
			} else if len(keys) == 16 {
				seen = make(map[string]bool, 64)
				for _, k := range keys {
					seen[k] = true
				}
			}
		}
		d.blanks()
		if d.peek() != ':' {
			d.fail(`expecting ":"`)
			return nil
		}
		d.put(':')
		d.blanks()
		d.value(depth + 1)
		d.blanks()
		switch d.peek() {
		case ',':
			d.put(',')
		case '}':
			d.put('}')
			return keys
		default:
			d.fail(`expecting "," or "}"`)
		}
	}
	return nil
}

// string reads a string and returns what it says; the bytes are valid until the next call.
func (d *decoder) string() []byte {
	d.put('"')
	from := d.pos
	var decoded []byte // once an escape was seen: what the string says so far
	for d.err == nil {
		if d.pos >= len(d.src) {
			d.fail("a string does not end")
			break
		}
		c := d.src[d.pos]
		size := 1
		switch {
		case c == '"':
			if decoded == nil {
				decoded = d.src[from:d.pos]
				d.out = append(d.out, decoded...)
			}
			d.put('"')
			return decoded
		case c == '\\':
			if decoded == nil {
				decoded = append(make([]byte, 0, 2*(d.pos-from)+16), d.src[from:d.pos]...)
				d.out = append(d.out, decoded...)
			}
			r := d.escape()
			decoded = utf8.AppendRune(decoded, r)
			d.out = appendEscaped(d.out, r)
			continue
		case c < 0x20:
			d.fail("a control character in a string")
			continue
		case c >= utf8.RuneSelf:
			var r rune
			if r, size = utf8.DecodeRune(d.src[d.pos:]); r == utf8.RuneError && size == 1 {
				d.fail("invalid UTF-8")
				continue
			}
		}
		if decoded != nil {
			decoded = append(decoded, d.src[d.pos:d.pos+size]...)
			d.out = append(d.out, d.src[d.pos:d.pos+size]...)
		}
		d.pos += size
	}
	return nil
}

// escape reads one backslash sequence, both halves of a surrogate pair included.
func (d *decoder) escape() rune {
	d.pos++
	if d.pos >= len(d.src) {
		d.fail("a string does not end")
		return 0
	}
	c := d.src[d.pos]
	d.pos++
	switch c {
	case '"', '\\', '/':
		return rune(c)
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'u':
	default:
		d.fail("an unknown escape in a string")
		return 0
	}
	r := d.hex4()
	switch {
	case d.err != nil:
	case r == 0:
		d.fail("\\u0000 cannot be stored as text")
	case utf16.IsSurrogate(r):
		if d.pos+1 < len(d.src) && d.src[d.pos] == '\\' && d.src[d.pos+1] == 'u' {
			d.pos += 2
			if r = utf16.DecodeRune(r, d.hex4()); r != utf8.RuneError {
				return r
			}
		}
		d.fail("half of a surrogate pair")
	}
	return r
}

// hex4 reads four hexadecimal digits.
func (d *decoder) hex4() (r rune) {
	if d.pos+4 > len(d.src) {
		d.fail("expecting four hexadecimal digits")
		return 0
	}
	for _, c := range d.src[d.pos : d.pos+4] {
		if !isHex(c) {
			d.fail("expecting four hexadecimal digits")
			return 0
		}
		r = r<<4 | rune(unhex(c))
	}
	d.pos += 4
	return r
}

// appendEscaped writes one character of a string, escaped when JSON requires it.
func appendEscaped(out []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(out, '\\', byte(r))
	case '\n':
		return append(out, '\\', 'n')
	case '\r':
		return append(out, '\\', 'r')
	case '\t':
		return append(out, '\\', 't')
	}
	if r < 0x20 {
		return fmt.Appendf(out, "\\u%04x", r)
	}
	return utf8.AppendRune(out, r)
}

// number copies a number as it is written.
func (d *decoder) number() {
	start := d.pos
	if d.peek() == '-' {
		d.pos++
	}
	if d.peek() == '0' {
		d.pos++
	} else {
		d.digits()
	}
	if d.peek() == '.' {
		d.pos++
		d.digits()
	}
	if c := d.peek(); c == 'e' || c == 'E' {
		d.pos++
		if c = d.peek(); c == '+' || c == '-' {
			d.pos++
		}
		d.digits()
	}
	if d.err == nil {
		d.out = append(d.out, d.src[start:d.pos]...)
	}
}

// digits reads one or more digits.
func (d *decoder) digits() {
	start := d.pos
	for c := d.peek(); c >= '0' && c <= '9'; c = d.peek() {
		d.pos++
	}
	if d.pos == start {
		d.fail("expecting a digit")
	}
}

// word copies true, false or null.
func (d *decoder) word(w string) {
	if len(d.src)-d.pos < len(w) || string(d.src[d.pos:d.pos+len(w)]) != w {
		d.fail("expecting a value")
		return
	}
	d.pos += len(w)
	d.out = append(d.out, w...)
}

// put copies the next byte, which the caller has seen to be c.
func (d *decoder) put(c byte) {
	d.pos++
	d.out = append(d.out, c)
}

// peek returns the next byte, 0 at the end.
func (d *decoder) peek() byte {
	if d.pos < len(d.src) {
		return d.src[d.pos]
	}
	return 0
}

// blanks skips white space.
func (d *decoder) blanks() {
	for d.pos < len(d.src) {
		switch d.src[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

// fail keeps the first failure and ends reading.
func (d *decoder) fail(why string) {
	if d.err == nil {
		d.err = fault.JSON(fmt.Sprintf("%s at byte %d", why, d.base+int64(d.pos)+1))
	}
	d.pos = len(d.src)
}
