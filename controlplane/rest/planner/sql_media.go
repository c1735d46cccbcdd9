package planner

import (
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
)

// customized appends the body of the rows r in a format of the application's own.
func (b *builder) customized(m *catalog.Format) {
	if m.GeoJSON != "" {
		b.sql("pg_catalog.json_build_object('type', 'FeatureCollection', 'features', coalesce(pg_catalog.json_agg(", m.GeoJSON,
			"(r.*)::pg_catalog.json), '[]'))")
		return
	}
	b.formatted(m, func() {
		b.sql(m.Aggregate)
		if m.Row == "" {
			b.sql("(r.*)")
		} else {
			b.sql("(r.v)")
		}
	})
}

// formatted appends a value of a format of the application's own: bytes in hexadecimal, whatever bytea_output is.
func (b *builder) formatted(m *catalog.Format, value func()) {
	if !m.Binary {
		value()
		return
	}
	b.sql("pg_catalog.encode(")
	value()
	b.sql(", 'hex')")
}

// wholeRow appends the select list of rows for a function that takes the rows of a relation.
func (b *builder) wholeRow(m *catalog.Format) { b.sql("(t.*)::", m.Row, " as v") }
