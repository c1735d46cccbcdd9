package rest

import "testing"

// TestDomainCasts sends and reads values of a domain that looks different outside.
func TestDomainCasts(t *testing.T) {
	t.Parallel()
	f := setup(t)
	const nl = ", \n "
	rep := []string{representation}
	for _, c := range []exchange{
		{"GET", "/paints?order=id", "", nil, 200, `[{"id":1,"name":"red","shade":"#FF0000"}` + nl + `{"id":2,"name":"blue","shade":"#0000FF"}` + nl + `{"id":3,"name":"none","shade":null}]`, "0-2/*"},
		{"GET", "/paints?id=eq.1&select=*,again:shade", "", nil, 200, `[{"id":1,"name":"red","shade":"#FF0000","again":"#FF0000"}]`, "0-0/*"},
		{"GET", "/paints?select=shade::text,raw:shade::int4&shade=eq.%23FF0000", "", nil, 200, `[{"shade":"16711680","raw":16711680}]`, "0-0/*"},
		{"GET", "/paints?select=id&shade=in.(ff,FF0000)&order=shade", "", nil, 200, `[{"id":2}` + nl + `{"id":1}]`, "0-1/*"},
		{"GET", "/paints?select=id&shade=gt(any).{1,FF}", "", nil, 200, `[{"id":1}` + nl + `{"id":2}]`, "0-1/*"},
		{"GET", "/paints?select=id&or=(shade.lt.100,shade.is.null)&order=id", "", nil, 200, `[{"id":2}` + nl + `{"id":3}]`, "0-1/*"},
		{"GET", "/paints?order=id", "", []string{"Accept: text/csv"}, 200, "id,name,shade\n1,red,FF0000\n2,blue,FF\n3,none,", "0-2/*"},
		{"GET", "/walls?id=eq.1&select=id,p:paints!paint_id(shade),...paints!paint_id(shade)", "", nil, 200, `[{"id":1,"p":{"shade":"#FF0000"},"shade":"#FF0000"}]`, "0-0/*"},
		{"GET", "/paints?id=eq.1&select=id,hue", "", nil, 200, `[{"id":1,"hue":"#FF0000"}]`, "0-0/*"},
		{"GET", "/rpc/paints_like?part=red", "", nil, 200, `[{"id":1,"name":"red","shade":"#FF0000"}]`, "0-0/*"},
		{"POST", "/paints", `{"id":4,"name":"green","shade":"#00FF00"}`, rep, 201, `[{"id":4,"name":"green","shade":"#00FF00"}]`, "*/*"},
		{"POST", "/paints?select=shade", `[{"id":5,"shade":null},{"id":6,"shade":"1"}]`, rep, 201, `[{"shade":null}` + nl + `{"shade":"#000001"}]`, "*/*"},
		{"POST", "/paints?select=shade", "id,shade\n7,AA\n8,NULL", append([]string{"Content-Type: text/csv"}, rep...), 201, `[{"shade":"#0000AA"}` + nl + `{"shade":null}]`, "*/*"},
		{"POST", "/paints?select=shade", `{"id":4,"shade":"#00FF01"}`, append([]string{"Prefer: resolution=merge-duplicates"}, rep...), 200, `[{"shade":"#00FF01"}]`, "*/*"},
		{"PATCH", "/paints?shade=eq.00FF01&select=shade", `{"shade":"ABCDEF"}`, rep, 200, `[{"shade":"#ABCDEF"}]`, "0-0/*"},
		{"PUT", "/paints?id=eq.4&select=shade", `{"id":4,"name":"x","shade":"2"}`, rep, 200, `[{"shade":"#000002"}]`, ""},
		{"DELETE", "/paints?shade=eq.2&select=shade", "", rep, 200, `[{"shade":"#000002"}]`, "*/*"},
		{"GET", "/paints?shade=eq.zz", "", nil, 400, `{"code":"22P02","message":"\"z\" is not a valid hexadecimal digit","details":null,"hint":null}`, ""},
	} {
		c.path = escapeQuery(c.path)
		f.exchange(t, c)
	}
	if got := f.value(t, "select string_agg(coalesce(shade::integer::text, '-'), ' ' order by id) from public.paints"); got != "16711680 255 - - 1 170 -" {
		t.Errorf("the table holds %s", got)
	}
}
