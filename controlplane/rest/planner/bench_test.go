package planner

import (
	"net/http"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/resttest"
)

// BenchmarkPointRead is the hot path without the network: a read by primary key.
func BenchmarkPointRead(b *testing.B) {
	catalog := resttest.Catalog(b)
	in := dialect.Input{Method: "GET", Name: "tasks", RawQuery: "id=eq.12345", Header: http.Header{"Accept": {"*/*"}}}
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
	catalog := resttest.Catalog(b)
	in := dialect.Input{Method: "GET", Name: "tasks", Header: http.Header{"Accept": {"application/json"}},
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
