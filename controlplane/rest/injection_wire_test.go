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
)

// recorder is a gateway that remembers the statements that go through it.
type recorder struct {
	Gateway
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
	f.Limits.Aggregates, f.Limits.Explain, f.Limits.TxEnd = true, true, TxCommitOverride
	known := catalogTokens(f.Cache.Current())
	r := &recorder{Gateway: f.gateway}
	f.Gateway = r
	send := func(in Input) (*httptest.ResponseRecorder, []string) {
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
		if in.Target == Function {
			f.ServeRPC(w, request, in.Name)
		} else {
			f.ServeTable(w, request, in.Name)
		}
		return w, r.sent
	}
	sent := 0
	for i, place := range places() {
		_, want := send(place.in(place.harmless))
		for j, h := range hostile {
			if (i+j)%5 != 0 && os.Getenv("FLUXBASE_TEST_LONG") != "1" {
				continue
			}
			w, got := send(place.in(h))
			sent += len(got)
			for _, sql := range got {
				if bad := foreignToken(known, strings.TrimPrefix(sql, "explain ")); bad != "" && !strings.HasPrefix(sql, "explain") && !strings.HasPrefix(sql, "select pg_catalog.json_build_object") {
					t.Errorf("%s: %q brings %q into the statement\n%s", place.name, h, bad, sql)
				}
			}
			if len(got) > 0 && len(want) > 0 && !structural[place.name] && !slices.Contains(want, got[0]) {
				t.Errorf("%s: %q changes what is sent\n%s\n%s", place.name, h, want[0], got[0])
			}
			body := w.Body.String()
			if strings.Contains(body, `"42601"`) || strings.Contains(body, "hidden") || w.Code >= http.StatusInternalServerError {
				t.Errorf("%s: %q is answered %d %.300s", place.name, h, w.Code, body)
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
	catalog := goldenCatalog(t)
	limits := Limits{}.withDefaults()
	chunks := func(contentType, query, body string) (texts []string) {
		r, refusal := parseHead(Input{Method: "POST", Name: "tasks", RawQuery: query,
			Header: http.Header{"Prefer": {"return=representation, missing=default"}}}, &limits)
		if refusal != nil {
			t.Fatal(refusal)
		}
		csv, _ := isCSV(contentType)
		b, err := readBulk(r, csv, strings.NewReader(body), &limits, 1)
		if err != nil {
			return nil
		}
		defer b.close()
		r.Payload = b.Payload
		p, refusal := catalog.Plan(r)
		if refusal != nil {
			return nil
		}
		in, err := b.rewind()
		if err != nil {
			t.Fatal(err)
		}
		var c chunk
		for c.get(in) == nil {
			texts = append(texts, p.ofChunk(&c).Statement().SQL)
		}
		return texts
	}
	known, accepted := catalogTokens(catalog), 0
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
		for _, h := range hostile {
			for i, got := range chunks(place.contentType, place.query, place.before+h+place.after) {
				accepted++
				if bad := foreignToken(known, got); bad != "" || got != want[min(i, len(want)-1)] {
					t.Errorf("%s: %q changes a statement\n%s", place.name, h, got)
				}
			}
		}
	}
	if accepted < 500 {
		t.Errorf("only %d statements: the test proves little", accepted)
	}
}
