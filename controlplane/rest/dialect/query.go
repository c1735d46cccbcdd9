package dialect

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// queryParser reads the query string into a request. Parameters of embeds are kept until all of select=
// is known.
type queryParser struct {
	r       *Request
	filters filterParser
	seen    parameters
	nested  []nestedParameter
}

// nestedParameter is embed.parameter=value.
type nestedParameter struct {
	path       []string // the embed, from outside to inside
	key, value string
}

// parseQuery reads the raw query string into r. For a function that is called by GET, parameters
// that are no filters are its arguments.
func (r *Request) parseQuery(raw string, l *Limits) *fault.Error {
	if len(raw) > l.URL {
		return fault.Limit(414, "query string", int64(l.URL))
	}
	p := queryParser{r: r, filters: filterParser{limits: l}}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		rawKey, rawValue, hasValue := strings.Cut(pair, "=")
		key, err := Unescape(rawKey)
		if err != nil {
			return err
		}
		value, err := Unescape(rawValue)
		if err != nil {
			return err
		}
		if !hasValue {
			return fault.Syntax("query", key, len(key)+1, `unexpected end of input expecting "="`)
		}
		if err := p.parameter(key, value); err != nil {
			return err
		}
	}
	return p.descend()
}

// parameters remembers which of the parameters that may be given once were given.
type parameters uint8

const (
	seenSelect parameters = 1 << iota
	seenOrder
	seenLimit
	seenOffset
	seenColumns
	seenConflict
)

// once notes a parameter and refuses its second appearance: of two, one would be silently ignored.
func (s *parameters) once(bit parameters, key, value string) *fault.Error {
	if *s&bit != 0 {
		return fault.Syntax("query", value, 1, key+" may be given once")
	}
	*s |= bit
	return nil
}

// parameter reads one decoded key=value pair.
func (p *queryParser) parameter(key, value string) (err *fault.Error) {
	r := p.r
	switch key {
	case "select":
		if err := p.seen.once(seenSelect, key, value); err != nil {
			return err
		}
		r.Select, err = parseSelect(value, p.filters.limits)
		return err
	case "columns":
		if err := p.seen.once(seenColumns, key, value); err != nil {
			return err
		}
		r.Columns, err = parseNames(key, value)
		return err
	case "on_conflict":
		if err := p.seen.once(seenConflict, key, value); err != nil {
			return err
		}
		r.Conflict, err = parseNames(key, value)
		return err
	}
	if ok, err := p.common(&r.Query, &p.seen, key, value); ok {
		return err
	}
	if r.Action == Call && r.Get && !strings.Contains(key, ".") && !looksLikeFilter(value) {
		r.Arguments = append(r.Arguments, NamedValue{Name: key, Value: value})
		return nil
	}
	path, name, err := splitKey(key)
	if err != nil {
		return err
	}
	if path != nil {
		p.nested = append(p.nested, nestedParameter{path, name, value})
		return nil
	}
	return p.filter(&r.Query, name, value)
}

// common reads a parameter that the request and its embeds have alike; ok is false when it is none.
func (p *queryParser) common(q *Query, seen *parameters, key, value string) (ok bool, err *fault.Error) {
	switch key {
	case "order":
		if err := seen.once(seenOrder, key, value); err != nil {
			return true, err
		}
		q.Order, err = parseOrder(value)
		return true, err
	case "limit":
		if err := seen.once(seenLimit, key, value); err != nil {
			return true, err
		}
		n, err := parseCount(key, value)
		q.Limit = &n
		return true, err
	case "offset":
		if err := seen.once(seenOffset, key, value); err != nil {
			return true, err
		}
		q.Offset, err = parseCount(key, value)
		return true, err
	case "and", "or", "not.and", "not.or":
		c, err := p.filters.tree(key, value)
		q.Where = append(q.Where, c)
		return true, err
	}
	return false, nil
}

// filter reads column=operation.
func (p *queryParser) filter(q *Query, key, value string) *fault.Error {
	c, err := p.filters.filter(key, value)
	if err != nil {
		return err
	}
	q.Where = append(q.Where, c)
	return nil
}

// splitKey splits a.b.column into the path a, b and the rest. The words and, or, order, limit and offset
// end a path, and so do not.and and not.or.
func splitKey(key string) (path []string, rest string, err *fault.Error) {
	s := scanner{text: key}
	for {
		start := s.pos
		switch key[start:] {
		case "and", "or", "not.and", "not.or", "order", "limit", "offset":
			return path, key[start:], nil
		}
		name, ok := s.name()
		if !ok {
			return nil, "", s.fail("filter", "field name (* or [a..z0..9_$])")
		}
		if s.peek() != '.' {
			return path, key[start:], nil
		}
		s.pos++
		path = append(path, name)
	}
}

// descend gives the parameters of embeds to those whom they concern.
func (p *queryParser) descend() *fault.Error {
	if p.nested == nil {
		return nil
	}
	seen := map[*Embed]*parameters{}
	for _, n := range p.nested {
		q := &p.r.Query
		var embed *Embed
		for _, name := range n.path {
			if embed = q.embed(name); embed == nil {
				return fault.NotEmbedded(name)
			}
			q = &embed.Query
		}
		if seen[embed] == nil {
			seen[embed] = new(parameters)
		}
		ok, err := p.common(q, seen[embed], n.key, n.value)
		if !ok {
			err = p.filter(q, n.key, n.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// embed returns the embed that a name means: one that is called so in the answer, or one of that table.
func (q *Query) embed(name string) *Embed {
	for i := range q.Select {
		if e := q.Select[i].Embed; e != nil && e.Key() == name {
			return e
		}
	}
	for i := range q.Select {
		if e := q.Select[i].Embed; e != nil && e.Name == name {
			return e
		}
	}
	return nil
}

// parseCount reads limit and offset: digits that fit a bigint.
func parseCount(key, value string) (int64, *fault.Error) {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil || value[0] == '+':
		return 0, fault.Syntax(key, value, 1, "expecting a whole number")
	case n < 0 && key == "limit":
		return 0, fault.Range("Limit should be greater than or equal to zero.")
	case n < 0:
		return 0, nil // as in PostgREST
	}
	return n, nil
}

// parseNames reads name,name,...: column names, quoted where they need it. A name that stands twice counts once.
func parseNames(key, value string) (names []string, err *fault.Error) {
	what := key + " parameter"
	s := scanner{text: value}
	for {
		name, ok := s.name()
		if !ok {
			return nil, s.fail(what, "field name (* or [a..z0..9_$])")
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		if s.blanks(); s.end() {
			return names, nil
		}
		if !s.take(',') {
			return nil, s.fail(what, `"," or end of input`)
		}
	}
}

// Unescape decodes a key or value of a query: + is a blank, %XX a byte, and a % that no two hexadecimal
// digits follow is itself (as PostgREST reads it). PostgreSQL's text holds valid UTF-8 without NUL,
// so anything else is refused here.
func Unescape(s string) (string, *fault.Error) {
	i := strings.IndexAny(s, "%+")
	if i >= 0 {
		b := make([]byte, 0, len(s))
		for i := 0; i < len(s); i++ {
			c := s[i]
			switch {
			case c == '+':
				c = ' '
			case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
				c = unhex(s[i+1])<<4 | unhex(s[i+2])
				i += 2
			}
			b = append(b, c)
		}
		s = string(b)
	}
	if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		return "", &fault.Error{Status: 400, Code: "PGRST100", Message: "Query parameters must be UTF-8 without NUL"}
	}
	return s, nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}
