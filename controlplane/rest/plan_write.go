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
