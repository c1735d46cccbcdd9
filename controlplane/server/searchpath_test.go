package server_test

import (
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// SQL of a schema that is not public finds what lies in it and in the extra schemas, as with PostgREST's settings.
func TestExtraSearchPath(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, "PGRST_DB_SCHEMAS=api", "PGRST_DB_EXTRA_SEARCH_PATH=ext")
	s.Exec(t, `set check_function_bodies = off; create schema api; create schema ext;
		create table api.things (id integer primary key); insert into api.things values (20);
		create function ext.double(integer) returns integer language sql immutable return $1 * 2;
		create function api.answer() returns integer language sql stable security definer as 'select double(id) + 2 from things';
		grant usage on schema api, ext to anon;
		select pg_notify('fluxbase_reload', '')`)
	wait(t, "the catalog", func() bool { return s.Do(t, "GET", "/rest/v1/rpc/answer", nil).Status != 404 })
	if a := s.Do(t, "GET", "/rest/v1/rpc/answer", nil); a.Status != 200 || string(a.Body) != "42" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := s.Do(t, "GET", "/rest/v1/rpc/double", nil); a.Status != 404 {
		t.Errorf("an extra schema is exposed: %d %s", a.Status, a.Body)
	}
}
