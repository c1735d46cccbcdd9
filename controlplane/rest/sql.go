package rest

import (
	"strconv"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// Statement builds the one statement of the plan. Its row has two columns: the body (JSON text, or
// null where the answer has no body) and the number of rows, as text.
//
// Everything written into the text is a constant of this file or SQL of the catalog; the only other
// writer is bind, which writes a parameter number.
func (p *Plan) Statement() gateway.Statement {
	var b builder
	b.text.Grow(256)
	switch p.action {
	case Read:
		b.read(p)
	case Call:
		b.call(p)
	default:
		b.write(p)
	}
	return gateway.Statement{SQL: b.text.String(), Args: b.args}
}

// builder collects the text and the arguments of a statement.
type builder struct {
	text strings.Builder
	args [][]byte
}

// sql appends constants and SQL of the catalog.
func (b *builder) sql(parts ...string) {
	for _, s := range parts {
		b.text.WriteString(s)
	}
}

// bind appends a parameter with this value.
func (b *builder) bind(value []byte) {
	if b.args == nil {
		b.args = make([][]byte, 0, 4)
	}
	b.args = append(b.args, value)
	var digits [8]byte
	b.text.WriteByte('$')
	b.text.Write(strconv.AppendInt(digits[:0], int64(len(b.args)), 10))
}

// read builds a SELECT from a relation.
func (b *builder) read(p *Plan) {
	if p.head {
		b.count(p, p.relation.SQL)
		return
	}
	b.body(p, p.relation.Columns, false, func() {
		b.sql(" from ", p.relation.SQL, " as t")
		b.conditions(p)
	})
}

// count builds a statement that only counts, for HEAD.
func (b *builder) count(p *Plan, from ...string) {
	b.sql("select null, pg_catalog.count(*)::pg_catalog.text from (select from ")
	b.sql(from...)
	b.sql(" as t")
	b.where(p.where)
	b.rows(p)
	b.sql(") r")
}

// conditions appends where, order by, limit and offset.
func (b *builder) conditions(p *Plan) {
	b.where(p.where)
	b.orderBy(p.order)
	b.rows(p)
}

// body builds "select body, count from (rows) r". from appends everything behind the select list of
// the rows; with one, the body is the only row or null instead of an array.
//
// Rows become JSON by json_agg of the whole row. When the client renames columns, its names must not
// enter the text, so each row's object is put together from bound keys and to_json of the values;
// the bytes are those that json_agg makes.
func (b *builder) body(p *Plan, columns []Column, one bool, from func()) {
	switch renamed := p.renamed(); {
	case renamed && one:
		b.sql("select coalesce(pg_catalog.max(r.j), 'null'), pg_catalog.count(*)::pg_catalog.text from (select ")
		b.object(p.output, columns)
	case renamed:
		b.sql("select coalesce('[' || pg_catalog.string_agg(r.j, E', \\n ') || ']', '[]'), pg_catalog.count(*)::pg_catalog.text from (select ")
		b.object(p.output, columns)
	case one:
		b.sql("select coalesce(pg_catalog.json_agg(r.*) -> 0, 'null'), pg_catalog.count(*)::pg_catalog.text from (select ")
		b.list(p.output)
	default:
		b.sql("select coalesce(pg_catalog.json_agg(r.*), '[]'), pg_catalog.count(*)::pg_catalog.text from (select ")
		b.list(p.output)
	}
	from()
	b.sql(") r")
}

// renamed tells whether the client gave a column another name.
func (p *Plan) renamed() bool {
	for i := range p.output {
		if p.output[i].alias != "" {
			return true
		}
	}
	return false
}

// list appends the select list of rows whose columns keep their names.
func (b *builder) list(output []output) {
	if output == nil {
		b.sql("t.*")
		return
	}
	for i, o := range output {
		if i > 0 {
			b.sql(", ")
		}
		switch {
		case o.star:
			b.sql("t.*")
		case o.cast != "":
			b.sql("t.", o.column.SQL, "::", o.cast, " as ", o.column.SQL)
		default:
			b.sql("t.", o.column.SQL)
		}
	}
}

// object appends an expression j: the text of a row's JSON object, its keys bound.
func (b *builder) object(output []output, columns []Column) {
	separator := byte('{')
	member := func(key string, column *Column, cast string) {
		if separator == ',' {
			b.sql(" || ")
		}
		b.bind(appendKey([]byte{separator}, key))
		b.sql("::pg_catalog.text")
		separator = ','
		b.sql(" || coalesce(pg_catalog.to_json(t.", column.SQL)
		if cast != "" {
			b.sql("::", cast)
		}
		b.sql(")::pg_catalog.text, 'null')")
	}
	for _, o := range output {
		switch {
		case o.star:
			for i := range columns {
				member(columns[i].Name, &columns[i], "")
			}
		case o.alias != "":
			member(o.alias, o.column, o.cast)
		default:
			member(o.column.Name, o.column, o.cast)
		}
	}
	b.sql(" || '}' as j")
}

// appendKey appends a key of a JSON object and its colon.
func appendKey(dst []byte, key string) []byte {
	dst = append(dst, '"')
	for _, r := range key {
		dst = appendEscaped(dst, r)
	}
	return append(dst, '"', ':')
}

// where appends the filters.
func (b *builder) where(list []predicate) {
	if len(list) > 0 {
		b.sql(" where ")
		b.predicates(list, " and ")
	}
}

// predicates appends conditions joined by and/or.
func (b *builder) predicates(list []predicate, operator string) {
	for i := range list {
		if i > 0 {
			b.sql(operator)
		}
		b.predicate(&list[i])
	}
}

// comparisons are the operators in SQL, blanks included.
var comparisons = [...]string{
	OpEqual: " = ", OpNotEqual: " <> ", OpGreater: " > ", OpGreaterEqual: " >= ", OpLess: " < ",
	OpLessEqual: " <= ", OpLike: " like ", OpILike: " ilike ",
}

// isValues are the right sides of "is" in SQL.
var isValues = [...]string{
	IsNull: " is null", IsNotNull: " is not null", IsTrue: " is true", IsFalse: " is false", IsUnknown: " is unknown",
}

// predicate appends one condition. A parameter's type is left to PostgreSQL, which takes the column's.
func (b *builder) predicate(c *predicate) {
	if c.Not {
		b.sql("not ")
	}
	switch c.Logic {
	case And, Or:
		operator := " and "
		if c.Logic == Or {
			operator = " or "
		}
		b.sql("(")
		b.predicates(c.children, operator)
		b.sql(")")
		return
	}
	b.sql("t.", c.column.SQL)
	switch c.Operator {
	case OpIs:
		b.sql(isValues[c.Is])
	case OpIn:
		b.sql(" = any (")
		b.bind(appendArray(nil, c.List))
		b.sql(")")
	case OpLike, OpILike:
		b.sql(comparisons[c.Operator])
		b.bind([]byte(strings.ReplaceAll(c.Value, "*", "%")))
	default:
		b.sql(comparisons[c.Operator])
		b.bind([]byte(c.Value))
	}
}

// orderBy appends the ordering.
func (b *builder) orderBy(keys []sortKey) {
	for i, k := range keys {
		if i == 0 {
			b.sql(" order by ")
		} else {
			b.sql(", ")
		}
		b.sql("t.", k.column.SQL)
		if k.term.Descending {
			b.sql(" desc")
		}
		switch k.term.Nulls {
		case NullsFirst:
			b.sql(" nulls first")
		case NullsLast:
			b.sql(" nulls last")
		}
	}
}

// rows appends limit and offset.
func (b *builder) rows(p *Plan) {
	if p.limit != nil {
		b.sql(" limit ")
		b.bind(strconv.AppendInt(nil, *p.limit, 10))
	}
	if p.offset != 0 {
		b.sql(" offset ")
		b.bind(strconv.AppendInt(nil, p.offset, 10))
	}
}
