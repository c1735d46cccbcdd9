package rest

import "strconv"

// Rows become JSON by json_agg of the whole row. When the client names columns, its names must not enter
// the text, so each row's object is put together from bound keys and to_json of the values; the bytes are
// those that json_agg makes.

// renames tells whether the client gave a column another name.
func (n *node) renames() bool {
	for i := range n.output {
		if n.output[i].alias != "" {
			return true
		}
	}
	return false
}

// list appends the select list of rows whose columns keep their names.
func (b *builder) list(n *node) {
	if n.output == nil {
		b.sql("t.*")
		return
	}
	for i := range n.output {
		o := &n.output[i]
		b.comma(i)
		if o.star {
			b.sql("t.*")
			continue
		}
		b.value(o)
		if o.path != nil || o.cast != "" {
			b.sql(" as ", o.SQL)
		}
	}
}

// object appends the text of a row's JSON object, its keys bound.
func (b *builder) object(n *node) {
	separator := byte('{')
	key := func(name string) {
		if separator == ',' {
			b.sql(" || ")
		}
		b.bind(appendKey([]byte{separator}, name))
		b.sql("::pg_catalog.text || coalesce(pg_catalog.to_json(")
		separator = ','
	}
	const end = ")::pg_catalog.text, 'null')"
	for i := range n.output {
		o := &n.output[i]
		switch {
		case o.star:
			for j := range n.columns {
				key(n.columns[j].Name)
				b.sql("t.", n.columns[j].SQL, end)
			}
			continue
		case o.alias != "":
			key(o.alias)
		default:
			key(o.Name)
		}
		b.value(o)
		b.sql(end)
	}
	b.sql(" || '}'")
}

// value appends the value of an output column.
func (b *builder) value(o *output) {
	b.place(&o.place)
	if o.cast != "" {
		b.sql("::", o.cast)
	}
}

// appendKey appends a key of a JSON object and its colon.
func appendKey(dst []byte, key string) []byte {
	dst = append(dst, '"')
	for _, r := range key {
		dst = appendEscaped(dst, r)
	}
	return append(dst, '"', ':')
}

// place appends a column or what a path finds in it. A column that is no JSON is made it.
func (b *builder) place(p *place) {
	if len(p.path) == 0 {
		b.sql("t.", p.SQL)
		return
	}
	if p.Type == "pg_catalog.json" || p.Type == "pg_catalog.jsonb" {
		b.sql("(t.", p.SQL)
	} else {
		b.sql("(pg_catalog.to_jsonb(t.", p.SQL, ")")
	}
	for _, step := range p.path {
		if step.Text {
			b.sql(" ->> ")
		} else {
			b.sql(" -> ")
		}
		if step.Index {
			n, _ := strconv.ParseInt(step.Key, 10, 32) // at most nine digits
			b.bindInt(n)
			b.sql("::pg_catalog.int4")
			continue
		}
		b.bind([]byte(step.Key))
		b.sql("::pg_catalog.text")
	}
	b.sql(")")
}
