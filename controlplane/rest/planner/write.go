package planner

import (
	"slices"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// write resolves the keys of the payload to columns of the relation.
func (p *Plan) write(r *dialect.Request) *fault.Error {
	p.parts = make([]part, len(p.Payload.Parts))
	for i, source := range p.Payload.Parts {
		part := &p.parts[i]
		part.json = source.JSON
		var err *fault.Error
		if part.targets, err = targets(p.Relation, source.Keys); err != nil {
			return err
		}
	}
	switch r.Action {
	case dialect.Insert:
		if err := p.resolveConflict(r.Conflict); err != nil {
			return err
		}
	case dialect.Put:
		if err := p.put(); err != nil {
			return err
		}
	}
	if r.Columns == nil {
		return nil
	}
	// What no object has is checked, too.
	all, err := targets(p.Relation, r.Columns)
	if err != nil {
		return err
	}
	if r.Action == dialect.Update && r.Prefer.Missing == dialect.MissingDefault && p.Payload.Rows == 1 {
		part := &p.parts[0]
		part.defaults = slices.DeleteFunc(all, func(c *catalog.Column) bool { return slices.Contains(part.targets, c) })
	}
	return nil
}

// targets resolves names of columns that are written. Their order is that of the table for all orders of
// keys, so that the statement's text is the same.
func targets(r *catalog.Relation, names []string) ([]*catalog.Column, *fault.Error) {
	list := make([]*catalog.Column, len(names))
	for i, name := range names {
		position, ok := r.Index[name]
		if !ok {
			return nil, fault.TargetColumn(r.Name, name)
		}
		list[i] = &r.Columns[position]
	}
	slices.SortFunc(list, func(a, b *catalog.Column) int { return r.Index[a.Name] - r.Index[b.Name] })
	return list, nil
}

// resolveConflict finds the columns in which an inserted row may conflict with one that is there: those that
// the client names, or the primary key. Without either there is no resolution to speak of.
func (p *Plan) resolveConflict(names []string) *fault.Error {
	if names == nil {
		names = p.Relation.PrimaryKey
	}
	if p.Prefer.Resolution == dialect.ResolutionUnstated || len(names) == 0 {
		p.Prefer.Resolution = dialect.ResolutionUnstated
		return nil
	}
	for _, name := range names {
		if _, ok := p.Relation.Index[name]; !ok {
			return fault.Column(p.Relation.Name, name)
		}
		p.conflict = append(p.conflict, p.Relation.Column(name))
	}
	return nil
}

// put checks that the body of a PUT has the primary key, which its filters name.
func (p *Plan) put() *fault.Error {
	for _, name := range p.Relation.PrimaryKey {
		column := p.Relation.Column(name)
		if !slices.Contains(p.parts[0].targets, column) {
			return fault.PutPayload()
		}
		p.conflict = append(p.conflict, column)
	}
	p.Prefer.Resolution = dialect.ResolutionMerge
	return nil
}

// namesRow tells whether filters name one row by its primary key: one "equal" for each column of it, and no more.
func namesRow(r *catalog.Relation, where []dialect.Condition) bool {
	for _, name := range r.PrimaryKey {
		if !slices.ContainsFunc(where, func(c dialect.Condition) bool {
			return c.Logic == dialect.Comparison && !c.Not && c.Operator == dialect.OpEqual && c.Quantifier == dialect.One && c.Path == nil && c.Column == name
		}) {
			return false
		}
	}
	return len(where) > 0 && len(where) == len(r.PrimaryKey)
}
