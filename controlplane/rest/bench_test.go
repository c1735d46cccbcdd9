package rest

import (
	"net/http"
	"testing"
)

// BenchmarkPointRead is the hot path without the network: a read by primary key.
func BenchmarkPointRead(b *testing.B) {
	catalog := goldenCatalog(b)
	in := Input{Method: "GET", Name: "tasks", RawQuery: "id=eq.12345", Header: http.Header{"Accept": {"*/*"}}}
	b.ReportAllocs()
	for b.Loop() {
		p, err := plan(catalog, in)
		if err != nil {
			b.Fatal(err)
		}
		if s := p.Statement(); len(s.Args) != 1 {
			b.Fatal(s)
		}
	}
}

// BenchmarkList is a list with a choice of columns, filters, order and limit.
func BenchmarkList(b *testing.B) {
	catalog := goldenCatalog(b)
	in := Input{Method: "GET", Name: "tasks", Header: http.Header{"Accept": {"application/json"}},
		RawQuery: "select=id,name,done,due&project_id=eq.7&done=is.false&or=(name.ilike.*x*,id.in.(1,2,3))&order=due.desc.nullslast,id&limit=100&offset=200"}
	b.ReportAllocs()
	for b.Loop() {
		p, err := plan(catalog, in)
		if err != nil {
			b.Fatal(err)
		}
		p.Statement()
	}
}

// BenchmarkBody decodes and re-encodes 1,000 small rows.
func BenchmarkBody(b *testing.B) {
	body := []byte("[")
	for i := range 1000 {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, `{"name":"some name","done":true,"size":12,"data":{"a":[1,2,3]}}`...)
	}
	body = append(body, ']')
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodePayload(body, 100, nil, false); err != nil {
			b.Fatal(err)
		}
	}
}
