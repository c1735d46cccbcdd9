package dialect_test

import (
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/resttest"
)

// FuzzParse reads arbitrary requests: no panic, and an error always has a status of 4xx or 3xx and a code.
func FuzzParse(f *testing.F) {
	resttest.AddSeeds(f)
	f.Fuzz(func(t *testing.T, method string, function bool, name, raw, accept, prefer, kind string, body []byte) {
		in := resttest.FuzzInput(method, function, name, raw, accept, prefer, kind, body)
		r, err := dialect.Parse(in, dialect.Limits{Aggregates: true, Explain: true})
		switch {
		case err != nil && (err.Status < 300 || err.Status > 499 || err.Code == "" || err.Message == ""):
			t.Errorf("%+v", err)
		case err == nil && r == nil:
			t.Error("neither a request nor an error")
		}
	})
}
