package catalog

// A function that takes a row of a relation is a column of it when it returns one value, and a relationship when it
// returns rows of a relation.

// compute enters what a function adds to the relation whose rows it takes.
func (c *Catalog) compute(f *Routine, represent map[string]*domainCasts) {
	if len(f.Arguments) != 1 || f.Arguments[0].relation == nil || f.Returns == Void {
		return
	}
	origin := f.Arguments[0].relation
	name := QualifiedName{f.Schema, f.Name}
	if !f.Set {
		if origin.Computed == nil {
			origin.Computed = map[QualifiedName]*Column{}
		}
		origin.Computed[name] = &Column{Name: f.Name, SQL: f.Ident, Type: f.Type, Nullable: true, Function: f.SQL,
			casts: represent[f.Type]}
	}
	if f.Relation == nil {
		return
	}
	rel := &Relationship{cardinality: oneToMany, origin: origin, Target: f.Relation, Function: f}
	if !f.Set || f.OneRow {
		rel.cardinality = manyToOne
	}
	if origin.functions == nil {
		origin.functions = map[QualifiedName]*Relationship{}
	}
	origin.functions[name] = rel
}
