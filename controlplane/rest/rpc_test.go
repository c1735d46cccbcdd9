package rest

import "testing"

func TestCall(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `
		create function public.untyped() returns record language sql stable as $$ select 1 as id, 'one'::text as name $$;
		create function public.untyped_rows() returns setof record language sql stable as $$ select id, name from public.projects order by id $$;
		create function public.in_out(inout a integer, inout b text default 'b') language sql immutable as $$ select a + 1, b || '!' $$;
		create function public.take_xml(xml) returns xml language sql immutable as 'select $1'`)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	const nl = ", \n "
	for _, c := range []exchange{
		{"GET", "/rpc/add?a=1&b=2", "", nil, 200, "3", "0-0/*"},
		{"GET", "/rpc/add?a=1", "", nil, 200, "11", "0-0/*"},
		{"POST", "/rpc/add", `{"a":1,"b":2}`, nil, 200, "3", "0-0/*"},
		{"POST", "/rpc/add", `{"b":2,"a":null}`, nil, 200, "null", "0-0/*"},
		{"GET", "/rpc/hello?name=it's+$1", "", nil, 200, `"hello it's $1"`, "0-0/*"},
		{"GET", "/rpc/numbers?n=3", "", nil, 200, "[1, 2, 3]", "0-2/*"},
		{"GET", "/rpc/numbers?n=3&limit=1&offset=1", "", nil, 200, "[2]", "1-1/*"},
		{"POST", "/rpc/numbers", `{"n":0}`, nil, 200, "[]", "*/*"},
		{"GET", "/rpc/tasks_of?project=1&select=id&order=id.desc", "", nil, 200, `[{"id":2}` + nl + `{"id":1}]`, "0-1/*"},
		{"GET", "/rpc/tasks_of?project=1&select=nr:id&id=gt.1", "", nil, 200, `[{"nr":2}]`, "0-0/*"},
		{"POST", "/rpc/tasks_of?select=id&id=lt.2&limit=5", `{"project":1}`, nil, 200, `[{"id":1}]`, "0-0/*"},
		{"GET", "/rpc/one_task?task=1&select=id,name", "", nil, 200, `{"id":1,"name":"first"}`, "0-0/*"},
		{"GET", "/rpc/one_task?task=1&select=id,n:name", "", nil, 200, `{"id":1,"n":"first"}`, "0-0/*"},
		{"GET", "/rpc/one_task?task=1&select=id&id=eq.7", "", nil, 200, `null`, "*/*"},
		{"GET", "/rpc/one_task?task=1&select=n:id&id=eq.7", "", nil, 200, `null`, "*/*"},
		{"GET", "/rpc/table_of?n=2", "", nil, 200, `[{"i":1,"double it":2}` + nl + `{"i":2,"double it":4}]`, "0-1/*"},
		{"GET", "/rpc/table_of?n=2&double+it=eq.4&select=i", "", nil, 200, `[{"i":2}]`, "0-0/*"},
		{"GET", "/rpc/outs?a=1", "", nil, 200, `{"b":2,"c":"c"}`, "0-0/*"},
		{"POST", "/rpc/one_out", `{"a":1}`, nil, 200, `{"only":2}`, "0-0/*"},
		{"POST", "/rpc/one_out?select=x:only", `{"a":1}`, nil, 200, `{"x":2}`, "0-0/*"},
		{"GET", "/rpc/untyped", "", nil, 200, `{"id":1,"name":"one"}`, "0-0/*"},
		{"GET", "/rpc/untyped_rows", "", nil, 200, `[{"id":1,"name":"one"}` + nl + `{"id":2,"name":"two"}]`, "0-1/*"},
		{"GET", "/rpc/untyped_rows?limit=1&offset=1", "", []string{"Prefer: count=exact"}, 206, `[{"id":2,"name":"two"}]`, "1-1/2"},
		{"GET", "/rpc/in_out?a=1", "", nil, 200, `{"a":2,"b":"b!"}`, "0-0/*"},
		{"POST", "/rpc/in_out?select=b", `{"a":1,"b":"x"}`, nil, 200, `{"b":"x!"}`, "0-0/*"},
		{"POST", "/rpc/take_xml", `<a b="c"/>`, []string{"Content-Type: text/xml"}, 200, `"<a b=\"c\"/>"`, "0-0/*"},
		{"POST", "/rpc/take_xml", `<a`, []string{"Content-Type: text/xml", "Accept: text/xml"}, 400, "", ""},
		{"GET", "/rpc/add?a=1&select=*", "", nil, 200, "11", "0-0/*"},
		{"POST", "/rpc/rename?select=*", `{"task":9,"name":"x"}`, nil, 204, "", "0-0/*"},
		{"GET", "/rpc/add?a=1&limit=1", "", nil, 200, "11", "0-0/*"},
		{"GET", "/rpc/add?a=1&limit=0", "", nil, 200, "null", "*/*"},
		{"GET", "/rpc/add?a=1&offset=1", "", nil, 200, "null", "*/*"},
		{"GET", "/rpc/one_task?task=1&select=id&limit=5", "", nil, 200, `{"id":1}`, "0-0/*"},
		{"GET", "/rpc/one_task?task=1&select=id&offset=1", "", nil, 200, "null", "*/*"},
		{"GET", "/rpc/one_task?task=1&select=id", "", []string{"Range: 0-24"}, 200, `{"id":1}`, "0-0/*"},
		{"GET", "/rpc/sum_all?v=1&v=2&v=3", "", nil, 200, `6`, "0-0/*"},
		{"POST", "/rpc/sum_all", `{"v":[1,2,3]}`, nil, 200, `6`, "0-0/*"},
		{"POST", "/rpc/rename", `{"task":1,"name":"new"}`, nil, 204, "", "0-0/*"},
		{"GET", "/tasks?id=eq.1&select=name", "", nil, 200, `[{"name":"new"}]`, "0-0/*"},
		{"POST", "/rpc/echo_json", `{"j":{"z" : 1.0, "a":[ ]}}`, nil, 200, `{"z":1.0,"a":[]}`, "0-0/*"},
		{"GET", "/rpc/echo_json?j={\"z\":1}", "", nil, 200, `{"z":1}`, "0-0/*"},
		{"GET", "/rpc/choose?a=1", "", nil, 200, `"a"`, "0-0/*"},
		{"POST", "/rpc/choose", `{"b":"1"}`, nil, 200, `"b"`, "0-0/*"},
		{"POST", "/rpc/first_of", `{"list":[4,5],"p":{"a":1,"b":"x"}}`, nil, 200, `"4x"`, "0-0/*"},
		{"GET", "/rpc/first_of?list={4,5}&p=(1,x)", "", nil, 200, `"4x"`, "0-0/*"},
		{"GET", "/rpc/quiet", "", nil, 200, `null`, "0-0/*"},
		{"POST", "/rpc/quiet", "", nil, 200, `null`, "0-0/*"},
		{"HEAD", "/rpc/quiet", "", nil, 200, ``, "0-0/*"},
	} {
		if c.method == "HEAD" {
			if w := f.do(t, c.method, c.path, ""); w.Code != c.status || w.Body.Len() > 0 {
				t.Errorf("HEAD: %d %s", w.Code, w.Body)
			}
			continue
		}
		if c.status == 400 {
			if w := f.do(t, c.method, c.path, c.body, c.headers...); w.Code != 400 {
				t.Errorf("%s %s: %d %s", c.path, c.body, w.Code, w.Body)
			}
			continue
		}
		c.path = escapeQuery(c.path)
		f.exchange(t, c)
	}
}

// TestCallReadOnly sees that a function that lies about its volatility cannot write.
func TestCallReadOnly(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `create function public.liar() returns void language plpgsql stable as $$
		begin execute 'update public.tasks set name = ''liar'''; end $$`)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"GET", "HEAD", "POST"} {
		if w := f.do(t, method, "/rpc/liar", ""); w.Code != 405 && w.Code != 400 {
			t.Errorf("%s: %d %s", method, w.Code, w.Body)
		}
	}
	for _, method := range []string{"GET", "HEAD"} {
		if w := f.do(t, method, "/rpc/rename?task=1&name=x", ""); w.Code != 405 || w.Header().Get("Allow") != "OPTIONS, POST" {
			t.Errorf("%s: %d %s", method, w.Code, w.Body)
		}
	}
	if got := f.value(t, "select string_agg(name, ',' order by id) from public.tasks where id < 3"); got != "first,second" {
		t.Errorf("names are now %s", got)
	}
}
