package planner

import (
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
)

// call builds the call of a function.
func (b *builder) call(p *Plan) {
	switch p.Routine.Returns {
	case catalog.Void:
		b.sql("select ")
		b.invocation(p)
		b.sql(", '1'")
		b.settings()
		if b.unpacks(p) {
			b.sql(" from ")
			b.unpack(p)
		}
	case catalog.Scalar:
		b.scalar(p)
	case catalog.Composite:
		b.composite(p)
	}
}

// scalar builds a call whose result is a value or an array of values.
func (b *builder) scalar(p *Plan) {
	source := b.results(p, func() {
		b.sql("select ")
		b.invocation(p)
		b.sql(" as v")
		if b.unpacks(p) {
			b.sql(" from ")
			b.unpack(p)
		}
	})
	b.sql("select ")
	switch {
	case p.Media.Custom != nil:
		b.formatted(p.Media.Custom, func() { b.sql("r.v") })
		b.sql(", '1'")
	case p.Media.CSV:
		b.csv([]string{scalarName})
		b.sql(", ")
		b.number(p)
	case !p.Routine.Set && !p.window():
		b.sql("coalesce(pg_catalog.to_json(r.v), 'null'), '1'")
	case !p.Routine.Set || p.Media.Object:
		b.sql("coalesce(pg_catalog.json_agg(r.v) -> 0, 'null'), ")
		b.number(p)
	default:
		b.sql("coalesce(pg_catalog.json_agg(r.v), '[]'), ")
		b.number(p)
	}
	b.settings()
	b.total(p, source)
	b.sql(" from (")
	if p.counts() {
		b.sql("select t.v from f as t")
	} else {
		source()
	}
	b.rows(&p.node)
	b.sql(") r")
	b.timezone(p)
}

// composite builds a call whose result is a row or an array of rows, which select, filters, order
// and limit treat like a table.
func (b *builder) composite(p *Plan) {
	from := func() {
		if b.unpacks(p) {
			b.unpack(p)
			b.sql(", lateral ")
		}
		b.invocation(p)
		b.sql(" as t")
	}
	source := from
	if p.counts() {
		source = b.results(p, func() {
			b.sql("select t.* from ")
			from()
		})
	}
	b.body(p, !p.Routine.Set, source)
}

// scalarName is the name of a value in CSV.
const scalarName = "pgrst_scalar"

// results makes what query appends the source of the rows and of their number: the function is called once.
// Without a number to tell, query stays where it is used.
func (b *builder) results(p *Plan, query func()) (source func()) {
	if !p.counts() {
		return query
	}
	b.sql("with f as materialized (")
	query()
	b.sql(") ")
	return func() { b.sql("f as t") }
}

// unpacks tells whether the arguments come out of a JSON object.
func (b *builder) unpacks(p *Plan) bool {
	return p.Payload.Rows > 0 && len(p.arguments) > 0 && !p.whole
}

// unpack appends the record a of the arguments in the payload.
func (b *builder) unpack(p *Plan) {
	b.sql("pg_catalog.json_to_record(")
	b.bind(p.Payload.Object())
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
	b.sql(p.Routine.SQL, "(")
	if p.whole {
		b.bind(p.Payload.Raw)
		b.sql("::", p.arguments[0].Type, ")")
		return
	}
	for i, a := range p.arguments {
		b.comma(i)
		if a.Variadic {
			b.sql("variadic ")
		}
		b.sql(a.SQL, " => ")
		switch {
		case p.Payload.Rows > 0:
			b.sql("a.", a.SQL)
		case a.Variadic:
			b.bind(catalog.AppendArray(nil, a.values))
			b.sql("::", a.Type)
		default:
			b.bind([]byte(a.values[0]))
			b.sql("::", a.Type)
		}
	}
	b.sql(")")
}
