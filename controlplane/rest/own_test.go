package rest

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// answering is an application whose SQL shapes answers, in every place where such SQL can stand.
const answering = `
	create function public.answer_void(status text, headers text) returns void language plpgsql volatile as $$
		begin perform public.answer(status, headers); end $$;
	create function public.answer_rows(status text, headers text) returns setof public.places language plpgsql volatile as $$
		begin return query select * from public.places; perform public.answer(status, headers); end $$;
	create function public.answer_row(status text, headers text) returns public.places language plpgsql volatile as $$
		begin perform public.answer(status, headers); return (select p from public.places p where id = 1); end $$;
	create function public.answer_set(status text, headers text) returns setof integer language plpgsql stable as $$
		begin return next 1; perform public.answer(status, headers); return next 2; end $$;
	create function public.answer_sql(status text) returns text language sql volatile as $$ select set_config('response.status', status, true) $$;
	create view public.answering with (security_invoker = true) as select id, name, public.answer('203', '[{"X-View": "yes"}]') as answer from public.places;
	create function public.on_place() returns trigger language plpgsql as $$
		begin perform public.answer('202', '[{"X-Trigger": "' || tg_op || '"}]'); return coalesce(new, old); end $$;
	create trigger on_place before insert or update or delete on public.places for each row execute function public.on_place();
	grant select on public.answering to authenticated;
	insert into public.places values (100, 'to delete')`

// TestOwnAnswers sees that a status and headers that SQL sets are those of the answer, wherever they are set, in the one
// write that the request costs.
func TestOwnAnswers(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, answering)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	const arguments = `{"status":"299","headers":"[{\"X-One\": \"1\"}, {\"x-one\": \"2\"}]"}`
	for _, c := range []struct {
		line   string
		prefer string
		status int
		header string // Name: value,value
		body   string
	}{
		{"GET /rpc/answer?status=418", "", 418, "", `"x"`},
		{"GET /rpc/answer?status=200&headers=" + `[{"Content-Type":"text/plain"},{"Cache-Control":"max-age=60"}]`, "", 200, "Content-Type: text/plain", `"x"`},
		{"HEAD /rpc/answer?status=418", "", 418, "", ""},
		{"POST /rpc/answer " + arguments, "", 299, "X-One: 1,2", `"x"`},
		{"POST /rpc/answer_void " + arguments, "", 299, "X-One: 1,2", ""},
		{"POST /rpc/answer_rows?id=eq.2&select=name " + arguments, "", 299, "X-One: 1,2", `[{"name":"Oslo"}]`},
		{"POST /rpc/answer_rows?limit=1 " + arguments, "count=exact", 299, "X-One: 1,2", `[{"id":1,"name":"Rome"}]`},
		{"POST /rpc/answer_row " + arguments, "", 299, "X-One: 1,2", `{"id":1,"name":"Rome"}`},
		{"POST /rpc/answer_set " + arguments, "", 299, "X-One: 1,2", `[1, 2]`},
		{`POST /rpc/answer_sql {"status":"299"}`, "", 299, "", `"299"`},
		{"GET /rpc/answer?status=204", "", 204, "Content-Type: ", ""},
		{"GET /rpc/answer?status=304", "", 304, "", ""},
		{"GET /answering?id=eq.1&select=name,answer", "", 203, "X-View: yes", `[{"name":"Rome","answer":"x"}]`},
		{"GET /places?id=eq.1", "", 200, "X-View: ", `[{"id":1,"name":"Rome"}]`}, // nothing is left of the request before
		{`POST /places {"id":101,"name":"new"}`, "", 202, "X-Trigger: INSERT", ""},
		{`POST /places {"id":102,"name":"new"}`, "return=representation", 202, "X-Trigger: INSERT", `[{"id":102,"name":"new"}]`},
		{`POST /places {"id":103,"name":"new"}`, "return=headers-only", 202, "Location: /places?id=eq.103", ""},
		{`PATCH /places?id=eq.101 {"name":"newer"}`, "", 202, "X-Trigger: UPDATE", ""},
		{`PUT /places?id=eq.101 {"id":101,"name":"newest"}`, "", 202, "X-Trigger: UPDATE", ""},
		{"DELETE /places?id=eq.100", "return=representation", 202, "X-Trigger: DELETE", `[{"id":100,"name":"to delete"}]`},
	} {
		method, rest, _ := strings.Cut(c.line, " ")
		path, body, _ := strings.Cut(rest, " ")
		path = strings.NewReplacer(`"`, "%22", "{", "%7B", "}", "%7D").Replace(path)
		f.wire.Reset()
		w := f.do(t, method, path, body, "Prefer: "+c.prefer)
		name, value, _ := strings.Cut(c.header, ": ")
		if w.Code != c.status || w.Body.String() != c.body || name != "" && strings.Join(w.Header().Values(name), ",") != value {
			t.Errorf("%s: %d %v %s", c.line, w.Code, w.Header(), w.Body)
		}
		if writes := f.wire.Counts().Writes; writes > 1 && f.wire.Counts().Ready < 4 { // more when it opens a connection
			t.Errorf("%s: %d writes", c.line, writes)
		}
	}
}

// TestOwnHeadersRefused sees what is no status and what are no headers.
func TestOwnHeadersRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ status, headers, code string }{
		{"200", `[{"X-A": "b"}]`, ""},
		{" 404 ", "", ""},
		{"", "[]", ""},
		{"", `[{"X-A": "tab\tand täg"}]`, ""},
		{"99", "", "PGRST112"},
		{"100", "", "PGRST112"},
		{"199", "", "PGRST112"},
		{"600", "", "PGRST112"},
		{"ok", "", "PGRST112"},
		{"200 OK", "", "PGRST112"},
		{"", "null", "PGRST111"},
		{"", "x", "PGRST111"},
		{"", `{"X-A": "b"}`, "PGRST111"},
		{"", `[{"X-A": 1}]`, "PGRST111"},
		{"", `[{"X-A": null}]`, "PGRST111"},
		{"", `[{}]`, "PGRST111"},
		{"", `[null]`, "PGRST111"},
		{"", `[{"X-A": "b", "X-B": "c"}]`, "PGRST111"},
		{"", `[{"X-A": "b"}] x`, "PGRST111"},
		{"", `[{"": "b"}]`, "PGRST111"},
		{"", `[{"X A": "b"}]`, "PGRST111"},
		{"", `[{"X-A:": "b"}]`, "PGRST111"},
		{"", `[{"X-A\r\nSet-Cookie": "b"}]`, "PGRST111"},
		{"", `[{"X-A": "b\r\nSet-Cookie: c"}]`, "PGRST111"},
		{"", `[{"X-A": "b\nc"}]`, "PGRST111"},
		{"", `[{"X-A": "b\u0000"}]`, "PGRST111"},
		{"", `[{"X-A": "b\u007f"}]`, "PGRST111"},
		{"", `[{"X-A": "` + strings.Repeat("b", maxOwnHeaderBytes) + `"}]`, "PGRST111"},
		{"", "[" + strings.Repeat(`{"A": "b"},`, maxOwnHeaders) + `{"A": "b"}]`, "PGRST111"},
	} {
		g := &fake{row: [][]byte{[]byte("[]"), []byte("0"), []byte(c.status), []byte(c.headers)}}
		w := serve(t, fakeHandler(t, g, nil), "GET", "/tasks", "")
		if c.code == "" && w.Code >= 500 || c.code != "" && (w.Code != 500 || code(t, w) != c.code) {
			t.Errorf("%q %.60q: %d %s", c.status, c.headers, w.Code, w.Body)
		}
	}
}

// TestReservedHeaders sees that headers of the server stay what they are, and that who writes the application is told.
func TestReservedHeaders(t *testing.T) {
	t.Parallel()
	reserved := []string{"Access-Control-Allow-Origin", "access-control-allow-credentials", "Alt-Svc", "Connection", "Content-Encoding",
		"Content-Length", "content-security-policy", "Content-Security-Policy-Report-Only", "Cross-Origin-Opener-Policy",
		"Cross-Origin-Resource-Policy", "Date", "Keep-Alive", "NEL", "Permissions-Policy", "Proxy-Authenticate", "RateLimit-Limit",
		"Ratelimit", "Referrer-Policy", "Report-To", "Reporting-Endpoints", "Strict-Transport-Security", "TE", "Trailer",
		"Transfer-Encoding", "Upgrade", "X-Content-Type-Options", "X-Frame-Options", "X-Request-ID", "X-XSS-Protection"}
	var own strings.Builder
	own.WriteString(`[{"X-Mine": "sql"}, {"Vary": "X-Mine"}, {"Set-Cookie": "a=1"}, {"set-cookie": "b=2"},
		{"Set-Cookie": "__Host-fluxbase-access=x; Path=/; Secure"}, {"Set-Cookie": " = __host-Fluxbase-refresh=x"}`)
	for _, name := range reserved {
		own.WriteString(`, {"` + name + `": "sql"}`)
	}
	own.WriteString("]")
	var log bytes.Buffer
	errorWith := &pgconn.PgError{Code: "PGRST", Message: `{"code":"X","message":"m"}`, Detail: `{"status":400,"headers":{"X-Mine":"sql","Connection":"sql"}}`}
	for _, g := range []*fake{
		{row: [][]byte{[]byte("[]"), []byte("0"), nil, []byte(own.String())}},
		{err: errorWith},
	} {
		log.Reset()
		h := fakeHandler(t, g, func(c *Config) { c.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
		guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, name := range reserved {
				w.Header().Set(name, "server")
			}
			w.Header().Set("Vary", "Origin")
			h.ServeTable(w, r, "tasks")
		})
		w := record(t, guarded, "GET", "/tasks")
		for _, name := range reserved {
			if got := w.Header().Values(name); http.CanonicalHeaderKey(name) != "Content-Length" && (len(got) != 1 || got[0] != "server") {
				t.Errorf("%s: %q", name, got)
			}
		}
		if w.Header().Get("X-Mine") != "sql" || w.Header().Get("Content-Length") == "sql" {
			t.Errorf("%v", w.Header())
		}
		if !strings.Contains(log.String(), "Connection") {
			t.Errorf("log: %s", log.String())
		}
		if g.err == nil && (strings.Join(w.Header().Values("Vary"), ",") != "Origin,X-Mine" || strings.Join(w.Header().Values("Set-Cookie"), ",") != "a=1,b=2") {
			t.Errorf("%v", w.Header())
		}
	}
}

// TestRaise sees the answers that functions give by raising an error.
func TestRaise(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, answering)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		message, detail string // JSON strings
		status          int
		header, body    string
	}{
		{`{"code":"A1","message":"no","details":"d","hint":"h"}`, `{"status":402,"headers":{"X-Why":"money"}}`, 402, "money", `{"code":"A1","message":"no","details":"d","hint":"h"}`},
		{`{"code":"A1","message":"no"}`, `{"status":404,"status_text":"Gone fishing","headers":{}}`, 404, "", `{"code":"A1","message":"no","details":null,"hint":null}`},
		{`{"code":"A1","message":"no","details":null,"other":1}`, `{"status":204,"headers":{"X-Why":"empty"}}`, 204, "empty", ""},
		{`no`, `{"status":402,"headers":{}}`, 500, "", "PGRST121"},
		{`{"message":"no"}`, `{"status":402,"headers":{}}`, 500, "", "PGRST121"},
		{`{"code":"A1"}`, `{"status":402,"headers":{}}`, 500, "", "PGRST121"},
		{`{"code":1,"message":"no"}`, `{"status":402,"headers":{}}`, 500, "", "PGRST121"},
		{`{"code":"A1","message":"no"}`, `no`, 500, "", "PGRST121"},
		{`{"code":"A1","message":"no"}`, ``, 500, "", "PGRST121"},
		{`{"code":"A1","message":"no"}`, `{"headers":{}}`, 500, "", "PGRST121"},
		{`{"code":"A1","message":"no"}`, `{"status":402}`, 500, "", "PGRST121"},
		{`{"code":"A1","message":"no"}`, `{"status":101,"headers":{}}`, 500, "", "PGRST121"},
		{`{"code":"A1","message":"no"}`, `{"status":402,"headers":{"X-Why":"a\nb"}}`, 500, "", "PGRST121"},
		{`{"code":"A1","message":"no"}`, `{"status":402,"headers":{"X-Why":null}}`, 500, "", "PGRST121"},
		{`{"code":"A1","message":"no"}`, manyHeaders(maxOwnHeaders), 402, "0", `{"code":"A1","message":"no","details":null,"hint":null}`},
		{`{"code":"A1","message":"no"}`, manyHeaders(maxOwnHeaders + 1), 500, "", "PGRST121"},
		{`{"code":"A1","message":"no"}`, `{"status":402,"headers":{"X-Why":"` + strings.Repeat("x", maxOwnHeaderBytes) + `"}}`, 500, "", "PGRST121"},
	} {
		body := `{"message":` + quote(c.message) + `,"detail":` + quote(c.detail) + `}`
		if c.detail == "" {
			body = `{"message":` + quote(c.message) + `,"detail":null}`
		}
		w := f.do(t, "POST", "/rpc/fail_with", body)
		if w.Code != c.status || w.Header().Get("X-Why") != c.header {
			t.Errorf("%s %s: %d %v %s", c.message, c.detail, w.Code, w.Header(), w.Body)
		}
		if c.status == 500 && code(t, w) != c.body || c.status != 500 && w.Body.String() != c.body {
			t.Errorf("%s %s: %s", c.message, c.detail, w.Body)
		}
	}
	// What a malformed one quotes is for development; what a well-formed one says is for the client.
	f.Detail = DetailCode
	if w := f.do(t, "POST", "/rpc/fail_with", `{"message":"secret","detail":"secret"}`); strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%s", w.Body)
	}
	if w := f.do(t, "POST", "/rpc/fail_with", `{"message":"{\"code\":\"A1\",\"message\":\"no\",\"hint\":\"h\"}","detail":"{\"status\":402,\"headers\":{}}"}`); w.Body.String() !=
		`{"code":"A1","message":"no","details":null,"hint":"h"}` {
		t.Errorf("%s", w.Body)
	}
}

// manyHeaders is the detail of an error with so many headers.
func manyHeaders(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"X-%d":"%d"`, i, i)
	}
	list[0] = `"X-Why":"0"`
	return `{"status":402,"headers":{` + strings.Join(list, ",") + `}}`
}

// TestNoRowIsNoAnswer sees that a function that returns no void answers with nothing of an earlier request: the memory of
// answers is used again.
func TestNoRowIsNoAnswer(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `create function public.signs() returns text language plpgsql volatile as $$ begin
			perform set_config('response.headers', '[{"Set-Cookie": "mine=secret"}]', true), set_config('response.status', '202', true);
			return 'mine';
		end $$;
		create function public.voids() returns setof void language plpgsql volatile as $$ begin return; end $$`)
	if err := f.Cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 20 { // a pool may give out other memory
		if w := f.do(t, "POST", "/rpc/signs", ""); w.Header().Get("Set-Cookie") == "" {
			t.Fatalf("%d %v", w.Code, w.Header())
		}
		if w := f.do(t, "POST", "/rpc/voids", ""); w.Code != 204 || w.Header().Get("Set-Cookie") != "" || w.Body.Len() != 0 {
			t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
		}
	}
}
