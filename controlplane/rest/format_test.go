package rest

import (
	"strconv"
	"strings"
	"testing"
)

// TestUpsert runs in order: each request sees what those before it did.
func TestUpsert(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `alter table public.projects add unique (name)`)
	const nl = ", \n "
	prefer := func(p string) []string { return []string{"Prefer: " + p} }
	for _, c := range []exchange{
		{"POST", "/projects?select=id,name&order=id", `[{"id":1,"name":"uno"},{"id":3,"name":"tres"}]`, prefer("resolution=merge-duplicates, return=representation"), 201,
			`[{"id":1,"name":"uno"}` + nl + `{"id":3,"name":"tres"}]`, "*/*"},
		{"POST", "/projects?select=id,name", `[{"id":1,"name":"one"},{"id":4,"name":"four"}]`, prefer("resolution=ignore-duplicates, return=representation"), 201,
			`[{"id":4,"name":"four"}]`, "*/*"},
		{"POST", "/projects?on_conflict=name&select=id,name", `[{"id":90,"name":"four"}]`, prefer("resolution=merge-duplicates, return=representation"), 200,
			`[{"id":90,"name":"four"}]`, "*/*"},
		{"POST", "/projects?select=id", `[{"id":1,"name":"one"}]`, prefer("return=representation"), 409,
			`{"code":"23505","message":"duplicate key value violates unique constraint \"projects_pkey\"","details":"Key (id)=(1) already exists.","hint":null}`, ""},
		{"POST", "/projects?on_conflict=name", `[{"id":91,"name":"four"}]`, prefer("resolution=merge-duplicates"), 200, "", "*/*"},
		{"POST", "/projects?on_conflict=name", `[{"id":90,"name":"four"}]`, prefer("resolution=merge-duplicates, return=headers-only, count=exact"), 200, "", "*/1"},
		{"POST", "/projects", `[]`, prefer("resolution=merge-duplicates"), 200, "", "*/*"},
		{"POST", "/task_people?select=role", `{"task_id":1,"person_id":1}`, prefer("resolution=merge-duplicates, return=representation"), 200, `[{"role":"lead"}]`, "*/*"},
		{"POST", "/tasks?on_conflict=name", `{"name":"x"}`, prefer("resolution=merge-duplicates"), 400,
			`{"code":"42P10","message":"there is no unique or exclusion constraint matching the ON CONFLICT specification","details":null,"hint":null}`, ""},
		{"PUT", "/projects?id=eq.5", `{"id":5,"name":"five"}`, nil, 204, "", ""},
		{"PUT", "/projects?id=eq.5&select=name", `[{"id":5,"name":"cinco"}]`, prefer("return=representation"), 200, `[{"name":"cinco"}]`, ""},
		{"PUT", "/projects?id=eq.5&select=name", `{"id":5,"name":"cinq"}`, []string{representation, "Accept: application/vnd.pgrst.object+json"}, 200, `{"name":"cinq"}`, ""},
		{"PUT", "/projects?id=eq.5", `{"id":6,"name":"six"}`, nil, 400, `{"code":"PGRST115","message":"Payload values do not match URL in primary key column(s)","details":null,"hint":null}`, ""},
		{"PUT", "/task_people?task_id=eq.3&person_id=eq.3&select=role", `{"person_id":3,"task_id":3,"role":"new"}`, prefer("return=representation"), 201, `[{"role":"new"}]`, ""},
		{"PUT", "/tasks?id=eq.1", ``, nil, 400, `{"code":"PGRST102","message":"Empty or invalid json","details":null,"hint":null}`, ""},
	} {
		f.exchange(t, c)
	}
	if got := f.value(t, "select string_agg(id || name, ',' order by id) from public.projects"); got != "1uno,2two,3tres,5cinq,90four" {
		t.Errorf("projects are %s", got)
	}
	for prefer, want := range map[string]string{
		"resolution=merge-duplicates, return=minimal":                   "resolution=merge-duplicates, return=minimal",
		"count=exact, missing=default, resolution=ignore-duplicates":    "resolution=ignore-duplicates, missing=default, count=exact",
		"resolution=nonsense, resolution=ignore-duplicates, return=nil": "resolution=ignore-duplicates",
	} {
		if w := f.do(t, "POST", "/projects", `{"id":1,"name":"uno"}`, "Prefer: "+prefer); w.Header().Get("Preference-Applied") != want {
			t.Errorf("%s: %d %v", prefer, w.Code, w.Header())
		}
	}
	if w := f.do(t, "POST", "/events", `{"at":"2026-01-01"}`, "Prefer: resolution=merge-duplicates"); w.Code != 201 || w.Header().Get("Preference-Applied") != "" {
		t.Errorf("without a key: %d %v", w.Code, w.Header())
	}
}

// TestBodies sends bodies that are no JSON.
func TestBodies(t *testing.T) {
	t.Parallel()
	f := setup(t)
	const nl = ", \n "
	as := func(kind string) []string { return []string{representation, "Content-Type: " + kind} }
	for _, c := range []exchange{
		{"POST", "/tasks?select=name,size,tags,done", "name,size,tags,done\r\n\"a, \"\"b\"\"\n\\\",2,\"{x,y}\",NULL\r\nü,3,{},t\r\n", as("text/csv"), 201,
			`[{"name":"a, \"b\"\n\\","size":2,"tags":["x","y"],"done":null}` + nl + `{"name":"ü","size":3,"tags":[],"done":true}]`, "*/*"},
		{"POST", "/tasks?select=name,size&columns=size", "name,size\nx,2\n", as("text/csv; charset=utf-8"), 201,
			`[{"name":"unnamed","size":2}]`, "*/*"},
		{"POST", "/projects", "id,name\n", as("text/csv"), 201, `[]`, "*/*"},
		{"POST", "/projects", "id,name\n1\n", as("text/csv"), 400, `{"code":"PGRST102","message":"All lines must have same number of fields","details":null,"hint":null}`, ""},
		{"POST", "/projects", "id,id\n1,2\n", as("text/csv"), 400, `{"code":"PGRST102","message":"Empty or invalid json","details":null,"hint":null}`, ""},
		{"POST", "/projects", "id,name\n1,\xff\n", as("text/csv"), 400, `{"code":"PGRST102","message":"Empty or invalid json","details":null,"hint":null}`, ""},
		{"POST", "/projects", "id=20&name=a+b%26%C3%BC", as("application/x-www-form-urlencoded"), 201, `[{"id":20,"name":"a b&ü"}]`, "*/*"},
		{"POST", "/rpc/add", "a=1&b=5", as("application/x-www-form-urlencoded"), 200, `6`, "0-0/*"},
		{"POST", "/rpc/sum_all", "v=1&v=2&v=3", as("application/x-www-form-urlencoded"), 200, `6`, "0-0/*"},
		{"POST", "/rpc/add", "a=1&a=4&b=5", as("application/x-www-form-urlencoded"), 200, `9`, "0-0/*"},
		{"POST", "/rpc/add?columns=a", "a=1&b=5", as("application/x-www-form-urlencoded"), 200, `11`, "0-0/*"},
		{"POST", "/rpc/add", manyFields(300_000), as("application/x-www-form-urlencoded"), 404, `{"code":"PGRST202"`, ""},
		{"POST", "/rpc/add", "a=%00", as("application/x-www-form-urlencoded"), 400, `{"code":"PGRST102","message":"Forms are UTF-8 without NUL"`, ""},
		{"POST", "/rpc/take_json", `[1, {"a" : "ü"}]`, nil, 200, `[1,{"a":"ü"}]`, "0-0/*"},
		{"POST", "/rpc/take_json", `{"a":1.50}`, nil, 200, `{"a":1.50}`, "0-0/*"},
		{"POST", "/rpc/take_json", `null`, nil, 200, `null`, "0-0/*"},
		{"POST", "/rpc/take_text", `it's "$1"`, as("text/plain"), 200, `"it's \"$1\""`, "0-0/*"},
		{"POST", "/rpc/take_text", "\xff", as("text/plain"), 400, `{"code":"PGRST102","message":"Bodies are UTF-8 without NUL","details":null,"hint":null}`, ""},
		{"POST", "/rpc/take_bytes", "\x00\xff\\", as("application/octet-stream"), 200, `3`, "0-0/*"},
	} {
		w := f.do(t, c.method, c.path, c.body, c.headers...)
		if w.Code != c.status || !strings.HasPrefix(w.Body.String(), c.want) || w.Header().Get("Content-Range") != c.contentRange {
			t.Errorf("%s %s %q\n got %d %s %s\nwant %d %s %s", c.method, c.path, c.body,
				w.Code, w.Header().Get("Content-Range"), w.Body, c.status, c.contentRange, c.want)
		}
	}
}

// manyFields is a form with more names than a function has arguments.
func manyFields(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString("x" + strconv.Itoa(i) + "=&")
	}
	return b.String()
}

// TestFormats asks for answers other than an array.
func TestFormats(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `update public.tasks set name = E'a,"b"\n\\' where id = 2`)
	for _, c := range []struct{ accept, path, want, contentType string }{
		{"text/csv", "/tasks?select=id,n:name,done&order=id", "id,n,done\n1,first,t\n2,\"a,\"\"b\"\"\n\\\\\",f\n3,\"third, \"\"quoted\"\"\",", "text/csv; charset=utf-8"},
		{"text/csv", "/projects?order=id", "id,name\n1,one\n2,two", "text/csv; charset=utf-8"},
		{"text/csv", "/projects?id=eq.9", "id,name\n", "text/csv; charset=utf-8"},
		{"text/csv", "/letters", "a,b,j,r,t,v,w\n1,b,j,2,3,v,4", "text/csv; charset=utf-8"},
		{"text/csv", `/projects?select="a,b":id&id=eq.1`, "\"a,b\"\n1", "text/csv; charset=utf-8"},
		{"text/csv", "/tasks?select=id,projects(name)&id=eq.1", "id,projects\n1,\"{\"\"name\"\":\"\"one\"\"}\"", "text/csv; charset=utf-8"},
		{"text/csv", "/rpc/numbers?n=2", "pgrst_scalar\n1\n2", "text/csv; charset=utf-8"},
		{"text/csv", "/rpc/one_task?task=1&select=id,code", "id,code\n1,x", "text/csv; charset=utf-8"},
		{"application/vnd.pgrst.array+json;nulls=stripped", "/tasks?select=id,done,code&order=id", `[{"id":1,"done":true,"code":"x"},{"id":2,"done":false},{"id":3,"code":"y"}]`,
			"application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8"},
		{"application/vnd.pgrst.array+json; nulls=stripped", "/tasks?select=i:id,d:done&id=eq.3", `[{"i":3}]`, "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8"},
		{"application/vnd.pgrst.object+json;nulls=stripped", "/tasks?select=id,done&id=eq.3", `{"id":3}`, "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8"},
		{"application/vnd.pgrst.array+json", "/tasks?select=id&id=eq.3", `[{"id":3}]`, "application/json; charset=utf-8"},
		{"text/csv;q=0.1, application/json;q=0.9", "/tasks?select=id&id=eq.3", `[{"id":3}]`, "application/json; charset=utf-8"},
		{"text/html, text/csv;q=0.1", "/tasks?select=id&id=eq.3", "id\n3", "text/csv; charset=utf-8"},
	} {
		w := f.do(t, "GET", escapeQuery(c.path), "", "Accept: "+c.accept)
		if w.Code != 200 || w.Body.String() != c.want || w.Header().Get("Content-Type") != c.contentType {
			t.Errorf("%s %s\n got %d %s %q\nwant %s %q", c.accept, c.path, w.Code, w.Header().Get("Content-Type"), w.Body, c.contentType, c.want)
		}
	}
}
