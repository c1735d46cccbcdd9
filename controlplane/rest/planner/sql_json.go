package planner

import (
	"strconv"

	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

// Rows become JSON by json_agg of the whole row. When the client names members, its names must not enter
// the text, so each row's object is put together from bound keys and to_json of the values; the bytes are
// those that json_agg makes.

// renames tells whether the objects of a node are put together so: a key is the client's, or there is none.
func (n *node) renames() bool {
	for i := range n.members {
		if m := &n.members[i]; m.sql == "" && !m.star {
			return true
		}
	}
	return !n.shows()
}

// list appends the select list of rows whose columns keep their names.
func (b *builder) list(n *node) {
	b.ungroup(n)
	t := n.named("t")
	if n.members == nil {
		b.sql(t, ".*")
		return
	}
	for i := range n.members {
		m := &n.members[i]
		b.comma(i)
		if m.star {
			b.sql(t, ".*")
			continue
		}
		b.memberValue(n, m)
		if m.embed != nil || m.path != nil || m.cast != "" || m.aggregate != "" || m.Function != "" || m.Represented() {
			b.sql(" as ", m.sql)
		}
	}
}

// object appends the text of a row's JSON object, its keys bound.
func (b *builder) object(n *node) {
	if !n.shows() {
		b.sql("'{}'::pg_catalog.text")
		return
	}
	b.ungroup(n)
	members := n.expanded()
	for i := range members {
		m := &members[i]
		separator := byte(',')
		if i == 0 {
			separator = '{'
		} else {
			b.sql(" || ")
		}
		b.bind(dialect.AppendKey([]byte{separator}, m.key))
		b.sql("::pg_catalog.text || ")
		b.memberText(n, m)
	}
	b.sql(" || '}'")
}

// memberValue appends a member's value, of JSON type when it is an embed or comes out of one with many rows.
func (b *builder) memberValue(n *node, m *member) {
	switch {
	case m.aggregate != "" && n.Grouped:
		b.aggregateValue(n, m)
	case m.embed == nil && m.Column == nil:
		b.sql("true") // counted by the node around it
	case m.embed == nil:
		b.columnValue(n, m)
	case m.embed.spread && m.embed.ToOne():
		b.grouping(n, place{}, func() { b.lifted(m) })
	case m.embed.spread && n.Grouped:
		b.sql("coalesce(")
		b.grouping(n, place{}, func() { b.liftedKey(m) })
		b.sql(", '[]')")
	case m.embed.spread:
		b.sql("coalesce(")
		b.lifted(m)
		b.sql(", '[]')")
	case m.embed.ToOne():
		b.json(n, m.embed)
	default:
		b.sql("coalesce(")
		b.json(n, m.embed)
		b.sql(", '[]')")
	}
}

// columnValue appends the value of a column.
func (b *builder) columnValue(n *node, m *member) {
	out := ""
	if m.cast == "" && m.path == nil && m.aggregate == "" {
		out = m.Out(b.csvText)
	}
	if out != "" {
		b.sql(out, "(")
	}
	b.grouping(n, m.place, func() {
		b.place(n, &m.place)
		if m.cast != "" {
			b.sql("::", m.cast)
		}
	})
	if out != "" {
		b.sql(")")
	}
}

// memberText appends a member's value as the text of JSON.
func (b *builder) memberText(n *node, m *member) {
	switch {
	case m.embed == nil || m.embed.spread:
		b.sql("coalesce(pg_catalog.to_json(")
		b.memberValue(n, m)
		b.sql(")::pg_catalog.text, 'null')")
	case m.embed.textual():
		b.sql("coalesce(")
		b.grouping(n, place{}, func() { b.sql(m.embed.named("e"), ".j") })
		b.sql(", ", m.embed.absent(), ")")
	default:
		b.sql("coalesce(", m.embed.named("e"), ".j::pg_catalog.text, ", m.embed.absent(), ")")
	}
}

// lifted appends a value of a spread embed.
func (b *builder) lifted(m *member) {
	b.sql(m.embed.named("e"), ".s", strconv.Itoa(m.lifted))
}

// json appends the JSON of an embed of the node n as such.
func (b *builder) json(n *node, e *embed) {
	b.grouping(n, place{}, func() { b.sql(e.named("e"), ".j") })
	if e.textual() {
		b.sql("::pg_catalog.json")
	}
}

// absent is the JSON of an embed without rows, in SQL.
func (e *embed) absent() string {
	if e.ToOne() {
		return "'null'"
	}
	return "'[]'"
}

// place appends a column or what a path finds in it. A column that is no JSON is made it.
func (b *builder) place(n *node, p *place) {
	if len(p.path) == 0 {
		b.value(n, p.Column)
		return
	}
	if p.Type == "pg_catalog.json" || p.Type == "pg_catalog.jsonb" {
		b.sql("(")
		b.value(n, p.Column)
	} else {
		b.sql("(pg_catalog.to_jsonb(")
		b.value(n, p.Column)
		b.sql(")")
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
		b.bind([]byte(step.Key)) // PostgreSQL takes it for text
	}
	b.sql(")")
}
