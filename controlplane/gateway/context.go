package gateway

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// contextVersion is the first element of the context array.
const contextVersion = '1'

// contextKey is the secret that the database generated at installation and that the policy helpers check the context
// with. It is immutable; a new key is a new value.
type contextKey struct {
	secret []byte
}

// envelope holds what the gate is told about one request: the parameters and the memory behind them. It is reused.
type envelope struct {
	key    *contextKey
	mac    hash.Hash // keyed by key
	buf    []byte    // context text, MAC and scalar parameters
	sum    [sha256.Size]byte
	params [9][]byte
}

// Parameter formats of the gates: 0 text, 1 binary.
var (
	requestFormats = []int16{0, 1, 1, 1, 0, 0, 0, 1, 1}
	issuerFormats  = []int16{0, 1, 0, 0, 0, 1, 1}
	entryFormats   = []int16{1, 1, 1, 0, 0, 0}
)

// request returns the parameters of fluxbase.begin_request. They are valid until the envelope's next use.
func (e *envelope) request(key *contextKey, c *Caller, now time.Time, readOnly bool, timeout time.Duration) [][]byte {
	text, mac := e.seal(key, c, now)
	p := e.params[:9]
	p[0] = e.bytes(c.Role)
	p[1], p[2], p[3] = e.id(c.SessionID), e.id(c.JTI), e.id(c.APIKeyID)
	p[4], p[5], p[6] = text, mac, claims(c)
	p[7] = e.flag(readOnly)
	p[8] = e.milliseconds(timeout)
	return p
}

// issuer returns the parameters of fluxbase.begin_issuer_request. They are valid until the envelope's next use.
func (e *envelope) issuer(key *contextKey, c *Caller, now time.Time, readOnly bool, timeout time.Duration) [][]byte {
	text, mac := e.seal(key, c, now)
	p := e.params[:7]
	p[0], p[1] = e.bytes(c.Role), e.id(c.IssuerID)
	p[2], p[3], p[4] = text, mac, claims(c)
	p[5], p[6] = e.flag(readOnly), e.milliseconds(timeout)
	return p
}

// entry returns the parameters of fluxbase.begin_entry. They are valid until the envelope's next use.
func (e *envelope) entry(key *contextKey, c *Caller, now time.Time) [][]byte {
	text, mac := e.seal(key, c, now)
	p := e.params[:6]
	p[0], p[1], p[2] = e.id(c.SessionID), e.id(c.JTI), e.id(c.APIKeyID)
	p[3], p[4], p[5] = text, mac, claims(c)
	return p
}

// forget drops what refers to the caller's memory.
func (e *envelope) forget() {
	clear(e.params[:])
}

// seal writes the context array and its MAC to the start of the buffer and returns both as text.
func (e *envelope) seal(key *contextKey, c *Caller, now time.Time) (text, mac []byte) {
	if e.key != key {
		e.key, e.mac = key, hmac.New(sha256.New, key.secret)
	}
	e.buf = e.appendContext(e.buf[:0], c, now)
	n := len(e.buf)
	e.mac.Reset()
	e.mac.Write(e.buf)
	e.buf = hex.AppendEncode(e.buf, e.mac.Sum(e.sum[:0]))
	return e.buf[:n:n], e.buf[n:len(e.buf):len(e.buf)]
}

// appendContext appends the JSON array that identifies the request, in the fixed order that PostgreSQL reads.
func (e *envelope) appendContext(b []byte, c *Caller, now time.Time) []byte {
	b = append(b, '[', contextVersion)
	b = appendID(b, c.UserID)
	b = appendID(b, c.SessionID)
	b = appendID(b, c.OrgID)
	b = appendText(b, c.AAL)
	b = appendText(b, c.Role)
	b = appendID(b, c.APIKeyID)
	if c.IP.IsValid() {
		b = append(b, ',', '"')
		b = c.IP.Unmap().WithZone("").AppendTo(b)
		b = append(b, '"')
	} else {
		b = append(b, ",null"...)
	}
	b = appendText(b, c.RequestID)
	b = appendID(b, c.ActorID)
	b = append(b, ',')
	b = strconv.AppendInt(b, now.Unix(), 10)
	switch {
	case len(c.Claims) == 0:
		b = append(b, ",null"...)
	case c.ClaimsHash != "":
		b = appendText(b, c.ClaimsHash)
	default:
		e.sum = sha256.Sum256(c.Claims)
		b = append(b, ',', '"')
		b = hex.AppendEncode(b, e.sum[:])
		b = append(b, '"')
	}
	return append(b, ']')
}

// bytes copies s into the buffer.
func (e *envelope) bytes(s string) []byte {
	n := len(e.buf)
	e.buf = append(e.buf, s...)
	return e.buf[n:len(e.buf):len(e.buf)]
}

// id copies an id into the buffer in binary form; none is NULL.
func (e *envelope) id(id uuid.UUID) []byte {
	if id == uuid.Nil {
		return nil
	}
	n := len(e.buf)
	e.buf = append(e.buf, id[:]...)
	return e.buf[n:len(e.buf):len(e.buf)]
}

func (e *envelope) flag(v bool) []byte {
	n := len(e.buf)
	if v {
		e.buf = append(e.buf, 1)
	} else {
		e.buf = append(e.buf, 0)
	}
	return e.buf[n:len(e.buf):len(e.buf)]
}

// milliseconds rounds up, so that a positive timeout never becomes 0, which would mean "none" to PostgreSQL.
func (e *envelope) milliseconds(d time.Duration) []byte {
	if d <= 0 {
		return nil
	}
	ms := min(int64((d+time.Millisecond-1)/time.Millisecond), math.MaxInt32)
	n := len(e.buf)
	e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(ms))
	return e.buf[n:len(e.buf):len(e.buf)]
}

func claims(c *Caller) []byte {
	if len(c.Claims) == 0 {
		return nil
	}
	return c.Claims
}

// appendID appends an array element: the id as lower-case text, or null.
func appendID(b []byte, id uuid.UUID) []byte {
	if id == uuid.Nil {
		return append(b, ",null"...)
	}
	b = append(b, ',', '"')
	b = hex.AppendEncode(b, id[0:4])
	b = append(b, '-')
	b = hex.AppendEncode(b, id[4:6])
	b = append(b, '-')
	b = hex.AppendEncode(b, id[6:8])
	b = append(b, '-')
	b = hex.AppendEncode(b, id[8:10])
	b = append(b, '-')
	b = hex.AppendEncode(b, id[10:16])
	return append(b, '"')
}

// appendText appends an array element: a JSON string (RFC 8259, section 7), or null for the empty string. Invalid UTF-8
// and NUL, which a PostgreSQL text cannot hold, become U+FFFD.
func appendText(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	if s == "" {
		return append(b, ",null"...)
	}
	b = append(b, ',', '"')
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
			i++
		case c == 0:
			b = utf8.AppendRune(b, utf8.RuneError)
			i++
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
			i++
		case c < utf8.RuneSelf:
			b = append(b, c)
			i++
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += size
		}
	}
	return append(b, '"')
}
