package rest

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/gateway/wiretest"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
	"github.com/wayli-app/fluxbase/controlplane/rest/planner"
	"github.com/wayli-app/fluxbase/controlplane/rest/resttest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// fixture is a handler over a real gateway on a database of the test's own, with schema.sql in it.
type fixture struct {
	*Handler
	db      *pgtest.DB
	super   *pgx.Conn
	gateway *gateway.Gateway
	wire    *wiretest.Counter
	caller  gateway.Caller // of the next request
}

var (
	annID      = uuid.MustParse("00000000-0000-4000-8000-00000000000a")
	annSession = uuid.MustParse("10000000-0000-4000-8000-00000000000a")
	anon       = gateway.Caller{Role: "anon"}
	ann        = gateway.Caller{Role: "authenticated", UserID: annID, SessionID: annSession, JTI: uuid.New(), AAL: "aal1"}
)

func setup(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{db: pgtest.Database(t), wire: wiretest.New(), caller: ann}
	f.super = f.db.Conn(t, "superuser")
	f.exec(t, string(resttest.Read(t, "schema.sql")))
	f.exec(t, `insert into auth.users (id, email) values ('`+annID.String()+`', 'ann@example.com');
		insert into auth.sessions (id, user_id, expires_at) values ('`+annSession.String()+`', '`+annID.String()+`', now() + interval '1 hour')`)
	var err error
	f.gateway, err = gateway.Open(t.Context(), gateway.Config{
		API:      gateway.PoolConfig{URL: f.db.URL("fluxbase_api"), Size: 2},
		Service:  gateway.PoolConfig{URL: f.db.URL("fluxbase_service"), Size: 1},
		Server:   gateway.PoolConfig{URL: f.db.URL("fluxbase_server"), Size: 1},
		DialFunc: f.wire.Dial(nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.gateway.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	cache := catalog.NewCache(f.load, time.Now)
	if err := cache.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Handler, err = New(Config{
		Gateway: f.gateway, Cache: cache, Detail: DetailFull, Logger: slog.New(slog.DiscardHandler),
		Caller: func(*http.Request) gateway.Caller { return f.caller },
		Refused: func(w http.ResponseWriter, _ *http.Request, err *pgconn.PgError) {
			http.Error(w, err.Code, http.StatusTeapot)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// load reads the catalog as it is.
func (f *fixture) load(ctx context.Context) (*catalog.Catalog, error) {
	return catalog.Load(ctx, f.gateway, catalog.Schemas{Exposed: resttest.Exposed})
}

// exec runs SQL as the superuser.
func (f *fixture) exec(t testing.TB, sql string) {
	t.Helper()
	if _, err := f.super.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// value reads one value as the superuser.
func (f *fixture) value(t testing.TB, sql string) string {
	t.Helper()
	var v string
	if err := f.super.QueryRow(t.Context(), "select ("+sql+")::text").Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// do sends a request; headers are "Name: value" lines.
func (f *fixture) do(t testing.TB, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	return serve(t, f.Handler, method, path, body, headers...)
}

// serve sends a request for /table or /rpc/function to a handler.
func serve(t testing.TB, h *Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	if name, ok := strings.CutPrefix(r.URL.Path, "/rpc/"); ok {
		h.ServeRPC(w, r, name)
	} else {
		h.ServeTable(w, r, strings.TrimPrefix(r.URL.Path, "/"))
	}
	return w
}

// code returns the code of an error response.
func code(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	var e struct{ Code string }
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil {
		t.Fatalf("%d %q: %v", w.Code, w.Body, err)
	}
	return e.Code
}

// record sends a request to a handler.
func record(t testing.TB, h http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// quote returns a text as JSON.
func quote(s string) string {
	text, _ := json.Marshal(s) // a string always encodes
	return string(text)
}

// planOf parses and plans a request, with all that a setting may allow.
func planOf(c *catalog.Catalog, in dialect.Input) (*planner.Plan, *fault.Error) {
	return planIn(c, in, dialect.Limits{Aggregates: true, Explain: true})
}

// planIn parses and plans a request.
func planIn(c *catalog.Catalog, in dialect.Input, l dialect.Limits) (*planner.Plan, *fault.Error) {
	r, err := dialect.Parse(in, l)
	if err != nil {
		return nil, err
	}
	return planner.New(c, r)
}
