package gateway

import (
	"context"
	"net"
	"time"
)

// userTimeout is how long sent data may stay unacknowledged before TCP gives the connection up.
const userTimeout = 30 * time.Second

// dial connects so that a dead peer is noticed within a minute, idle or not.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control:         setUserTimeout,
	}
	return d.DialContext(ctx, network, address)
}
