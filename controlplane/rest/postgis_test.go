package rest

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// TestPostGIS asks for rows as PostGIS writes them, where it is installed.
func TestPostGIS(t *testing.T) {
	t.Parallel()
	f := setup(t)
	if f.value(t, `exists (select from pg_available_extensions where name = 'postgis')`) != "true" {
		if os.Getenv("FLUXBASE_TEST_REQUIRE_ALL") != "" {
			t.Fatal("PostGIS is not installed")
		}
		t.Skip("PostGIS is not installed")
	}
	f.exec(t, `create schema ext; create extension postgis schema ext; grant usage on schema ext to authenticated;
		create table public.shops (id integer primary key, name text, at ext.geometry(point, 4326));
		insert into public.shops values (1, 'first', 'SRID=4326;POINT(1 2)'), (2, 'second', 'SRID=4326;POINT(3 4)');
		create function public.shops_of(low integer) returns setof public.shops language sql stable
			as 'select * from public.shops where id >= low';
		grant select, insert on public.shops to authenticated`)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	const geo = "Accept: application/geo+json"
	first := `{"type":"Feature","geometry":{"type":"Point","coordinates":[1,2]},"properties":{"id":1,"name":"first"}}`
	second := `{"type":"Feature","geometry":{"type":"Point","coordinates":[3,4]},"properties":{"id":2,"name":"second"}}`
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/shops?order=id", "", first + "," + second},
		{"GET", "/shops?id=eq.9", "", ""},
		{"GET", "/shops?select=at,id,name&id=eq.1", "", first},
		{"GET", "/rpc/shops_of?low=2", "", second},
		{"POST", "/shops?select=id,name,at", `{"id":3,"name":"third","at":{"type":"Point","coordinates":[3,4]}}`,
			`{"type":"Feature","geometry":{"type":"Point","coordinates":[3,4]},"properties":{"id":3,"name":"third"}}`},
	} {
		w := f.do(t, c.method, c.path, c.body, geo, representation)
		var got, want any
		_ = json.Unmarshal([]byte(`{"type":"FeatureCollection","features":[`+c.want+`]}`), &want)
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code >= 300 || !reflect.DeepEqual(got, want) ||
			w.Header().Get("Content-Type") != "application/geo+json; charset=utf-8" {
			t.Errorf("%s %s: %d %s %s", c.method, c.path, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
	if w := f.do(t, "GET", "/places", "", geo); w.Code != 400 {
		t.Errorf("rows without a geometry: %d %s", w.Code, w.Body)
	}
}
