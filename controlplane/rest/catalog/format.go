package catalog

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

// Formats of the application's own. A domain that is named like a media type says that its values are in that format: a
// function that returns one value of it answers with it as it is, and an aggregate function that makes one out of rows of a
// relation, or of any, is how the rows of that relation, or of any, come in that format. The domain */* stands for all.

// mediaSQL asks what the application has for formats of its own.
//
//go:embed media.sql
var mediaSQL string

// Formats are the formats of the application's own.
type Formats struct {
	Values  map[string]*Format       // of functions, by the SQL of the result's type
	Rows    map[FormatTarget]*Format // of relations
	Any     map[string]*Format       // of any rows, by media type
	GeoJSON *Format                  // nil without PostGIS
}

// FormatTarget is a relation and a media type.
type FormatTarget struct {
	Relation *Relation
	Kind     string
}

type domainMedia struct {
	Type   string `json:"type"`
	Media  string `json:"media"`
	Binary bool   `json:"binary"`
}

// ReadMedia takes the document that media.sql returns.
func (c *Catalog) ReadMedia(document []byte) error {
	var doc struct {
		Domains    []domainMedia `json:"domains"`
		Aggregates []struct {
			SQL      string   `json:"sql"`
			Type     string   `json:"type"`
			Relation []string `json:"relation"`
		} `json:"aggregates"`
		GeoJSON string `json:"geojson"`
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		return fmt.Errorf("rest: document of media types: %w", err)
	}
	h := &Formats{
		Values: make(map[string]*Format, len(doc.Domains)),
		Rows:   make(map[FormatTarget]*Format),
		Any:    make(map[string]*Format),
	}
	for _, d := range doc.Domains {
		h.Values[d.Type] = &Format{Name: strings.ToLower(d.Media), Binary: d.Binary}
	}
	for _, a := range doc.Aggregates {
		value := h.Values[a.Type]
		m := &Format{Name: value.Name, Binary: value.Binary, Aggregate: a.SQL}
		if a.Relation == nil {
			setFirst(h.Any, m.Name, m)
		} else if r := c.named(a.Relation); r != nil {
			m.Row = r.SQL
			setFirst(h.Rows, FormatTarget{r, m.Name}, m)
		}
	}
	if doc.GeoJSON != "" {
		h.GeoJSON = &Format{Name: MediaGeo, GeoJSON: doc.GeoJSON}
	}
	c.Formats = h
	return nil
}

// setFirst sets a value that is not there yet.
func setFirst[K comparable, V any](m map[K]V, key K, value V) {
	if _, taken := m[key]; !taken {
		m[key] = value
	}
}

// Format is a format that the application or PostGIS makes.
type Format struct {
	Name      string // the media type
	Binary    bool   // values are bytea
	Aggregate string // SQL of the aggregate function that makes it out of rows; empty for the value of a function
	Row       string // SQL of the type of rows that it takes; empty for any
	GeoJSON   string // SQL of PostGIS's function that makes it out of a row
}

// MediaGeo is the type of what PostGIS makes.
const MediaGeo = "application/geo+json"
