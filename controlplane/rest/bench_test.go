package rest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// still is a gateway that always answers with the same row.
type still struct{ row [][]byte }

func (s still) Query(_ context.Context, _ gateway.Caller, _ gateway.Statement, _ gateway.QueryOptions, fn func([][]byte) error) error {
	return fn(s.row)
}

// nowhere drops what is written.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) WriteHeader(int)             {}
func (n nowhere) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkServeList is all that the handler does for a list of 100 rows, without gateway and network.
func BenchmarkServeList(b *testing.B) {
	body := make([]byte, 9000)
	for i := range body {
		body[i] = `abcdefghij",:{}`[i%15]
	}
	h := fakeHandler(b, nil, func(c *Config) {
		c.Gateway, c.ETag, c.Compress = still{[][]byte{body, []byte("100"), nil, nil}}, true, true
	})
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/tasks?select=id,name,due&order=id&limit=100&id=gte.5", http.NoBody)
	r.Header.Set("Accept", "*/*")
	header := http.Header{}
	b.ReportAllocs()
	for b.Loop() {
		clear(header)
		h.ServeTable(nowhere{header}, r, "tasks")
	}
	if header.Get("Etag") == "" || header.Get("Content-Range") != "0-99/*" {
		b.Fatal(header)
	}
}
