package rest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest/resttest"
)

// root sends a request for the description.
func (f *fixture) root(t testing.TB, method string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	return record(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.ServeRoot(w, r, "/rest/v1") }), method, "/", headers...)
}

// described is a description as far as the tests look at it.
type described struct {
	Info  map[string]string
	Paths map[string]map[string]struct {
		Summary, Description string
		Parameters           []map[string]any
	}
	Definitions map[string]struct {
		Description string
		Required    []string
		Properties  map[string]map[string]any
	}
	Parameters map[string]map[string]any
}

func (f *fixture) describe(t testing.TB, headers ...string) (d described) {
	t.Helper()
	w := f.root(t, "GET", headers...)
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != 200 {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return d
}

// paths lists the paths of a description with their methods.
func (d *described) paths() string {
	var list []string
	for path, methods := range d.Paths {
		names := make([]string, 0, len(methods))
		for method := range methods {
			names = append(names, method)
		}
		slices.Sort(names)
		if !strings.HasPrefix(path, "/rpc/") {
			list = append(list, path+":"+strings.Join(names, "+"))
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

const commented = `
	comment on schema public is E'The title\nand what it is about';
	comment on table public.tasks is E'What is to do\nand who does it';
	comment on column public.tasks.id is 'the number of a task';
	comment on function public.hello(text) is E'Greets\nby name';
	create table public.half (id integer primary key, shown text, secret text);
	grant select (id, shown), update (shown) on public.half to authenticated;
	create function public.closed() returns integer language sql stable return 1;
	revoke execute on function public.closed() from public`

// TestOpenAPIDocument compares the whole description with the golden file.
func TestOpenAPIDocument(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, commented)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := f.root(t, "GET")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/openapi+json; charset=utf-8" || w.Header().Get("Content-Profile") != "public" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	var text bytes.Buffer
	if err := json.Indent(&text, w.Body.Bytes(), "", " "); err != nil {
		t.Fatal(err)
	}
	version := f.Cache.Current().Version[:12]
	resttest.Compare(t, "openapi.json", append(bytes.ReplaceAll(text.Bytes(), []byte(version), []byte("VERSION")), '\n'))

	head := f.root(t, "HEAD")
	if head.Code != 200 || head.Body.Len() > 0 || head.Header().Get("Content-Length") != w.Header().Get("Content-Length") {
		t.Errorf("HEAD: %d %v", head.Code, head.Header())
	}
	f.wire.Reset()
	f.root(t, "GET")
	if got := f.wire.Counts(); got.Writes != 1 {
		t.Errorf("%d writes", got.Writes)
	}
}

// TestOpenAPIReferences sees that every reference of a description leads somewhere.
func TestOpenAPIReferences(t *testing.T) {
	t.Parallel()
	var document map[string]any
	if err := json.Unmarshal(resttest.Read(t, "openapi.json"), &document); err != nil {
		t.Fatal(err)
	}
	seen := 0
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				seen++
				section, name, _ := strings.Cut(strings.TrimPrefix(ref, "#/"), "/")
				name = strings.NewReplacer("%20", " ", "%2C", ",", "%22", `"`, "%5C", `\`, "%C3%A4", "ä").Replace(name)
				if _, ok := document[section].(map[string]any)[name]; !ok {
					t.Errorf("%s leads nowhere", ref)
				}
			}
			for _, member := range v {
				walk(member)
			}
		case []any:
			for _, member := range v {
				walk(member)
			}
		}
	}
	walk(document)
	if seen < 100 {
		t.Errorf("%d references", seen)
	}
}

// TestOpenAPIRights sees that nobody is told of what they have no rights on, unless the setting says so.
func TestOpenAPIRights(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, commented)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := f.describe(t)
	if half := d.Definitions["half"].Properties; len(half) != 2 || half["secret"] != nil {
		t.Errorf("columns of half: %v", half)
	}
	if _, ok := d.Parameters["rowFilter.half.secret"]; ok || d.Definitions["secrets"].Properties != nil || d.Paths["/rpc/closed"] != nil {
		t.Error("hidden things are described")
	}
	if !strings.Contains(d.paths(), "/half:get+patch") || strings.Contains(d.paths(), "/half:get+patch+") || !strings.Contains(d.paths(), "/tasks:delete+get+patch+post") {
		t.Errorf("paths: %s", d.paths())
	}
	f.caller = anon
	d = f.describe(t)
	if got := d.paths(); got != "/:get /Odd Table:get /open_tasks:get /projects:get /tasks:get" {
		t.Errorf("paths of anon: %s", got)
	}
	f.exec(t, "revoke usage on schema public from public, anon")
	if d = f.describe(t); len(d.Paths) != 1 || d.Info["title"] == "The title" {
		t.Errorf("without the schema: %s %v", d.paths(), d.Info)
	}
	f.exec(t, "grant usage on schema public to public")

	f.OpenAPI = OpenAPIIgnore
	d = f.describe(t)
	if d.Definitions["half"].Properties["secret"] == nil || d.Definitions["secrets"].Properties == nil || d.Paths["/rpc/closed"] == nil {
		t.Errorf("ignore-privileges: %s", d.paths())
	}
	f.OpenAPI = OpenAPIDisabled
	if w := f.root(t, "GET"); w.Code != 404 || code(t, w) != "PGRST126" {
		t.Errorf("disabled: %d %s", w.Code, w.Body)
	}
	f.OpenAPI = ""
	f.caller = gateway.Caller{Role: "nobody"}
	if w := f.root(t, "GET"); w.Code != http.StatusTeapot {
		t.Errorf("a role that is not permitted: %d %s", w.Code, w.Body)
	}
}

func TestOpenAPIRequests(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, c := range []struct {
		method string
		header string
		status int
		code   string
		allow  string
	}{
		{"GET", "Accept: application/openapi+json", 200, "", ""},
		{"GET", "Accept: application/json", 200, "", ""},
		{"GET", "Accept: text/html, */*;q=0.8", 200, "", ""},
		{"GET", "Accept: text/csv", 406, "PGRST107", ""},
		{"GET", "Accept: application/json;q=0", 406, "PGRST107", ""},
		{"GET", "Accept-Profile: other", 200, "", ""},
		{"GET", "Accept-Profile: auth", 406, "PGRST106", ""},
		{"OPTIONS", "", 200, "", "OPTIONS,GET,HEAD"},
		{"POST", "", 405, "PGRST117", "OPTIONS,GET,HEAD"},
		{"PUT", "", 405, "PGRST117", "OPTIONS,GET,HEAD"},
	} {
		w := f.root(t, c.method, c.header)
		if w.Code != c.status || w.Header().Get("Allow") != c.allow || c.code != "" && code(t, w) != c.code {
			t.Errorf("%s %s: %d %v %s", c.method, c.header, w.Code, w.Header(), w.Body)
		}
	}
	d := f.describe(t, "Accept-Profile: other")
	if got := d.paths(); got != "/:get /tasks:delete+get+patch+post" || strings.Contains(d.Definitions["tasks"].Properties["id"]["description"].(string), "Foreign") {
		t.Errorf("paths of the other schema: %s", got)
	}
	if d.Info["title"] != "Data API of the schema other" {
		t.Errorf("%v", d.Info)
	}
	f.OpenAPI = "perhaps"
	if _, err := New(f.Config); err == nil {
		t.Error("an unknown mode was accepted")
	}
}
