package rest

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

// mediaHandlers are the formats of the application's own.
type mediaHandlers struct {
	values  map[string]*customMedia      // of functions, by the SQL of the result's type
	rows    map[mediaTarget]*customMedia // of relations
	any     map[string]*customMedia      // of any rows, by media type
	geojson *customMedia                 // nil without PostGIS
}

// mediaTarget is a relation and a media type.
type mediaTarget struct {
	relation *Relation
	kind     string
}

type domainMedia struct {
	Type   string `json:"type"`
	Media  string `json:"media"`
	Binary bool   `json:"binary"`
}

// builtinValues are the formats of functions' values without a domain.
var builtinValues = map[string]*customMedia{
	"pg_catalog.bytea":   {name: mediaBinary, binary: true},
	"pg_catalog.text":    {name: mediaText},
	"pg_catalog.varchar": {name: mediaText},
	"pg_catalog.xml":     {name: mediaXML},
}

// readMedia takes the document that media.sql returns.
func (c *Catalog) readMedia(document []byte) error {
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
	h := &mediaHandlers{
		values: make(map[string]*customMedia, len(doc.Domains)),
		rows:   make(map[mediaTarget]*customMedia),
		any:    make(map[string]*customMedia),
	}
	for _, d := range doc.Domains {
		h.values[d.Type] = &customMedia{name: strings.ToLower(d.Media), binary: d.Binary}
	}
	for _, a := range doc.Aggregates {
		value := h.values[a.Type]
		m := &customMedia{name: value.name, binary: value.binary, aggregate: a.SQL}
		if a.Relation == nil {
			setFirst(h.any, m.name, m)
		} else if r := c.named(a.Relation); r != nil {
			m.row = r.SQL
			setFirst(h.rows, mediaTarget{r, m.name}, m)
		}
	}
	if doc.GeoJSON != "" {
		h.geojson = &customMedia{name: mediaGeo, geojson: doc.GeoJSON}
	}
	c.handlers = h
	return nil
}

// setFirst sets a value that is not there yet.
func setFirst[K comparable, V any](m map[K]V, key K, value V) {
	if _, taken := m[key]; !taken {
		m[key] = value
	}
}

// handler returns the format of the application's own for what a plan answers with; nil is none. What is made for all
// formats goes first, then what is made for the target, then what is made for any. Rows with columns that the client has
// named have no type that a function could take, and rows with other columns than the relation's are not its rows.
func (c *Catalog) handler(p *Plan, kind string) *customMedia {
	if p.action == Call && p.routine.Returns != Composite {
		return c.valueHandler(p, kind)
	}
	relation := p.relation
	if p.action == Call {
		relation = p.routine.relation
	}
	h := c.handlers
	if h == nil || p.renames() || p.grouped {
		return nil
	}
	if p.members == nil && relation != nil {
		for _, k := range [...]string{mediaAny, kind} {
			if m := h.rows[mediaTarget{relation, k}]; m != nil {
				return m
			}
		}
	}
	if m := h.any[kind]; m != nil {
		return m
	}
	if kind == mediaGeo {
		return h.geojson
	}
	return nil
}

// valueHandler is handler for a function that returns a value.
func (c *Catalog) valueHandler(p *Plan, kind string) *customMedia {
	if p.routine.Set || p.routine.Returns != Scalar {
		return nil
	}
	if h := c.handlers; h != nil {
		if m := h.values[p.routine.Type]; m != nil && (m.name == kind || m.name == mediaAny) {
			return m
		}
	}
	if m := builtinValues[p.routine.Type]; m != nil && m.name == kind {
		return m
	}
	return nil
}
