package planner

import (
	"strconv"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

// where appends the filters of a node.
func (b *builder) where(n *node) { b.conditions(n, nil, n.where) }

// filters appends the filters of a node that has no embeds to look at: of what is written.
func (b *builder) filters(n *node) {
	if len(n.where) > 0 {
		b.sql(" where ")
		b.predicates(n, n.where, " and ")
	}
}

// conditions appends where: the join if there is one, the embeds that must have a row, and filters.
func (b *builder) conditions(n *node, join func(), filters []predicate) {
	word := " where "
	next := func() {
		b.sql(word)
		word = " and "
	}
	if join != nil {
		next()
		join()
	}
	for _, e := range n.embeds {
		if e.inner {
			next()
			b.sql(e.named("e"), ".j is not null")
		}
	}
	if len(filters) > 0 {
		next()
		b.predicates(n, filters, " and ")
	}
}

// predicates appends conditions joined by and/or.
func (b *builder) predicates(n *node, list []predicate, operator string) {
	for i := range list {
		if i > 0 {
			b.sql(operator)
		}
		b.predicate(n, &list[i])
	}
}

// comparisons are the operators in SQL, blanks included.
var comparisons = [...]string{
	dialect.OpEqual: " = ", dialect.OpNotEqual: " <> ", dialect.OpGreater: " > ", dialect.OpGreaterEqual: " >= ", dialect.OpLess: " < ",
	dialect.OpLessEqual: " <= ", dialect.OpLike: " like ", dialect.OpILike: " ilike ", dialect.OpMatch: " ~ ", dialect.OpIMatch: " ~* ",
	dialect.OpContains: " @> ", dialect.OpContained: " <@ ", dialect.OpOverlaps: " && ", dialect.OpStrictlyLeft: " << ", dialect.OpStrictlyRight: " >> ",
	dialect.OpNotExtendsRight: " &< ", dialect.OpNotExtendsLeft: " &> ", dialect.OpAdjacent: " -|- ", dialect.OpIsDistinct: " is distinct from ",
}

// isValues are the right sides of "is" in SQL.
var isValues = [...]string{
	dialect.IsNull: " is null", dialect.IsNotNull: " is not null", dialect.IsTrue: " is true", dialect.IsFalse: " is false", dialect.IsUnknown: " is unknown",
}

// predicate appends one condition. A parameter's type is left to PostgreSQL, which takes the column's.
func (b *builder) predicate(n *node, c *predicate) {
	if c.Not {
		b.sql("not ")
	}
	switch c.Logic {
	case dialect.And, dialect.Or:
		operator := " and "
		if c.Logic == dialect.Or {
			operator = " or "
		}
		b.sql("(")
		b.predicates(n, c.children, operator)
		b.sql(")")
		return
	}
	switch {
	case c.embed != nil:
		b.sql(c.embed.named("e"), ".j", isValues[c.Is])
	case c.Operator.Search():
		b.search(n, c)
	case c.Operator == dialect.OpIs:
		b.place(n, &c.place)
		b.sql(isValues[c.Is])
	case c.Operator == dialect.OpIn:
		b.place(n, &c.place)
		b.sql(" = any (")
		b.operands(c, catalog.AppendArray(nil, c.List))
		b.sql(")")
	default:
		b.place(n, &c.place)
		b.sql(comparisons[c.Operator])
		value := c.Value
		if c.Operator == dialect.OpLike || c.Operator == dialect.OpILike {
			value = strings.ReplaceAll(value, "*", "%")
		}
		switch c.Quantifier {
		case dialect.Any:
			b.sql("any (")
		case dialect.All:
			b.sql("all (")
		default:
			b.operand(c, []byte(value))
			return
		}
		b.operands(c, []byte(value))
		b.sql(")")
	}
}

// operand appends the right side of a comparison.
func (b *builder) operand(c *predicate, value []byte) {
	from := c.converts()
	if from == "" {
		b.bind(value)
		return
	}
	b.sql(from, "(")
	b.bind(value)
	b.sql("::pg_catalog.text)")
}

// operands appends the array on the right side of a comparison with several values.
func (b *builder) operands(c *predicate, array []byte) {
	from := c.converts()
	if from == "" {
		b.bind(array)
		return
	}
	b.sql("array (select ", from, "(v) from pg_catalog.unnest(")
	b.bind(array)
	b.sql("::pg_catalog._text) as v)")
}

// converts returns the function that makes values of the column out of the texts of a filter; empty without one.
func (p *place) converts() string {
	if p.path != nil {
		return ""
	}
	return p.FromText()
}

// searches are the functions that make a query of a full-text search.
var searches = [...]string{
	"pg_catalog.to_tsquery(", "pg_catalog.plainto_tsquery(", "pg_catalog.phraseto_tsquery(", "pg_catalog.websearch_to_tsquery(",
}

// search appends a full-text search. What is no tsvector is made one in the language of the search.
func (b *builder) search(n *node, c *predicate) {
	language := func() {
		if c.Language != "" {
			b.bind([]byte(c.Language))
			b.sql("::pg_catalog.regconfig, ")
		}
	}
	if c.Type == "pg_catalog.tsvector" && len(c.path) == 0 {
		b.place(n, &c.place)
	} else {
		b.sql("pg_catalog.to_tsvector(")
		language()
		b.place(n, &c.place)
		b.sql(")")
	}
	b.sql(" @@ ", searches[c.Operator-dialect.OpSearch])
	language()
	b.bind([]byte(c.Value))
	b.sql("::pg_catalog.text)")
}

// orderBy appends the ordering.
func (b *builder) orderBy(n *node) {
	for i := range n.order {
		k := &n.order[i]
		if i == 0 {
			b.sql(" order by ")
		} else {
			b.sql(", ")
		}
		if k.embed != nil {
			b.sql(k.embed.named("e"), ".o", strconv.Itoa(k.sort))
		} else {
			b.groupedPlace(n, &k.place)
		}
		if k.term.Descending {
			b.sql(" desc")
		}
		switch k.term.Nulls {
		case dialect.NullsFirst:
			b.sql(" nulls first")
		case dialect.NullsLast:
			b.sql(" nulls last")
		}
	}
}
