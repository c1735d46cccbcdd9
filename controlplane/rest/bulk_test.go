package rest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

// bulkSetup is setup with bulk inserts. When every is set, each insert is one, with a row in each chunk.
func bulkSetup(t testing.TB, every bool) *fixture {
	t.Helper()
	f := setup(t)
	f.Transactor, f.Limits.Bulk = f.gateway, 64<<20
	if every {
		f.sizes.from, f.sizes.chunk = -1, 1
	}
	return f
}

// TestBulkIsAnInsert sends the same requests twice: as they are, and as bulk inserts of a row in each chunk. The answers
// and the tables must be the same.
func TestBulkIsAnInsert(t *testing.T) {
	t.Parallel()
	small, bulk := setup(t), bulkSetup(t, true)
	rep := representation
	csv, merge, ignore := "Content-Type: text/csv", "Prefer: resolution=merge-duplicates", "Prefer: resolution=ignore-duplicates"
	for _, f := range []*fixture{small, bulk} {
		f.Limits.TxEnd, f.Limits.Nesting = dialect.TxCommitOverride, 10
		f.exec(t, "create function public.answers() returns trigger language plpgsql as $$ begin perform set_config('response.headers', '[{\"X-Last\": \"' || new.id || '\"}]', true); return new; end $$;"+
			"create trigger answers before insert on public.walls for each row execute function public.answers()")
	}
	for _, c := range []struct {
		path, body string
		headers    []string
	}{
		{"/projects", `[{"id":10,"name":"ten"},{"id":11,"name":"eleven"}]`, nil},
		{"/projects", ` {"id":12,"name":"one object"} `, nil},
		{"/projects", `{"id":13,"name":"headers"}`, []string{"Prefer: return=headers-only"}},
		{"/projects", `[{"id":14,"name":"headers"},{"id":15,"name":"headers"}]`, []string{"Prefer: return=headers-only"}},
		{"/projects", ` [ {"id":16,"name":"elf \u00fc \"q\" ]}{[ \\ \n"} , {"name":"b","id":17} ] `, []string{rep}},
		{"/projects?select=n:name,id", `[{"id":18,"name":"x"},{"id":19,"name":"y"},{"id":20,"name":"z"}]`, []string{rep, "Prefer: count=exact"}},
		{"/projects?select=name", `[{"id":21,"name":"x,\"y\""},{"id":22,"name":"y"}]`, []string{rep, "Accept: text/csv"}},
		{"/projects", `[]`, []string{rep}},
		{"/projects", ` [ ] `, nil},
		{"/projects", `[]`, []string{rep, "Accept: text/csv"}},
		{"/projects?select=id", `[{"id":23,"name":"single"}]`, []string{rep, "Accept: application/vnd.pgrst.object+json"}},
		{"/projects", `[{"id":24,"name":"single"},{"id":25,"name":"not"}]`, []string{rep, "Accept: application/vnd.pgrst.object+json"}},
		{"/projects", `[{"id":26,"name":"undone"},{"id":27,"name":"undone"}]`, []string{"Prefer: tx=rollback, return=representation"}},
		{"/projects", `[{"id":10,"name":"merged"},{"id":28,"name":"new"}]`, []string{merge, rep}},
		{"/projects", `[{"id":10,"name":"merged again"},{"id":28,"name":"too"}]`, []string{merge}},
		{"/projects", `[{"id":10,"name":"ignored"},{"id":29,"name":"new"}]`, []string{ignore, rep}},
		{"/projects?on_conflict=id", `[{"id":29,"name":"by column"}]`, []string{merge, rep}},
		{"/tasks?columns=id,name,done", `[{"id":50,"name":"a"},{"id":51,"done":true,"junk":1},{"id":52}]`, []string{"Prefer: missing=default", rep}},
		{"/tasks?columns=id,name&select=id,name", `[{"id":53,"name":"a"},{"id":54,"name":"b","junk":{}}]`, []string{rep}},
		{"/tasks?columns=id,done&select=id,done,name", `[{"id":55},{"id":56,"done":true}]`, []string{rep}},
		{"/tasks?select=id,projects(name)", `[{"id":57,"project_id":1},{"id":58,"project_id":2}]`, []string{rep}},
		{"/tasks?select=id,data,doc", `[{"id":59,"data":{"a":[1,{"b":null}]},"doc":{"z":1.50}},{"id":60,"data":null,"doc":[]}]`, []string{rep}},
		{"/tasks?select=id,done", `[{"id":61,"done":null},{"id":62,"done":true}]`, []string{rep, "Accept: application/vnd.pgrst.array+json;nulls=stripped"}},
		{"/tasks?select=id,name,code", "id,name,code\n63,\"a,\n\"\"b\"\"\",NULL\n64,c,x\n", []string{csv, rep}},
		{"/paints", `[{"id":40,"shade":"#0000FF"},{"id":41,"shade":null}]`, []string{rep}},
		{"/walls", `[{"id":40,"paint_id":1},{"id":41,"paint_id":2}]`, []string{rep}},
		// refused: nothing is left of the rows before the bad one
		{"/projects", `[{"id":70,"name":"ok"},{"id":10,"name":"there"}]`, nil},
		{"/projects", `[{"id":71,"name":"ok"},{"id":72,"name":null}]`, nil},
		{"/projects", `[{"id":73,"name":"ok"},{"id":"x","name":"y"}]`, nil},
		{"/projects", `[{"id":74,"name":"ok"},{"id":75}]`, nil},
		{"/projects", `[{"id":76,"name":"ok"},7]`, nil},
		{"/projects", `[{"id":77,"name":"ok"}`, nil},
		{"/projects", `[{"id":78,"name":"ok"},]`, nil},
		{"/projects", `[{"id":79,"name":"ok"}] x`, nil},
		{"/projects", `[{"id":80,"name":"ok"} {"id":81,"name":"ok"}]`, nil},
		{"/projects", `[{"id":82,"name":"a","name":"b"}]`, nil},
		{"/projects", `[{"id":83,"name":"\u0000"}]`, nil},
		{"/projects", "[{\"id\":84,\"name\":\"\xff\"}]", nil},
		{"/projects", `[{"id":85,"name":[}]}]`, nil},
		{"/projects", `[{"id":86,"name":` + strings.Repeat("[", 30) + strings.Repeat("]", 30) + `}]`, nil},
		{"/projects", ``, nil},
		{"/projects", `"text"`, nil},
		{"/projects", `[`, nil},
		{"/projects", `{"id":87,"name":"x"}{}`, nil},
		{"/projects", "id,name\n88,ok\n89", []string{csv}},
		{"/projects", "id,name\n88,\"ok", []string{csv}},
		{"/projects", "", []string{csv}},
		{"/projects", `[{"id":90,"other":1}]`, nil},
		{"/projects?columns=id,other", `[{"id":90,"other":1}]`, nil},
		{"/projects?select=other", `[{"id":90,"name":"x"}]`, []string{rep}},
		{"/nothing", `[{"id":90}]`, nil},
		{"/secrets", `[{"id":90}]`, nil},
		{"/projects?limit=1", `[{"id":90,"name":"x"}]`, nil},
		{"/tasks", `[{"id":91,"project_id":1},{"id":92,"project_id":4711}]`, nil},
		{"/owned", `[{"id":1},{"id":2,"owner":"00000000-0000-4000-8000-00000000000b"}]`, nil},
		{"/owned?select=id,owner", `[{"id":1},{"id":2}]`, []string{rep}},
		{"/projects", `[{"id":93,"name":"x"}]`, []string{"Content-Type: application/xml"}},
		{"/projects", `[{"id":94,"name":"x"}]`, []string{"Prefer: handling=strict, nonsense"}},
	} {
		path := escapeQuery(c.path)
		want, got := small.do(t, "POST", path, c.body, c.headers...), bulk.do(t, "POST", path, c.body, c.headers...)
		if got.Code != want.Code || got.Body.String() != want.Body.String() || fmt.Sprint(got.Header()) != fmt.Sprint(want.Header()) {
			t.Errorf("POST %s %s %q\n got %d %v %s\nwant %d %v %s", c.path, c.body, c.headers,
				got.Code, got.Header(), got.Body, want.Code, want.Header(), want.Body)
		}
	}
	for _, table := range []string{"projects", "tasks", "paints", "walls", "owned"} {
		all := "select string_agg(t::text, ' ' order by t.id) from public." + table + " t"
		if got, want := bulk.value(t, all), small.value(t, all); got != want {
			t.Errorf("%s holds\n%s\nwant\n%s", table, got, want)
		}
	}
	for _, f := range []*fixture{bulk} {
		for _, c := range []struct{ path, want string }{
			{"/projects?order=id", "PGRST127"},
			{"/projects?select=count()", "PGRST127"},
		} {
			f.Limits.Aggregates = true
			if w := f.do(t, "POST", c.path, `[{"id":95,"name":"x"}]`, rep); w.Code != 400 || code(t, w) != c.want {
				t.Errorf("%s: %d %s", c.path, w.Code, w.Body)
			}
		}
	}
}

// generator is a body that is made while it is read: count rows of about size bytes.
type generator struct {
	next, count, size int
	pending           []byte
}

func (g *generator) Read(p []byte) (n int, err error) {
	for len(g.pending) < len(p) && g.next <= g.count {
		switch {
		case g.next == g.count:
			g.pending = append(g.pending, ']')
		case g.next == 0:
			g.pending = append(g.pending, '[')
		default:
			g.pending = append(g.pending, ',')
		}
		if g.next < g.count {
			g.pending = fmt.Appendf(g.pending, `{"id":%d,"name":"`, 1000+g.next)
			g.pending = append(append(g.pending, bytes.Repeat([]byte{'x'}, g.size)...), `"}`...)
		}
		g.next++
	}
	if len(g.pending) == 0 {
		return 0, io.EOF
	}
	n = copy(p, g.pending)
	g.pending = append(g.pending[:0], g.pending[n:]...)
	return n, nil
}

// post sends a body whose length is not known.
func (f *fixture) post(t testing.TB, path string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "POST", path, body)
	r.ContentLength = -1
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	f.ServeTable(w, r, strings.TrimPrefix(r.URL.Path, "/"))
	return w
}

// TestBulkRows inserts 100,000 rows in one request, in chunks of one transaction, and as many rows in a representation.
func TestBulkRows(t *testing.T) {
	t.Parallel()
	f := bulkSetup(t, false)
	w := f.post(t, "/projects", &generator{count: 100_000, size: 20})
	if got := f.value(t, "select count(*) || ' in ' || count(distinct xmin::text) from public.projects where id >= 1000"); w.Code != 201 || got != "100000 in 1" {
		t.Fatalf("%d %s, %s", w.Code, w.Body, got)
	}
	f.exec(t, "delete from public.projects where id >= 1000")
	f.wire.Reset()
	w = f.post(t, "/projects?select=id", &generator{count: 30_000, size: 40}, representation)
	if n := strings.Count(w.Body.String(), `"id"`); w.Code != 201 || n != 30_000 || !strings.HasPrefix(w.Body.String(), `[{"id":1000}, `) {
		t.Errorf("%d with %d rows", w.Code, n)
	}
	if n := f.wire.Counts().Ready; n != 5 { // the right to insert, the gate, two chunks, the commit
		t.Errorf("%d round trips", n)
	}
	// A body that is small after all is one statement.
	f.wire.Reset()
	if w = f.post(t, "/projects", strings.NewReader(`{"id":1,"name":"there"}`)); w.Code != 409 || f.wire.Counts().Ready != 1 {
		t.Errorf("small: %d %s, %d round trips", w.Code, w.Body, f.wire.Counts().Ready)
	}
}

// TestBulkIsUndone breaks a bulk insert in its middle, in every way there is.
func TestBulkIsUndone(t *testing.T) {
	t.Parallel()
	f := bulkSetup(t, false)
	body := func(last string) io.Reader {
		g, _ := io.ReadAll(&generator{count: 40_000, size: 60})
		return io.MultiReader(bytes.NewReader(g[:len(g)-1]), strings.NewReader(last))
	}
	for _, c := range []struct {
		last, code string
		status     int
	}{
		{`,{"id":1,"name":"there already"}]`, "23505", 409},
		{`,{"id":1,"name":null}]`, "23502", 400},
		{`,{"id":1}]`, "PGRST102", 400},
		{`,{"id":1,"name":"x"`, "PGRST102", 400},
	} {
		w := f.post(t, "/projects", body(c.last))
		if w.Code != c.status || code(t, w) != c.code {
			t.Errorf("%s: %d %s", c.last, w.Code, w.Body)
		}
		if got := f.value(t, "select count(*) from public.projects where id >= 1000"); got != "0" {
			t.Fatalf("%s: %s rows are left", c.last, got)
		}
	}
	f.Limits.Bulk = 2 << 20
	if w := f.post(t, "/projects", body("]")); w.Code != 413 || !strings.Contains(w.Body.String(), "2097152") {
		t.Errorf("too large: %d %s", w.Code, w.Body)
	}
	f.Limits.Bulk, f.Limits.Body = 64<<20, 1<<20
	if w := f.post(t, "/projects", &generator{count: 1, size: 3 << 20}); w.Code != 413 || !strings.Contains(w.Body.String(), "row of a bulk insert") {
		t.Errorf("large row: %d %s", w.Code, w.Body)
	}
	endless := io.MultiReader(strings.NewReader("id,name\n1000,\""), io.LimitReader(zeroes{}, 20<<20))
	if w := f.post(t, "/projects", endless, "Content-Type: text/csv"); w.Code != 413 {
		t.Errorf("endless field: %d %s", w.Code, w.Body)
	}
	if got := f.value(t, "select count(*) from public.projects where id >= 1000"); got != "0" {
		t.Fatalf("%s rows are left", got)
	}
	if left, err := os.ReadDir(os.TempDir()); err == nil {
		for _, e := range left {
			if strings.HasPrefix(e.Name(), "fluxbase-bulk-") {
				t.Errorf("%s is left", e.Name())
			}
		}
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte{'0'}, len(p))), nil }

// TestBulkIsRefusedBeforeItIsRead sees that nobody can make the server read, and keep, what it would refuse anyway.
func TestBulkIsRefusedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	f := bulkSetup(t, false)
	for _, c := range []struct {
		name, path string
		caller     gateway.Caller
		status     int
	}{
		{"no right to insert", "/projects", anon, 401},
		{"no such table", "/nothing", ann, 404},
		{"no such column", "/projects?columns=x", ann, 400},
		{"a dead session", "/projects", gateway.Caller{Role: "authenticated", UserID: annID, SessionID: annID}, http.StatusTeapot},
	} {
		f.caller = c.caller
		body := &counter{in: &generator{count: 100_000, size: 60}}
		w := f.post(t, c.path, body)
		if w.Code != c.status || body.n > bulkFrom+1 {
			t.Errorf("%s: %d %s after %d bytes", c.name, w.Code, w.Body, body.n)
		}
	}
	// As many as may run, whoever they are; and of one caller fewer.
	other := gateway.Caller{Role: "authenticated", UserID: annSession}
	for name, holders := range map[string][]gateway.Caller{
		"all places": {anon, anon, other, other},
		"her places": {ann, ann},
	} {
		var leave []func()
		for _, holder := range holders {
			one, ok := f.bulk.take(&holder)
			if !ok {
				t.Fatalf("%s: no place", name)
			}
			leave = append(leave, one)
		}
		f.caller = ann
		w := f.post(t, "/projects", &generator{count: 40_000, size: 60})
		if w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
		for _, one := range leave {
			one()
		}
		if f.bulk.total != 0 || len(f.bulk.each) != 0 {
			t.Errorf("%s: %d places are taken by %v", name, f.bulk.total, f.bulk.each)
		}
	}
	if w := f.post(t, "/projects", &generator{count: 20_000, size: 60}); w.Code != 201 {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}

type counter struct {
	in io.Reader
	n  int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += n
	return n, err
}

// TestBulkPatience sees that a client who stops sending is cut, and that one who sends, however slowly, is waited for.
func TestBulkPatience(t *testing.T) {
	t.Parallel()
	f := bulkSetup(t, false)
	f.sizes.patience = time.Second
	handled := make(chan time.Duration, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		f.ServeTable(w, r, "projects")
		handled <- time.Since(start)
	}))
	server.Config.ReadTimeout, server.Config.WriteTimeout = time.Second, time.Second
	server.Start()
	defer server.Close()
	body, _ := io.ReadAll(&generator{count: 50_000, size: 80})
	send := func(length int64, pieces int) (status int) {
		in, out := io.Pipe()
		go func() {
			for i := 0; i < len(body) && pieces > 0; i += 1 << 20 {
				_, _ = out.Write(body[i:min(i+1<<20, len(body))])
				time.Sleep(300 * time.Millisecond)
				pieces--
			}
			if pieces == 0 {
				time.Sleep(5 * time.Second) // the client is still there, and silent
				_ = out.CloseWithError(io.ErrUnexpectedEOF)
			}
			_ = out.Close()
		}()
		request, err := http.NewRequestWithContext(t.Context(), "POST", server.URL, in)
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = length
		response, err := server.Client().Do(request)
		if err != nil {
			return 0
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	status := send(-1, 100)
	if n := f.value(t, "select count(*) from public.projects where id >= 1000"); status != 201 || n != "50000" {
		t.Errorf("a slow client: %d, %s rows", status, n)
	}
	if took := <-handled; took < time.Second {
		t.Errorf("the slow client was done after %v: the test proves nothing", took)
	}
	f.exec(t, "delete from public.projects where id >= 1000")
	status = send(int64(len(body)), 2)
	if took := <-handled; status != 400 && status != 0 || took > 4800*time.Millisecond {
		t.Errorf("a silent client: %d after %v", status, took)
	}
	if n := f.value(t, "select count(*) from public.projects where id >= 1000"); n != "0" || f.bulk.total != 0 {
		t.Errorf("a silent client left %s rows, %d bulk inserts run", n, f.bulk.total)
	}
}
