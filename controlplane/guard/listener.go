package guard

import (
	"net"
	"net/netip"
	"sync"
)

// limitedListener accepts connections, and of one address no more at a time than a limit: one more is closed at once.
type limitedListener struct {
	net.Listener
	most    int
	proxies Proxies
	refused func()
	mu      sync.Mutex
	open    map[netip.Addr]int
}

// Limit puts a limit on the connections of one address, counted as [Group] does; trusted proxies have none. 0 is no
// limit at all. refused is called for each connection beyond it.
func Limit(l net.Listener, most int, proxies Proxies, refused func()) net.Listener {
	if most <= 0 {
		return l
	}
	return &limitedListener{Listener: l, most: most, proxies: proxies, refused: refused, open: map[netip.Addr]int{}}
}

// Accept waits for a connection that is within the limit.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := Peer(conn.RemoteAddr().String())
		if !peer.IsValid() || l.proxies.Contains(peer) {
			return conn, nil
		}
		if peer = Group(peer); l.enter(peer) {
			return &limitedConn{Conn: conn, leave: sync.OnceFunc(func() { l.leave(peer) })}, nil
		}
		l.refused()
		_ = conn.Close()
	}
}

func (l *limitedListener) enter(peer netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[peer] >= l.most {
		return false
	}
	l.open[peer]++
	return true
}

func (l *limitedListener) leave(peer netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[peer]--; l.open[peer] == 0 {
		delete(l.open, peer)
	}
}

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (c *limitedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
