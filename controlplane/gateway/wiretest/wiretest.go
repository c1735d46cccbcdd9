// Package wiretest counts what a PostgreSQL client does on the wire, so that tests can assert round trips instead of
// assuming them.
package wiretest

import (
	"context"
	"encoding/binary"
	"net"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// Counts are the events on all connections of a Counter since its last Reset.
type Counts struct {
	Writes   int // calls of Write: each is one segment or more on the network
	Reads    int // calls of Read that returned bytes
	Ready    int // ReadyForQuery messages received: ends of a transaction
	Frontend map[byte]int
	Backend  map[byte]int
}

// Counter makes connections that it counts on. It is safe for concurrent use. The types of messages are known only on
// connections without TLS.
type Counter struct {
	mu     sync.Mutex
	counts Counts
}

// New returns a Counter at zero.
func New() *Counter {
	c := new(Counter)
	c.Reset()
	return c
}

// Reset sets everything to zero.
func (c *Counter) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = Counts{Frontend: make(map[byte]int), Backend: make(map[byte]int)}
}

// Counts returns a copy of the counts.
func (c *Counter) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := c.counts
	counts.Frontend, counts.Backend = make(map[byte]int), make(map[byte]int)
	for k, v := range c.counts.Frontend {
		counts.Frontend[k] = v
	}
	for k, v := range c.counts.Backend {
		counts.Backend[k] = v
	}
	return counts
}

// Dial connects with next, or with a plain net.Dialer when next is nil.
func (c *Counter) Dial(next pgconn.DialFunc) pgconn.DialFunc {
	if next == nil {
		next = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		nc, err := next(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &conn{Conn: nc, counter: c, out: stream{startup: true}}, nil
	}
}

// conn counts on one connection. Reads and writes each come from one goroutine at a time.
type conn struct {
	net.Conn
	counter *Counter
	out, in stream
}

// NetConn returns the connection underneath, as tls.Conn does.
func (c *conn) NetConn() net.Conn { return c.Conn }

// Write counts a write and what messages it holds.
func (c *conn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.counter.mu.Lock()
	defer c.counter.mu.Unlock()
	c.counter.counts.Writes++
	c.out.feed(b[:n], c.counter.counts.Frontend)
	if c.out.negotiating { // one byte will come that is no message
		c.out.negotiating, c.in.single = false, true
	}
	return n, err
}

// Read counts what messages have come.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	c.counter.mu.Lock()
	defer c.counter.mu.Unlock()
	c.counter.counts.Reads++
	ready := c.counter.counts.Backend['Z']
	c.in.feed(b[:n], c.counter.counts.Backend)
	c.counter.counts.Ready += c.counter.counts.Backend['Z'] - ready
	if c.in.encrypted {
		c.out.encrypted = true
	}
	return n, err
}

// stream follows the messages of one direction: a type byte, except in front of the startup messages, and a length that
// counts itself.
type stream struct {
	startup     bool   // the next message has no type
	negotiating bool   // SSLRequest or GSSENCRequest was seen
	single      bool   // the next byte is the answer to it
	encrypted   bool   // give up
	head        []byte // incomplete head of a message
	rest        int    // bytes until the next head
}

// Request codes that take the place of a protocol version in a startup message.
const (
	sslRequest    = 80877103
	gssEncRequest = 80877104
	cancelRequest = 80877102
)

func (s *stream) feed(b []byte, types map[byte]int) {
	for len(b) > 0 && !s.encrypted {
		if s.single {
			s.single, s.encrypted = false, b[0] == 'S' || b[0] == 'G'
			b = b[1:]
			continue
		}
		if s.rest > 0 {
			n := min(s.rest, len(b))
			s.rest -= n
			b = b[n:]
			continue
		}
		s.head = append(s.head, b[0])
		b = b[1:]
		switch {
		case s.startup && len(s.head) == 8:
			code := binary.BigEndian.Uint32(s.head[4:])
			s.rest = int(binary.BigEndian.Uint32(s.head)) - 8
			s.negotiating = code == sslRequest || code == gssEncRequest
			s.startup = s.negotiating || code == cancelRequest
			s.head = s.head[:0]
		case !s.startup && len(s.head) == 5:
			types[s.head[0]]++
			s.rest = int(binary.BigEndian.Uint32(s.head[1:])) - 4
			s.head = s.head[:0]
		}
	}
}
