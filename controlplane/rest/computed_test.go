package rest

import "testing"

// TestComputed reads columns and relationships that functions make, in every place that has one.
func TestComputed(t *testing.T) {
	t.Parallel()
	f := setup(t)
	const nl = ", \n "
	for _, c := range []struct{ path, want, contentRange string }{
		{"/people?select=name,shout&id=eq.1", `[{"name":"Ann","shout":"ANN"}]`, "0-0/*"},
		{"/people?select=x:shout,again:shout::text&shout=like.B*", `[{"x":"BOB","again":"BOB"}]`, "0-0/*"},
		{"/people?select=id&or=(shout.eq.ANN,id.eq.2)&order=shout.desc", `[{"id":2}` + nl + `{"id":1}]`, "0-1/*"},
		{"/people?id=eq.1&select=*", `[{"id":1,"name":"Ann","boss_id":null,"worked":"[2020-01-01,2021-01-01)","search":"'ann':1"}]`, "0-0/*"},
		{"/people?id=eq.1&select=boss_id,*,shout", `[{"boss_id":null,"id":1,"name":"Ann","boss_id":null,"worked":"[2020-01-01,2021-01-01)","search":"'ann':1","shout":"ANN"}]`, "0-0/*"},
		{"/tasks?select=id,facts->length,n:facts->>done&facts->>length=eq.5", `[{"id":1,"length":5,"n":"true"}]`, "0-0/*"},
		{"/tasks?select=facts&id=eq.2", `[{"facts":{"done": false, "length": 6}}]`, "0-0/*"},
		{"/open_tasks?select=name,text_of&id=eq.2", `[{"name":"second","text_of":"2 second"}]`, "0-0/*"},
		{"/letters?select=b,whole", `[{"b":"b","whole":"1-2-3-4"}]`, "0-0/*"},
		// to many, to one by ROWS 1, to one by its result
		{"/people?select=name,reports(name,shout)&id=lt.3&reports.order=shout.desc", `[{"name":"Ann","reports":[{"name":"Cara","shout":"CARA"}` + nl + `{"name":"Bob","shout":"BOB"}]}` + nl +
			`{"name":"Bob","reports":[{"name":"Dan Bobson","shout":"DAN BOBSON"}]}]`, "0-1/*"},
		{"/people?select=name,boss(name),chief(name)&id=lt.3&order=boss(shout).nullsfirst", `[{"name":"Ann","boss":null,"chief":null}` + nl + `{"name":"Bob","boss":{"name":"Ann"},"chief":{"name":"Ann"}}]`, "0-1/*"},
		{"/people?select=name,b:boss!inner(name,r:reports(name))&id=eq.4", `[{"name":"Dan Bobson","b":{"name":"Bob","r":[{"name":"Dan Bobson"}]}}]`, "0-0/*"},
		{"/people?select=name,...chief(c:shout),reports()&reports=is.null&id=gt.2", `[{"name":"Cara","c":"ANN"}` + nl + `{"name":"Dan Bobson","c":"ANN"}]`, "0-1/*"},
		{"/people?select=name,...reports(r:shout)&id=eq.1&reports.order=id", `[{"name":"Ann","r":["BOB", "CARA"]}]`, "0-0/*"},
		{"/people?select=name,reports!inner(id)&reports.shout=eq.CARA", `[{"name":"Ann","reports":[{"id":3}]}]`, "0-0/*"},
		{"/people?select=name,chief()&chief=is.null", `[{"name":"Ann"}]`, "0-0/*"},
		// what is detected gives way, unless a hint names it
		{"/walls?select=id,paints(name)&id=eq.1", `[{"id":1,"paints":{"name":"none"}}]`, "0-0/*"},
		{"/walls?select=id,paints!paint_id(name)&id=eq.1", `[{"id":1,"paints":{"name":"red"}}]`, "0-0/*"},
		{"/paints?select=id,walls(id)&id=eq.1", `[{"id":1,"walls":[{"id":1}` + nl + `{"id":3}]}]`, "0-0/*"},
		// rows of functions
		{"/rpc/people_of?project=2&select=name,shout,boss(name)&shout=neq.ANN", `[{"name":"Bob","shout":"BOB","boss":{"name":"Ann"}}]`, "0-0/*"},
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
	for _, c := range []exchange{
		{"GET", "/people?select=id,reports!inner(id)&limit=1&order=id", "", count, 206, `[{"id":1,"reports":[{"id":2}` + nl + `{"id":3}]}]`, "0-0/2"},
		{"GET", "/rpc/people_of?project=2&select=name,shout,reports(name)&limit=1&order=shout.desc", "", count, 206, `[{"name":"Bob","shout":"BOB","reports":[{"name":"Dan Bobson"}]}]`, "0-0/2"},
		{"POST", "/people?select=*,shout,boss(name)", `{"id":9,"name":"Eve","boss_id":1}`, rep, 201,
			`[{"id":9,"name":"Eve","boss_id":1,"worked":null,"search":"'eve':1","shout":"EVE","boss":{"name":"Ann"}}]`, "*/*"},
		{"PATCH", "/people?shout=eq.EVE&select=id,shout,chief(name)&order=shout", `{"name":"Eva"}`, rep, 200, `[{"id":9,"shout":"EVA","chief":{"name":"Ann"}}]`, "0-0/*"},
		{"PATCH", "/people?id=eq.9&select=id&order=shout", `{"name":"Eve"}`, rep, 200, `[{"id":9}]`, "0-0/*"},
		{"DELETE", "/people?shout=eq.EVE&select=shout", "", rep, 200, `[{"shout":"EVE"}]`, "*/*"},
		{"POST", "/people", `{"id":9,"shout":"X"}`, nil, 400, `{"code":"PGRST204","message":"Could not find the 'shout' column of 'people' in the schema cache","details":null,"hint":null}`, ""},
		{"GET", "/tasks?select=shout", "", nil, 400, `{"code":"42703","message":"column tasks.shout does not exist","details":null,"hint":null}`, ""},
		{"GET", "/people?select=id&order=reports(name)", "", nil, 400, `{"code":"PGRST108","message":"'reports' is not an embedded resource in this request","details":null,"hint":"Verify that 'reports' is included in the 'select' query parameter."}`, ""},
		{"GET", "/people?select=reports(id)&order=reports(name)", "", nil, 400, `{"code":"PGRST118","message":"A related order on 'reports' is not possible","details":"'people' and 'reports' do not form a many-to-one or one-to-one relationship","hint":null}`, ""},
	} {
		f.exchange(t, c)
	}
}

// TestComputedRights sees that a computed column is a call like any other: without the right to execute the function,
// and without the right to read all columns of the row it takes, it is refused.
func TestComputedRights(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `revoke execute on function public.shout(public.people) from public`)
	for _, path := range []string{"/people?select=shout", "/people?select=id&shout=eq.X", "/people?select=id&order=shout"} {
		if w := f.do(t, "GET", path, ""); w.Code != 403 || code(t, w) != "42501" {
			t.Errorf("%s without execute: %d %s", path, w.Code, w.Body)
		}
	}
	f.exec(t, `grant execute on function public.shout(public.people) to authenticated; revoke select on public.people from authenticated;
		grant select (id, name) on public.people to authenticated`)
	if w := f.do(t, "GET", "/people?select=name&id=eq.1", ""); w.Code != 200 {
		t.Errorf("granted columns: %d %s", w.Code, w.Body)
	}
	for _, path := range []string{"/people?select=shout", "/people?select=id&shout=eq.X", "/people?select=id,reports(id)"} {
		if w := f.do(t, "GET", path, ""); w.Code != 403 || code(t, w) != "42501" {
			t.Errorf("%s without all columns: %d %s", path, w.Code, w.Body)
		}
	}
}
