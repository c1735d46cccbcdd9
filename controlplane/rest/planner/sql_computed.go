package planner

import (
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
)

// argument appends the row of a node as the argument of a function that takes rows of its relation.
func (b *builder) argument(n *node) {
	t := n.named("t")
	if n.row == "" {
		b.sql(t, ".*")
		return
	}
	b.sql("(", t, ".*)::", n.row)
}

// value appends a column of a node: one that is stored, or the call of its function.
func (b *builder) value(n *node, c *catalog.Column) {
	if c.Function == "" {
		b.sql(n.named("t"), ".", c.SQL)
		return
	}
	b.sql(c.Function, "(")
	b.argument(n)
	b.sql(")")
}

// computes tells whether the answer of a write has what functions make of its rows.
func (p *Plan) computes() bool {
	for i := range p.members {
		if m := &p.members[i]; m.embed == nil && m.Column != nil && m.Function != "" {
			return true
		}
	}
	for i := range p.order {
		if k := &p.order[i]; k.embed == nil && k.Function != "" {
			return true
		}
	}
	for _, e := range p.embeds {
		if e.Relationship.Function != nil {
			return true
		}
	}
	return false
}
