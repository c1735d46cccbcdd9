package rest

import (
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
)

// TestEmbedViews embeds through views: of exposed tables, of tables that are not, of other views, and with several
// rows for one key.
func TestEmbedViews(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `
		create view public.task_list as select name, project_id as project, id as nr, 1 as project_id from public.tasks;
		create view public.project_list as select p.id as pid, upper(p.name) as title from (select id, name from public.projects) p;
		create view public.project_titles as with x as (select * from public.project_list) select pid as id, title from x;
		create materialized view public.staff as select id, name as "odd }name", boss_id from public.people;
		create view public.task_people_twice as select tp.* from public.task_people tp cross join generate_series(1, 2);
		create view public.task_roles as select d.task_id, d.note, g as n from public.task_details d cross join generate_series(1, 2) g;
		create view public.trips_twice as select id, from_id as a, from_id as b from public.trips;
		create table hidden.jobs (id integer primary key, parent_id integer references hidden.jobs);
		create view public.jobs as select * from hidden.jobs;
		insert into hidden.jobs values (1, null), (2, 1);
		create table hidden.owners (id integer primary key, name text);
		create table hidden.pets (id integer primary key, owner_id integer references hidden.owners, name text);
		create table hidden.owner_pets (owner_id integer references hidden.owners, pet_id integer references hidden.pets, primary key (owner_id, pet_id));
		create view public.owners as select id, name from hidden.owners;
		create view public.pets as select * from hidden.pets;
		create view public.owner_pets as select * from hidden.owner_pets;
		insert into hidden.owners values (1, 'Ann'), (2, 'Bob');
		insert into hidden.pets values (1, 1, 'Rex'), (2, null, 'Tom');
		insert into hidden.owner_pets values (2, 1);
		grant select on public.task_list, public.project_list, public.project_titles, public.staff, public.task_people_twice,
			public.task_roles, public.owners, public.pets, public.owner_pets, public.trips_twice, public.jobs to authenticated`)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path   string
		status int
		want   string
	}{
		{"/open_tasks?select=id,people!task_people(name),task_details(note)&id=eq.2", 200, `[{"id":2,"people":[{"name":"Bob"}],"task_details":null}]`},
		{"/task_list?select=nr,projects(name)&nr=eq.3", 200, `[{"nr":3,"projects":{"name":"two"}}]`},
		{"/task_list?select=nr,project_list(title),project_titles(id)&nr=eq.3", 200, `[{"nr":3,"project_list":{"title":"TWO"},"project_titles":{"id":2}}]`},
		{"/tasks?select=id,project_titles!inner(title)&project_titles.title=eq.TWO", 200, `[{"id":3,"project_titles":{"title":"TWO"}}]`},
		{"/projects?select=name,task_list(nr)&id=eq.2", 200, `[{"name":"two","task_list":[{"nr":3}]}]`},
		{"/people?select=name,task_list!task_people(nr)&id=eq.1", 200, `[{"name":"Ann","task_list":[{"nr":1}]}]`},
		{`/staff?select=n:"odd }name",boss:boss_id(name),staff(id)&id=eq.2`, 200, `[{"n":"Bob","boss":{"name":"Ann"},"staff":[{"id":4}]}]`},
		// a view of a junction is another one
		{"/tasks?select=id,people(name)&id=eq.2", 300, ""},
		{"/tasks?select=id,people!task_people(name)&id=eq.2", 200, `[{"id":2,"people":[{"name":"Bob"}]}]`},
		{"/tasks?select=id,people!task_people_twice(name)&id=eq.2", 200, `[{"id":2,"people":[{"name":"Bob"}, ` + "\n" + ` {"name":"Bob"}]}]`},
		{"/tasks?select=id,projects(name)&id=eq.3", 200, `[{"id":3,"projects":{"name":"two"}}]`},
		{"/tasks?select=id,tasks_project_id_fkey(name),project_id(id)&id=eq.3", 200, `[{"id":3,"tasks_project_id_fkey":{"name":"two"},"project_id":{"id":2}}]`},
		{"/tasks?select=id,task_people_twice(role)&id=eq.2", 200, `[{"id":2,"task_people_twice":[{"role":"lead"}, ` + "\n" + ` {"role":"lead"}]}]`},
		// to one is one row even if the view has two
		{"/tasks?select=id,task_roles(note)&id=eq.1", 200, `[{"id":1,"task_roles":{"note":"detail of one"}}]`},
		{"/tasks?select=id,task_roles!inner()", 200, `[{"id":1}]`},
		{"/pets?select=name,owners!pets_owner_id_fkey(name)&order=id", 200, `[{"name":"Rex","owners":{"name":"Ann"}}, ` + "\n" + ` {"name":"Tom","owners":null}]`},
		{"/owners?select=name,pets!owner_pets(name)&id=eq.2", 200, `[{"name":"Bob","pets":[{"name":"Rex"}]}]`},
		{"/owners?select=name,pets(name)&id=eq.2", 300, ""},
		{"/project_list?select=pid,shows(id)", 400, ""},
		{"/trips_twice?select=id,places!a(name),x:places!b(name)&id=eq.2", 200, `[{"id":2,"places":{"name":"Oslo"},"x":{"name":"Oslo"}}]`},
		{"/trips_twice?select=id,places(name)&id=eq.2", 300, ""},
		{"/places?select=name,trips_twice!b(id)&id=eq.2", 200, `[{"name":"Oslo","trips_twice":[{"id":2}]}]`},
		{"/jobs?select=id,parent_id(id),children:jobs!parent_id(id)&order=id", 200,
			`[{"id":1,"parent_id":null,"children":[{"id":2}]}, ` + "\n" + ` {"id":2,"parent_id":{"id":1},"children":[]}]`},
	} {
		w := f.do(t, "GET", escapeQuery(c.path), "")
		if w.Code != c.status || c.want != "" && w.Body.String() != c.want {
			t.Errorf("%s\n got %d %s\nwant %s", c.path, w.Code, w.Body, c.want)
		}
	}
	before := f.Cache.Current().Version
	f.exec(t, `create or replace view public.project_list as select p.id as pid, lower(p.name) as title from public.projects p`)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f.Cache.Current().Version == before {
		t.Error("a view was replaced, the catalog was not")
	}
}

// TestKeysOfViews writes through views by the primary keys of the tables that they show.
func TestKeysOfViews(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `
		create table hidden.roles (task integer, person integer, role text, primary key (person, task));
		create view public.roles with (security_invoker = true) as select role as title, task as t, person as p from hidden.roles;
		create view public.keyless as select task, role from hidden.roles;
		create view public.two_keys as select t.id as tid, p.id as pid from public.tasks t cross join public.projects p;
		grant usage on schema hidden to authenticated;
		grant select, insert, update, delete on hidden.roles, public.roles, public.keyless to authenticated`)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What a condition of the view hides, an INSERT that meets it may change; what a policy hides, it may not.
	f.exec(t, `
		create table hidden.diaries (id integer primary key, owner text, body text);
		insert into hidden.diaries values (1, 'me', 'mine'), (2, 'other', 'not mine');
		alter table hidden.diaries enable row level security;
		create policy mine on hidden.diaries to authenticated using (owner = 'me');
		create view public.diaries with (security_invoker = true) as select * from hidden.diaries;
		grant select, insert, update on hidden.diaries, public.diaries to authenticated`)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for method, path := range map[string]string{"PUT": "/diaries?id=eq.2", "POST": "/diaries"} {
		w := f.do(t, method, path, `{"id":2,"owner":"me"}`, "Prefer: resolution=merge-duplicates, return=representation")
		if w.Code != 403 || code(t, w) != "42501" || strings.Contains(w.Body.String(), "not mine") {
			t.Errorf("%s of a hidden row: %d %s", method, w.Code, w.Body)
		}
	}
	merge := []string{"Prefer: resolution=merge-duplicates"}
	for _, c := range []exchange{
		{"PUT", "/open_tasks?id=eq.2", `{"id":2,"name":"put"}`, nil, 204, "", ""},
		{"PUT", "/open_tasks?id=eq.20", `{"id":20,"name":"new"}`, []string{representation}, 201, `[{"id":20,"name":"new","done":null}]`, ""},
		{"PUT", "/open_tasks?name=eq.x", `{"id":2,"name":"x"}`, nil, 405, `{"code":"PGRST105","message":"Filters must include all and only primary key columns with 'eq' operators","details":null,"hint":null}`, ""},
		{"POST", "/open_tasks", `[{"id":2,"name":"merged"},{"id":21,"name":"x"}]`, merge, 201, "", "*/*"},
		{"POST", "/roles", `{"t":1,"p":2,"title":"a"}`, merge, 201, "", "*/*"},
		{"POST", "/roles?select=title", `{"t":1,"p":2,"title":"b"}`, []string{"Prefer: resolution=merge-duplicates, return=representation"}, 200, `[{"title":"b"}]`, "*/*"},
		{"PUT", "/roles?p=eq.2&t=eq.1", `{"t":1,"p":2,"title":"c"}`, nil, 204, "", ""},
	} {
		f.exchange(t, c)
	}
	if got := f.value(t, `(select string_agg(id || name, ',' order by id) from public.tasks where id in (2, 20, 21)) || (select string_agg(role, '') from hidden.roles)`); got != "2merged,20new,21xc" {
		t.Errorf("rows are %s", got)
	}
	headersOnly := []string{"Prefer: return=headers-only"}
	if w := f.do(t, "POST", "/roles", `{"t":3,"p":4}`, headersOnly...); w.Code != 201 || w.Header().Get("Location") != "/roles?p=eq.4&t=eq.3" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	for path, want := range map[string]string{
		"/open_tasks": "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE", "/roles": "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE",
		"/keyless": "OPTIONS,GET,HEAD,POST,PATCH,DELETE", "/two_keys": "OPTIONS,GET,HEAD",
	} {
		if w := f.do(t, "OPTIONS", path, ""); w.Header().Get("Allow") != want {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	for _, name := range []string{"keyless", "two_keys"} {
		if r := f.Cache.Current().Relations[catalog.QualifiedName{Schema: "public", Name: name}]; len(r.PrimaryKey) > 0 {
			t.Errorf("%s has the key %s", name, r.PrimaryKey)
		}
	}
}
