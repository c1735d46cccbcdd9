package rest

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/planner"
	"github.com/wayli-app/fluxbase/controlplane/rest/resttest"
)

// recorder is a gateway that remembers the statements that go through it.
type recorder struct {
	catalog.Gateway
	sent []string
}

func (r *recorder) Query(ctx context.Context, caller gateway.Caller, st gateway.Statement, o gateway.QueryOptions, fn func([][]byte) error) error {
	r.sent = append(r.sent, st.SQL)
	return r.Gateway.Query(ctx, caller, st, o, fn)
}

// TestInjectionSent is TestInjection with a real database behind it, for every fifth string unless FLUXBASE_TEST_LONG=1: what is sent for a hostile value is what is sent for
// a harmless one, byte by byte, PostgreSQL never meets a syntax error, and nothing that was not asked for happens.
func TestInjectionSent(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `insert into public.secrets values (1, 'hidden')`)
	f.Limits.Aggregates, f.Limits.Explain, f.Limits.TxEnd = true, true, dialect.TxCommitOverride
	known := resttest.CatalogTokens(f.Cache.Current())
	r := &recorder{Gateway: f.gateway}
	f.Gateway = r
	send := func(in dialect.Input) (*httptest.ResponseRecorder, []string) {
		r.sent = nil
		request := httptest.NewRequestWithContext(t.Context(), "GET", "/", bytes.NewReader(in.Body))
		request.Method, request.URL.RawQuery = in.Method, in.RawQuery
		if in.Header != nil {
			request.Header = in.Header.Clone()
		}
		if request.Header.Get("Prefer") == "" {
			request.Header.Set("Prefer", "tx=rollback")
		}
		w := httptest.NewRecorder()
		if in.Target == dialect.Function {
			f.ServeRPC(w, request, in.Name)
		} else {
			f.ServeTable(w, request, in.Name)
		}
		return w, r.sent
	}
	sent := 0
	for i, place := range resttest.Places() {
		_, want := send(place.In(place.Harmless))
		for j, h := range resttest.Hostile {
			if (i+j)%5 != 0 && os.Getenv("FLUXBASE_TEST_LONG") != "1" {
				continue
			}
			w, got := send(place.In(h))
			sent += len(got)
			for _, sql := range got {
				if bad := resttest.ForeignToken(known, strings.TrimPrefix(sql, "explain ")); bad != "" && !strings.HasPrefix(sql, "explain") && !strings.HasPrefix(sql, "select pg_catalog.json_build_object") {
					t.Errorf("%s: %q brings %q into the statement\n%s", place.Name, h, bad, sql)
				}
			}
			if len(got) > 0 && len(want) > 0 && !resttest.Structural[place.Name] && !slices.Contains(want, got[0]) {
				t.Errorf("%s: %q changes what is sent\n%s\n%s", place.Name, h, want[0], got[0])
			}
			body := w.Body.String()
			if strings.Contains(body, `"42601"`) || strings.Contains(body, "hidden") || w.Code >= http.StatusInternalServerError {
				t.Errorf("%s: %q is answered %d %.300s", place.Name, h, w.Code, body)
			}
		}
	}
	if got := f.value(t, `(select count(*) from public.tasks) || ' ' || (select count(*) from public.people) || ' ' || (select hidden from public.secrets)`); !strings.HasSuffix(got, " 4 hidden") {
		t.Errorf("the tables hold %s", got)
	}
	if sent < 1000 {
		t.Errorf("only %d statements were sent: the test proves little", sent)
	}
}

// TestInjectionBulk puts hostile strings into the body of a bulk insert: the statements of its chunks stay what they are.
func TestInjectionBulk(t *testing.T) {
	t.Parallel()
	current := resttest.Catalog(t)
	limits := dialect.Limits{}.WithDefaults()
	chunks := func(contentType, query, body string) (texts []string) {
		r, refusal := dialect.ParseHead(dialect.Input{Method: "POST", Name: "tasks", RawQuery: query,
			Header: http.Header{"Prefer": {"return=representation, missing=default"}}}, &limits)
		if refusal != nil {
			t.Fatal(refusal)
		}
		csv, _ := dialect.IsCSV(contentType)
		b, err := dialect.ReadBulk(r, csv, strings.NewReader(body), &limits, 1)
		if err != nil {
			return nil
		}
		defer b.Close()
		r.Payload = b.Payload
		p, refusal := planner.New(current, r)
		if refusal != nil {
			return nil
		}
		in, err := b.Rewind()
		if err != nil {
			t.Fatal(err)
		}
		var c dialect.Chunk
		for c.Get(in) == nil {
			texts = append(texts, p.OfPart(c.Part, c.Rows, c.JSON).Statement().SQL)
		}
		return texts
	}
	known, accepted := resttest.CatalogTokens(current), 0
	for _, place := range []struct{ name, contentType, query, before, after string }{
		{"string", "", "", `[{"name":"first"},{"name":"`, `"}]`},
		{"string with columns", "", "columns=id,name", `[{"id":1},{"name":"`, `"}]`},
		{"csv value", "text/csv", "", "id,name\n1,a\n2,b", ""},
		{"json value", "", "", `[{"data":1},{"data":["`, `"]}]`},
	} {
		want := chunks(place.contentType, place.query, place.before+"x"+place.after)
		if len(want) < 2 {
			t.Fatalf("%s: %q", place.name, want)
		}
		for _, h := range resttest.Hostile {
			for i, got := range chunks(place.contentType, place.query, place.before+h+place.after) {
				accepted++
				if bad := resttest.ForeignToken(known, got); bad != "" || got != want[min(i, len(want)-1)] {
					t.Errorf("%s: %q changes a statement\n%s", place.name, h, got)
				}
			}
		}
	}
	if accepted < 500 {
		t.Errorf("only %d statements: the test proves little", accepted)
	}
}
