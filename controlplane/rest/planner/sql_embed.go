package planner

import (
	"strconv"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
)

// laterals appends a lateral join for each embed of a node.
func (b *builder) laterals(n *node) {
	for _, e := range n.embeds {
		b.lateral(n, e, e.hidden)
	}
}

// tests appends lateral joins for those embeds alone that rows of the node depend on, and of these only
// whether there is a row.
func (b *builder) tests(n *node) {
	for _, e := range n.embeds {
		if e.filters() {
			b.lateral(n, e, true)
		}
	}
}

// lateral appends the join of an embed: the relation e, whose column j is null without a related row and
// else the JSON (json or, when the embed names its members itself, text). A spread embed's values are the
// columns s0, s1, ... beside it, and what the node around it is ordered by o0, o1, ...
func (b *builder) lateral(n *node, e *embed, bare bool) {
	b.sql(" left join lateral (")
	switch {
	case bare && e.everybody():
		b.sql("select true as j")
	case bare && !e.ToOne():
		b.sql("select true as j from (select")
		b.bareSource(n, e)
		b.sql(") ", e.named("r"), " limit '1'")
	case bare:
		b.sql("select true as j")
		b.sorts(e)
		b.bareSource(n, e)
	case e.spread && e.ToOne():
		b.sql("select true as j")
		for i, m := range e.expanded() {
			b.sql(", ")
			b.memberValue(&e.node, &m)
			b.sql(" as s", strconv.Itoa(i))
		}
		b.sorts(e)
		b.source(n, e)
	case e.spread:
		b.spreadMany(n, e)
	case e.ToOne():
		b.one(n, e)
	default:
		b.many(n, e)
	}
	b.sql(") ", e.named("e"), " on true")
}

// one appends the query of an embed with one row.
func (b *builder) one(n *node, e *embed) {
	b.sql("select ")
	if e.textual() {
		b.object(&e.node)
		b.sql(" as j")
		b.sorts(e)
		b.source(n, e)
		return
	}
	rows := e.named("r")
	b.sql("pg_catalog.row_to_json(", rows, ".*) as j from (select ")
	b.list(&e.node)
	b.source(n, e)
	b.sql(") ", rows)
}

// many appends the query of an embed with any number of rows.
func (b *builder) many(n *node, e *embed) {
	rows := e.named("r")
	if e.textual() {
		b.sql("select '[' || pg_catalog.string_agg(", rows, ".j, E', \\n ') || ']' as j from (select ")
		b.object(&e.node)
		b.sql(" as j")
	} else {
		b.sql("select pg_catalog.json_agg(", rows, ".*) as j from (select ")
		b.list(&e.node)
	}
	b.source(n, e)
	b.sql(") ", rows)
}

// spreadMany appends the query of a spread embed with any number of rows: each value is an array.
func (b *builder) spreadMany(n *node, e *embed) {
	rows := e.named("r")
	members := e.expanded()
	b.sql("select nullif(pg_catalog.count(*), '0') as j")
	for i := range members {
		s := "s" + strconv.Itoa(i)
		b.sql(", pg_catalog.json_agg(", rows, ".", s, ") as ", s)
	}
	b.sql(" from (select ")
	for i, m := range members {
		b.comma(i)
		b.memberValue(&e.node, &m)
		b.sql(" as s", strconv.Itoa(i))
	}
	b.source(n, e)
	b.sql(") ", rows)
}

// textual tells whether the JSON of an embed is put together as text.
func (e *embed) textual() bool { return e.renames() || len(e.sorts) > 0 || e.keyed }

// sorts appends the columns that the node around the embed is ordered by.
func (b *builder) sorts(e *embed) {
	for i := range e.sorts {
		b.sql(", ")
		b.place(&e.node, &e.sorts[i])
		b.sql(" as o", strconv.Itoa(i))
	}
}

// most appends the limit of an embed with one row: a view may have several with one key.
func (b *builder) most(e *embed) {
	if e.ToOne() && e.limit == nil && (e.Target.IsView() || e.Function != nil && e.Function.Set) {
		b.sql(" limit '1'")
	}
}

// source appends from and all that follows it in the query of an embed.
func (b *builder) source(n *node, e *embed) {
	b.relation(n, e)
	b.laterals(&e.node)
	b.related(n, e)
	b.groupBy(&e.node)
	b.orderBy(&e.node)
	b.rows(&e.node)
	b.most(e)
}

// bareSource is source for a query that asks only whether there is a row.
func (b *builder) bareSource(n *node, e *embed) {
	b.relation(n, e)
	b.tests(&e.node)
	b.related(n, e)
	b.rows(&e.node)
	b.most(e)
}

// relation appends from and the relation of an embed of the node n, joined to the junction if there is one.
func (b *builder) relation(n *node, e *embed) {
	b.sql(" from ")
	if e.Function != nil {
		b.sql(e.Function.SQL, "(")
		b.argument(n)
		b.sql(") as ", e.named("t"))
		return
	}
	if e.Junction == nil {
		b.sql(e.Target.SQL, " as ", e.named("t"))
		return
	}
	b.sql(e.Junction.SQL, " as ", e.named("m"), " join ", e.Target.SQL, " as ", e.named("t"), " on ")
	b.equal(e.ColumnsTo, e.named("m"), e.named("t"))
}

// related appends where: the row is related to that of the node n, and the filters.
func (b *builder) related(n *node, e *embed) {
	if e.Function != nil {
		b.conditions(&e.node, e.found(b), e.where)
		return
	}
	other := e.named("t")
	if e.Junction != nil {
		other = e.named("m")
	}
	b.conditions(&e.node, func() { b.equal(e.Relationship.Columns, n.named("t"), other) }, e.where)
}

// found returns what appends the condition that a function has returned a row: one that returns no set and finds
// nothing returns a row of nulls.
func (e *embed) found(b *builder) func() {
	if e.Function.Set {
		return nil
	}
	return func() { b.sql("not ", e.named("t"), ".* is null") }
}

// equal appends the condition that pairs of columns are equal.
func (b *builder) equal(pairs []catalog.Pair, from, to string) {
	for i, p := range pairs {
		if i > 0 {
			b.sql(" and ")
		}
		b.sql(to, ".", p.To.SQL, " = ", from, ".", p.From.SQL)
	}
}
