package rest

// A function that takes a row of a relation is a column of it when it returns one value, and a relationship when it
// returns rows of a relation.

// compute enters what a function adds to the relation whose rows it takes.
func (c *Catalog) compute(f *Routine, represent map[string]*domainCasts) {
	if len(f.Arguments) != 1 || f.Arguments[0].relation == nil || f.Returns == Void {
		return
	}
	origin := f.Arguments[0].relation
	name := qualifiedName{f.Schema, f.Name}
	if !f.Set {
		if origin.computed == nil {
			origin.computed = map[qualifiedName]*Column{}
		}
		origin.computed[name] = &Column{Name: f.Name, SQL: f.Ident, Type: f.Type, Nullable: true, function: f.SQL,
			casts: represent[f.Type]}
	}
	if f.relation == nil {
		return
	}
	rel := &relationship{cardinality: oneToMany, origin: origin, target: f.relation, function: f}
	if !f.Set || f.OneRow {
		rel.cardinality = manyToOne
	}
	if origin.functions == nil {
		origin.functions = map[qualifiedName]*relationship{}
	}
	origin.functions[name] = rel
}

// argument appends the row of a node as the argument of a function that takes rows of its relation.
func (b *builder) argument(n *node) {
	t := n.named("t")
	if n.row == "" {
		b.sql(t, ".*")
		return
	}
	b.sql("(", t, ".*)::", n.row)
}

// value appends a column of a node: one that is stored, or the call of its function.
func (b *builder) value(n *node, c *Column) {
	if c.function == "" {
		b.sql(n.named("t"), ".", c.SQL)
		return
	}
	b.sql(c.function, "(")
	b.argument(n)
	b.sql(")")
}

// computes tells whether the answer of a write has what functions make of its rows.
func (p *Plan) computes() bool {
	for i := range p.members {
		if m := &p.members[i]; m.embed == nil && m.Column != nil && m.function != "" {
			return true
		}
	}
	for i := range p.order {
		if k := &p.order[i]; k.embed == nil && k.function != "" {
			return true
		}
	}
	for _, e := range p.embeds {
		if e.relationship.function != nil {
			return true
		}
	}
	return false
}
