package gateway

import "strconv"

// statementKey identifies a prepared statement of a connection. The role is part of it: plans under row level security
// belong to a role, and a statement shared by two roles would be planned again at every change between them.
type statementKey struct {
	role string
	sql  string
}

// prepared is one statement that the server side of a connection knows by name.
type prepared struct {
	key        statementKey
	name       string
	stale      bool // to be closed and prepared anew
	prev, next *prepared
}

// statements is the bounded cache of one connection's prepared statements, least recently used last. Not safe for
// concurrent use.
type statements struct {
	byKey map[statementKey]*prepared
	ring  prepared // sentinel: ring.next is the most, ring.prev the least recently used
	limit int
	named uint64 // statements named so far; names are never reused
}

func newStatements(limit int) *statements {
	s := &statements{byKey: make(map[statementKey]*prepared), limit: limit}
	s.ring.prev, s.ring.next = &s.ring, &s.ring
	return s
}

// get returns the statement and marks it as used, or returns nil.
func (s *statements) get(key statementKey) *prepared {
	p := s.byKey[key]
	if p != nil && s.ring.next != p {
		s.unlink(p)
		s.link(p)
	}
	return p
}

// ready reports whether the connection can run the statement without preparing it.
func (s *statements) ready(key statementKey) bool {
	p := s.get(key)
	return p != nil && !p.stale
}

// next names a statement that is about to be prepared. It is not in the cache before add.
func (s *statements) next(key statementKey) *prepared {
	s.named++
	return &prepared{key: key, name: "fluxbase_" + strconv.FormatUint(s.named, 10)}
}

// add enters a statement that the server has prepared.
func (s *statements) add(p *prepared) {
	s.byKey[p.key] = p
	s.link(p)
}

// evict removes and returns the least recently used statement when there is no room for another one, else nil.
func (s *statements) evict() *prepared {
	if len(s.byKey) < s.limit || len(s.byKey) == 0 {
		return nil
	}
	p := s.ring.prev
	s.remove(p)
	return p
}

func (s *statements) remove(p *prepared) {
	delete(s.byKey, p.key)
	s.unlink(p)
}

// clear forgets all statements; names go on counting.
func (s *statements) clear() {
	clear(s.byKey)
	s.ring.prev, s.ring.next = &s.ring, &s.ring
}

func (s *statements) link(p *prepared) {
	p.prev, p.next = &s.ring, s.ring.next
	p.prev.next, p.next.prev = p, p
}

func (s *statements) unlink(p *prepared) {
	p.prev.next, p.next.prev = p.next, p.prev
	p.prev, p.next = nil, nil
}
