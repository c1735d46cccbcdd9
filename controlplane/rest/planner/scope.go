package planner

import (
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// resolver is what all scopes of one plan share.
type resolver struct {
	catalog *catalog.Catalog
	schema  string
	// computing are the schemas whose functions make columns and relationships, the first goes before the others.
	computing []string
	maxRows   int64
	writes    bool // the filters of the root say what is written
	embeds    int  // met so far
}

// scope resolves the names in what is asked of one relation or function result.
type scope struct {
	*resolver
	name     string            // for error messages
	root     bool              // the target of the request
	relation *catalog.Relation // nil for a function that does not return the rows of one
	columns  []catalog.Column
	index    map[string]int
	embeds   map[string]*embed // by their names in the answer
	spread   bool              // the members belong to the node around it
}

// of makes the scope that of a relation.
func (s *scope) of(r *catalog.Relation) {
	s.name, s.relation, s.columns, s.index = r.Name, r, r.Columns, r.Index
}

// resolve fills a node.
func (s *scope) resolve(n *node, q *dialect.Query) (err *fault.Error) {
	n.columns, n.limit, n.Offset = s.columns, q.Limit, q.Offset
	if n.members, err = s.members(n, q.Select); err != nil {
		return err
	}
	if n.where, err = s.predicates(q.Where); err != nil {
		return err
	}
	if n.order, err = s.sortKeys(q.Order); err != nil {
		return err
	}
	return n.checkOrder(s.name)
}

func (s *scope) place(f dialect.Field) (place, *fault.Error) {
	if i, ok := s.index[f.Column]; ok {
		return place{&s.columns[i], f.Path}, nil
	}
	if s.relation != nil && s.relation.Computed != nil {
		for _, schema := range s.computing {
			if c := s.relation.Computed[catalog.QualifiedName{Schema: schema, Name: f.Column}]; c != nil {
				return place{c, f.Path}, nil
			}
		}
	}
	return place{}, fault.Column(s.name, f.Column)
}

// members resolves select=.
func (s *scope) members(n *node, items []dialect.SelectItem) ([]member, *fault.Error) {
	star := items == nil || len(items) == 1 && items[0].Star
	spelled := catalog.Represented(s.columns)
	switch {
	case star && spelled:
		return n.expanded(), nil
	case star:
		return nil, nil
	}
	if count := s.plainCount(items); count != nil {
		items = count
	}
	list := make([]member, 0, len(items))
	for i := range items {
		item := &items[i]
		switch {
		case item.Star && spelled:
			list = append(list, n.expanded()...)
		case item.Star:
			list = append(list, member{star: true})
		case item.Embed != nil:
			e, err := s.embed(n, item.Embed)
			if err != nil {
				return nil, err
			}
			list = append(list, e.asMembers(item.Embed)...)
		default:
			m, err := s.member(item)
			if err != nil {
				return nil, err
			}
			list = append(list, m)
		}
	}
	return s.group(n, list), nil
}

// member resolves a column of select=.
func (s *scope) member(item *dialect.SelectItem) (m member, err *fault.Error) {
	if item.Aggregate != "" {
		return s.aggregated(item)
	}
	if m.place, err = s.place(item.Field); err != nil {
		return m, err
	}
	m.key = item.Name()
	if m.key == m.Name {
		m.sql = m.SQL
	}
	m.cast, err = s.cast(item.Cast)
	return m, err
}

// predicates resolves filters.
func (s *scope) predicates(conditions []dialect.Condition) ([]predicate, *fault.Error) {
	if len(conditions) == 0 {
		return nil, nil
	}
	list := make([]predicate, len(conditions))
	for i := range conditions {
		c := &conditions[i]
		list[i].Condition = c
		var err *fault.Error
		if c.Logic == dialect.Comparison {
			err = s.comparison(&list[i])
		} else {
			list[i].children, err = s.predicates(c.Children)
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// comparison resolves the left side of a filter: an embed that is tested for null, or a column.
func (s *scope) comparison(p *predicate) (err *fault.Error) {
	c := p.Condition
	e := s.embeds[c.Field.Column]
	if e == nil || c.Path != nil || s.root && s.writes {
		p.place, err = s.place(c.Field)
		return err
	}
	if c.Operator != dialect.OpIs || c.Is != dialect.IsNull && c.Is != dialect.IsNotNull {
		if p.place, err = s.place(c.Field); err != nil {
			return fault.EmbedFilter(c.Field.Column)
		}
		return nil
	}
	p.embed, e.tested = e, true
	return nil
}

// sortKeys resolves order=.
func (s *scope) sortKeys(terms []dialect.OrderTerm) ([]sortKey, *fault.Error) {
	if len(terms) == 0 {
		return nil, nil
	}
	list := make([]sortKey, len(terms))
	for i, t := range terms {
		list[i].term = t
		var err *fault.Error
		if t.Relation == "" {
			list[i].place, err = s.place(t.Field)
		} else {
			err = s.relatedKey(&list[i])
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// relatedKey resolves an order by a column of an embed.
func (s *scope) relatedKey(k *sortKey) *fault.Error {
	e := s.embeds[k.term.Relation]
	switch {
	case e == nil:
		return fault.NotEmbedded(k.term.Relation)
	case !e.ToOne():
		return fault.EmbedOrder(s.name, k.term.Relation)
	}
	related := scope{resolver: s.resolver}
	related.of(e.Target)
	at, err := related.place(k.term.Field)
	if err != nil {
		return err
	}
	k.embed, k.sort = e, len(e.sorts)
	e.sorts = append(e.sorts, at)
	return nil
}
