package rest

// customized appends the body of the rows r in a format of the application's own.
func (b *builder) customized(m *customMedia) {
	if m.geojson != "" {
		b.sql("pg_catalog.json_build_object('type', 'FeatureCollection', 'features', coalesce(pg_catalog.json_agg(", m.geojson,
			"(r.*)::pg_catalog.json), '[]'))")
		return
	}
	b.formatted(m, func() {
		b.sql(m.aggregate)
		if m.row == "" {
			b.sql("(r.*)")
		} else {
			b.sql("(r.v)")
		}
	})
}

// formatted appends a value of a format of the application's own: bytes in hexadecimal, whatever bytea_output is.
func (b *builder) formatted(m *customMedia, value func()) {
	if !m.binary {
		value()
		return
	}
	b.sql("pg_catalog.encode(")
	value()
	b.sql(", 'hex')")
}

// wholeRow appends the select list of rows for a function that takes the rows of a relation.
func (b *builder) wholeRow(m *customMedia) { b.sql("(t.*)::", m.row, " as v") }
