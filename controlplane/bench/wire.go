package main

import (
	"io"
	"net"
	"sync/atomic"
)

// wire is a proxy in front of PostgreSQL that counts round trips: each time the client writes after the server has
// answered, a new one begins.
type wire struct {
	listener net.Listener
	target   string
	trips    atomic.Int64
}

func newWire(target string) (*wire, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{listener: listener, target: target}
	go w.accept()
	return w, nil
}

func (w *wire) address() string { return w.listener.Addr().String() }

func (w *wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		go w.relay(client)
	}
}

func (w *wire) relay(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", w.target)
	if err != nil {
		return
	}
	defer server.Close()
	var answered atomic.Bool
	answered.Store(true)
	go func() {
		defer client.Close()
		_, _ = io.Copy(writerFunc(func(p []byte) (int, error) {
			answered.Store(true)
			return client.Write(p)
		}), server)
	}()
	_, _ = io.Copy(writerFunc(func(p []byte) (int, error) {
		if answered.Swap(false) {
			w.trips.Add(1)
		}
		return server.Write(p)
	}), client)
}

type writerFunc func(p []byte) (int, error)

// Write calls f.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
