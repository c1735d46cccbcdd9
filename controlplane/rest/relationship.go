package rest

import (
	"cmp"
	"slices"
	"strings"
)

// cardinality says how many rows a relationship leads from and to.
type cardinality string

const (
	manyToOne  cardinality = "many-to-one"
	oneToMany  cardinality = "one-to-many"
	oneToOne   cardinality = "one-to-one"
	manyToMany cardinality = "many-to-many"
)

// rank is the order in which candidates are listed.
var rank = map[cardinality]int{oneToMany: 1, manyToOne: 2, oneToOne: 3, manyToMany: 4}

// relationship is a way from the rows of one relation to those of another.
type relationship struct {
	cardinality cardinality
	origin      *Relation
	target      *Relation

	constraint string // the foreign key; of a many-to-many relationship the one from junction to origin
	columns    []pair // of origin and target; of a many-to-many relationship of origin and junction

	// outgoing tells that the origin has the foreign key.
	outgoing bool

	// function returns the related rows of a row; there is no more to know then.
	function *Routine

	junction     *Relation
	constraintTo string // the foreign key from junction to target
	columnsTo    []pair // of junction and target
}

// pair are two columns that are equal in related rows.
type pair struct{ from, to *Column }

// toOne tells whether at most one row is found.
func (r *relationship) toOne() bool { return r.cardinality == manyToOne || r.cardinality == oneToOne }

// self tells whether it leads back to the same relation.
func (r *relationship) self() bool { return r.origin == r.target }

// relate finds the relationships between the relations of a catalog.
func (c *Catalog) relate() {
	for _, r := range c.relations {
		var keys []*relationship // the foreign keys of r
		for i := range r.ForeignKeys {
			if k := c.reference(r, &r.ForeignKeys[i]); k != nil {
				keys = append(keys, k)
				r.relationships = append(r.relationships, k)
				k.target.relationships = append(k.target.relationships, k.reverse())
			}
		}
		for _, a := range keys {
			for _, b := range keys {
				if a != b && a.target != b.target && r.joins(a, b) {
					a.target.relationships = append(a.target.relationships, through(a, b))
				}
			}
		}
	}
	c.sortRelationships()
}

// sortRelationships puts the relationships into an order that depends on their content alone.
func (c *Catalog) sortRelationships() {
	for _, r := range c.relations {
		slices.SortStableFunc(r.relationships, func(a, b *relationship) int {
			return cmp.Or(cmp.Compare(a.target.Schema, b.target.Schema), cmp.Compare(a.target.Name, b.target.Name),
				cmp.Compare(rank[a.cardinality], rank[b.cardinality]), cmp.Compare(a.hint(), b.hint()),
				cmp.Compare(a.constraint, b.constraint), cmp.Compare(a.constraintTo, b.constraintTo))
		})
	}
}

// reference makes the relationship of a foreign key, from the relation that has it.
func (c *Catalog) reference(r *Relation, k *ForeignKey) *relationship {
	target := c.relations[qualifiedName{k.Schema, k.Table}]
	if target == nil {
		return nil
	}
	rel := &relationship{cardinality: manyToOne, origin: r, target: target, constraint: k.Name, outgoing: true}
	if r.unique(k.Columns) {
		rel.cardinality = oneToOne
	}
	for i := range k.Columns {
		rel.columns = append(rel.columns, pair{r.column(k.Columns[i]), target.column(k.References[i])})
	}
	return rel
}

// unique tells whether rows differ in these columns.
func (r *Relation) unique(columns []string) bool {
	within := func(key []string) bool { return len(key) > 0 && contains(columns, key) }
	return within(r.PrimaryKey) || slices.ContainsFunc(r.UniqueKeys, within)
}

// contains tells whether every element of part is in whole.
func contains(whole, part []string) bool {
	return !slices.ContainsFunc(part, func(s string) bool { return !slices.Contains(whole, s) })
}

// reverse is the same foreign key seen from the other side.
func (r *relationship) reverse() *relationship {
	back := &relationship{cardinality: oneToMany, origin: r.target, target: r.origin, constraint: r.constraint}
	if r.cardinality == oneToOne {
		back.cardinality = oneToOne
	}
	for _, p := range r.columns {
		back.columns = append(back.columns, pair{p.to, p.from})
	}
	return back
}

// joins tells whether two foreign keys make the relation a junction: both are within its primary key.
func (r *Relation) joins(a, b *relationship) bool {
	for _, k := range []*relationship{a, b} {
		for _, p := range k.columns {
			if !slices.Contains(r.PrimaryKey, p.from.Name) {
				return false
			}
		}
	}
	return true
}

// through is the relationship between the targets of two foreign keys of a junction.
func through(a, b *relationship) *relationship {
	back := a.reverse()
	return &relationship{cardinality: manyToMany, origin: a.target, target: b.target, constraint: a.constraint, columns: back.columns,
		junction: a.origin, constraintTo: b.constraint, columnsTo: b.columns}
}

// hint is what chooses this relationship among several.
func (r *relationship) hint() string {
	if r.junction != nil {
		return r.junction.Name
	}
	return r.constraint
}

// hinted tells whether a hint means this relationship: the foreign key, the one column on either side, or
// the junction.
func (r *relationship) hinted(hint string) bool {
	if r.junction != nil {
		return hint == r.junction.Name
	}
	return hint == r.constraint || len(r.columns) == 1 && (hint == r.columns[0].from.Name || hint == r.columns[0].to.Name)
}

// means tells whether an embed's name and hint mean this relationship. Of a key from a table to itself the
// table's name means the many and the column the one. A column or a foreign key as the name means a table, not
// a view that shows the same rows.
func (r *relationship) means(name, hint string) bool {
	byColumn := r.outgoing && len(r.columns) == 1 && name == r.columns[0].from.Name && !r.target.isView()
	switch {
	case r.self() && hint != "":
		return name == r.target.Name && !r.outgoing && len(r.columns) == 1 && hint == r.columns[0].to.Name
	case r.self():
		return name == r.target.Name && !r.outgoing || r.outgoing && len(r.columns) == 1 && name == r.columns[0].from.Name
	case hint != "":
		return name == r.target.Name && r.hinted(hint)
	default:
		return name == r.target.Name || r.junction == nil && name == r.constraint && !r.target.isView() || byColumn
	}
}

// relationship finds what an embed means, among relations of the first of the schemas. What a function of any of them makes
// replaces what is detected; a hint names a foreign key, which a function does not have.
func (r *Relation) relationship(schemas []string, name, hint string) (*relationship, *Error) {
	if r.functions != nil && hint == "" {
		for _, schema := range schemas {
			if rel := r.functions[qualifiedName{schema, name}]; rel != nil {
				return rel, nil
			}
		}
	}
	schema := schemas[0]
	var fitting []*relationship
	for _, rel := range r.relationships {
		if rel.target.Schema == schema && rel.means(name, hint) {
			fitting = append(fitting, rel)
		}
	}
	if len(fitting) > 1 && r.isView() {
		fitting = preferTables(fitting, name)
	}
	switch len(fitting) {
	case 0:
		return nil, errRelationship(schema, r.Name, name, hint)
	case 1:
		return fitting[0], nil
	}
	return nil, errAmbiguous(r.Name, name, fitting)
}

// preferTables leaves, of relationships that a column of a view means, those to tables if there are any: the view
// itself may show the same rows.
func preferTables(list []*relationship, name string) []*relationship {
	view := func(r *relationship) bool { return r.target.isView() && r.target.Name != name }
	if tables := slices.DeleteFunc(slices.Clone(list), view); len(tables) > 0 {
		return tables
	}
	return list
}

// relationshipDescription is a candidate as an error lists it.
type relationshipDescription struct {
	Cardinality  cardinality `json:"cardinality"`
	Embedding    string      `json:"embedding"`
	Relationship string      `json:"relationship"`
}

// describe renders a candidate.
func (r *relationship) describe() relationshipDescription {
	d := relationshipDescription{Cardinality: r.cardinality, Embedding: r.origin.Name + " with " + r.target.Name}
	if r.junction != nil {
		d.Relationship = r.junction.Name + " using " + r.constraint + listNames(r.columns, false) +
			" and " + r.constraintTo + listNames(r.columnsTo, true)
	} else {
		d.Relationship = r.constraint + " using " + r.origin.Name + listNames(r.columns, true) +
			" and " + r.target.Name + listNames(r.columns, false)
	}
	return d
}

// listNames renders one side of pairs.
func listNames(pairs []pair, from bool) string {
	names := make([]string, len(pairs))
	for i, p := range pairs {
		names[i] = p.to.Name
		if from {
			names[i] = p.from.Name
		}
	}
	return "(" + strings.Join(names, ", ") + ")"
}
