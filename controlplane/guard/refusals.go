package guard

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Refusals remember which requests a limit has refused, so that whoever sends the same again is answered before anything of it
// is looked at: not its route, not its token. They are safe for concurrent use.
//
// A request is the same when it has the same address, method, path and credentials: these decide under which rules it is
// counted, and for whom. What was found out about it, that a token is still good for example, is found out anew after a few
// seconds.
type Refusals struct {
	clock func() time.Time
	some  atomic.Bool // there are any

	mu    sync.RWMutex
	known map[netip.Addr]map[sameRequest]refused
	count int
	bytes int // of the texts in known
}

// sameRequest is what decides how a request from an address is counted.
type sameRequest struct {
	method, path, rawPath, query string
	authorization, apikey, key   string
}

type refused struct {
	Decision
	until, recheck time.Time
}

const (
	recheckRefusal = 5 * time.Second
	maxRefusals    = 4096
	maxTexts       = 4 << 20 // bytes of all that is kept: whoever is refused chooses how long it is
	maxCredential  = 4 << 10 // bytes of a credential that is kept
)

// NewRefusals makes an empty memory.
func NewRefusals(clock func() time.Time) *Refusals {
	return &Refusals{clock: clock, known: map[netip.Addr]map[sameRequest]refused{}}
}

// Recall returns the refusal of an earlier request like this one, with the time that is left of it.
func (m *Refusals) Recall(r *http.Request, client netip.Addr) (d Decision, ok bool) {
	if !m.some.Load() {
		return Decision{}, false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := m.known[client]
	if list == nil {
		return Decision{}, false
	}
	same, ok := likeThis(r)
	if !ok {
		return Decision{}, false
	}
	found, ok := list[same]
	if now := m.clock(); ok && now.Before(found.recheck) {
		found.Reset = found.until.Sub(now)
		return found.Decision, true
	}
	return Decision{}, false
}

// Remember keeps a refusal.
func (m *Refusals) Remember(r *http.Request, client netip.Addr, d Decision) {
	same, ok := likeThis(r)
	if !ok {
		return
	}
	same = sameRequest{strings.Clone(same.method), strings.Clone(same.path), strings.Clone(same.rawPath), strings.Clone(same.query),
		strings.Clone(same.authorization), strings.Clone(same.apikey), strings.Clone(same.key)}
	now := m.clock()
	m.mu.Lock()
	defer m.mu.Unlock()
	size := same.bytes()
	if m.count >= maxRefusals || m.bytes+size > maxTexts { // all are found out again
		m.clear()
	}
	list := m.known[client]
	if list == nil {
		list = map[sameRequest]refused{}
		m.known[client] = list
	}
	if _, again := list[same]; !again {
		m.count++
		m.bytes += size
	}
	list[same] = refused{d, now.Add(d.Reset), now.Add(min(d.Reset, recheckRefusal))}
	m.some.Store(true)
}

// Forget forgets all: counters or rules have changed.
func (m *Refusals) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
	m.some.Store(false)
}

func (m *Refusals) clear() {
	clear(m.known)
	m.count, m.bytes = 0, 0
}

func (s *sameRequest) bytes() int {
	return len(s.method) + len(s.path) + len(s.rawPath) + len(s.query) + len(s.authorization) + len(s.apikey) + len(s.key)
}

// likeThis is not ok of a request that needs a closer look: one with cookies, or a credential twice, empty or very long.
func likeThis(r *http.Request) (same sameRequest, ok bool) {
	h := r.Header
	if h["Cookie"] != nil {
		return sameRequest{}, false
	}
	same = sameRequest{method: r.Method, path: r.URL.Path, rawPath: r.URL.RawPath}
	if strings.HasSuffix(same.path, "/token") { // the one route that is several, by its query
		same.query = r.URL.RawQuery
	}
	for _, credential := range [...]struct {
		values []string
		into   *string
	}{{h["Authorization"], &same.authorization}, {h["Apikey"], &same.apikey}, {h["X-Api-Key"], &same.key}} {
		switch {
		case len(credential.values) == 0:
		case len(credential.values) > 1, credential.values[0] == "", len(credential.values[0]) > maxCredential:
			return sameRequest{}, false
		default:
			*credential.into = credential.values[0]
		}
	}
	return same, len(same.path)+len(same.rawPath)+len(same.query) <= maxCredential
}
