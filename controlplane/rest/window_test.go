package rest

import "testing"

// TestCount sees numbers of rows, Range and the statuses that go with them.
func TestCount(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `insert into public.owned select n, gen_random_uuid(), 'not hers' from generate_series(1, 1000) n; analyze public.owned`)
	const nl = ", \n "
	count := []string{"Prefer: count=exact"}
	counted := func(ranges string) []string { return []string{"Prefer: count=exact", "Range: " + ranges} }
	const beyond = `{"code":"PGRST103","message":"Requested range not satisfiable","details":"An offset of 9 was requested, but there are only 3 rows.","hint":null}`
	for _, c := range []exchange{
		{"GET", "/tasks?select=id&order=id", "", count, 200, `[{"id":1}` + nl + `{"id":2}` + nl + `{"id":3}]`, "0-2/3"},
		{"GET", "/tasks?select=id&order=id&limit=2", "", count, 206, `[{"id":1}` + nl + `{"id":2}]`, "0-1/3"},
		// What PostgreSQL estimates speaks of rows that the caller may not see.
		{"GET", "/tasks?select=id&order=id&limit=2", "", []string{"Prefer: count=planned"}, 206, `[{"id":1}` + nl + `{"id":2}]`, "0-1/3"},
		{"GET", "/owned?select=id", "", []string{"Prefer: count=planned"}, 200, `[]`, "*/0"},
		{"GET", "/owned?select=id", "", []string{"Prefer: count=estimated"}, 200, `[]`, "*/0"},
		{"GET", "/tasks?select=id&order=id&limit=2", "", nil, 200, `[{"id":1}` + nl + `{"id":2}]`, "0-1/*"},
		{"GET", "/tasks?select=id&order=id&offset=2", "", count, 206, `[{"id":3}]`, "2-2/3"},
		{"GET", "/tasks?select=id&order=id&offset=3", "", count, 206, `[]`, "*/3"},
		{"GET", "/tasks?select=id&offset=9", "", count, 416, beyond, "*/3"},
		{"GET", "/tasks?select=id&offset=9", "", nil, 200, `[]`, "*/*"},
		{"GET", "/tasks?select=id&offset=-9&id=eq.1", "", nil, 200, `[{"id":1}]`, "0-0/*"},
		{"GET", "/tasks?select=id&id=gt.9", "", count, 200, `[]`, "*/0"},
		{"GET", "/tasks?select=id&id=gt.1&order=id&limit=1", "", count, 206, `[{"id":2}]`, "0-0/2"},
		{"GET", "/tasks?limit=0", "", count, 206, `[]`, "*/3"},
		{"GET", "/tasks?select=id&order=id", "", counted("1-1"), 206, `[{"id":2}]`, "1-1/3"},
		{"GET", "/tasks?select=id&order=id", "", counted("1-"), 206, `[{"id":2}` + nl + `{"id":3}]`, "1-2/3"},
		{"GET", "/tasks?select=id&order=id&limit=5", "", counted("0-0"), 206, `[{"id":1}]`, "0-0/3"},
		{"GET", "/tasks?select=id&order=id", "", []string{"Range: 0-1"}, 200, `[{"id":1}` + nl + `{"id":2}]`, "0-1/*"},
		{"GET", "/tasks?select=id&order=id", "", []string{"Range: 0-99"}, 200, `[{"id":1}` + nl + `{"id":2}` + nl + `{"id":3}]`, "0-2/*"},
		{"GET", "/rpc/numbers?n=5&limit=2", "", count, 206, `[1, 2]`, "0-1/5"},
		{"POST", "/rpc/numbers?limit=2&offset=4", `{"n":5}`, count, 206, `[5]`, "4-4/5"},
		{"GET", "/rpc/tasks_of?project=1&select=id&id=gt.0&order=id&limit=1", "", count, 206, `[{"id":1}]`, "0-0/2"},
		{"GET", "/rpc/add?a=1", "", count, 200, `11`, "0-0/1"},
		{"POST", "/projects", `[{"id":50,"name":"x"},{"id":51,"name":"y"}]`, count, 201, "", "*/2"},
		{"PATCH", "/projects?id=gte.50", `{"name":"z"}`, count, 204, "", "0-1/2"},
		{"PATCH", "/projects?id=gte.99", `{"name":"z"}`, count, 204, "", "*/0"},
		{"DELETE", "/projects?id=gte.50", "", count, 204, "", "*/2"},
	} {
		f.exchange(t, c)
	}
	for path, want := range map[string]string{"/tasks": "0-2/3", "/tasks?id=gt.1&limit=1": "0-0/2", "/rpc/numbers?n=4&limit=1": "0-0/4"} {
		w := f.do(t, "HEAD", path, "", count...)
		if w.Header().Get("Content-Range") != want || w.Body.Len() > 0 || w.Header().Get("Preference-Applied") != "count=exact" {
			t.Errorf("HEAD %s: %d %v", path, w.Code, w.Header())
		}
	}
}

// TestMaxRows sees that no answer to a read holds more rows than allowed, and that writes are not cut.
func TestMaxRows(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Limits.Rows = 2
	for _, c := range []struct{ method, path, contentRange string }{
		{"GET", "/tasks", "0-1/3"},
		{"GET", "/tasks?limit=1", "0-0/3"},
		{"GET", "/tasks?limit=100&offset=1", "1-2/3"},
		{"GET", "/rpc/numbers?n=5", "0-1/5"},
		{"GET", "/rpc/tasks_of?project=1", "0-1/2"},
		{"GET", "/rpc/add?a=1", "0-0/1"},
		{"PATCH", "/tasks", "0-2/3"},
	} {
		w := f.do(t, c.method, c.path, `{"size":3}`, "Prefer: count=exact, return=representation")
		if got := w.Header().Get("Content-Range"); got != c.contentRange {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, got)
		}
	}
	f.Limits.Rows = 1
	if w := f.do(t, "GET", "/projects?id=eq.1&select=tasks(id)", ""); w.Body.String() != `[{"tasks":[{"id":1}]}]` && w.Body.String() != `[{"tasks":[{"id":2}]}]` {
		t.Errorf("embed: %s", w.Body)
	}
}

// TestSingular sees that one object is one row, and that a write of any other number is undone.
func TestSingular(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `create function public.add_projects(n integer) returns setof public.projects language sql volatile
		as $$ insert into public.projects select 70 + i, 'made' from generate_series(1, n) i returning * $$`)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	object := []string{"Accept: application/vnd.pgrst.object+json"}
	written := append([]string{representation}, object...)
	refused := func(rows string) string {
		return `{"code":"PGRST116","message":"Cannot coerce the result to a single JSON object","details":"The result contains ` + rows + ` rows","hint":null}`
	}
	for _, c := range []exchange{
		{"GET", "/tasks?id=eq.1&select=id,name", "", object, 200, `{"id":1,"name":"first"}`, "0-0/*"},
		{"GET", "/tasks?id=eq.1&select=n:name", "", object, 200, `{"n":"first"}`, "0-0/*"},
		{"GET", "/tasks", "", object, 406, refused("3"), ""},
		{"GET", "/tasks?id=eq.99", "", object, 406, refused("0"), ""},
		{"HEAD", "/tasks", "", object, 406, "", ""},
		{"GET", "/rpc/tasks_of?project=2&select=id", "", object, 200, `{"id":3}`, "0-0/*"},
		{"GET", "/rpc/tasks_of?project=1", "", object, 406, refused("2"), ""},
		{"GET", "/rpc/numbers?n=1", "", object, 200, `1`, "0-0/*"},
		{"GET", "/rpc/numbers?n=2", "", object, 406, refused("2"), ""},
		{"GET", "/rpc/add?a=1", "", object, 200, `11`, "0-0/*"},
		{"POST", "/projects?select=name", `{"id":60,"name":"sixty"}`, written, 201, `{"name":"sixty"}`, "*/*"},
		{"POST", "/projects", `[{"id":61,"name":"x"},{"id":62,"name":"y"}]`, written, 406, refused("2"), ""},
		{"POST", "/projects", `[{"id":61,"name":"x"},{"id":62,"name":"y"}]`, object, 406, refused("2"), ""},
		{"PATCH", "/projects?id=eq.60&select=x:id", `{"name":"changed"}`, written, 200, `{"x":60}`, "0-0/*"},
		{"PATCH", "/projects", `{"name":"all"}`, written, 406, refused("3"), ""},
		{"PATCH", "/projects?id=eq.99", `{"name":"all"}`, object, 406, refused("0"), ""},
		{"DELETE", "/tasks", "", written, 406, refused("3"), ""},
		{"DELETE", "/tasks?id=eq.3&select=id", "", written, 200, `{"id":3}`, "*/*"},
		{"POST", "/rpc/add_projects", `{"n":2}`, object, 406, refused("2"), ""},
		{"POST", "/rpc/add_projects?select=id", `{"n":1}`, object, 200, `{"id":71}`, "0-0/*"},
		// A value that looks like our own condition is only a bad value.
		{"GET", "/tasks?id=eq.fluxbase:+rows+3", "", nil, 400,
			`{"code":"22P02","message":"invalid input syntax for type integer: \"fluxbase: rows 3\"","details":null,"hint":null}`, ""},
	} {
		if c.method == "HEAD" {
			if w := f.do(t, c.method, c.path, "", c.headers...); w.Code != c.status || w.Body.Len() > 0 {
				t.Errorf("HEAD: %d %s", w.Code, w.Body)
			}
			continue
		}
		f.exchange(t, c)
	}
	if got := f.value(t, "select string_agg(id || name, ',' order by id) from public.projects"); got != "1one,2two,60changed,71made" {
		t.Errorf("projects are %s", got)
	}
	w := f.do(t, "GET", "/tasks?id=eq.1", "", object...)
	if got := w.Header().Get("Content-Type"); got != "application/vnd.pgrst.object+json; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
}

// TestMaxAffected sees that a write of too many rows is undone.
func TestMaxAffected(t *testing.T) {
	t.Parallel()
	f := setup(t)
	strict := func(n string) []string { return []string{"Prefer: handling=strict, max-affected=" + n} }
	const refused = `{"code":"PGRST124","message":"Query result exceeds max-affected preference constraint","details":"The query affects 3 rows","hint":null}`
	for _, c := range []exchange{
		{"PATCH", "/tasks", `{"name":"x"}`, strict("2"), 400, refused, ""},
		{"DELETE", "/tasks", "", strict("0"), 400, refused, ""},
		{"GET", "/rpc/numbers?n=3", "", strict("2"), 400, refused, ""},
		{"PATCH", "/tasks", `{"size":3}`, strict("3"), 204, "", "0-2/*"},
		{"GET", "/rpc/numbers?n=3", "", strict("3"), 200, "[1, 2, 3]", "0-2/*"},
		{"GET", "/tasks?select=id&order=id&limit=1", "", strict("0"), 200, `[{"id":1}]`, "0-0/*"},
		{"POST", "/projects", `{"id":9,"name":"x"}`, strict("0"), 201, "", "*/*"},
		{"DELETE", "/tasks", "", []string{"Prefer: max-affected=1"}, 204, "", "*/*"},
	} {
		f.exchange(t, c)
	}
}

// TestColumns sees which keys of a body count and what missing ones mean.
func TestColumns(t *testing.T) {
	t.Parallel()
	f := setup(t)
	defaults := []string{"Prefer: missing=default, return=representation"}
	nulls := []string{"Prefer: return=representation"}
	const nl = ", \n "
	for _, c := range []exchange{
		{"POST", "/tasks?columns=name,size&select=name,size", `[{"name":"a","size":2,"id":77,"nothing":[1]},{"name":"b"}]`, nulls, 201,
			`[{"name":"a","size":2}` + nl + `{"name":"b","size":null}]`, "*/*"},
		{"POST", "/tasks?columns=name,size&select=name,size&order=size", `[{"size":3},{"name":"b","size":4},{"size":5}]`, defaults, 201,
			`[{"name":"unnamed","size":3}` + nl + `{"name":"b","size":4}` + nl + `{"name":"unnamed","size":5}]`, "*/*"},
		{"POST", "/tasks?columns=id,name&select=id,name&order=id", `[{},{"id":50},{"name":null,"id":51}]`, defaults, 400,
			`{"code":"23502","message":"null value in column \"name\" of relation \"tasks\" violates not-null constraint",` +
				`"details":"Failing row contains (51, null, null, null, null, {}, null, null, null, null, null, null, null, 102).","hint":null}`, ""},
		{"PATCH", "/tasks?columns=name,size&id=eq.1&select=name,size,done", `{"size":9,"done":false}`, defaults, 200,
			`[{"name":"unnamed","size":9,"done":true}]`, "0-0/*"},
		{"PATCH", "/tasks?columns=size&id=eq.1&select=name,size", `{"name":"ignored"}`, nulls, 200, `[{"name":"unnamed","size":null}]`, "0-0/*"},
		{"PATCH", "/tasks?columns=name&id=eq.2&select=name", `{}`, defaults, 200, `[{"name":"unnamed"}]`, "0-0/*"},
		{"POST", "/rpc/add?columns=a", `{"a":1,"b":100,"c":5}`, nil, 200, `11`, "0-0/*"},
	} {
		f.exchange(t, c)
	}
	w := f.do(t, "POST", "/tasks?columns=name", `[{"name":"x"}]`, "Prefer: missing=default, return=minimal")
	if got := w.Header().Get("Preference-Applied"); got != "missing=default, return=minimal" {
		t.Errorf("Preference-Applied %q", got)
	}
}

// TestLocation sees where an inserted row is said to be.
func TestLocation(t *testing.T) {
	t.Parallel()
	f := setup(t)
	headersOnly := []string{"Prefer: return=headers-only"}
	for _, c := range []struct{ path, body, want string }{
		{"/projects", `{"id":80,"name":"x"}`, "/projects?id=eq.80"},
		{"/halls", `{"building":"a b&c","nr":7}`, "/halls?building=eq.a+b%26c&nr=eq.7"},
		{"/projects", `[{"id":81,"name":"x"},{"id":82,"name":"x"}]`, ""},
		{"/events", `{"at":"2026-03-04"}`, ""}, // no primary key
	} {
		w := f.do(t, "POST", c.path, c.body, headersOnly...)
		if w.Code != 201 || w.Header().Get("Location") != c.want || w.Body.Len() > 0 || w.Header().Get("Preference-Applied") != "return=headers-only" {
			t.Errorf("%s %s: %d %v %s", c.path, c.body, w.Code, w.Header(), w.Body)
		}
	}
	w := f.do(t, "POST", "/projects", `{"id":83,"name":"x"}`, "Prefer: return=minimal")
	if w.Header().Get("Location") != "" {
		t.Errorf("%v", w.Header())
	}
}

// TestTimezone sees in which time zone times are written, and that it is forgotten afterwards.
func TestTimezone(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `create function public.moment() returns timestamptz language sql stable return timestamptz '2026-01-02 03:04:05+00';
		create function public.moments() returns setof public.tasks language sql volatile as $$ update public.tasks set name = name where id = 1 returning * $$`)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	const here, there = `"2026-01-02T03:04:05+00:00"`, `"2026-01-01T19:04:05-08:00"`
	for _, c := range []struct{ prefer, method, path, body, want, applied string }{
		{"timezone=America/Los_Angeles", "GET", "/tasks?select=due&id=eq.1", "", `[{"due":` + there + `}]`, "timezone=America/Los_Angeles"},
		{"", "GET", "/tasks?select=due&id=eq.1", "", `[{"due":` + here + `}]`, ""},
		{"handling=strict, timezone=America/Los_Angeles", "GET", "/tasks?select=d:due&id=eq.1", "", `[{"d":` + there + `}]`, "handling=strict, timezone=America/Los_Angeles"},
		{"timezone=Nowhere", "GET", "/tasks?select=due&id=eq.1", "", `[{"due":` + here + `}]`, ""},
		{"timezone=America/Los_Angeles", "GET", "/projects?select=tasks(due)&tasks.id=eq.1&id=eq.1", "", `[{"tasks":[{"due":` + there + `}]}]`, "timezone=America/Los_Angeles"},
		{"timezone=America/Los_Angeles", "GET", "/rpc/moment", "", there, "timezone=America/Los_Angeles"},
		{"timezone=America/Los_Angeles", "POST", "/rpc/moments?select=due", "{}", `[{"due":` + there + `}]`, "timezone=America/Los_Angeles"},
		{"return=representation, timezone=America/Los_Angeles", "PATCH", "/tasks?select=due&id=eq.1", `{"name":"x"}`, `[{"due":` + there + `}]`,
			"return=representation, timezone=America/Los_Angeles"},
		{"return=representation", "PATCH", "/tasks?select=due&id=eq.1", `{"name":"x"}`, `[{"due":` + here + `}]`, "return=representation"},
	} {
		w := f.do(t, c.method, c.path, c.body, "Prefer: "+c.prefer)
		if w.Body.String() != c.want || w.Header().Get("Preference-Applied") != c.applied {
			t.Errorf("%s %s %s: %d %s %q", c.prefer, c.method, c.path, w.Code, w.Body, w.Header().Get("Preference-Applied"))
		}
	}
}
