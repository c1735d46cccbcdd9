package rest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/planner"
)

// formats is an application with formats of its own.
const formats = `
	create domain public."text/plain" as text;
	create domain public."application/vnd.list" as text;
	create domain public."text/csv" as text;
	create domain public."application/json" as json;
	create domain public."application/vnd.bytes" as bytea;
	create domain public."application/vnd.rows+json" as json;
	create domain public."*/*" as text;
	create domain public."no media type" as text;

	create function public.page() returns public."text/html" language sql stable return '<p>täg</p>';
	create function public.plain() returns public."text/plain" language sql stable return 'plain';
	create function public.pages() returns setof public."text/plain" language sql stable begin atomic select 'a' union all select 'b'; end;
	create function public.nothing_of() returns public."application/vnd.list" language sql stable return null;
	create function public.picture() returns public."application/vnd.bytes" language plpgsql stable as $$
		begin perform set_config('bytea_output', 'escape', true); return '\x00ff0a5c27'::bytea; end $$;
	create function public.bytes(n integer default 3) returns bytea language sql immutable return decode(repeat('00', n), 'hex');
	create function public.tag() returns xml language sql stable return '<a/>'::xml;
	create function public.no_media() returns public."no media type" language sql stable return 'x';
	create function public.any_of(kind text default '') returns public."*/*" language plpgsql stable as $$
		begin if kind <> '' then perform set_config('response.headers', json_build_array(json_build_object('Content-Type', kind))::text, true); end if;
			return 'any'; end $$;

	create function public.list_id(state text, next public.places) returns public."application/vnd.list" language sql immutable
		return concat(state, next.id, ';');
	create aggregate public.list_ids(public.places) (stype = public."application/vnd.list", sfunc = public.list_id, initcond = '');
	create function public.add_letter(state text, next public.letters) returns public."application/vnd.list" language sql immutable
		return concat(state, next.t, next.r, ';');
	create aggregate public.letter_ids(public.letters) (stype = public."application/vnd.list", sfunc = public.add_letter, initcond = '');
	create function public.add_bytes(state bytea, next public.places) returns public."application/vnd.bytes" language sql immutable
		return state || decode(lpad(to_hex(next.id), 2, '0'), 'hex');
	create aggregate public.id_bytes(public.places) (stype = public."application/vnd.bytes", sfunc = public.add_bytes, initcond = '');
	create function public.add_csv(state text, next public.places) returns text language sql immutable return state || next.name || E'\n';
	create function public.end_csv(state text) returns public."text/csv" language plpgsql stable as $$
		begin perform set_config('response.headers', '[{"Content-Disposition": "attachment"}]', true); return 'PLACES' || E'\n' || state; end $$;
	create aggregate public.places_csv(public.places) (stype = text, sfunc = public.add_csv, finalfunc = public.end_csv, initcond = '');
	create function public.add_trip(state json, next public.trips) returns public."application/json" language sql immutable
		return json_build_object('trips', coalesce((state ->> 'trips')::integer, 0) + 1);
	create aggregate public.trips_json(public.trips) (stype = public."application/json", sfunc = public.add_trip);
	create function public.add_any(state json, next anyelement) returns public."application/vnd.rows+json" language plpgsql immutable
		as $$ begin return json_build_object('n', (state ->> 'n')::integer + 1, 'last', to_json(next)); end $$;
	create aggregate public.rows_json(anyelement) (stype = public."application/vnd.rows+json", sfunc = public.add_any, initcond = '{"n": 0}');
	create function public.add_hall(state text, next public.halls) returns public."*/*" language sql immutable return state || next.seats || ' ';
	create aggregate public.halls_any(public.halls) (stype = public."*/*", sfunc = public.add_hall, initcond = 'seats ');
	create function public.all_places() returns setof public.places language sql stable begin atomic select * from public.places order by id; end`

func TestMediaTypes(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, formats)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	const (
		json  = "application/json; charset=utf-8"
		ids   = "application/vnd.list"
		bytes = "application/vnd.bytes"
		rows  = "application/vnd.rows+json"
	)
	for _, c := range []struct {
		method, path, accept, prefer, body string
		status                             int
		kind, want                         string
	}{
		// values of functions
		{"GET", "/rpc/page", "text/html", "", "", 200, "text/html", "<p>täg</p>"},
		{"HEAD", "/rpc/page", "text/html", "", "", 200, "text/html", ""},
		{"POST", "/rpc/page", "text/html", "", "{}", 200, "text/html", "<p>täg</p>"},
		{"GET", "/rpc/page", "Text/HTML;level=1", "", "", 200, "text/html", "<p>täg</p>"},
		{"GET", "/rpc/page", "application/json", "", "", 200, json, `"<p>täg</p>"`},
		{"GET", "/rpc/page", "*/*", "", "", 200, json, `"<p>täg</p>"`},
		{"GET", "/rpc/page", "", "", "", 200, json, `"<p>täg</p>"`},
		{"GET", "/rpc/page", "text/html;q=0.5, application/json;q=0.4", "", "", 200, "text/html", "<p>täg</p>"},
		{"GET", "/rpc/page", "text/html;q=0.4, application/json;q=0.5", "", "", 200, json, `"<p>täg</p>"`},
		{"GET", "/rpc/page", "application/xhtml+xml, text/html, */*;q=0.8", "", "", 200, "text/html", "<p>täg</p>"},
		{"GET", "/rpc/page", "text/html;q=0", "", "", 406, json, "PGRST107"},
		{"GET", "/rpc/page", "text/plain", "", "", 406, json, "PGRST107"},
		{"GET", "/rpc/page", "image/png", "", "", 406, json, "PGRST107"},
		{"GET", "/rpc/plain", "text/plain", "", "", 200, "text/plain; charset=utf-8", "plain"},
		{"GET", "/rpc/pages", "text/plain", "", "", 406, json, "PGRST107"},
		{"GET", "/rpc/no_media", "no media type", "", "", 406, json, "PGRST107"},
		{"GET", "/rpc/nothing_of", ids, "", "", 200, ids, ""},
		{"GET", "/rpc/picture", bytes, "", "", 200, bytes, "\x00\xff\n\\'"},
		{"GET", "/rpc/bytes", "application/octet-stream", "", "", 200, "application/octet-stream", "\x00\x00\x00"},
		{"GET", "/rpc/bytes?n=0", "application/octet-stream", "", "", 200, "application/octet-stream", ""},
		{"GET", "/rpc/bytes", "application/json", "", "", 200, json, `"\\x000000"`},
		{"GET", "/rpc/tag", "text/xml", "", "", 200, "text/xml; charset=utf-8", "<a/>"},
		{"GET", "/rpc/hello?name=x", "text/plain", "", "", 200, "text/plain; charset=utf-8", "hello x"},
		{"GET", "/rpc/hello?name=x", "text/xml", "", "", 406, json, "PGRST107"},
		{"GET", "/rpc/add?a=1", "text/plain", "", "", 406, json, "PGRST107"},
		{"GET", "/rpc/quiet", "text/plain", "", "", 200, "text/plain; charset=utf-8", ""},
		{"GET", "/rpc/any_of", "image/png", "", "", 200, "application/octet-stream", "any"},
		{"GET", "/rpc/any_of", "*/*", "", "", 200, "application/octet-stream", "any"},
		{"GET", "/rpc/any_of", "", "", "", 200, "application/octet-stream", "any"},
		{"GET", "/rpc/any_of?kind=image/gif", "image/*", "", "", 200, "image/gif", "any"},
		// rows of a relation
		{"GET", "/places?order=id", ids, "", "", 200, ids, "1;2;"},
		{"HEAD", "/places", ids, "", "", 200, ids, ""},
		{"GET", "/places?select=*&order=id.desc", ids, "", "", 200, ids, "2;1;"},
		{"GET", "/places?order=id&limit=1", ids, "count=exact", "", 206, ids, "1;"},
		{"GET", "/places?id=eq.9", ids, "", "", 200, ids, ""},
		{"GET", "/places?select=id", ids, "", "", 406, json, "PGRST107"},
		{"GET", "/places?select=id,name", ids, "", "", 406, json, "PGRST107"},
		{"GET", "/projects", ids, "", "", 406, json, "PGRST107"},
		{"GET", "/letters", ids, "", "", 200, ids, "32;"}, // columns named like everything in our statements
		{"GET", "/places?order=id", bytes, "", "", 200, bytes, "\x01\x02"},
		{"GET", "/places?id=eq.1", "text/csv", "", "", 200, "text/csv; charset=utf-8", "PLACES\nRome\n"},
		{"GET", "/projects?id=eq.1", "text/csv", "", "", 200, "text/csv; charset=utf-8", "id,name\n1,one"},
		{"GET", "/trips", "application/json", "", "", 200, json, `{"trips" : 3}`},
		{"GET", "/trips?id=eq.1", "*/*", "", "", 200, json, `[{"id":1,"from_id":1,"to_id":2}]`},
		{"GET", "/trips?id=eq.1", "application/vnd.pgrst.object+json", "", "", 200, planner.MediaObject + "; charset=utf-8", `{"id":1,"from_id":1,"to_id":2}`},
		{"GET", "/halls?order=seats", "text/html", "", "", 200, "application/octet-stream", "seats 10 20 30 "},
		{"GET", "/halls?building=eq.B", "", "", "", 200, "application/octet-stream", "seats 30 "},
		{"GET", "/halls?building=eq.B&select=seats", "", "", "", 200, json, `[{"seats":30}]`},
		// any rows
		{"GET", "/projects?order=id", rows, "", "", 200, rows, `{"n" : 2, "last" : {"id":2,"name":"two"}}`},
		{"GET", "/projects?select=name&order=id", rows, "", "", 200, rows, `{"n" : 2, "last" : {"name":"two"}}`},
		{"GET", "/projects?select=id,tasks(id)&id=eq.2", rows, "", "", 200, rows, `{"n" : 1, "last" : {"id":2,"tasks":[{"id":3}]}}`},
		{"GET", "/people?select=id,shout&id=eq.1", rows, "", "", 200, rows, `{"n" : 1, "last" : {"id":1,"shout":"ANN"}}`}, // computed
		{"GET", "/projects?select=x:name", rows, "", "", 406, json, "PGRST107"},                                           // the client's names are no columns
		{"GET", "/projects?id=eq.9", rows, "", "", 200, rows, `{"n": 0}`},
		// functions that return rows
		{"GET", "/rpc/all_places", ids, "", "", 200, ids, "1;2;"},
		{"GET", "/rpc/all_places?id=gt.1", ids, "count=exact", "", 200, ids, "2;"},
		{"GET", "/rpc/all_places?limit=1", ids, "count=exact", "", 206, ids, "1;"},
		{"GET", "/rpc/one_task?task=1&select=id", rows, "", "", 200, rows, `{"n" : 1, "last" : {"id":1}}`},
		{"GET", "/rpc/table_of?n=1", ids, "", "", 406, json, "PGRST107"},
		{"GET", "/rpc/table_of?n=1", rows, "", "", 200, rows, `{"n" : 1, "last" : {"i":1,"double it":2}}`},
		// writes
		{"POST", "/places", ids, "return=representation", `{"id":7,"name":"x"}`, 201, ids, "7;"},
		{"PATCH", "/places?id=eq.7", bytes, "return=representation", `{"name":"y"}`, 200, bytes, "\x07"},
		{"POST", "/places", bytes, "return=headers-only", `{"id":8}`, 201, "", ""},
		{"PATCH", "/places?id=eq.7", bytes, "", `{"name":"y"}`, 204, "", ""},
		{"DELETE", "/places?id=in.(7,8)", rows, "return=representation", "", 200, rows, `{"n" : 2, "last" : {"id":8,"name":null}}`},
		{"POST", "/places", "image/png", "", `{"id":9}`, 406, json, "PGRST107"},
		// PostGIS is absent
		{"GET", "/places", "application/geo+json", "", "", 406, json, "PGRST107"},
	} {
		headers := []string{"Prefer: " + c.prefer}
		if c.accept != "" {
			headers = append(headers, "Accept: "+c.accept)
		}
		w := f.do(t, c.method, c.path, c.body, headers...)
		body := w.Body.String()
		if c.status >= 400 {
			body = code(t, w)
		}
		if w.Code != c.status || w.Header().Get("Content-Type") != c.kind || body != c.want {
			t.Errorf("%s %s, %s: %d %q %q", c.method, c.path, c.accept, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if n := w.Header().Get("Content-Length"); n != "" && n != fmt.Sprint(w.Body.Len()) {
			t.Errorf("%s %s: Content-Length %q", c.method, c.path, n)
		}
	}
	if got := f.value(t, "select count(*) from public.places where id = 9"); got != "0" {
		t.Error("a write whose answer is not acceptable was done")
	}
	if w := f.do(t, "GET", "/places", "", "Accept: text/csv"); w.Header().Get("Content-Disposition") != "attachment" {
		t.Errorf("a header that the final function sets: %v", w.Header())
	}
	f.wire.Reset()
	f.do(t, "GET", "/places?order=id", "", "Accept: "+ids)
	if got := f.wire.Counts().Writes; got != 1 {
		t.Errorf("%d writes", got)
	}
}

// TestGeoJSON makes features with a function in the place of PostGIS's.
func TestGeoJSON(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `create schema gis; grant usage on schema gis to authenticated;
		create function gis.st_asgeojson(record) returns text language plpgsql stable
			as $$ begin return json_build_object('type', 'Feature', 'properties', to_json($1))::text; end $$`)
	c := *f.Cache.Current()
	handlers := *c.Formats
	handlers.GeoJSON = &catalog.Format{Name: catalog.MediaGeo, GeoJSON: "gis.st_asgeojson"}
	c.Formats = &handlers
	f.Cache = cacheOf(t, &c)
	for path, want := range map[string]string{
		"/places?select=id&order=id":     `{"type" : "FeatureCollection", "features" : [{"type" : "Feature", "properties" : {"id":1}}, {"type" : "Feature", "properties" : {"id":2}}]}`,
		"/places?id=eq.9":                `{"type" : "FeatureCollection", "features" : []}`,
		"/rpc/one_task?task=1&select=id": `{"type" : "FeatureCollection", "features" : [{"type" : "Feature", "properties" : {"id":1}}]}`,
	} {
		w := f.do(t, "GET", path, "", "Accept: application/geo+json")
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/geo+json; charset=utf-8" || w.Body.String() != want {
			t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
		}
	}
}

// TestExplain sees plans where they are allowed, and none where they are not.
func TestExplain(t *testing.T) {
	t.Parallel()
	f := setup(t)
	const plan = "application/vnd.pgrst.plan"
	for _, c := range []struct {
		method, path, body, accept string
		status                     int
		kind, want                 string
	}{
		{"GET", "/tasks?id=eq.1", "", plan, 200, plan + `+text; for="application/json"; charset=utf-8`, "Aggregate"},
		{"GET", "/tasks?id=eq.1", "", plan + "+text", 200, plan + `+text; for="application/json"; charset=utf-8`, "Aggregate"},
		{"GET", "/tasks?id=eq.1", "", plan + "+json", 200, plan + `+json; for="application/json"; charset=utf-8`, `"Plan": {`},
		{"HEAD", "/tasks", "", plan + "+json", 200, plan + `+json; for="application/json"; charset=utf-8`, ""},
		{"GET", "/tasks", "", plan + `+json; for="text/csv"; options=analyze|buffers|nonsense`, 200,
			plan + `+json; for="text/csv"; options=analyze|buffers; charset=utf-8`, `"Actual Rows"`},
		{"GET", "/tasks?id=eq.1", "", plan + `+text; options=verbose|settings; for="application/vnd.pgrst.object+json;nulls=stripped"`, 200,
			plan + `+text; for="application/vnd.pgrst.object+json;nulls=stripped"; options=verbose|settings; charset=utf-8`, "Output: "},
		{"GET", "/tasks", "", plan + "; options=wal", 400, "", "22023"}, // needs analyze
		{"GET", "/tasks", "", plan + `; for="image/png"`, 406, "", "PGRST107"},
		{"GET", "/tasks", "", plan + "+yaml", 406, "", "PGRST107"},
		{"GET", "/tasks", "", plan + "ning", 406, "", "PGRST107"},
		{"GET", "/secrets", "", plan, 403, "", "42501"},
		{"GET", "/rpc/tasks_of?project=1", "", plan, 200, plan + `+text; for="application/json"; charset=utf-8`, "Aggregate"},
		{"POST", "/places", `{"id":100}`, plan, 200, plan + `+text; for="application/json"; charset=utf-8`, "Insert on places"},
		{"POST", "/places", `{"id":101}`, plan + "; options=analyze", 200, plan + `+text; for="application/json"; options=analyze; charset=utf-8`, "actual time"},
		{"DELETE", "/places?id=eq.1", "", plan, 200, plan + `+text; for="application/json"; charset=utf-8`, "Delete on places"},
	} {
		f.Limits.Explain = false
		if w := f.do(t, c.method, c.path, c.body, "Accept: "+c.accept); w.Code != 406 {
			t.Errorf("%s %s, not allowed: %d %s", c.method, c.path, w.Code, w.Body)
		}
		f.Limits.Explain = true
		w := f.do(t, c.method, c.path, c.body, "Accept: "+c.accept)
		if w.Code != c.status || c.status == 200 && w.Header().Get("Content-Type") != c.kind || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s, %s: %d %q %s", c.method, c.path, c.accept, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
	if got := f.value(t, "select string_agg(id::text, ',' order by id) from public.places"); got != "1,2,101" {
		t.Errorf("places %s", got) // analyze runs the statement
	}
	f.wire.Reset()
	f.do(t, "GET", "/tasks?id=eq.1", "", "Accept: "+plan)
	if got := f.wire.Counts().Writes; got != 1 {
		t.Errorf("%d writes", got)
	}
}

func TestContentTypes(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]planner.Media{
		"application/json; charset=utf-8":                                 {},
		"text/csv; charset=utf-8":                                         {CSV: true},
		"application/vnd.pgrst.object+json; charset=utf-8":                {Object: true},
		"application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8":  {Stripped: true},
		"application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8": {Object: true, Stripped: true},
		"application/octet-stream":                                        {Custom: &catalog.Format{Name: "*/*"}},
		"image/png":                                                       {Custom: &catalog.Format{Name: "image/png"}},
		"text/xml; charset=utf-8":                                         {Custom: &catalog.Format{Name: "text/xml"}},
	} {
		if got := m.ContentType(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
