package planner

import (
	"slices"
	"strconv"

	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// A node whose select= has an aggregate function is grouped by everything else in it. The values of a spread embed
// with one row belong to the node around it, and so do its aggregates. What is grouped by is written once, in the select
// list, and repeated byte by byte in group by: the same words with other parameters would be another expression.

// groupKey is what rows of a node are grouped by, as it was written.
type groupKey struct {
	place // of a column
	text  string
}

// aggregated resolves an aggregate function of select=.
func (s *scope) aggregated(item *dialect.SelectItem) (m member, err *fault.Error) {
	m.aggregate = item.Aggregate
	if item.Column != "" {
		if m.place, err = s.place(item.Field); err != nil {
			return m, err
		}
	}
	if m.key = item.Alias; m.key == "" {
		m.key, m.sql = m.aggregate, m.aggregate
	}
	if m.cast, err = s.cast(item.Cast); err == nil {
		m.resultCast, err = s.cast(item.ResultCast)
	}
	return m, err
}

// plainCount returns count() in the place of a lone count without parentheses, an older form of it, unless there is such a
// column; nil is none. It tells no more than the preference count=exact does, so it needs no setting. A spread embed would group
// the rows around it.
func (s *scope) plainCount(items []dialect.SelectItem) []dialect.SelectItem {
	if s.spread || len(items) != 1 || items[0].Column != "count" || items[0].Path != nil || items[0].Embed != nil || items[0].Aggregate != "" {
		return nil
	}
	if _, err := s.place(items[0].Field); err == nil {
		return nil
	}
	return []dialect.SelectItem{{Aggregate: "count", Alias: items[0].Alias, ResultCast: items[0].Cast}}
}

// cast resolves the name of a type; the empty name is no cast.
func (s *scope) cast(name string) (string, *fault.Error) {
	if name == "" {
		return "", nil
	}
	sql, ok := s.catalog.Types[name]
	if !ok {
		return "", fault.Type(name)
	}
	return sql, nil
}

// group notes whether the node is grouped, and then spells its members out.
func (s *scope) group(n *node, members []member) []member {
	n.aggregates = slices.ContainsFunc(members, func(m member) bool { return m.aggregate != "" })
	if !n.aggregates || s.spread {
		return members
	}
	n.Grouped = true
	for _, e := range n.embeds {
		e.keyed = true
	}
	return (&node{columns: n.columns, members: members}).expanded()
}

// checkOrder refuses to order groups by what a JSON path finds unless they are grouped by it. PostgreSQL would refuse
// it, too; refused here, the statement's text does not depend on the path.
func (n *node) checkOrder(name string) *fault.Error {
	if !n.Grouped {
		return nil
	}
	for i := range n.order {
		k := &n.order[i]
		if k.embed == nil && k.path != nil && !slices.ContainsFunc(n.members, func(m member) bool { return m.keys(&k.place) }) {
			return fault.Ungrouped(name, k.Name)
		}
	}
	return nil
}

// keys tells whether the node is grouped by this member, and it is the column or path.
func (m *member) keys(at *place) bool {
	return m.aggregate == "" && m.embed == nil && m.Column == at.Column && slices.Equal(m.path, at.path)
}

// everybody tells whether the node is one group, which is there even without a row.
func (n *node) everybody() bool {
	return n.Grouped && !slices.ContainsFunc(n.members, func(m member) bool { return m.aggregate == "" })
}

// aggregateValue appends an aggregate function of a grouped node.
func (b *builder) aggregateValue(n *node, m *member) {
	b.sql("pg_catalog.", m.aggregate, "(")
	switch {
	case m.embed != nil:
		b.lifted(m)
	case m.Column == nil:
		b.sql("*")
	default:
		b.place(n, &m.place)
		if m.cast != "" {
			b.sql("::", m.cast)
		}
	}
	b.sql(")")
	if m.resultCast != "" {
		b.sql("::", m.resultCast)
	}
}

// grouping appends what write appends, and notes it as what a grouped node is grouped by.
func (b *builder) grouping(n *node, at place, write func()) {
	start := b.text.Len()
	write()
	if n.Grouped {
		if b.groups == nil {
			b.groups = map[int][]groupKey{}
		}
		b.groups[n.number] = append(b.groups[n.number], groupKey{at, b.text.String()[start:]})
	}
}

// ungroup forgets what an earlier select list of the node was grouped by.
func (b *builder) ungroup(n *node) {
	if n.Grouped {
		delete(b.groups, n.number)
	}
}

// groupBy appends the grouping of a node whose select list was written.
func (b *builder) groupBy(n *node) {
	for i, k := range b.groups[n.number] {
		if i == 0 {
			b.sql(" group by ")
		} else {
			b.sql(", ")
		}
		b.sql(k.text)
	}
}

// groupedPlace appends a column that rows of a grouped node are ordered by.
func (b *builder) groupedPlace(n *node, at *place) {
	for _, k := range b.groups[n.number] {
		if k.Column == at.Column && slices.Equal(k.path, at.path) {
			b.sql(k.text)
			return
		}
	}
	b.place(n, at)
}

// groupsOf appends a query of the groups of a plan, without limit and offset.
func (b *builder) groupsOf(p *Plan, source func()) {
	b.sql("select ")
	b.values(&p.node)
	b.sql(" from ")
	source()
	b.laterals(&p.node)
	b.where(&p.node)
	b.groupBy(&p.node)
}

// liftedKey appends a value of a spread embed with many rows that a grouped node is grouped by: arrays of JSON cannot
// be compared.
func (b *builder) liftedKey(m *member) {
	b.sql(m.embed.named("e"), ".s", strconv.Itoa(m.lifted), "::pg_catalog.jsonb")
}
