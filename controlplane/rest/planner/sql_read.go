package planner

import (
	"strconv"

	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

// read builds a SELECT from a relation.
func (b *builder) read(p *Plan) {
	source := func() { b.sql(p.Relation.SQL, " as t") }
	if p.Head {
		b.count(p, source)
		return
	}
	b.body(p, false, source)
}

// count builds a statement that only counts, for HEAD.
func (b *builder) count(p *Plan, source func()) {
	b.sql("select null, ")
	b.number(p)
	b.settings()
	b.total(p, source)
	b.sql(" from (")
	if p.Grouped {
		b.groupsOf(p, source)
	} else {
		b.sql("select from ")
		source()
		b.tests(&p.node)
		b.where(&p.node)
	}
	b.rows(&p.node)
	b.sql(") r")
}

// body builds "select body, count from (rows) r". source appends the relation t that the rows come from;
// with one, the body is the only row or null instead of an array.
func (b *builder) body(p *Plan, one bool, source func()) {
	n := &p.node
	text := n.renames() && !p.Media.CSV
	custom := p.Media.Custom
	b.sql("select ")
	switch {
	case custom != nil:
		b.customized(custom)
	case p.Media.CSV:
		b.csv(n.Names())
	case p.Media.Stripped:
		b.sql("pg_catalog.json_strip_nulls((")
		b.aggregate(text, one || p.Media.Object)
		b.sql(")::pg_catalog.json)")
	default:
		b.aggregate(text, one || p.Media.Object)
	}
	b.sql(", ")
	b.number(p)
	b.settings()
	b.total(p, source)
	b.existing(p)
	b.sql(" from (select ")
	switch {
	case custom != nil && custom.Row != "":
		b.wholeRow(custom)
	case text:
		b.object(n)
		b.sql(" as j")
	case p.Media.CSV:
		b.values(n)
	default:
		b.list(n)
	}
	b.sql(" from ")
	source()
	b.laterals(n)
	if p.Action == dialect.Read || p.Action == dialect.Call {
		b.where(n)
	} else { // the filters said what to write
		b.conditions(n, nil, nil)
	}
	b.groupBy(n)
	b.orderBy(n)
	b.rows(n)
	b.sql(") r")
	b.timezone(p)
}

// timezone appends the condition that sets the time zone in which times are written, for the transaction. It depends on
// no row, so PostgreSQL looks at it before it reads the first one.
func (b *builder) timezone(p *Plan) {
	if p.Prefer.Timezone != "" {
		b.sql(" where (select pg_catalog.set_config('TimeZone', ")
		b.bind([]byte(p.Prefer.Timezone))
		b.sql(", true)) is not null")
	}
}

// aggregate appends the expression that makes a body of the rows r, which hold texts j or are rows as
// they are. one is the body of the only row.
func (b *builder) aggregate(text, one bool) {
	switch {
	case text && one:
		b.sql("coalesce(pg_catalog.max(r.j), 'null')")
	case text:
		b.sql("coalesce('[' || pg_catalog.string_agg(r.j, E', \\n ') || ']', '[]')")
	case one:
		b.sql("coalesce(pg_catalog.json_agg(r.*) -> 0, 'null')")
	default:
		b.sql("coalesce(pg_catalog.json_agg(r.*), '[]')")
	}
}

// What PostgreSQL says when a condition on the number of rows does not hold: the number cannot be made an
// integer with this in front of it.
const wrongNumber = "fluxbase: rows "

// number appends the number of the rows r. Where the client allows only some numbers and the statement
// writes, any other raises an error, which undoes the write (see Plan.violation).
func (b *builder) number(p *Plan) {
	count := "pg_catalog.count(*)"
	if p.Grouped && p.Action != dialect.Read && p.Action != dialect.Call {
		count = "(select pg_catalog.count(*) from w)" // the rows that were written, not their groups
	}
	most := p.Prefer.MaxAffected
	single := p.Media.Object && !p.ReadOnly() || p.Action == dialect.Put
	if p.Action == dialect.Insert || p.Action == dialect.Read {
		most = nil
	}
	if !single && most == nil {
		b.sql(count, "::pg_catalog.text")
		return
	}
	b.sql("case when ")
	if single {
		b.sql(count, " = '1'")
	}
	if most != nil {
		if single {
			b.sql(" and ")
		}
		b.sql(count, " <= ")
		b.bindInt(*most)
	}
	b.sql(" then ", count, "::pg_catalog.text else ('"+wrongNumber+"' || ", count, ")::pg_catalog.int4::pg_catalog.text end")
}

// settings appends the status and the headers that SQL of the application wants the answer to have (settings of the
// transaction, null or empty without). They stand behind what may set them, and PostgreSQL evaluates them in that order.
func (b *builder) settings() {
	b.sql(", pg_catalog.current_setting('response.status', true), pg_catalog.current_setting('response.headers', true)")
}

// total appends the number of rows that there are without limit and offset, if it is asked for.
func (b *builder) total(p *Plan, source func()) {
	if !p.counts() {
		return
	}
	b.sql(", (select pg_catalog.count(*)::pg_catalog.text from ")
	if p.Grouped {
		b.sql("(")
		b.groupsOf(p, source)
		b.sql(") g)")
		return
	}
	source()
	b.tests(&p.node)
	b.where(&p.node)
	b.sql(")")
}

// rows appends limit and offset.
func (b *builder) rows(n *node) {
	if n.limit != nil {
		b.sql(" limit ")
		b.bindInt(*n.limit)
	}
	if n.Offset != 0 {
		b.sql(" offset ")
		b.bindInt(n.Offset)
	}
}

// named is a name of ours with the number of a node: t is the relation, e what an embed gives to the row
// around it, r the rows that are put together, m a junction. The root has no number.
func (n *node) named(letter string) string {
	if n.number == 0 {
		return letter
	}
	return letter + strconv.Itoa(n.number)
}
