package rest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
)

// TestCatalogFollowsChanges changes tables behind the handler's back.
func TestCatalogFollowsChanges(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var seconds atomic.Int64
	f.Cache = catalog.NewCache(f.load, func() time.Time { return time.Unix(seconds.Load(), 0) })
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	const interval, burst = 5, 5 // seconds, and loads at once, of misses
	next := func() { seconds.Add(interval) }
	next()

	steps := []struct {
		ddl, path string
		status    int
		want      string
	}{
		{`create table public.fresh (id int, a text); grant all on public.fresh to authenticated; insert into public.fresh values (1, 'a')`, "/fresh", 200, `[{"id":1,"a":"a"}]`},
		{`alter table public.fresh add b text default 'b'`, "/fresh?select=b", 200, `[{"b":"b"}]`},
		{`alter table public.fresh rename a to c`, "/fresh?select=c", 200, `[{"c":"a"}]`},
		{``, "/fresh?select=a", 400, ``},
		{`alter table public.fresh drop b`, "/fresh?select=b", 400, ``},
		{`alter table public.fresh alter id type text`, "/fresh?id=eq.1&select=id", 200, `[{"id":"1"}]`},
		{`create function public.fresh_f() returns int language sql immutable return 7`, "/rpc/fresh_f", 200, `7`},
		{`drop function public.fresh_f()`, "/rpc/fresh_f", 404, ``},
		{`drop table public.fresh`, "/fresh", 404, ``},
	}
	for _, s := range steps {
		f.exec(t, s.ddl)
		w := f.do(t, "GET", s.path, "")
		if w.Code != s.status || s.status == 200 && w.Body.String() != s.want {
			t.Errorf("%s: GET %s: %d %s", s.ddl, s.path, w.Code, w.Body)
		}
		next()
	}

	// When misses have had their loads nothing more is loaded within the interval: the same change is not seen yet.
	for range burst {
		f.do(t, "GET", "/fresh", "")
	}
	f.exec(t, steps[0].ddl)
	if w := f.do(t, "GET", "/fresh", ""); w.Code != 404 {
		t.Errorf("within the interval: %d", w.Code)
	}
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := f.do(t, "GET", "/fresh", ""); w.Code != 200 {
		t.Errorf("after a reload: %d %s", w.Code, w.Body)
	}
}
