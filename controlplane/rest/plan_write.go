package rest

import "slices"

// write resolves the keys of the payload to columns of the relation.
func (p *Plan) write(r *Request) *Error {
	p.parts = make([]part, len(p.payload.Parts))
	for i, source := range p.payload.Parts {
		part := &p.parts[i]
		part.json = source.JSON
		var err *Error
		if part.targets, err = p.relation.targets(source.Keys); err != nil {
			return err
		}
	}
	switch r.Action {
	case Insert:
		if err := p.resolveConflict(r.Conflict); err != nil {
			return err
		}
	case Put:
		if err := p.put(); err != nil {
			return err
		}
	}
	if r.Columns == nil {
		return nil
	}
	// What no object has is checked, too.
	all, err := p.relation.targets(r.Columns)
	if err != nil {
		return err
	}
	if r.Action == Update && r.Prefer.Missing == MissingDefault && p.payload.Rows == 1 {
		part := &p.parts[0]
		part.defaults = slices.DeleteFunc(all, func(c *Column) bool { return slices.Contains(part.targets, c) })
	}
	return nil
}

// targets resolves names of columns that are written. Their order is that of the table for all orders of
// keys, so that the statement's text is the same.
func (r *Relation) targets(names []string) ([]*Column, *Error) {
	list := make([]*Column, len(names))
	for i, name := range names {
		position, ok := r.index[name]
		if !ok {
			return nil, errTargetColumn(r.Name, name)
		}
		list[i] = &r.Columns[position]
	}
	slices.SortFunc(list, func(a, b *Column) int { return r.index[a.Name] - r.index[b.Name] })
	return list, nil
}

// resolveConflict finds the columns in which an inserted row may conflict with one that is there: those that
// the client names, or the primary key. Without either there is no resolution to speak of.
func (p *Plan) resolveConflict(names []string) *Error {
	if names == nil {
		names = p.relation.PrimaryKey
	}
	if p.prefer.Resolution == ResolutionUnstated || len(names) == 0 {
		p.prefer.Resolution = ResolutionUnstated
		return nil
	}
	for _, name := range names {
		if _, ok := p.relation.index[name]; !ok {
			return errColumn(p.relation.Name, name)
		}
		p.conflict = append(p.conflict, p.relation.column(name))
	}
	return nil
}

// put checks that the body of a PUT has the primary key, which its filters name.
func (p *Plan) put() *Error {
	for _, name := range p.relation.PrimaryKey {
		column := p.relation.column(name)
		if !slices.Contains(p.parts[0].targets, column) {
			return errPutPayload()
		}
		p.conflict = append(p.conflict, column)
	}
	p.prefer.Resolution = ResolutionMerge
	return nil
}

// named tells whether filters name one row by its primary key: one "equal" for each column of it, and no more.
func (r *Relation) named(where []Condition) bool {
	for _, name := range r.PrimaryKey {
		if !slices.ContainsFunc(where, func(c Condition) bool {
			return c.Logic == Comparison && !c.Not && c.Operator == OpEqual && c.Quantifier == One && c.Path == nil && c.Column == name
		}) {
			return false
		}
	}
	return len(where) > 0 && len(where) == len(r.PrimaryKey)
}
