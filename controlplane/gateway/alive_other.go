//go:build !unix

package gateway

import "net"

// alive cannot look into the socket on this system.
func alive(net.Conn) bool { return true }
