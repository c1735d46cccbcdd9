package planner

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
	"github.com/wayli-app/fluxbase/controlplane/rest/resttest"
)

// TestStatements compares the statement of every request with the golden file.
func TestStatements(t *testing.T) {
	t.Parallel()
	catalog := resttest.Catalog(t)
	lines, inputs := resttest.Requests(t, "statements.requests")
	var out bytes.Buffer
	for i, in := range inputs {
		plan, err := plan(catalog, in)
		if err != nil {
			t.Errorf("%s: %v (%s)", lines[i], err, err.Details)
			continue
		}
		s := plan.Statement()
		fmt.Fprintf(&out, "%s\n%s\n", lines[i], strings.ReplaceAll(s.SQL, "\n", `\n`))
		for n, arg := range s.Args {
			fmt.Fprintf(&out, "$%d %s\n", n+1, arg)
		}
		fmt.Fprintln(&out)
	}
	resttest.Compare(t, "statements.golden", out.Bytes())
}

// TestErrors compares the refusal of every request with the golden file.
func TestErrors(t *testing.T) {
	t.Parallel()
	catalog := resttest.Catalog(t)
	lines, inputs := resttest.Requests(t, "errors.requests")
	var out bytes.Buffer
	for i, in := range inputs {
		_, err := planWith(catalog, in, dialect.Limits{})
		if err == nil {
			t.Errorf("%s was accepted", lines[i])
			continue
		}
		fmt.Fprintf(&out, "%s\n%d %s %s\n", lines[i], err.Status, err.Code, err.Message)
		if err.Reason != "" {
			fmt.Fprintf(&out, "reason: %s\n", err.Reason)
		}
		if err.Details != "" {
			fmt.Fprintf(&out, "details: %s\n", err.Details)
		}
		if err.DetailsJSON != nil {
			fmt.Fprintf(&out, "details: %s\n", err.DetailsJSON)
		}
		if err.Hint != "" {
			fmt.Fprintf(&out, "hint: %s\n", err.Hint)
		}
		fmt.Fprintln(&out)
	}
	resttest.Compare(t, "errors.golden", out.Bytes())
}

// plan runs the first two stages, with all that a setting may allow.
func plan(catalog *catalog.Catalog, in dialect.Input) (*Plan, *fault.Error) {
	return planWith(catalog, in, dialect.Limits{Aggregates: true, Explain: true})
}

func planWith(catalog *catalog.Catalog, in dialect.Input, l dialect.Limits) (*Plan, *fault.Error) {
	r, err := dialect.Parse(in, l)
	if err != nil {
		return nil, err
	}
	return New(catalog, r)
}

// TestEqualShapesHaveEqualText sees that requests that differ in values alone share a statement.
func TestEqualShapesHaveEqualText(t *testing.T) {
	t.Parallel()
	catalog := resttest.Catalog(t)
	for _, group := range [][]string{
		{"GET /tasks?id=eq.1", "GET /tasks?id=eq.2", "GET /tasks?id=eq.", "GET /tasks?&id=eq.%27%3B--"},
		{"GET /tasks?id=in.(1)", "GET /tasks?id=in.(1,2,3)", "GET /tasks?id=in.()"},
		{"GET /tasks?select=a:id", "GET /tasks?select=%22b%5C%22%22:id"},
		{"GET /tasks?limit=1", "GET /tasks?limit=1000"},
		{"GET /tasks?select=a:projects(b:id)&projects.id=eq.1&projects.limit=1", "GET /tasks?projects.limit=2&projects.id=eq.2&select=%22%27;--%22:projects(c:id)"},
		{"GET /tasks?select=x:id.sum(),data->>a&order=data->>a", "GET /tasks?select=%22%27%22:id.sum(),data->>%22%27;--%22&order=data->>%22%27;--%22"},
		{"GET /tasks?data->a->>b=eq.1", "GET /tasks?data->%22%27%22->>c=eq.2"},
		{"GET /tasks?data->1=eq.1", "GET /tasks?data->22=eq.2"},
		{`POST /tasks {"id":1,"name":"a"}`, `POST /tasks [{"name":"b","id":2}]`, `POST /tasks [{"name":"b","id":2},{"id":3,"name":null}]`},
		{`PATCH /tasks?id=eq.1 {"id":1,"name":"a"}`, `PATCH /tasks?id=eq.2 {"name":"b","id":2}`},
		{`POST /rpc/add {"a":1,"b":2}`, `POST /rpc/add {"b":1,"a":2}`},
	} {
		var first string
		for i, line := range group {
			p, err := plan(catalog, resttest.Line(t, line))
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if text := p.Statement().SQL; i == 0 {
				first = text
			} else if text != first {
				t.Errorf("%s\n%s\n%s", line, text, first)
			}
		}
	}
}
