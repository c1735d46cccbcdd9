package planner

import (
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// embed resolves an embed of the node n.
func (s *scope) embed(n *node, request *dialect.Embed) (*embed, *fault.Error) {
	if s.relation == nil {
		return nil, fault.Relationship(s.schema, s.name, request.Name, request.Hint)
	}
	rel, err := s.relation.Relationship(s.computing, request.Name, request.Hint)
	if err != nil {
		return nil, err
	}
	s.resolver.embeds++
	e := &embed{Relationship: rel, inner: request.Inner, spread: request.Spread}
	e.number = s.resolver.embeds
	within := scope{resolver: s.resolver, spread: request.Spread}
	within.of(rel.Target)
	if err := within.resolve(&e.node, &request.Query); err != nil {
		return nil, err
	}
	if e.aggregates && e.spread && !rel.ToOne() {
		return nil, fault.SpreadAggregate()
	}
	if !rel.ToOne() {
		e.cap(s.maxRows)
	}
	e.hidden = e.members != nil && !e.shows()
	n.embeds = append(n.embeds, e)
	if s.embeds == nil {
		s.embeds = map[string]*embed{}
	}
	if s.embeds[request.Key()] == nil {
		s.embeds[request.Key()] = e
	}
	return e, nil
}

// shows tells whether the objects of a node have any member.
func (n *node) shows() bool { return n.members == nil || len(n.members) > 0 }

// asMembers returns what an embed adds to the objects around it: itself or, spread, its members.
func (e *embed) asMembers(request *dialect.Embed) []member {
	switch {
	case e.hidden:
		return nil
	case e.spread:
		own := e.expanded()
		list := make([]member, len(own))
		for i, m := range own {
			list[i] = member{key: m.key, sql: m.sql, embed: e, lifted: i, aggregate: m.aggregate, resultCast: m.resultCast}
		}
		return list
	}
	m := member{key: request.Key(), embed: e}
	switch {
	case e.Function != nil && m.key == e.Function.Name:
		m.sql = e.Function.Ident
	case e.Function == nil && m.key == e.Target.Name:
		m.sql = e.Target.Ident
	}
	return []member{m}
}

// expanded returns the members of a node with the columns in the place of stars.
func (n *node) expanded() []member {
	stars := n.members
	if stars == nil {
		stars = []member{{star: true}}
	}
	list := make([]member, 0, len(stars))
	for _, m := range stars {
		if !m.star {
			list = append(list, m)
			continue
		}
		for i := range n.columns {
			c := &n.columns[i]
			list = append(list, member{key: c.Name, sql: c.SQL, place: place{Column: c}})
		}
	}
	return list
}

// filters tells whether rows of the node around the embed depend on it.
func (e *embed) filters() bool { return e.inner || e.tested }
