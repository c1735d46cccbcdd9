package wiretest

import (
	"context"
	"encoding/binary"
	"net"
	"testing"
)

// message frames a body; a type of 0 is a startup message.
func message(kind byte, body string) []byte {
	var b []byte
	if kind != 0 {
		b = append(b, kind)
	}
	return append(binary.BigEndian.AppendUint32(b, uint32(len(body)+4)), body...)
}

func TestCounterFollowsBothDirections(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	counter := New()
	dial := counter.Dial(func(context.Context, string, string) (net.Conn, error) { return client, nil })
	nc, err := dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	exchange := func(request, answer []byte) {
		t.Helper()
		go func() {
			_, _ = server.Read(make([]byte, 1024))
			for i := range answer { // in the smallest pieces
				_, _ = server.Write(answer[i : i+1])
			}
		}()
		if _, err := nc.Write(request); err != nil {
			t.Fatal(err)
		}
		for range answer {
			if _, err := nc.Read(make([]byte, 16)); err != nil {
				t.Fatal(err)
			}
		}
	}
	exchange(message(0, "\x04\xd2\x16\x2f"), []byte("N")) // SSLRequest, refused
	exchange(message(0, "\x00\x03\x00\x00user\x00u\x00\x00"), append(message('R', "\x00\x00\x00\x00"), message('Z', "I")...))
	counter.Reset()
	exchange(append(message('P', "\x00Z\x00\x00\x00"), message('S', "")...), append(message('D', "ZZZZ"), message('Z', "I")...))
	got := counter.Counts()
	if got.Writes != 1 || got.Ready != 1 || got.Frontend['P'] != 1 || got.Frontend['S'] != 1 || got.Backend['D'] != 1 || len(got.Frontend) != 2 || len(got.Backend) != 2 {
		t.Errorf("%+v", got)
	}
	exchange(message('S', ""), message('Z', "I"))
	if now := counter.Counts(); now.Ready != 2 || got.Frontend['S'] != 1 {
		t.Errorf("%+v, and the copy %+v", now, got)
	}
}
