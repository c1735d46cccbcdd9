package rest

import (
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
)

// TestOptionsMethod sees which methods tables, views and functions are said to take, without asking the database.
func TestOptionsMethod(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `create view public.counted as select count(*) from public.tasks;
		create view public.joined as select t.id, p.name from public.tasks t join public.projects p on p.id = t.project_id;
		create function public.on_joined() returns trigger language plpgsql as $$ begin return new; end $$;
		create trigger on_joined instead of update on public.joined for each row execute function public.on_joined();
		create materialized view public.kept as select id from public.tasks;
		create table public.keyless (a integer);
		create function public.twice(a integer) returns integer language sql volatile return a;
		create function public.twice(b text) returns text language sql stable return b`)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.wire.Reset()
	const all = "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"
	for _, c := range []struct {
		path, profile, allow string
		status               int
		code                 string
	}{
		{path: "/tasks", allow: all, status: 200},
		{path: "/tasks", profile: "other", allow: all, status: 200},
		{path: "/secrets", allow: all, status: 200}, // grants are not looked at
		{path: "/events", allow: "OPTIONS,GET,HEAD,POST,PATCH,DELETE", status: 200},
		{path: "/keyless", allow: "OPTIONS,GET,HEAD,POST,PATCH,DELETE", status: 200},
		{path: "/counted", allow: "OPTIONS,GET,HEAD", status: 200},
		{path: "/kept", allow: "OPTIONS,GET,HEAD", status: 200},
		{path: "/joined", allow: "OPTIONS,GET,HEAD,PATCH", status: 200},
		{path: "/absent", status: 404, code: "PGRST205"},
		{path: "/notes", status: 404, code: "PGRST205"},
		{path: "/notes", profile: "other", allow: all, status: 200},
		{path: "/tasks", profile: "hidden", status: 406, code: "PGRST106"},
		{path: "/rpc/rename", allow: "OPTIONS,POST", status: 200},
		{path: "/rpc/hello", allow: "OPTIONS,GET,HEAD,POST", status: 200},
		{path: "/rpc/twice", allow: "OPTIONS,GET,HEAD,POST", status: 200},
		{path: "/rpc/absent", status: 404, code: "PGRST202"},
	} {
		w := f.do(t, "OPTIONS", c.path, "", "Accept-Profile: "+c.profile)
		if w.Code != c.status || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d %q", c.path, c.profile, w.Code, w.Header().Get("Allow"))
		}
		if c.code == "" && w.Body.Len() > 0 || c.code != "" && code(t, w) != c.code {
			t.Errorf("%s %s: %s", c.path, c.profile, w.Body)
		}
	}
	// What is created meanwhile is found, as by any other method: by a cache that has not loaded for misses before.
	f.Cache = catalog.NewCache(f.load, time.Now)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.exec(t, "create table public.late (id integer primary key)")
	if w := f.do(t, "OPTIONS", "/late", ""); w.Header().Get("Allow") != all {
		t.Errorf("a new table: %d %v", w.Code, w.Header())
	}
}

// TestContentLocation sees the addresses of reads.
func TestContentLocation(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, query, want string }{
		{"tasks", "", "/tasks"},
		{"tasks", "name=eq.b&id=eq.1", "/tasks?id=eq.1&name=eq.b"},
		{"tasks", "id=gt.1&select=*&id=lt.9", "/tasks?id=gt.1&id=lt.9&select=%2A"},
		{"tasks", "name=eq.a+b%26c&&order=id", "/tasks?name=eq.a%20b%26c&order=id"},
		{"Odd Table", "t%C3%A4g=eq.%0d%0a", "/Odd%20Table?t%C3%A4g=eq.%0D%0A"},
	} {
		if got := contentLocation(c.name, c.query); got != c.want {
			t.Errorf("%s?%s: %s", c.name, c.query, got)
		}
	}
}

// TestAnswerHeaders sees where an answer says its address and its schema.
func TestAnswerHeaders(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, c := range []struct {
		method, path, body string
		headers            []string
		location, profile  string
	}{
		{"GET", "/tasks?select=id&id=eq.1", "", nil, "/tasks?id=eq.1&select=id", "public"},
		{"HEAD", "/tasks", "", nil, "/tasks", "public"},
		{"GET", "/tasks", "", []string{"Accept-Profile: other"}, "/tasks", "other"},
		{"GET", "/rpc/hello?name=x", "", nil, "", "public"},
		{"POST", "/places", `{"id":10}`, nil, "", ""},
		{"POST", "/places", `{"id":11}`, []string{"Prefer: return=representation"}, "", "public"},
		{"PATCH", "/places?id=eq.10", `{"name":"x"}`, []string{"Prefer: return=representation"}, "", "public"},
		{"GET", "/tasks?id=eq.x", "", nil, "", ""}, // an error
	} {
		w := f.do(t, c.method, c.path, c.body, c.headers...)
		if w.Header().Get("Content-Location") != c.location || w.Header().Get("Content-Profile") != c.profile {
			t.Errorf("%s %s: %d %v", c.method, c.path, w.Code, w.Header())
		}
	}
	one := fakeHandler(t, &fake{row: [][]byte{[]byte("[]"), []byte("0"), nil, nil}}, func(c *Config) {
		one := *c.Cache.Current()
		one.Schemas = one.Schemas[:1]
		c.Cache = cacheOf(t, &one)
	})
	if w := serve(t, one, "GET", "/tasks", ""); w.Code != 200 || w.Header().Get("Content-Profile") != "" {
		t.Errorf("with one schema: %v", w.Header())
	}
}
