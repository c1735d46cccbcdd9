package rest

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// TestRead sends reads through gateway and PostgreSQL and compares the bytes.
func TestRead(t *testing.T) {
	t.Parallel()
	f := setup(t)
	const all = `[{"id":1}, ` + "\n" + ` {"id":2}, ` + "\n" + ` {"id":3}]`
	const one, two, three, none = `[{"id":1}]`, `[{"id":2}]`, `[{"id":3}]`, `[]`
	const oneTwo = `[{"id":1}, ` + "\n" + ` {"id":2}]`
	const oneThree = `[{"id":1}, ` + "\n" + ` {"id":3}]`
	const twoThree = `[{"id":2}, ` + "\n" + ` {"id":3}]`
	for _, c := range []struct{ query, want, contentRange string }{
		{"select=id&order=id", all, "0-2/*"},
		{"select=id&id=eq.1", one, "0-0/*"},
		{"select=id&id=neq.1&order=id", twoThree, "0-1/*"},
		{"select=id&id=gt.2", three, "0-0/*"},
		{"select=id&id=gte.2&order=id", twoThree, "0-1/*"},
		{"select=id&id=lt.2", one, "0-0/*"},
		{"select=id&id=lte.2&order=id", oneTwo, "0-1/*"},
		{"select=id&id=gt.1&id=lt.3", two, "0-0/*"},
		{"select=id&id=not.eq.1&order=id", twoThree, "0-1/*"},
		{"select=id&id=eq.99", none, "*/*"},
		{"select=id&name=like.*ir*&order=id", oneThree, "0-1/*"},
		{"select=id&name=like.F*", none, "*/*"},
		{"select=id&name=ilike.F*", one, "0-0/*"},
		{"select=id&name=not.like.*ir*", two, "0-0/*"},
		{"select=id&id=in.(1,3)&order=id", oneThree, "0-1/*"},
		{"select=id&id=not.in.(1,3)", two, "0-0/*"},
		{"select=id&id=in.()", none, "*/*"},
		{`select=id&name=in.("third, \"quoted\"",nothing)`, three, "0-0/*"},
		{"select=id&mood=in.(sad)", two, "0-0/*"},
		{"select=id&mood=eq.happy", one, "0-0/*"},
		{"select=id&done=is.true", one, "0-0/*"},
		{"select=id&done=is.FALSE", two, "0-0/*"},
		{"select=id&done=is.null", three, "0-0/*"},
		{"select=id&done=is.unknown", three, "0-0/*"},
		{"select=id&done=is.not_null&order=id", oneTwo, "0-1/*"},
		{"select=id&done=not.is.null&order=id", oneTwo, "0-1/*"},
		{"select=id&tags=eq.{a,b}", one, "0-0/*"},
		{"select=id&code=eq.x", one, "0-0/*"},
		{"select=id&size=eq.5", one, "0-0/*"},
		{"select=id&price=gt.1.5", three, "0-0/*"},
		{"select=id&due=lt.2026-02-01", one, "0-0/*"},
		{"select=id&or=(id.eq.1,id.eq.3)&order=id", oneThree, "0-1/*"},
		{"select=id&and=(id.gt.1,id.lt.3)", two, "0-0/*"},
		{"select=id&not.or=(id.eq.1,id.eq.3)", two, "0-0/*"},
		{"select=id&not.and=(id.gt.1,id.lt.3)&order=id", oneThree, "0-1/*"},
		{"select=id&or=(id.eq.1,and(done.is.null,not.or(id.eq.1,id.eq.2)))&order=id", oneThree, "0-1/*"},
		{`select=id&or=(name.eq."third, \"quoted\"",id.in.(1,9),tags.eq.{x,y})&order=id`, oneThree, "0-1/*"},
		{"select=id&or=(id.not.eq.2,done.not.is.null)&order=id", all, "0-2/*"},
		{"select=id&name=match.^f", one, "0-0/*"},
		{"select=id&name=imatch.^F", one, "0-0/*"},
		{"select=id&tags=cs.{a}", one, "0-0/*"},
		{"select=id&tags=cd.{a,b,c}&order=id", all, "0-2/*"},
		{"select=id&tags=ov.{b,c}&order=id", oneThree, "0-1/*"},
		{`select=id&data=cs.{"k":1}`, one, "0-0/*"},
		{"select=id&done=isdistinct.true&order=id", twoThree, "0-1/*"},
		{"select=id&done=not.isdistinct.true&order=id", one, "0-0/*"},
		{"select=id&id=eq(any).{1,3}&order=id", oneThree, "0-1/*"},
		{"select=id&name=like(all).{*ir*,*i*}&order=id", oneThree, "0-1/*"},
		{"select=id&id=not.lt(any).{2,3}", three, "0-0/*"},
		{"select=id&name=fts.first", one, "0-0/*"},
		{"select=id&name=plfts(english).thirds", three, "0-0/*"},
		{"select=id&name=phfts(simple).third quoted", three, "0-0/*"},
		{"select=id&name=wfts.first or second&order=id", oneTwo, "0-1/*"},
		{"select=id&name=not.fts(simple).first&order=id", twoThree, "0-1/*"},
		{"select=id&data->k=eq.1", one, "0-0/*"},
		{"select=id&data->>k=eq.1", one, "0-0/*"},
		{"select=id&data->0=is.not_null", three, "0-0/*"},
		{"select=id&data->-1=eq.2", three, "0-0/*"},
		{"select=id&doc->>k=in.(1,5)", one, "0-0/*"},
		{"select=id&tags->>0=eq.c", three, "0-0/*"},
		{"select=id&or=(data->>k.eq.1,tags->>0.eq.c)&order=id", oneThree, "0-1/*"},
		{"select=id&order=data->k.nullslast,id.desc&limit=1", one, "0-0/*"},
		{"select=data->k,doc->>k,t:tags->1,tags->0&id=eq.1", `[{"k":1,"k":"1","t":"b","tags":"a"}]`, "0-0/*"},
		{"select=id&data->!@#k=is.null&id=eq.1", one, "0-0/*"},
		{`select=data->"k",data->k-1,data->>1-k::int4&id=eq.1`, `[{"k":1,"k-1":null,"1-k":null}]`, "0-0/*"},
		{"select=data->nothing->deeper,data->>k::int4&id=eq.1", `[{"deeper":null,"k":1}]`, "0-0/*"},
		{"select=id&order=id.desc&limit=1", three, "0-0/*"},
		{"select=id&order=id&limit=1&offset=1", two, "1-1/*"},
		{"select=id&order=id&offset=2", three, "2-2/*"},
		{"select=id&limit=0", none, "*/*"},
		{"select=id&order=done.asc.nullsfirst&limit=1", three, "0-0/*"},
		{"select=id&order=done.desc.nullslast,id&limit=1", one, "0-0/*"},
		{"select=id&order=mood.nullsfirst&limit=1", three, "0-0/*"},
		{"select=id&order=project_id.desc,id&limit=1", three, "0-0/*"},
		{"id=eq.1&select=id,id", `[{"id":1,"id":1}]`, "0-0/*"},
		{"id=eq.1&select=price,tags,data,doc,mood,due", `[{"price":1.50,"tags":["a","b"],"data":{"k": 1},"doc":{"k" : 1},"mood":"happy","due":"2026-01-02T03:04:05+00:00"}]`, "0-0/*"},
		{`id=eq.1&select="odd \"name"`, `[{"odd \"name":"q"}]`, "0-0/*"},
		{"id=eq.1&select=price::text,id::int8", `[{"price":"1.50","id":1}]`, "0-0/*"},
		{"id=eq.1&select=n:name,id", `[{"n":"first","id":1}]`, "0-0/*"},
		{"id=eq.2&select=n:name,x:data,id::text", `[{"n":"second","x":null,"id":"2"}]`, "0-0/*"},
		{"select=nr:id&order=id&limit=2", `[{"nr":1}, ` + "\n" + ` {"nr":2}]`, "0-1/*"},
		{"select=nr:id&id=eq.99", none, "*/*"},
		{`id=eq.1&select="a\"b', $1":id`, `[{"a\"b', $1":1}]`, "0-0/*"},
		{"id=eq.1&select=d:data,o:doc,t:tags,p:price,u:due::text", `[{"d":{"k": 1},"o":{"k" : 1},"t":["a","b"],"p":1.50,"u":"2026-01-02 03:04:05+00"}]`, "0-0/*"},
	} {
		w := f.do(t, "GET", "/tasks?"+escapeQuery(c.query), "")
		if w.Code != 200 || w.Body.String() != c.want || w.Header().Get("Content-Range") != c.contentRange {
			t.Errorf("%s\n got %d %s %s\nwant %s %s", c.query, w.Code, w.Header().Get("Content-Range"), w.Body, c.contentRange, c.want)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
			t.Errorf("%s: Content-Type %q", c.query, got)
		}
		head := f.do(t, "HEAD", "/tasks?"+escapeQuery(c.query), "")
		if head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("Content-Range") != c.contentRange {
			t.Errorf("HEAD %s: %d %v %q", c.query, head.Code, head.Header(), head.Body)
		}
	}
}

// escapeQuery escapes what a URL cannot hold and leaves the rest readable.
func escapeQuery(q string) string {
	return strings.NewReplacer(" ", "%20", "\\", "%5C", `"`, "%22", "{", "%7B", "}", "%7D", "<", "%3C", ">", "%3E", "$", "%24", "'", "%27").Replace(q)
}

// TestReadStar compares whole rows: an alias must not change the bytes of any other column.
func TestReadStar(t *testing.T) {
	t.Parallel()
	f := setup(t)
	plain := f.do(t, "GET", "/tasks?order=id", "").Body.String()
	aliased := f.do(t, "GET", "/tasks?order=id&select=*,zz:id", "").Body.String()
	for _, id := range []string{"1", "2", "3"} {
		aliased = strings.Replace(aliased, `,"zz":`+id+"}", "}", 1)
	}
	if plain != aliased || !json.Valid([]byte(plain)) || !strings.Contains(plain, `"double_id":2`) {
		t.Errorf("plain\n%s\naliased\n%s", plain, aliased)
	}
	if got := f.do(t, "GET", "/tasks?order=id&select=*", "").Body.String(); got != plain {
		t.Errorf("select=* gives %s", got)
	}
	if got := f.do(t, "GET", "/tasks?order=id&select=", "").Body.String(); got != plain {
		t.Errorf("empty select gives %s", got)
	}
}

func TestReadOtherRelations(t *testing.T) {
	t.Parallel()
	f := setup(t)
	const letters = `[{"a":1,"b":"b","j":"j","r":2,"t":3,"v":"v","w":4}]`
	for _, c := range []struct{ path, want string }{
		{"/open_tasks?select=id&order=id", `[{"id":2}, ` + "\n" + ` {"id":3}]`},
		{"/" + url.PathEscape("Odd Table"), `[{"select":1,"a,b":"x","täg":"y","back\\slash":"z"}]`},
		{"/" + url.PathEscape("Odd Table") + "?" + escapeQuery(`"a,b"=eq.x&täg=eq.y&"back\\slash"=in.(z)&select=select,"back\\slash"`), `[{"select":1,"back\\slash":"z"}]`},
		{"/events", `[]`},
		{"/letters", letters},
		{"/letters?select=r,t&r=eq.2&t=eq.3&order=r,t", `[{"r":2,"t":3}]`},
		{"/letters?select=x:r,r,t,j", `[{"x":2,"r":2,"t":3,"j":"j"}]`},
		{"/rpc/letters_of?a=1&r=1&t=x", letters},
	} {
		if w := f.do(t, "GET", c.path, ""); w.Code != 200 || w.Body.String() != c.want {
			t.Errorf("%s: %d %s", c.path, w.Code, w.Body)
		}
	}
	if w := f.do(t, "GET", "/tasks?select=remark", "", "Accept-Profile: other"); w.Code != 200 || w.Body.String() != "[]" {
		t.Errorf("profile: %d %s", w.Code, w.Body)
	}
	if w := f.do(t, "GET", "/tasks", "", "Accept-Profile: hidden"); w.Code != 406 || code(t, w) != "PGRST106" {
		t.Errorf("hidden profile: %d %s", w.Code, w.Body)
	}
}

// TestOneRoundTrip counts on the wire: a read and a write with representation are one write and one
// Sync each, the first use of a statement included.
func TestOneRoundTrip(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.do(t, "GET", "/tasks?id=eq.1", "") // connects
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/tasks?id=eq.1", ""},
		{"GET", "/tasks?id=eq.2&select=n:name", ""},
		{"GET", "/projects?select=name,tasks!inner(id,people(name))&tasks.id=gt.0&limit=1", ""},
		{"POST", "/tasks", `{"name":"x"}`},
		{"PATCH", "/tasks?id=eq.1", `{"name":"x"}`},
		{"DELETE", "/tasks?id=eq.1", ""},
		{"POST", "/rpc/add", `{"a":1}`},
	} {
		f.wire.Reset()
		w := f.do(t, c.method, c.path, c.body, "Prefer: return=representation, count=exact")
		counts := f.wire.Counts()
		if w.Code >= 300 || counts.Writes != 1 || counts.Ready != 1 {
			t.Errorf("%s %s: %d, %d writes, %d syncs %s", c.method, c.path, w.Code, counts.Writes, counts.Ready, w.Body)
		}
	}
}
