package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/resttest"
)

// fake is a gateway that answers with one row or an error.
type fake struct {
	row     [][]byte
	err     error
	calls   int
	options gateway.QueryOptions
}

func (f *fake) Query(_ context.Context, _ gateway.Caller, _ gateway.Statement, o gateway.QueryOptions, fn func([][]byte) error) error {
	f.calls++
	f.options = o
	if f.row != nil {
		if err := fn(f.row); err != nil {
			return err
		}
		clear(f.row[0]) // the bytes are valid only during the call
	}
	return f.err
}

// cacheOf holds a catalog that never changes.
func cacheOf(t testing.TB, c *catalog.Catalog) *catalog.Cache {
	t.Helper()
	cache := catalog.NewCache(func(context.Context) (*catalog.Catalog, error) { return c, nil }, time.Now)
	if err := cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	return cache
}

// fakeHandler is a handler over a fake gateway and the golden catalog.
func fakeHandler(t testing.TB, g *fake, change func(*Config)) *Handler {
	t.Helper()
	c := Config{Gateway: g, Cache: cacheOf(t, resttest.Catalog(t)), Logger: slog.New(slog.DiscardHandler),
		Caller: func(*http.Request) gateway.Caller { return anon },
		Refused: func(w http.ResponseWriter, _ *http.Request, err *pgconn.PgError) {
			http.Error(w, err.Code, http.StatusTeapot)
		}}
	if change != nil {
		change(&c)
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestErrorStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err        error
		status     int
		code       string
		retryAfter string
	}{
		{gateway.ErrBusy, 503, "PGRST003", "1"},
		{fmt.Errorf("x: %w", gateway.ErrUnavailable), 503, "PGRST001", "5"},
		{context.DeadlineExceeded, 504, "57014", ""},
		{errors.New("secret"), 500, "PGRSTX00", ""},
		{&pgconn.PgError{Code: "23505"}, 409, "23505", ""},
		{&pgconn.PgError{Code: "23503"}, 409, "23503", ""},
		{&pgconn.PgError{Code: "23502"}, 400, "23502", ""},
		{&pgconn.PgError{Code: "22P02"}, 400, "22P02", ""},
		{&pgconn.PgError{Code: "42703"}, 400, "42703", ""},
		{&pgconn.PgError{Code: "428C9"}, 400, "428C9", ""},
		{&pgconn.PgError{Code: "42883"}, 404, "42883", ""},
		{&pgconn.PgError{Code: "42P01"}, 404, "42P01", ""},
		{&pgconn.PgError{Code: "42P17"}, 500, "42P17", ""},
		{&pgconn.PgError{Code: "25006"}, 405, "25006", ""},
		{&pgconn.PgError{Code: "25001"}, 500, "25001", ""},
		{&pgconn.PgError{Code: "40001"}, 500, "40001", ""},
		{&pgconn.PgError{Code: "53300"}, 503, "53300", ""},
		{&pgconn.PgError{Code: "57014"}, 500, "57014", ""},
		{&pgconn.PgError{Code: "57P01"}, 503, "57P01", ""},
		{&pgconn.PgError{Code: "P0001"}, 400, "P0001", ""},
		{&pgconn.PgError{Code: "P0002"}, 500, "P0002", ""},
		{&pgconn.PgError{Code: "PT402"}, 402, "PT402", ""},
		{&pgconn.PgError{Code: "PT999"}, 500, "PT999", ""},
		{&pgconn.PgError{Code: "PT100"}, 500, "PT100", ""},
		{&pgconn.PgError{Code: "PTabc"}, 500, "PTabc", ""},
		{&pgconn.PgError{Code: "XX000"}, 500, "XX000", ""},
		{&pgconn.PgError{Code: ""}, 500, "", ""},
		{&pgconn.PgError{Code: "42501"}, 401, "42501", ""},
	} {
		h := fakeHandler(t, &fake{err: c.err}, nil)
		w := serve(t, h, "GET", "/tasks", "")
		if w.Code != c.status || code(t, w) != c.code || w.Header().Get("Retry-After") != c.retryAfter {
			t.Errorf("%v: %d %v %s", c.err, w.Code, w.Header(), w.Body)
		}
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s", w.Body)
		}
		if got := w.Header().Get("WWW-Authenticate"); (got == "Bearer") != (c.status == 401) {
			t.Errorf("%v: WWW-Authenticate %q", c.err, got)
		}
		head := serve(t, h, "HEAD", "/tasks", "")
		if head.Code != c.status || head.Body.Len() != 0 {
			t.Errorf("HEAD %v: %d %s", c.err, head.Code, head.Body)
		}
	}
	h := fakeHandler(t, &fake{err: &pgconn.PgError{Code: "42501"}}, func(c *Config) {
		c.Caller = func(*http.Request) gateway.Caller { return ann }
	})
	if w := serve(t, h, "GET", "/tasks", ""); w.Code != 403 {
		t.Errorf("42501 for a known caller: %d", w.Code)
	}
	h = fakeHandler(t, &fake{err: &pgconn.PgError{Code: "ZF401"}}, nil)
	if w := serve(t, h, "GET", "/tasks", ""); w.Code != http.StatusTeapot {
		t.Errorf("ZF401 was not given to the server: %d", w.Code)
	}
}

func TestErrorDetail(t *testing.T) {
	t.Parallel()
	conflict := &pgconn.PgError{Code: "23505", Message: "the message", Detail: "the detail", Hint: "the hint"}
	inside := &pgconn.PgError{Code: "XX000", Message: "the inside", Detail: "the detail", Hint: "the hint"}
	timeout := &pgconn.PgError{Code: "57014", Message: "the timeout"}
	for _, c := range []struct {
		err    error
		detail Detail
		want   string
	}{
		{conflict, DetailFull, `{"code":"23505","message":"the message","details":"the detail","hint":"the hint"}`},
		{conflict, DetailMessage, `{"code":"23505","message":"the message","details":null,"hint":null}`},
		{conflict, "", `{"code":"23505","message":"the message","details":null,"hint":null}`},
		{conflict, DetailCode, `{"code":"23505","message":"the database refused the request","details":null,"hint":null}`},
		{inside, DetailFull, `{"code":"XX000","message":"the inside","details":"the detail","hint":"the hint"}`},
		{inside, DetailMessage, `{"code":"XX000","message":"internal error","details":null,"hint":null}`},
		{inside, DetailCode, `{"code":"XX000","message":"internal error","details":null,"hint":null}`},
		{timeout, DetailMessage, `{"code":"57014","message":"the timeout","details":null,"hint":null}`},
	} {
		h := fakeHandler(t, &fake{err: c.err}, func(config *Config) { config.Detail = c.detail })
		if w := serve(t, h, "GET", "/tasks", ""); w.Body.String() != c.want {
			t.Errorf("%v %q: %s", c.err, c.detail, w.Body)
		}
	}
}

// TestDatabaseErrors sends requests that only PostgreSQL can refuse.
func TestDatabaseErrors(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "/tasks?id=eq.x", "", 400, "22P02"},
		{"GET", "/tasks?id=in.(1,x)", "", 400, "22P02"},
		{"GET", "/tasks?id=like.1", "", 404, "42883"},
		{"GET", "/tasks?doc=eq.1", "", 404, "42883"},
		{"GET", "/tasks?name=is.true", "", 400, "42804"},
		{"GET", "/tasks?mood=eq.angry", "", 400, "22P02"},
		{"GET", "/tasks?select=name::integer", "", 400, "22P02"},
		{"GET", "/tasks?select=data-%3E%3Ea-%3Eb", "", 404, "42883"},
		{"GET", "/secrets", "", 403, "42501"},
		{"POST", "/secrets", `{"id":1}`, 403, "42501"},
		{"PATCH", "/secrets", `{}`, 403, "42501"},
		{"POST", "/projects", `{"id":1,"name":"again"}`, 409, "23505"},
		{"POST", "/projects", `{"id":5}`, 400, "23502"},
		{"POST", "/tasks", `{"project_id":99}`, 409, "23503"},
		{"POST", "/tasks", `{"size":0}`, 400, "23514"},
		{"POST", "/tasks", `{"code":"too long"}`, 400, "22001"},
		{"POST", "/tasks", `{"double_id":1}`, 400, "428C9"},
		{"POST", "/tasks", `{"tags":"x"}`, 400, "22P02"},
		{"DELETE", "/projects", "", 409, "23503"},
		{"POST", "/rpc/fails", `{"code":"P0001"}`, 400, "P0001"},
		{"POST", "/rpc/fails", `{"code":"PT418"}`, http.StatusTeapot, "PT418"},
		{"POST", "/rpc/fails", `{"code":"XX001"}`, 500, "XX001"},
		{"GET", "/rpc/add?a=x", "", 400, "22P02"},
	} {
		w := f.do(t, c.method, c.path, c.body)
		if w.Code != c.status || code(t, w) != c.code {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, w.Code, w.Body)
		}
	}
	if w := f.do(t, "POST", "/rpc/fails", `{"code":"P0001"}`); w.Body.String() !=
		`{"code":"P0001","message":"it failed","details":"the detail","hint":"the hint"}` {
		t.Errorf("%s", w.Body)
	}
	f.caller = anon
	if w := f.do(t, "GET", "/secrets", ""); w.Code != 401 {
		t.Errorf("anonymous: %d %s", w.Code, w.Body)
	}
	f.exec(t, `update auth.sessions set revoked_at = now(), revoked_reason = 'test'`)
	f.caller = ann
	if w := f.do(t, "GET", "/tasks", ""); w.Code != http.StatusTeapot || !strings.Contains(w.Body.String(), "ZF401") {
		t.Errorf("revoked session: %d %s", w.Code, w.Body)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, value string
		method      string
		status      int
	}{
		{"Accept", "application/json", "GET", 200},
		{"Accept", "text/html, */*;q=0.1", "GET", 200},
		{"Accept", "Application/JSON; charset=utf-8", "GET", 200},
		{"Accept", "application/*", "GET", 200},
		{"Accept", "text/html", "GET", 406},
		{"Accept", "text/html, application/json;q=0", "GET", 406},
		{"Content-Type", "application/json", "POST", 201},
		{"Content-Type", `application/json; charset="UTF-8"`, "POST", 201},
		{"Content-Type", "application/json; charset=latin1", "POST", 415},
		{"Content-Type", "application/xml", "POST", 415},
		{"Content-Type", "text/plain", "POST", 415},
		{"Content-Profile", "other", "POST", 400}, // other.tasks has no column name
		{"Content-Profile", "auth", "POST", 406},
		{"Accept-Profile", "pg_catalog", "GET", 406},
		{"Accept-Profile", "other", "POST", 201}, // concerns reads alone
	} {
		g := &fake{row: [][]byte{[]byte("[]"), []byte("0"), nil, nil}}
		body := ""
		if c.method == "POST" {
			body = `{"name":"x"}`
		}
		w := serve(t, fakeHandler(t, g, nil), c.method, "/tasks", body, c.name+": "+c.value)
		if w.Code != c.status || (g.calls == 1) != (c.status < 300) {
			t.Errorf("%s: %s gives %d %s", c.name, c.value, w.Code, w.Body)
		}
	}
}

// TestOptions sees what may write and what may not.
func TestOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line string
		want gateway.QueryOptions
	}{
		{"GET /tasks", gateway.QueryOptions{ReadOnly: true}},
		{"HEAD /tasks", gateway.QueryOptions{ReadOnly: true}},
		{"POST /tasks {}", gateway.QueryOptions{}},
		{"PATCH /tasks {}", gateway.QueryOptions{}},
		{"DELETE /tasks", gateway.QueryOptions{}},
		{"GET /rpc/hello?name=x", gateway.QueryOptions{ReadOnly: true}},
		{`POST /rpc/hello {"name":"x"}`, gateway.QueryOptions{ReadOnly: true}},
		{`POST /rpc/rename {"task":1,"name":"x"}`, gateway.QueryOptions{}},
	} {
		g := &fake{row: [][]byte{[]byte("[]"), []byte("0"), nil, nil}}
		method, rest, _ := strings.Cut(c.line, " ")
		path, body, _ := strings.Cut(rest, " ")
		if w := serve(t, fakeHandler(t, g, nil), method, path, body); w.Code >= 300 || g.options != c.want {
			t.Errorf("%s: %d, options %+v", c.line, w.Code, g.options)
		}
	}
}

// TestAnswerIsCopied sees that the bytes of the connection's buffer are not used after the call.
func TestAnswerIsCopied(t *testing.T) {
	t.Parallel()
	g := &fake{row: [][]byte{[]byte(`[{"id":1}]`), []byte("1"), nil, nil}}
	w := serve(t, fakeHandler(t, g, nil), "GET", "/tasks", "")
	if w.Body.String() != `[{"id":1}]` {
		t.Errorf("%q %v", w.Body, w.Header())
	}
}

func TestWithoutCatalog(t *testing.T) {
	t.Parallel()
	failure := errors.New("database gone")
	h := fakeHandler(t, &fake{}, func(c *Config) {
		c.Cache = catalog.NewCache(func(context.Context) (*catalog.Catalog, error) { return nil, failure }, time.Now)
	})
	if w := serve(t, h, "GET", "/tasks", ""); w.Code != 503 || code(t, w) != "PGRST002" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestLogs sees that failures of the server are logged with the request's id, and nothing of the client's is.
func TestLogs(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := fakeHandler(t, &fake{err: errors.New("broken")}, func(c *Config) {
		c.Logger = slog.New(slog.NewJSONHandler(&log, nil))
		c.Caller = func(*http.Request) gateway.Caller { return gateway.Caller{Role: "anon", RequestID: "req-1"} }
	})
	serve(t, h, "GET", "/tasks?name=eq.password123", "")
	if s := log.String(); !strings.Contains(s, "req-1") || !strings.Contains(s, "broken") || strings.Contains(s, "password123") {
		t.Errorf("log: %s", s)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	l := dialect.Limits{URL: 100, Filters: 3, Depth: 2, Embeds: 2, List: 3, Body: 60, Nesting: 3}
	for _, c := range []struct {
		line   string
		status int // 0: accepted
	}{
		{"GET /tasks?name=eq." + strings.Repeat("x", 100-8), 0},
		{"GET /tasks?name=eq." + strings.Repeat("x", 101-8), 414},
		{"GET /tasks?id=eq.1&id=eq.2&id=eq.3", 0},
		{"GET /tasks?id=eq.1&id=eq.2&id=eq.3&id=eq.4", 400},
		{"GET /tasks?or=(id.eq.1,id.eq.2,id.eq.3)", 0},
		{"GET /tasks?id=eq.1&or=(id.eq.1,id.eq.2,id.eq.3)", 400},
		{"GET /tasks?or=(id.eq.1,and(id.eq.2,id.eq.3))", 0},
		{"GET /tasks?or=(and(or(id.eq.3)))", 400},
		{"GET /tasks?id=in.(1,2,3)", 0},
		{"GET /tasks?id=in.(1,2,3,4)", 400},
		{"GET /tasks?select=a(b(c))", 0},
		{"GET /tasks?select=a(b(c()))", 400},
		{"GET /tasks?select=a(),b(),c()", 400},
		{"GET /tasks?select=a(b)&a.id=eq.1&a.id=eq.2&a.or=(id.eq.3,id.eq.4)", 400},
		{`POST /tasks {"data":[[1]]}`, 0},
		{`POST /tasks {"data":[[[1]]]}`, 400},
		{`POST /tasks {"name":"` + strings.Repeat("x", 60-11) + `"}`, 0},
		{`POST /tasks {"name":"` + strings.Repeat("x", 61-11) + `"}`, 413},
	} {
		_, err := dialect.Parse(resttest.Line(t, c.line), l)
		if status := 0; err != nil && err.Status != c.status || err == nil && c.status != status {
			t.Errorf("%s: %v", c.line, err)
		}
	}
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}); err == nil {
		t.Error("an empty configuration was accepted")
	}
	good := fakeHandler(t, &fake{}, nil).Config
	good.Detail = "everything"
	if _, err := New(good); err == nil {
		t.Error("an unknown detail was accepted")
	}
}
