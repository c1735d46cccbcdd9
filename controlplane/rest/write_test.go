package rest

import (
	"fmt"
	"strings"
	"testing"
)

const representation = "Prefer: return=representation"

// exchange is a request and the answer to it.
type exchange struct {
	method, path, body string
	headers            []string
	status             int
	want               string
	contentRange       string
}

func (f *fixture) exchange(t *testing.T, c exchange) {
	t.Helper()
	w := f.do(t, c.method, c.path, c.body, c.headers...)
	if w.Code != c.status || w.Body.String() != c.want || w.Header().Get("Content-Range") != c.contentRange {
		t.Errorf("%s %s %s\n got %d %s %s\nwant %d %s %s", c.method, c.path, c.body,
			w.Code, w.Header().Get("Content-Range"), w.Body, c.status, c.contentRange, c.want)
	}
	if hasType := w.Header().Get("Content-Type") != ""; hasType != (c.want != "") {
		t.Errorf("%s %s: Content-Type %q with body %q", c.method, c.path, w.Header().Get("Content-Type"), w.Body)
	}
}

// TestWrite runs in order: each request sees what those before it did.
func TestWrite(t *testing.T) {
	t.Parallel()
	f := setup(t)
	rep := []string{representation}
	for _, c := range []exchange{
		{"POST", "/projects", `{"id":10,"name":"ten"}`, nil, 201, "", "*/*"},
		{"POST", "/projects?select=name", `{"id":11,"name":"elf \u00fc \"q\" \\ \n"}`, rep, 201, `[{"name":"elf ü \"q\" \\ \n"}]`, "*/*"},
		{"POST", "/projects?select=n:name&order=id.desc", ` [ {"id":12,"name":"a"} , {"name":"b","id":13} ] `, rep, 201, `[{"n":"b"}, ` + "\n" + ` {"n":"a"}]`, "*/*"},
		{"POST", "/projects", `[]`, nil, 201, "", "*/*"},
		{"POST", "/projects", `[]`, rep, 201, "[]", "*/*"},
		{"POST", "/tasks?select=id,name,tags", `{}`, rep, 201, `[{"id":10,"name":"unnamed","tags":[]}]`, "*/*"},
		{"POST", "/tasks?select=id&order=id", `[{},{}]`, rep, 201, `[{"id":11}, ` + "\n" + ` {"id":12}]`, "*/*"},
		{"POST", "/tasks?select=id,done,mood,tags,data,doc,size,price,code", `{"done":true,"mood":"sad","tags":["x","y,\"z"],"data":{"a": [1,{"b":null}]},"doc":{"z":1.50,"a":1e2},"size":3,"price":12345.678,"code":null}`,
			rep, 201, `[{"id":13,"done":true,"mood":"sad","tags":["x","y,\"z"],"data":{"a": [1, {"b": null}]},"doc":{"z":1.50,"a":1e2},"size":3,"price":12345.68,"code":null}]`, "*/*"},
		{"POST", `/tasks?select="odd%20\"name"`, `{"odd \"name":"v"}`, rep, 201, `[{"odd \"name":"v"}]`, "*/*"},

		{"PATCH", "/projects?id=eq.10", `{"name":"zehn"}`, nil, 204, "", "0-0/*"},
		{"PATCH", "/projects?id=eq.10&select=*", `{"name":"dix"}`, rep, 200, `[{"id":10,"name":"dix"}]`, "0-0/*"},
		{"PATCH", "/projects?id=eq.999", `{"name":"x"}`, nil, 204, "", "*/*"},
		{"PATCH", "/projects?id=eq.999", `{"name":"x"}`, rep, 200, `[]`, "*/*"},
		{"PATCH", "/projects?id=eq.10", `{}`, rep, 200, `[]`, "*/*"},
		{"PATCH", "/projects?id=eq.10", `{}`, nil, 204, ``, "*/*"},
		{"PATCH", "/projects?id=in.(12,13)&select=id&order=id.desc", `[{"name":"same"}]`, rep, 200, `[{"id":13}, ` + "\n" + ` {"id":12}]`, "0-1/*"},
		{"PATCH", "/tasks?id=eq.1&select=tags", `{"tags":["q"]}`, rep, 200, `[{"tags":["q"]}]`, "0-0/*"},

		{"POST", "/rpc/letters_of", `{"a":1,"t":"x"}`, nil, 200, `[{"a":1,"b":"b","j":"j","r":2,"t":3,"v":"v","w":4}]`, "0-0/*"},
		{"POST", "/letters", `{"a":2,"b":"x","j":"y","r":5,"t":6,"v":"z","w":7}`, rep, 201, `[{"a":2,"b":"x","j":"y","r":5,"t":6,"v":"z","w":7}]`, "*/*"},
		{"PATCH", "/letters?a=eq.2&b=eq.x&t=eq.6", `{"b":"X","t":8,"r":9}`, rep, 200, `[{"a":2,"b":"X","j":"y","r":9,"t":8,"v":"z","w":7}]`, "0-0/*"},
		{"DELETE", "/letters?w=eq.7&t=eq.8&select=w,t,x:r", "", rep, 200, `[{"w":7,"t":8,"x":9}]`, "*/*"},

		{"DELETE", "/projects?id=eq.13", "", nil, 204, "", "*/*"},
		{"DELETE", "/projects?id=gte.10&select=id&order=id", "", rep, 200, `[{"id":10}, ` + "\n" + ` {"id":11}, ` + "\n" + ` {"id":12}]`, "*/*"},
		{"DELETE", "/tasks", "", nil, 204, "", "*/*"},
		{"GET", "/tasks", "", nil, 200, "[]", "*/*"},
		{"PATCH", "/projects?order=id&select=name", `{"name":"all"}`, rep, 200, `[{"name":"all"}, ` + "\n" + ` {"name":"all"}]`, "0-1/*"},
	} {
		f.exchange(t, c)
	}
}

func TestPreferenceApplied(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for i, c := range []struct{ prefer, applied, body string }{
		{"", "", ""},
		{"return=minimal", "return=minimal", ""},
		{"return=representation", "return=representation", "[]"},
		{"return=minimal, return=representation", "return=minimal", ""},
		{"count=exact, return=representation", "return=representation, count=exact", "[]"},
		{"count=planned, handling=lenient, return=minimal", "return=minimal, count=exact, handling=lenient", ""},
		{"max-affected=5, handling=strict", "handling=strict, max-affected=5", ""},
		{"max-affected=5", "", ""},
		{"return=nonsense", "", ""},
		{"handling=strict, return=minimal", "return=minimal, handling=strict", ""},
	} {
		w := f.do(t, "DELETE", fmt.Sprint("/projects?id=eq.", 1000+i), "", "Prefer: "+c.prefer)
		if w.Header().Get("Preference-Applied") != c.applied || w.Body.String() != c.body {
			t.Errorf("%q: %v %q", c.prefer, w.Header(), w.Body)
		}
	}
	w := f.do(t, "DELETE", "/projects", "", "Prefer: handling=strict, tx=rollback")
	if w.Code != 400 || code(t, w) != "PGRST122" || f.value(t, "select count(*) from public.projects") != "2" {
		t.Errorf("strict handling: %d %s", w.Code, w.Body)
	}
}

// TestRowSecurity sees that a write runs as its caller: the row belongs to her, and what she may
// not write is refused.
func TestRowSecurity(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `alter table public.owned no force row level security; insert into public.owned values (2, gen_random_uuid(), 'theirs')`)
	for _, c := range []exchange{
		{"POST", "/owned", `{"id":1,"body":"mine"}`, []string{representation}, 201, `[{"id":1,"owner":"` + annID.String() + `","body":"mine"}]`, "*/*"},
		{"GET", "/owned?select=id", "", nil, 200, `[{"id":1}]`, "0-0/*"},
		{"PATCH", "/owned", `{"body":"changed"}`, nil, 204, "", "0-0/*"},
		{"DELETE", "/owned?id=eq.2", "", []string{representation}, 200, "[]", "*/*"},
		{"POST", "/owned", `{"id":3,"owner":"00000000-0000-4000-8000-00000000000b"}`, nil, 403,
			`{"code":"42501","message":"new row violates row-level security policy for table \"owned\"","details":null,"hint":null}`, ""},
	} {
		f.exchange(t, c)
	}
	if got := f.value(t, "select string_agg(body, ',' order by id) from public.owned"); got != "changed,theirs" {
		t.Errorf("table holds %s", got)
	}
}

// TestLargeBody sends a body of some thousand rows in one statement.
func TestLargeBody(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var b strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&b, `,{"id":%d,"name":"project %d"}`, i+100, i)
	}
	w := f.do(t, "POST", "/projects", "["+b.String()[1:]+"]")
	if w.Code != 201 || f.value(t, "select count(*) from public.projects") != "20002" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	f.Limits.Body = 100
	w = f.do(t, "POST", "/projects", "["+b.String()[1:]+"]")
	if w.Code != 413 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
