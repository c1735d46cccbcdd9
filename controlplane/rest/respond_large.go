package rest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/planner"
)

// largeFrom is the size in bytes from which an answer has an entity tag and may be compressed. Below it either costs
// more than it saves.
const largeFrom = 4 << 10

// maxZipped is the size in bytes up to which the buffer of a compressed answer is kept for the next one.
const maxZipped = 256 << 10

// largeAnswer is what a client may save of a large answer.
type largeAnswer struct {
	is    bool     // it is one
	match []string // the fields of If-None-Match
	tag   bool     // the answer has an entity tag
	zip   bool     // the answer is compressed
	vary  bool     // it depends on Accept-Encoding whether it is
}

// large says how a large answer is sent.
//
// An answer is not compressed for a request with a cookie. Its length would tell something about its content to whoever
// can make a browser ask again and again, with guesses in the query and the cookie beside them (BREACH); a bearer token
// is sent by nobody but its owner.
func (h *Handler) large(r *http.Request, p *planner.Plan, a *answer) (l largeAnswer) {
	if len(a.body) < largeFrom {
		return l
	}
	l.is = true
	if h.ETag && r.Method == http.MethodGet && a.status == 0 && !p.Media.Explains() && !namesBefore(a.own, "Etag") {
		l.tag, l.match = true, r.Header["If-None-Match"]
	}
	if h.Compress && len(r.Header["Cookie"]) == 0 && !p.Media.Packed() && !namesBefore(a.own, "Content-Encoding") {
		l.vary, l.zip = true, acceptsGzip(r.Header["Accept-Encoding"])
	}
	return l
}

// send answers with the body, compressed or not, or with nothing but the news that the client has it.
func (l *largeAnswer) send(w http.ResponseWriter, header *fields, status int, body []byte) {
	if l.vary {
		header.Add("Vary", "Accept-Encoding")
	}
	if l.tag && (status == http.StatusOK || status == http.StatusPartialContent) {
		tag := entityTag(header.Header, body)
		header.set("Etag", tag)
		if matches(l.match, tag) {
			header.Del("Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if l.zip {
		z := zippers.Get().(*zipper)
		defer z.free()
		if packed := z.zip(body); len(packed) < len(body) {
			header.set("Content-Encoding", "gzip")
			body = packed
		}
	}
	header.set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client went away: nobody is left to tell
}

// entityTag is a weak entity tag (RFC 9110 section 8.8.3): equal for answers that say the same, compressed or not.
func entityTag(header http.Header, body []byte) string {
	d := digests.Get().(*digest)
	defer digests.Put(d)
	d.hash.Reset()
	d.text = d.text[:0]
	for _, name := range [...]string{"Content-Type", "Content-Range", "Content-Profile"} {
		d.text = append(append(d.text, header.Get(name)...), '\n')
	}
	_, _ = d.hash.Write(d.text) // a hash takes everything
	_, _ = d.hash.Write(body)
	var sum [sha256.Size]byte
	d.text = append(d.text[:0], `W/"`...)
	d.text = base64.RawURLEncoding.AppendEncode(d.text, d.hash.Sum(sum[:0])[:16])
	return string(append(d.text, '"'))
}

// digest makes one entity tag at a time.
type digest struct {
	hash hash.Hash
	text []byte
}

var digests = sync.Pool{New: func() any { return &digest{hash: sha256.New()} }}

// matches tells whether one of the tags in If-None-Match is this one, compared weakly (RFC 9110 section 13.1.2).
func matches(fields []string, tag string) bool {
	opaque := strings.TrimPrefix(tag, "W/")
	for _, field := range fields {
		for field != "" {
			var one string
			one, field, _ = strings.Cut(field, ",") // our tags have no comma
			if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == opaque {
				return true
			}
		}
	}
	return false
}

// acceptsGzip tells whether Accept-Encoding names gzip with a weight other than 0.
func acceptsGzip(fields []string) bool {
	for _, field := range fields {
		for field != "" {
			var one string
			one, field, _ = strings.Cut(field, ",")
			coding, parameters, _ := strings.Cut(one, ";")
			if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				return dialect.Quality(parameters) > 0
			}
		}
	}
	return false
}

// zipper compresses one answer at a time.
type zipper struct {
	out bytes.Buffer
	w   *gzip.Writer
}

var zippers = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // a level that there is
	return &zipper{w: w}
}}

// zip compresses a body; the bytes are valid until free.
func (z *zipper) zip(body []byte) []byte {
	z.out.Reset()
	z.w.Reset(&z.out)
	_, _ = z.w.Write(body) // a buffer takes everything
	_ = z.w.Close()
	return z.out.Bytes()
}

func (z *zipper) free() {
	if z.out.Cap() <= maxZipped {
		zippers.Put(z)
	}
}
