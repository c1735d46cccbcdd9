package rest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/rest/resttest"
)

// TestStatementsPrepare lets PostgreSQL parse every golden statement.
func TestStatementsPrepare(t *testing.T) {
	t.Parallel()
	f := setup(t)
	current := f.Cache.Current()
	lines, inputs := resttest.Requests(t, "statements.requests")
	for i, in := range inputs {
		p, refusal := planOf(current, in)
		if refusal != nil {
			t.Fatalf("%s: %v", lines[i], refusal)
		}
		s := p.Statement()
		d, err := f.super.Prepare(t.Context(), fmt.Sprint("s", i), s.SQL)
		switch {
		case err != nil:
			t.Errorf("%s\n%s\n%v", lines[i], s.SQL, err)
		case len(d.Fields) == 1 && strings.HasPrefix(s.SQL, "explain ") && len(d.ParamOIDs) == len(s.Args):
		case len(d.Fields) != 4 && !(len(d.Fields) == 5 && strings.Contains(s.SQL, ", (select pg_catalog.count(*)::pg_catalog.text from ")) || len(d.ParamOIDs) != len(s.Args):
			t.Errorf("%s\n%s\n%d columns, %d parameters", lines[i], s.SQL, len(d.Fields), len(d.ParamOIDs))
		}
	}
}
