//go:build unix

package gateway

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// alive reports whether an idle connection is still open, without blocking and without consuming anything: the end of
// the stream, and the FATAL error that PostgreSQL sends before it, are waiting in the socket when it is not. It cannot
// see a peer that vanished silently.
func alive(nc net.Conn) bool {
	if wrapped, ok := nc.(interface{ NetConn() net.Conn }); ok { // *tls.Conn, and wrappers of the same form
		nc = wrapped.NetConn()
	}
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	open := false
	// Control, not Read: pgconn's background reader may still hold the read side of an idle connection.
	err = raw.Control(func(fd uintptr) {
		var first [1]byte
		n, _, err := unix.Recvfrom(int(fd), first[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			open = true
		case err != nil || n == 0:
			// closed
		default:
			// Parameter changes, notices and notifications may arrive at any time; an error only when the session ends. Behind
			// TLS the types are not visible, and an idle connection with data is replaced.
			open = first[0] == 'S' || first[0] == 'N' || first[0] == 'A'
		}
	})
	return err == nil && open
}
