package rest

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// goldenRequests reads a file of requests.
func goldenRequests(t testing.TB, name string) (lines []string, inputs []Input) {
	t.Helper()
	for line := range strings.Lines(string(readGolden(t, name))) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		lines = append(lines, line)
		inputs = append(inputs, parseLine(t, line))
	}
	return lines, inputs
}

// parseLine reads "[+][{Name: value|Name: value} ]METHOD path [body]".
func parseLine(t testing.TB, line string) Input {
	t.Helper()
	in := Input{Header: http.Header{}}
	if rest, ok := strings.CutPrefix(line, "+"); ok {
		line = rest
		in.Header.Set("Prefer", "return=representation")
	}
	if rest, ok := strings.CutPrefix(line, "{"); ok {
		var headers string
		headers, line, _ = strings.Cut(rest, "} ")
		for _, header := range strings.Split(headers, "|") {
			name, value, _ := strings.Cut(header, ": ")
			in.Header.Add(name, value)
		}
	}
	method, line, _ := strings.Cut(line, " ")
	path, body, _ := strings.Cut(line, " ")
	path, in.RawQuery, _ = strings.Cut(path, "?")
	name, err := url.PathUnescape(path)
	if err != nil {
		t.Fatal(err)
	}
	in.Method, in.Body = method, []byte(body)
	if rpc, ok := strings.CutPrefix(name, "/rpc/"); ok {
		in.Target, in.Name = Function, rpc
	} else {
		in.Name = strings.TrimPrefix(name, "/")
	}
	return in
}

// TestStatements compares the statement of every request with the golden file.
func TestStatements(t *testing.T) {
	t.Parallel()
	catalog := goldenCatalog(t)
	lines, inputs := goldenRequests(t, "statements.requests")
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
	compareGolden(t, "statements.golden", out.Bytes())
}

// TestErrors compares the refusal of every request with the golden file.
func TestErrors(t *testing.T) {
	t.Parallel()
	catalog := goldenCatalog(t)
	lines, inputs := goldenRequests(t, "errors.requests")
	var out bytes.Buffer
	for i, in := range inputs {
		_, err := planWith(catalog, in, Limits{})
		if err == nil {
			t.Errorf("%s was accepted", lines[i])
			continue
		}
		fmt.Fprintf(&out, "%s\n%d %s %s\n", lines[i], err.Status, err.Code, err.Message)
		if err.reason != "" {
			fmt.Fprintf(&out, "reason: %s\n", err.reason)
		}
		if err.Details != "" {
			fmt.Fprintf(&out, "details: %s\n", err.Details)
		}
		if err.details != nil {
			fmt.Fprintf(&out, "details: %s\n", err.details)
		}
		if err.Hint != "" {
			fmt.Fprintf(&out, "hint: %s\n", err.Hint)
		}
		fmt.Fprintln(&out)
	}
	compareGolden(t, "errors.golden", out.Bytes())
}

// plan runs the first two stages, with all that a setting may allow.
func plan(catalog *Catalog, in Input) (*Plan, *Error) {
	return planWith(catalog, in, Limits{Aggregates: true, Explain: true})
}

func planWith(catalog *Catalog, in Input, l Limits) (*Plan, *Error) {
	r, err := Parse(in, l)
	if err != nil {
		return nil, err
	}
	return catalog.Plan(r)
}

// TestEqualShapesHaveEqualText sees that requests that differ in values alone share a statement.
func TestEqualShapesHaveEqualText(t *testing.T) {
	t.Parallel()
	catalog := goldenCatalog(t)
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
			p, err := plan(catalog, parseLine(t, line))
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
