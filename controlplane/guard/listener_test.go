package guard_test

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/guard"
)

func TestConnectionsPerAddress(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int64
	l := guard.Limit(inner, 2, guard.Proxies{}, func() { refused.Add(1) })
	defer l.Close() //nolint:errcheck // only closed
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("!"))
			accepted <- c
		}
	}()
	// dial reports whether the listener talks to it.
	dial := func(from string) bool {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		c, err := d.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err = io.ReadFull(c, make([]byte, 1))
		return err == nil
	}
	for i, want := range []bool{true, true, false} {
		if dial("127.0.0.2") != want {
			t.Errorf("connection %d: the limit of two is not kept", i+1)
		}
	}
	if !dial("127.0.0.3") {
		t.Error("another address is refused")
	}
	first := <-accepted
	_ = first.Close()
	_ = first.Close() // gives one place back, not two
	if !dial("127.0.0.2") || dial("127.0.0.2") {
		t.Error("one place is free again, and no more")
	}
	if n := refused.Load(); n != 2 {
		t.Errorf("%d refusals are counted", n)
	}
	if guard.Limit(inner, 0, guard.Proxies{}, nil) != inner {
		t.Error("0 is a limit")
	}
}

func TestProxiesHaveNoConnectionLimit(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := guard.Limit(inner, 1, proxies(config.ForwardedForHeader, "127.0.0.0/8"), nil)
	defer l.Close() //nolint:errcheck // only closed
	for range 3 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() //nolint:errcheck // only closed
		_ = inner.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := l.Accept(); err != nil {
			t.Fatal(err)
		}
	}
}
