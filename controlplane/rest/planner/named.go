package planner

import (
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

// NamedColumn is a column that the client has named.
type NamedColumn struct {
	Relation *catalog.Relation
	Name     string
	Written  bool // a key of the body
}

// NamedColumns lists the columns that the client has named, in the order in which the plan has looked them up.
func (p *Plan) NamedColumns() (list []NamedColumn) {
	root := p.Relation
	if p.Action == dialect.Call {
		root = p.Routine.Relation
	}
	list = p.node.namedColumns(nil, root)
	for i := range p.parts {
		for _, c := range p.parts[i].targets {
			list = append(list, NamedColumn{root, c.Name, true})
		}
		for _, c := range p.parts[i].defaults {
			list = append(list, NamedColumn{root, c.Name, true})
		}
	}
	for _, c := range p.conflict {
		list = append(list, NamedColumn{root, c.Name, false})
	}
	return list
}

// namedColumns appends the columns of a node, which reads the relation, and of the embeds in it.
func (n *node) namedColumns(list []NamedColumn, relation *catalog.Relation) []NamedColumn {
	add := func(p *place) {
		if relation != nil && p.Column != nil && p.Column.Function == "" {
			list = append(list, NamedColumn{relation, p.Name, false})
		}
	}
	seen := make(map[*embed]bool, len(n.embeds))
	within := func(e *embed) {
		if !seen[e] {
			seen[e] = true
			list = e.namedColumns(list, e.Target)
		}
	}
	for i := range n.members {
		if m := &n.members[i]; m.embed != nil {
			within(m.embed)
		} else {
			add(&m.place)
		}
	}
	for _, e := range n.embeds {
		within(e)
	}
	var conditions func([]predicate)
	conditions = func(where []predicate) {
		for i := range where {
			if p := &where[i]; p.children != nil {
				conditions(p.children)
			} else if p.embed == nil {
				add(&p.place)
			}
		}
	}
	conditions(n.where)
	for i := range n.order {
		if k := &n.order[i]; k.embed == nil {
			add(&k.place)
		}
	}
	for _, e := range n.embeds {
		for i := range e.sorts {
			if c := e.sorts[i].Column; c != nil && c.Function == "" {
				list = append(list, NamedColumn{e.Target, c.Name, false})
			}
		}
	}
	return list
}
