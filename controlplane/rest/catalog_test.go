package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/resttest"
)

// documentReader keeps what it is answered.
type documentReader struct {
	catalog.Gateway
	rows    [][]byte
	options []gateway.QueryOptions
}

// Query is that of the gateway.
func (r *documentReader) Query(ctx context.Context, caller gateway.Caller, st gateway.Statement, o gateway.QueryOptions, fn func([][]byte) error) error {
	r.options = append(r.options, o)
	return r.Gateway.Query(ctx, caller, st, o, func(row [][]byte) error {
		r.rows = append(r.rows, bytes.Clone(row[0]))
		return fn(row)
	})
}

// documents are what Load reads: the catalog, what relates views, the formats of the application, and two answers.
func (f *fixture) documents(t *testing.T) [][]byte {
	t.Helper()
	r := documentReader{Gateway: f.gateway}
	if _, err := catalog.Load(t.Context(), &r, catalog.Schemas{Exposed: resttest.Exposed}); err != nil {
		t.Fatal(err)
	}
	return r.rows
}

// TestCatalogDocument keeps what catalog.sql says about schema.sql. Of the types only those that
// tests use are kept: the list differs between versions of PostgreSQL.
func TestCatalogDocument(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var all map[string]json.RawMessage
	if err := json.Unmarshal(f.documents(t)[0], &all); err != nil {
		t.Fatal(err)
	}
	doc := map[string][]map[string]any{}
	for _, part := range []string{"relations", "functions", "representations", "types"} {
		var list []map[string]any
		if err := json.Unmarshal(all[part], &list); err != nil {
			t.Fatal(err)
		}
		doc[part] = list
	}
	if !bytes.Contains(all["timezones"], []byte(`"America/Los_Angeles"`)) {
		err := errors.New("the time zones are missing")
		t.Fatal(err)
	}
	kept := []string{"text", "int4", "int8", "numeric", "mood", "timestamptz", "_text"}
	doc["types"] = slices.DeleteFunc(doc["types"], func(d map[string]any) bool {
		return !slices.Contains(kept, d["name"].(string))
	})
	var out bytes.Buffer
	out.WriteString("{\n\"timezones\": [\"America/Los_Angeles\"],")
	for i, part := range []string{"relations", "functions", "representations", "types"} {
		if i > 0 {
			out.WriteString(",")
		}
		out.WriteString("\n\"" + part + "\": [")
		for j, entry := range doc[part] {
			if j > 0 {
				out.WriteString(",")
			}
			line, err := json.Marshal(entry)
			if err != nil {
				t.Fatal(err)
			}
			out.WriteString("\n")
			out.Write(line)
		}
		out.WriteString("]")
	}
	out.WriteString("}\n")
	resttest.Compare(t, "catalog.json", out.Bytes())
}

// TestMediaDocument keeps what media.sql says about schema.sql.
func TestMediaDocument(t *testing.T) {
	t.Parallel()
	f := setup(t)
	resttest.Compare(t, "media.json", append(f.documents(t)[2], '\n'))
}

func TestCatalogHidesWhatIsNotExposed(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `create extension if not exists pgcrypto`)
	c := f.Cache.Current()
	for name := range c.Relations {
		if !slices.Contains(resttest.Exposed, name.Schema) {
			t.Errorf("relation %v", name)
		}
	}
	for name := range c.Routines {
		if !slices.Contains(resttest.Exposed, name.Schema) {
			t.Errorf("function %v", name)
		}
	}
	if c.Relations[catalog.QualifiedName{Schema: "public", Name: "events_2026"}] != nil {
		t.Error("a partition is exposed beside its table: reading it goes past the table's policies")
	}
	for _, name := range []string{"regclass", "_regproc"} {
		if c.Types[name] != "" {
			t.Errorf("cast to %s is possible", name)
		}
	}
	for _, schemas := range [][]string{nil, {"auth"}, {"public", "pg_catalog"}, {"information_schema"}, {"fluxbase"}, {"audit"}, {"ratelimit"}, {"pg_temp"}, {""}} {
		if _, err := catalog.New(catalog.Schemas{Exposed: schemas}, []byte("{}")); err == nil {
			t.Errorf("schemas %q were accepted", schemas)
		}
		if _, err := catalog.Load(t.Context(), f.gateway, catalog.Schemas{Exposed: schemas}); err == nil {
			t.Errorf("schemas %q were loaded", schemas)
		}
		if _, err := catalog.New(catalog.Schemas{Exposed: resttest.Exposed, Extra: schemas}, []byte("{}")); (err == nil) != (schemas == nil) {
			t.Errorf("schemas %q are searched", schemas)
		}
	}
}

// TestLoadIsNotCompiled sees that no statement of a load is compiled, which would take ten times as long as the statement.
func TestLoadIsNotCompiled(t *testing.T) {
	t.Parallel()
	f := setup(t)
	r := documentReader{Gateway: f.gateway}
	if _, err := catalog.Load(t.Context(), &r, catalog.Schemas{Exposed: resttest.Exposed}); err != nil {
		t.Fatal(err)
	}
	for i, o := range r.options {
		got := ""
		err := f.gateway.Query(t.Context(), anon, gateway.Statement{SQL: "select pg_catalog.current_setting('jit')"}, o, func(row [][]byte) error {
			got = string(row[0])
			return nil
		})
		if err != nil || got != "off" {
			t.Errorf("statement %d: jit is %q, %v", i+1, got, err)
		}
	}
	if len(r.options) != 5 {
		t.Errorf("%d statements", len(r.options))
	}
}
