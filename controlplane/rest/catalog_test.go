package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

// TestCatalogDocument keeps what catalog.sql says about schema.sql. Of the types only those that
// tests use are kept: the list differs between versions of PostgreSQL.
func TestCatalogDocument(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var text string
	if err := f.super.QueryRow(t.Context(), catalogSQL, exposed, []string{}).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &all); err != nil {
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
	compareGolden(t, "catalog.json", out.Bytes())
}

// TestMediaDocument keeps what media.sql says about schema.sql.
func TestMediaDocument(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var text string
	if err := f.super.QueryRow(t.Context(), mediaSQL, exposed).Scan(&text); err != nil {
		t.Fatal(err)
	}
	compareGolden(t, "media.json", []byte(text+"\n"))
}

func TestCatalogHidesWhatIsNotExposed(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.exec(t, `create extension if not exists pgcrypto`)
	c := f.Cache.Current()
	for name := range c.relations {
		if !slices.Contains(exposed, name.schema) {
			t.Errorf("relation %v", name)
		}
	}
	for name := range c.routines {
		if !slices.Contains(exposed, name.schema) {
			t.Errorf("function %v", name)
		}
	}
	if c.relations[qualifiedName{"public", "events_2026"}] != nil {
		t.Error("a partition is exposed beside its table: reading it goes past the table's policies")
	}
	for _, name := range []string{"regclass", "_regproc"} {
		if c.types[name] != "" {
			t.Errorf("cast to %s is possible", name)
		}
	}
	for _, schemas := range [][]string{nil, {"auth"}, {"public", "pg_catalog"}, {"information_schema"}, {"fluxbase"}, {"audit"}, {"ratelimit"}, {"pg_temp"}, {""}} {
		if _, err := NewCatalog(Schemas{Exposed: schemas}, []byte("{}")); err == nil {
			t.Errorf("schemas %q were accepted", schemas)
		}
		if _, err := Load(t.Context(), f.gateway, Schemas{Exposed: schemas}); err == nil {
			t.Errorf("schemas %q were loaded", schemas)
		}
		if _, err := NewCatalog(Schemas{Exposed: exposed, Extra: schemas}, []byte("{}")); (err == nil) != (schemas == nil) {
			t.Errorf("schemas %q are searched", schemas)
		}
	}
}
