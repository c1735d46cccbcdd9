package rest

import "testing"

// TestEmbed reads related rows through gateway and PostgreSQL.
func TestEmbed(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `create table public.tallies (count integer); insert into public.tallies values (7); grant select on public.tallies to authenticated`)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	const nl = ", \n "
	for _, c := range []struct{ path, want, contentRange string }{
		// to one
		{"/tasks?select=id,projects(name)&order=id", `[{"id":1,"projects":{"name":"one"}}` + nl + `{"id":2,"projects":{"name":"one"}}` + nl + `{"id":3,"projects":{"name":"two"}}]`, "0-2/*"},
		{"/tasks?select=id,p:projects(n:name)&id=eq.3", `[{"id":3,"p":{"n":"two"}}]`, "0-0/*"},
		{"/tasks?select=id,project_id(id)&id=eq.3", `[{"id":3,"project_id":{"id":2}}]`, "0-0/*"},
		{"/people?select=name,boss:boss_id(name)&order=id&limit=2", `[{"name":"Ann","boss":null}` + nl + `{"name":"Bob","boss":{"name":"Ann"}}]`, "0-1/*"},
		{"/shows?select=title,halls(seats)&order=id.desc&limit=2", `[{"title":"fourth","halls":null}` + nl + `{"title":"third","halls":{"seats":10}}]`, "0-1/*"},
		{"/trips?select=id,a:places!trips_from(name),b:places!to_id(name)&id=gt.1&order=id", `[{"id":2,"a":{"name":"Oslo"},"b":{"name":"Rome"}}` + nl + `{"id":3,"a":{"name":"Rome"},"b":null}]`, "0-1/*"},
		// one to one
		{"/tasks?select=id,task_details(note)&id=lt.3&order=id", `[{"id":1,"task_details":{"note":"detail of one"}}` + nl + `{"id":2,"task_details":null}]`, "0-1/*"},
		{"/task_details?select=note,tasks(name)", `[{"note":"detail of one","tasks":{"name":"first"}}]`, "0-0/*"},
		// to many
		{"/projects?select=name,tasks(id)&order=id&tasks.order=id.desc", `[{"name":"one","tasks":[{"id":2}, ` + "\n" + ` {"id":1}]}` + nl + `{"name":"two","tasks":[{"id":3}]}]`, "0-1/*"},
		{"/projects?select=n:name,t:tasks(i:id)&id=eq.2", `[{"n":"two","t":[{"i":3}]}]`, "0-0/*"},
		{"/projects?select=name,tasks(id)&tasks.id=gt.2&order=id", `[{"name":"one","tasks":[]}` + nl + `{"name":"two","tasks":[{"id":3}]}]`, "0-1/*"},
		{"/projects?select=name,tasks(id)&tasks.order=id&tasks.limit=1&tasks.offset=1&id=eq.1", `[{"name":"one","tasks":[{"id":2}]}]`, "0-0/*"},
		{"/people?select=name,people(name)&order=id&people.order=id", `[{"name":"Ann","people":[{"name":"Bob"}, ` + "\n" + ` {"name":"Cara"}]}` + nl + `{"name":"Bob","people":[{"name":"Dan Bobson"}]}` + nl + `{"name":"Cara","people":[]}` + nl + `{"name":"Dan Bobson","people":[]}]`, "0-3/*"},
		// many to many
		{"/tasks?select=id,people(name)&order=id&people.order=id.desc", `[{"id":1,"people":[{"name":"Bob"}, ` + "\n" + ` {"name":"Ann"}]}` + nl + `{"id":2,"people":[{"name":"Bob"}]}` + nl + `{"id":3,"people":[]}]`, "0-2/*"},
		{"/people?select=name,tasks(id)&tasks.name=like.f*&order=id&limit=2", `[{"name":"Ann","tasks":[{"id":1}]}` + nl + `{"name":"Bob","tasks":[{"id":1}]}]`, "0-1/*"},
		{"/tasks?select=id,task_people(role,people(name))&id=eq.2", `[{"id":2,"task_people":[{"role":"lead","people":{"name":"Bob"}}]}]`, "0-0/*"},
		// inner
		{"/tasks?select=id,projects!inner(name)&projects.name=eq.two", `[{"id":3,"projects":{"name":"two"}}]`, "0-0/*"},
		{"/projects?select=name,tasks!inner(id)&tasks.id=gt.2", `[{"name":"two","tasks":[{"id":3}]}]`, "0-0/*"},
		{"/projects?select=name,tasks!inner(id,people!inner(name))&tasks.people.name=eq.Ann", `[{"name":"one","tasks":[{"id":1,"people":[{"name":"Ann"}]}]}]`, "0-0/*"},
		{"/projects?select=name,tasks!inner()&tasks.id=gt.2", `[{"name":"two"}]`, "0-0/*"},
		{"/projects?select=name,tasks!left(id)&tasks.id=gt.9&id=eq.1", `[{"name":"one","tasks":[]}]`, "0-0/*"},
		// tests for null
		{"/people?select=name,people(name)&people=is.null&order=id", `[{"name":"Cara","people":[]}` + nl + `{"name":"Dan Bobson","people":[]}]`, "0-1/*"},
		{"/people?select=name,people()&people=not.is.null&order=id", `[{"name":"Ann"}` + nl + `{"name":"Bob"}]`, "0-1/*"},
		{"/people?select=name,boss:boss_id(),tasks()&or=(boss.is.null,tasks.is.null)&order=id", `[{"name":"Ann"}` + nl + `{"name":"Cara"}` + nl + `{"name":"Dan Bobson"}]`, "0-2/*"},
		{"/shows?select=title,halls()&halls=is.null", `[{"title":"fourth"}]`, "0-0/*"},
		// spread
		{"/tasks?select=id,...projects(project:name)&order=id.desc&limit=1", `[{"id":3,"project":"two"}]`, "0-0/*"},
		{"/tasks?select=name,...projects(id)&id=eq.1", `[{"name":"first","id":1}]`, "0-0/*"},
		{"/shows?select=title,...halls(seats)&id=gte.3&order=id", `[{"title":"third","seats":10}` + nl + `{"title":"fourth","seats":null}]`, "0-1/*"},
		{"/projects?select=name,...tasks(ids:id,done)&order=id&tasks.order=id.desc", `[{"name":"one","ids":[2, 1],"done":[false, true]}` + nl + `{"name":"two","ids":[3],"done":[null]}]`, "0-1/*"},
		{"/people?select=name,...tasks(tasks:name)&id=eq.3", `[{"name":"Cara","tasks":[]}]`, "0-0/*"},
		{"/tasks?select=id,...projects(name,tasks(id))&id=eq.3", `[{"id":3,"name":"two","tasks":[{"id":3}]}]`, "0-0/*"},
		{"/tasks?select=id,projects(...tasks(t:id))&id=eq.3", `[{"id":3,"projects":{"t":[3]}}]`, "0-0/*"},
		{"/task_people?select=role,...tasks(...projects(project:name))&person_id=eq.1", `[{"role":"lead","project":"one"}]`, "0-0/*"},
		{"/projects?select=id,...tasks!inner(t:id)&tasks.id=gt.2", `[{"id":2,"t":[3]}]`, "0-0/*"},
		// order by related rows
		{"/tasks?select=id,projects(name)&order=projects(name).desc,id.desc", `[{"id":3,"projects":{"name":"two"}}` + nl + `{"id":2,"projects":{"name":"one"}}` + nl + `{"id":1,"projects":{"name":"one"}}]`, "0-2/*"},
		{"/people?select=name,b:boss_id()&order=b(name).asc.nullsfirst,id&limit=2", `[{"name":"Ann"}` + nl + `{"name":"Bob"}]`, "0-1/*"},
		{"/tasks?select=id,...projects(p:name)&order=projects(id).desc,id&limit=1", `[{"id":3,"p":"two"}]`, "0-0/*"},
		// nothing but embeds
		{"/tasks?select=projects(name)&id=eq.1", `[{"projects":{"name":"one"}}]`, "0-0/*"},
		{"/tasks?select=projects()&id=eq.1", `[{}]`, "0-0/*"},
		{"/tasks?select=id,projects(tasks())&id=eq.1", `[{"id":1}]`, "0-0/*"},
		// a lone count is how many there are, without any setting; a column of this name is that column
		{"/tasks?select=count", `[{"count":3}]`, "0-0/*"},
		{"/tasks?select=n:count::text&id=gt.1", `[{"n":"2"}]`, "0-0/*"},
		{"/projects?select=name,tasks(count)&tasks.done=is.true&order=id", `[{"name":"one","tasks":[{"count":1}]}` + nl + `{"name":"two","tasks":[{"count":0}]}]`, "0-1/*"},
		{"/people?select=name,jobs:tasks!inner(count)&id=eq.2", `[{"name":"Bob","jobs":[{"count":2}]}]`, "0-0/*"},
		{"/tallies?select=count", `[{"count":7}]`, "0-0/*"},
		// functions
		{"/rpc/tasks_of?project=1&select=count", `[{"count":2}]`, "0-0/*"},
		{"/rpc/tasks_of?project=1&select=id,projects(name),people(name)&order=id.desc&limit=1", `[{"id":2,"projects":{"name":"one"},"people":[{"name":"Bob"}]}]`, "0-0/*"},
		{"/rpc/tasks_of?project=1&select=id,people!inner(name)&people.name=eq.Ann", `[{"id":1,"people":[{"name":"Ann"}]}]`, "0-0/*"},
		{"/rpc/one_task?task=3&select=id,projects(name)", `{"id":3,"projects":{"name":"two"}}`, "0-0/*"},
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
}

// TestEmbedInWrites reads what is related to the rows written, and counts rows with and without related ones.
func TestEmbedInWrites(t *testing.T) {
	t.Parallel()
	f := setup(t)
	rep := []string{representation}
	for _, c := range []exchange{
		{"POST", "/tasks?select=id,projects(name),people(name)", `{"project_id":2}`, rep, 201, `[{"id":10,"projects":{"name":"two"},"people":[]}]`, "*/*"},
		{"POST", "/tasks?select=...projects(p:name)", `{"project_id":2}`, rep, 201, `[{"p":"two"}]`, "*/*"},
		{"POST", "/tasks?select=projects()", `{"project_id":2}`, rep, 201, `[{}]`, "*/*"},
		{"POST", "/rpc/tasks_of?select=id,projects(name)&id=eq.1", `{"project":1}`, nil, 200, `[{"id":1,"projects":{"name":"one"}}]`, "0-0/*"},
		{"PATCH", "/tasks?id=eq.1&select=name,people(name)&people.id=eq.2", `{"name":"x"}`, rep, 200, `[{"name":"x","people":[{"name":"Bob"}]}]`, "0-0/*"},
		{"PATCH", "/tasks?id=lt.4&select=id,projects(name)&order=projects(name).desc,id", `{"name":"x"}`, rep, 200,
			`[{"id":3,"projects":{"name":"two"}}, ` + "\n" + ` {"id":1,"projects":{"name":"one"}}, ` + "\n" + ` {"id":2,"projects":{"name":"one"}}]`, "0-2/*"},
		{"DELETE", "/tasks?id=eq.3&select=id,projects!inner(name)&projects.name=eq.two", "", rep, 200, `[{"id":3,"projects":{"name":"two"}}]`, "*/*"},
		{"GET", "/people?select=name,people!inner(id)&limit=1&order=id", "", []string{"Prefer: count=exact"}, 206,
			`[{"name":"Ann","people":[{"id":2}, ` + "\n" + ` {"id":3}]}]`, "0-0/2"},
		{"GET", "/people?select=name,people(id)&people=is.null&limit=1&order=id", "", []string{"Prefer: count=exact"}, 206,
			`[{"name":"Cara","people":[]}]`, "0-0/2"},
		{"GET", "/rpc/tasks_of?project=1&select=id,people!inner(id)&limit=1&people.id=eq.2&order=id", "", []string{"Prefer: count=exact"}, 206,
			`[{"id":1,"people":[{"id":2}]}]`, "0-0/2"},
		{"GET", "/trips?select=places(name)", "", nil, 300, `{"code":"PGRST201",` +
			`"message":"Could not embed because more than one relationship was found for 'trips' and 'places'",` +
			`"details":[{"cardinality":"many-to-one","embedding":"trips with places","relationship":"trips_from using trips(from_id) and places(id)"},` +
			`{"cardinality":"many-to-one","embedding":"trips with places","relationship":"trips_to using trips(to_id) and places(id)"}],` +
			`"hint":"Try changing 'places' to one of the following: 'places!trips_from', 'places!trips_to'. Find the desired relationship in the 'details' key."}`, ""},
	} {
		c.path = escapeQuery(c.path)
		f.exchange(t, c)
	}
}

// TestEmbedRights sees that an embed shows what its caller may see: grants and policies hold inside.
func TestEmbedRights(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `alter table public.owned no force row level security;
		create table public.pages (id integer primary key, owned_id integer references public.owned, secret_id integer references public.secrets);
		grant select on public.pages to authenticated;
		insert into public.secrets values (1, 'hidden');
		insert into public.owned (id, owner, body) values (1, '`+annID.String()+`', 'mine'), (2, gen_random_uuid(), 'theirs');
		insert into public.pages values (1, 1, 1), (2, 2, 1)`)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []exchange{
		{"GET", "/pages?select=id,owned(body)&order=id", "", nil, 200, `[{"id":1,"owned":{"body":"mine"}}, ` + "\n" + ` {"id":2,"owned":null}]`, "0-1/*"},
		{"GET", "/pages?select=id,owned!inner()&order=id", "", nil, 200, `[{"id":1}]`, "0-0/*"},
		{"GET", "/owned?select=id,pages(id)", "", nil, 200, `[{"id":1,"pages":[{"id":1}]}]`, "0-0/*"},
		{"GET", "/pages?select=id,secrets(hidden)", "", nil, 403, `{"code":"42501","message":"permission denied for table secrets","details":null,"hint":null}`, ""},
		{"GET", "/pages?select=id,secrets()&secrets=is.null", "", nil, 403, `{"code":"42501","message":"permission denied for table secrets","details":null,"hint":null}`, ""},
	} {
		f.exchange(t, c)
	}
}
