package rest

import "strings"

// where appends the filters.
func (b *builder) where(n *node) {
	if len(n.where) > 0 {
		b.sql(" where ")
		b.predicates(n.where, " and ")
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
	OpLessEqual: " <= ", OpLike: " like ", OpILike: " ilike ", OpMatch: " ~ ", OpIMatch: " ~* ",
	OpContains: " @> ", OpContained: " <@ ", OpOverlaps: " && ", OpStrictlyLeft: " << ", OpStrictlyRight: " >> ",
	OpNotExtendsRight: " &< ", OpNotExtendsLeft: " &> ", OpAdjacent: " -|- ", OpIsDistinct: " is distinct from ",
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
	switch {
	case c.Operator.search():
		b.search(c)
	case c.Operator == OpIs:
		b.place(&c.place)
		b.sql(isValues[c.Is])
	case c.Operator == OpIn:
		b.place(&c.place)
		b.sql(" = any (")
		b.bind(appendArray(nil, c.List))
		b.sql(")")
	default:
		b.place(&c.place)
		b.sql(comparisons[c.Operator])
		value := c.Value
		if c.Operator == OpLike || c.Operator == OpILike {
			value = strings.ReplaceAll(value, "*", "%")
		}
		switch c.Quantifier {
		case Any:
			b.sql("any (")
		case All:
			b.sql("all (")
		}
		b.bind([]byte(value))
		if c.Quantifier != One {
			b.sql(")")
		}
	}
}

// searches are the functions that make a query of a full-text search.
var searches = [...]string{
	"pg_catalog.to_tsquery(", "pg_catalog.plainto_tsquery(", "pg_catalog.phraseto_tsquery(", "pg_catalog.websearch_to_tsquery(",
}

// search appends a full-text search. What is no tsvector is made one in the language of the search.
func (b *builder) search(c *predicate) {
	language := func() {
		if c.Language != "" {
			b.bind([]byte(c.Language))
			b.sql("::pg_catalog.regconfig, ")
		}
	}
	if c.Type == "pg_catalog.tsvector" && len(c.path) == 0 {
		b.place(&c.place)
	} else {
		b.sql("pg_catalog.to_tsvector(")
		language()
		b.place(&c.place)
		b.sql(")")
	}
	b.sql(" @@ ", searches[c.Operator-OpSearch])
	language()
	b.bind([]byte(c.Value))
	b.sql("::pg_catalog.text)")
}

// orderBy appends the ordering.
func (b *builder) orderBy(keys []sortKey) {
	for i := range keys {
		k := &keys[i]
		if i == 0 {
			b.sql(" order by ")
		} else {
			b.sql(", ")
		}
		b.place(&k.place)
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
func (b *builder) rows(n *node) {
	if n.limit != nil {
		b.sql(" limit ")
		b.bindInt(*n.limit)
	}
	if n.offset != 0 {
		b.sql(" offset ")
		b.bindInt(n.offset)
	}
}
