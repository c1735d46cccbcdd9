package rest

// call builds the call of a function.
func (b *builder) call(p *Plan) {
	f := p.routine
	switch f.Returns {
	case Void:
		b.sql("select ")
		b.invocation(p)
		b.sql(", '1'")
		if b.unpacks(p) {
			b.sql(" from ")
			b.unpack(p)
		}
	case Scalar:
		b.scalar(p)
	case Composite:
		b.composite(p)
	}
}

// scalar builds a call whose result is a value or an array of values.
func (b *builder) scalar(p *Plan) {
	if p.routine.Set {
		b.sql("select coalesce(pg_catalog.json_agg(r.v), '[]'), pg_catalog.count(*)::pg_catalog.text from (select ")
	} else {
		b.sql("select coalesce(pg_catalog.to_json(r.v), 'null'), '1' from (select ")
	}
	b.invocation(p)
	b.sql(" as v")
	if b.unpacks(p) {
		b.sql(" from ")
		b.unpack(p)
	}
	b.rows(p)
	b.sql(") r")
}

// composite builds a call whose result is a row or an array of rows, which select, filters, order
// and limit treat like a table.
func (b *builder) composite(p *Plan) {
	b.body(p, p.routine.Columns, !p.routine.Set, func() {
		b.sql(" from ")
		if b.unpacks(p) {
			b.unpack(p)
			b.sql(", lateral ")
		}
		b.invocation(p)
		b.sql(" as t")
		b.conditions(p)
	})
}

// unpacks tells whether the arguments come out of a JSON object.
func (b *builder) unpacks(p *Plan) bool { return p.payload.Rows > 0 && len(p.arguments) > 0 }

// unpack appends the record a of the arguments in the payload.
func (b *builder) unpack(p *Plan) {
	b.sql("pg_catalog.json_to_record(")
	b.bind(p.payload.object())
	b.sql(") as a (")
	for i, a := range p.arguments {
		b.comma(i)
		b.sql(a.SQL, " ", a.Type)
	}
	b.sql(")")
}

// invocation appends function(name => value, ...). Each value has the argument's type, so that of
// several functions with the same argument names exactly the chosen one is called.
func (b *builder) invocation(p *Plan) {
	b.sql(p.routine.SQL, "(")
	for i, a := range p.arguments {
		b.comma(i)
		if a.Variadic {
			b.sql("variadic ")
		}
		b.sql(a.SQL, " => ")
		switch {
		case p.payload.Rows > 0:
			b.sql("a.", a.SQL)
		case a.Variadic:
			b.bind(appendArray(nil, a.values))
			b.sql("::", a.Type)
		default:
			b.bind([]byte(a.values[0]))
			b.sql("::", a.Type)
		}
	}
	b.sql(")")
}
