package rest

// scope resolves the names in what is asked of one table or function result.
type scope struct {
	catalog *Catalog
	name    string // for error messages
	columns []Column
	index   map[string]int
}

// resolve fills a node.
func (s *scope) resolve(n *node, q *Query) (err *Error) {
	n.columns, n.limit, n.offset = s.columns, q.Limit, q.Offset
	if n.output, err = s.outputs(q.Select); err != nil {
		return err
	}
	if n.where, err = s.predicates(q.Where); err != nil {
		return err
	}
	n.order, err = s.sortKeys(q.Order)
	return err
}

func (s *scope) place(f Field) (place, *Error) {
	if i, ok := s.index[f.Column]; ok {
		return place{&s.columns[i], f.Path}, nil
	}
	return place{}, errColumn(s.name, f.Column)
}

// outputs resolves select=.
func (s *scope) outputs(items []SelectItem) ([]output, *Error) {
	if len(items) == 0 || len(items) == 1 && items[0].Star {
		return nil, nil
	}
	list := make([]output, len(items))
	for i := range items {
		item := &items[i]
		if item.Star {
			list[i].star = true
			continue
		}
		var err *Error
		if list[i].place, err = s.place(item.Field); err != nil {
			return nil, err
		}
		if name := item.name(); name != item.Column {
			list[i].alias = name
		}
		if item.Cast != "" {
			sql, ok := s.catalog.types[item.Cast]
			if !ok {
				return nil, errType(item.Cast)
			}
			list[i].cast = sql
		}
	}
	return list, nil
}

// name returns the key that the item has in the answer: its alias, the last key of a JSON path, or the column.
func (item *SelectItem) name() string {
	if item.Alias != "" {
		return item.Alias
	}
	for i := len(item.Path) - 1; i >= 0; i-- {
		if !item.Path[i].Index {
			return item.Path[i].Key
		}
	}
	return item.Column
}

// predicates resolves filters.
func (s *scope) predicates(conditions []Condition) ([]predicate, *Error) {
	if len(conditions) == 0 {
		return nil, nil
	}
	list := make([]predicate, len(conditions))
	for i := range conditions {
		c := &conditions[i]
		list[i].Condition = c
		var err *Error
		if c.Logic == Comparison {
			list[i].place, err = s.place(c.Field)
		} else {
			list[i].children, err = s.predicates(c.Children)
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// sortKeys resolves order=.
func (s *scope) sortKeys(terms []OrderTerm) ([]sortKey, *Error) {
	if len(terms) == 0 {
		return nil, nil
	}
	list := make([]sortKey, len(terms))
	for i, t := range terms {
		place, err := s.place(t.Field)
		if err != nil {
			return nil, err
		}
		list[i] = sortKey{place, t}
	}
	return list, nil
}
