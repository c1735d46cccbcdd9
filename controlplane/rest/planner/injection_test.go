package planner

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/wayli-app/fluxbase/controlplane/rest/resttest"
)

// TestInjection puts hostile strings into every place a client can write into. Either the request is
// refused, or its statement has the text that a harmless string gives.
func TestInjection(t *testing.T) {
	t.Parallel()
	catalog := resttest.Catalog(t)
	known := resttest.CatalogTokens(catalog)
	accepted := 0
	for _, place := range resttest.Places() {
		base, err := plan(catalog, place.In(place.Harmless))
		if err != nil {
			t.Errorf("%s: the harmless request is refused: %v", place.Name, err)
			continue
		}
		want := base.Statement().SQL
		for _, h := range resttest.Hostile {
			p, err := plan(catalog, place.In(h))
			if err != nil {
				continue
			}
			accepted++
			got := p.Statement().SQL
			if bad := resttest.ForeignToken(known, got); bad != "" {
				t.Errorf("%s: %q brings %q into the statement\n%s", place.Name, h, bad, got)
			}
			// Structure may follow structure (a second element, another column of the catalog); a plain value never changes the text.
			if got != want && !resttest.Structural[place.Name] {
				t.Errorf("%s: %q changes the statement\n%s\n%s", place.Name, h, want, got)
			}
		}
	}
	if accepted < 500 {
		t.Errorf("only %d hostile requests were accepted: the test proves little", accepted)
	}
}

// TestForeignToken sees that the watchman of TestInjection and FuzzPlan is awake.
func TestForeignToken(t *testing.T) {
	t.Parallel()
	known := resttest.CatalogTokens(resttest.Catalog(t))
	for _, sql := range []string{
		"select t.id from public.tasks as t; drop", "select pg_sleep", `select "x"`, "select 'x'", "select 1", "select t.id -- x", "select t.absent", "$0", "select E'x'",
	} {
		if resttest.ForeignToken(known, sql) == "" {
			t.Errorf("%q passes", sql)
		}
	}
}

// FuzzPlan builds statements of arbitrary requests: no panic, no token of the client in the text,
// as many arguments as parameters, and the same text for the same request.
func FuzzPlan(f *testing.F) {
	resttest.AddSeeds(f)
	catalog := resttest.Catalog(f)
	known := resttest.CatalogTokens(catalog)
	f.Fuzz(func(t *testing.T, method string, function bool, name, raw, accept, prefer, kind string, body []byte) {
		in := resttest.FuzzInput(method, function, name, raw, accept, prefer, kind, body)
		p, err := plan(catalog, in)
		if err != nil {
			return
		}
		s := p.Statement()
		if bad := resttest.ForeignToken(known, s.SQL); bad != "" {
			t.Errorf("%q in %s", bad, s.SQL)
		}
		if n := len(s.Args); n > 0 && !strings.Contains(s.SQL, fmt.Sprint("$", n)) || strings.Contains(s.SQL, fmt.Sprint("$", n+1)) {
			t.Errorf("%d arguments for %s", n, s.SQL)
		}
		if again := p.Statement(); again.SQL != s.SQL || len(again.Args) != len(s.Args) {
			t.Error("a plan gives two statements")
		}
		for _, arg := range s.Args {
			if strings.IndexByte(string(arg), 0) >= 0 || !utf8.Valid(arg) {
				t.Errorf("%q in an argument of %s", arg, s.SQL)
			}
		}
	})
}
