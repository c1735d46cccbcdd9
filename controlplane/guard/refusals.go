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
	known map[target]map[credentials]refused
	count int
	bytes int // of the texts in known
}

// A target and credentials decide how a request is counted. The target is shorter and is looked for first.
type (
	target struct {
		client                       netip.Addr
		method, path, rawPath, query string
	}
	credentials struct{ authorization, apikey, key string }
)

type refused struct {
	Decision
	until, recheck time.Time
}

const (
	recheckRefusal = 5 * time.Second
	maxRefusals    = 4096
	maxTexts       = 4 << 20 // bytes of all that is kept: whoever is refused chooses how long it is
	maxCredential  = 4 << 10 // bytes of a credential that is kept
	maxTarget      = 4 << 10 // bytes of method, path and query that are kept
)

// NewRefusals makes an empty memory.
func NewRefusals(clock func() time.Time) *Refusals {
	return &Refusals{clock: clock, known: map[target]map[credentials]refused{}}
}

// Recall returns the refusal of an earlier request like this one, with the time that is left of it.
func (m *Refusals) Recall(r *http.Request, client netip.Addr) (d Decision, ok bool) {
	if !m.some.Load() {
		return Decision{}, false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := m.known[targetOf(r, client)]
	if list == nil {
		return Decision{}, false
	}
	same, ok := credentialsOf(r)
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
	to := targetOf(r, client)
	same, ok := credentialsOf(r)
	if !ok || to.bytes() > maxTarget {
		return
	}
	to.clone()
	same.clone()
	now := m.clock()
	m.mu.Lock()
	defer m.mu.Unlock()
	size := to.bytes() + same.bytes()
	if m.count >= maxRefusals || m.bytes+size > maxTexts { // all are found out again
		m.clear()
	}
	list := m.known[to]
	if list == nil {
		list = map[credentials]refused{}
		m.known[to] = list
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

func targetOf(r *http.Request, client netip.Addr) target {
	t := target{client: client, method: r.Method, path: r.URL.Path, rawPath: r.URL.RawPath}
	if strings.HasSuffix(t.path, "/token") { // the one route that is several, by its query
		t.query = r.URL.RawQuery
	}
	return t
}

// credentialsOf is not ok of a request that needs a closer look: one with cookies, or a credential twice, empty or very long.
func credentialsOf(r *http.Request) (c credentials, ok bool) {
	h := r.Header
	if h["Cookie"] != nil {
		return credentials{}, false
	}
	for _, credential := range [...]struct {
		values []string
		into   *string
	}{{h["Authorization"], &c.authorization}, {h["Apikey"], &c.apikey}, {h["X-Api-Key"], &c.key}} {
		switch {
		case len(credential.values) == 0:
		case len(credential.values) > 1, credential.values[0] == "", len(credential.values[0]) > maxCredential:
			return credentials{}, false
		default:
			*credential.into = credential.values[0]
		}
	}
	return c, true
}

func (t *target) bytes() int { return len(t.method) + len(t.path) + len(t.rawPath) + len(t.query) }

func (c *credentials) bytes() int { return len(c.authorization) + len(c.apikey) + len(c.key) }

// clone takes the texts out of the buffers of the request.
func (t *target) clone() {
	for _, text := range []*string{&t.method, &t.path, &t.rawPath, &t.query} {
		*text = strings.Clone(*text)
	}
}

func (c *credentials) clone() {
	for _, text := range []*string{&c.authorization, &c.apikey, &c.key} {
		*text = strings.Clone(*text)
	}
}
