package rest

import (
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/resttest"
)

// TestAggregates groups rows of tables, embeds, functions and writes.
func TestAggregates(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Limits.Aggregates = true
	const nl = ", \n "
	for _, c := range []struct{ path, want, contentRange string }{
		{"/tasks?select=count()", `[{"count":3}]`, "0-0/*"},
		{"/tasks?select=count()&id=gt.99", `[{"count":0}]`, "0-0/*"},
		{"/tasks?select=n:count(),id.sum(),price.avg(),id.min(),id.max(),size.count()", `[{"n":3,"sum":6,"avg":5.7500000000000000,"min":1,"max":3,"count":2}]`, "0-0/*"},
		{"/tasks?select=project_id,count(),m:id.max()::text&order=project_id.desc", `[{"project_id":2,"count":1,"m":"3"}` + nl + `{"project_id":1,"count":2,"m":"2"}]`, "0-1/*"},
		{"/tasks?select=project_id,count()&order=project_id&limit=1&offset=1", `[{"project_id":2,"count":1}]`, "1-1/*"},
		{"/tasks?select=n:count(),k:data->>k&order=data->>k", `[{"n":1,"k":"1"}` + nl + `{"n":2,"k":null}]`, "0-1/*"},
		{"/tasks?select=data->>k::int4.sum(),id::numeric.avg()::int4", `[{"sum":1,"avg":2}]`, "0-0/*"},
		{"/tasks?select=due::text,count()&due=not.is.null", `[{"due":"2026-01-02 03:04:05+00","count":1}]`, "0-0/*"},
		{"/tasks?select=id.sum()&project_id=eq.2", `[{"sum":3}]`, "0-0/*"},
		{"/people?select=*,count()&id=eq.1", `[{"id":1,"name":"Ann","boss_id":null,"worked":"[2020-01-01,2021-01-01)","search":"'ann':1","count":1}]`, "0-0/*"},
		{"/people?select=shout,count()&order=shout&limit=1", `[{"shout":"ANN","count":1}]`, "0-0/*"},
		{"/people?select=shout.max()", `[{"max":"DAN BOBSON"}]`, "0-0/*"},
		{"/paints?select=shade,count()&order=shade&id=lt.3", `[{"shade":"#0000FF","count":1}` + nl + `{"shade":"#FF0000","count":1}]`, "0-1/*"},
		{"/paints?select=shade.max()", `[{"max":16711680}]`, "0-0/*"},
		// beside and inside embeds
		{"/tasks?select=count(),projects(name)&id=lt.3", `[{"count":2,"projects":{"name":"one"}}]`, "0-0/*"},
		{"/tasks?select=count(),people(name)&id=eq.3", `[{"count":1,"people":[]}]`, "0-0/*"},
		{"/tasks?select=count(),...projects(p:name)&id=lt.3", `[{"count":2,"p":"one"}]`, "0-0/*"},
		{"/projects?select=count(),...tasks(done)&id=eq.1&tasks.order=id", `[{"count":1,"done":[true, false]}]`, "0-0/*"},
		{"/projects?select=name,tasks(count())&order=id", `[{"name":"one","tasks":[{"count":2}]}` + nl + `{"name":"two","tasks":[{"count":1}]}]`, "0-1/*"},
		{"/people?select=name,tasks(count())&id=eq.3", `[{"name":"Cara","tasks":[{"count":0}]}]`, "0-0/*"},
		{"/projects?select=name,tasks(done,n:count(),id.sum())&tasks.order=done&id=eq.1", `[{"name":"one","tasks":[{"done":false,"n":1,"sum":2}` + nl + `{"done":true,"n":1,"sum":1}]}]`, "0-0/*"},
		{"/projects?select=name,tasks!inner(count())&order=id&limit=1", `[{"name":"one","tasks":[{"count":2}]}]`, "0-0/*"},
		{"/projects?select=name,tasks!inner(done,count())&tasks.id=eq.3", `[{"name":"two","tasks":[{"done":null,"count":1}]}]`, "0-0/*"},
		{"/tasks?select=id,projects(count())&id=eq.1", `[{"id":1,"projects":{"count":1}}]`, "0-0/*"},
		// of a spread embed, for the rows around it
		{"/tasks?select=...projects(id.sum(),n:count())", `[{"sum":4,"n":3}]`, "0-0/*"},
		{"/shows?select=...halls(seats.sum(),n:count())", `[{"sum":40,"n":3}]`, "0-0/*"},
		{"/task_people?select=role,...tasks(...projects(n:id.count()::text,name))&order=role", `[{"role":"lead","n":"2","name":"one"}` + nl + `{"role":null,"n":"1","name":"one"}]`, "0-1/*"},
		// functions
		{"/rpc/tasks_of?project=1&select=done,count()&order=done", `[{"done":false,"count":1}` + nl + `{"done":true,"count":1}]`, "0-1/*"},
	} {
		w := f.do(t, "GET", escapeQuery(c.path), "")
		if w.Code != 200 || w.Body.String() != c.want || w.Header().Get("Content-Range") != c.contentRange {
			t.Errorf("%s\n got %d %s %s\nwant %s %s", c.path, w.Code, w.Header().Get("Content-Range"), w.Body, c.contentRange, c.want)
		}
		head := f.do(t, "HEAD", escapeQuery(c.path), "")
		if head.Code != 200 || head.Header().Get("Content-Range") != c.contentRange {
			t.Errorf("HEAD %s: %d %v", c.path, head.Code, head.Header())
		}
	}
	rep, count := []string{representation}, []string{"Prefer: count=exact"}
	strict := []string{"Prefer: return=representation, handling=strict, max-affected=1"}
	for _, c := range []exchange{
		{"GET", "/tasks?select=project_id,count()&order=project_id&limit=1", "", count, 206, `[{"project_id":1,"count":2}]`, "0-0/2"},
		{"GET", "/tasks?select=count()&limit=1", "", count, 200, `[{"count":3}]`, "0-0/1"},
		{"HEAD", "/tasks?select=project_id,count()&limit=1", "", count, 206, "", "0-0/2"},
		{"GET", "/rpc/tasks_of?project=1&select=done,count()&limit=1&order=done", "", count, 206, `[{"done":false,"count":1}]`, "0-0/2"},
		{"GET", "/tasks?select=project_id,count()&order=project_id", "", []string{"Accept: text/csv"}, 200, "project_id,count\n1,2\n2,1", "0-1/*"},
		{"GET", "/tasks?select=count()", "", []string{"Accept: application/vnd.pgrst.object+json"}, 200, `{"count":3}`, "0-0/*"},
		{"POST", "/tasks?select=name,count(),size.sum()", `[{"name":"new","size":3},{"name":"new","size":4}]`, rep, 201, `[{"name":"new","count":2,"sum":7}]`, "*/*"},
		{"PATCH", "/tasks?name=eq.new&select=count()", `{"size":1}`, rep, 200, `[{"count":2}]`, "0-1/*"},
		{"DELETE", "/tasks?name=eq.new&select=count()", "", strict, 400, `{"code":"PGRST124","message":"Query result exceeds max-affected preference constraint","details":"The query affects 2 rows","hint":null}`, ""},
		{"DELETE", "/tasks?name=eq.new&select=name,count()", "", rep, 200, `[{"name":"new","count":2}]`, "*/*"},

		{"GET", "/projects?select=...tasks(count())", "", nil, 400, `{"code":"PGRST127","message":"Feature not implemented","details":"Aggregates are not implemented for one-to-many or many-to-many spreads.","hint":null}`, ""},
		{"GET", "/people?select=...tasks(...projects(id.sum()))", "", nil, 400, `{"code":"PGRST127","message":"Feature not implemented","details":"Aggregates are not implemented for one-to-many or many-to-many spreads.","hint":null}`, ""},
		{"GET", "/tasks?select=count()&order=data->k", "", nil, 400, `{"code":"42803","message":"column \"tasks.data\" must appear in the GROUP BY clause or be used in an aggregate function","details":null,"hint":null}`, ""},
		{"GET", "/tasks?select=name.sum()", "", nil, 404, `{"code":"42883","message":"function pg_catalog.sum(text) does not exist","details":null,"hint":"No function matches the given name and argument types. You might need to add explicit type casts."}`, ""},
		{"GET", "/tasks?select=absent.sum()", "", nil, 400, `{"code":"42703","message":"column tasks.absent does not exist","details":null,"hint":null}`, ""},
		{"GET", "/tasks?select=id.sum()::absent", "", nil, 400, `{"code":"42704","message":"type \"absent\" does not exist","details":null,"hint":null}`, ""},
	} {
		c.path = escapeQuery(c.path)
		if c.method == "HEAD" {
			w := f.do(t, c.method, c.path, "", c.headers...)
			if w.Code != c.status || w.Header().Get("Content-Range") != c.contentRange {
				t.Errorf("HEAD %s: %d %v", c.path, w.Code, w.Header())
			}
			continue
		}
		f.exchange(t, c)
	}
}

// TestAggregatesOff sees that without the setting every aggregate is refused, wherever it stands.
func TestAggregatesOff(t *testing.T) {
	t.Parallel()
	catalog := resttest.Catalog(t)
	for _, list := range []string{"count()", "n:count()", "id.sum()", "id::text.max()::text", "data->a.count()", "projects(count())", "...projects(id.sum())", "id,projects(tasks(id.avg()))"} {
		in := resttest.Line(t, "GET /tasks?select="+list)
		if _, err := planIn(catalog, in, dialect.Limits{}); err == nil || err.Code != "PGRST123" || err.Status != 400 {
			t.Errorf("%s: %v", list, err)
		}
		if _, err := planIn(catalog, in, dialect.Limits{Aggregates: true}); err != nil {
			t.Errorf("%s with the setting: %v", list, err)
		}
	}
}
