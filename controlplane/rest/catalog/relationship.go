package catalog

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
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

// Relationship is a way from the rows of one relation to those of another.
type Relationship struct {
	cardinality cardinality
	origin      *Relation
	Target      *Relation

	constraint string // the foreign key; of a many-to-many relationship the one from junction to origin
	Columns    []Pair // of origin and target; of a many-to-many relationship of origin and junction

	// Outgoing tells that the origin has the foreign key.
	Outgoing bool

	// Function returns the related rows of a row; there is no more to know then.
	Function *Routine

	Junction     *Relation
	constraintTo string // the foreign key from junction to target
	ColumnsTo    []Pair // of junction and target
}

// Pair are two columns that are equal in related rows.
type Pair struct{ From, To *Column }

// ToOne tells whether at most one row is found.
func (r *Relationship) ToOne() bool { return r.cardinality == manyToOne || r.cardinality == oneToOne }

// self tells whether it leads back to the same relation.
func (r *Relationship) self() bool { return r.origin == r.Target }

// relate finds the relationships between the relations of a catalog.
func (c *Catalog) relate() {
	for _, r := range c.Relations {
		var keys []*Relationship // the foreign keys of r
		for i := range r.ForeignKeys {
			if k := c.reference(r, &r.ForeignKeys[i]); k != nil {
				keys = append(keys, k)
				r.Relationships = append(r.Relationships, k)
				k.Target.Relationships = append(k.Target.Relationships, k.reverse())
			}
		}
		for _, a := range keys {
			for _, b := range keys {
				if a != b && a.Target != b.Target && r.joins(a, b) {
					a.Target.Relationships = append(a.Target.Relationships, through(a, b))
				}
			}
		}
	}
	c.sortRelationships()
}

// sortRelationships puts the relationships into an order that depends on their content alone.
func (c *Catalog) sortRelationships() {
	for _, r := range c.Relations {
		slices.SortStableFunc(r.Relationships, func(a, b *Relationship) int {
			return cmp.Or(cmp.Compare(a.Target.Schema, b.Target.Schema), cmp.Compare(a.Target.Name, b.Target.Name),
				cmp.Compare(rank[a.cardinality], rank[b.cardinality]), cmp.Compare(a.hint(), b.hint()),
				cmp.Compare(a.constraint, b.constraint), cmp.Compare(a.constraintTo, b.constraintTo))
		})
	}
}

// reference makes the relationship of a foreign key, from the relation that has it.
func (c *Catalog) reference(r *Relation, k *ForeignKey) *Relationship {
	target := c.Relations[QualifiedName{k.Schema, k.Table}]
	if target == nil {
		return nil
	}
	rel := &Relationship{cardinality: manyToOne, origin: r, Target: target, constraint: k.Name, Outgoing: true}
	if r.unique(k.Columns) {
		rel.cardinality = oneToOne
	}
	for i := range k.Columns {
		rel.Columns = append(rel.Columns, Pair{r.Column(k.Columns[i]), target.Column(k.References[i])})
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
func (r *Relationship) reverse() *Relationship {
	back := &Relationship{cardinality: oneToMany, origin: r.Target, Target: r.origin, constraint: r.constraint}
	if r.cardinality == oneToOne {
		back.cardinality = oneToOne
	}
	for _, p := range r.Columns {
		back.Columns = append(back.Columns, Pair{p.To, p.From})
	}
	return back
}

// joins tells whether two foreign keys make the relation a junction: both are within its primary key.
func (r *Relation) joins(a, b *Relationship) bool {
	for _, k := range []*Relationship{a, b} {
		for _, p := range k.Columns {
			if !slices.Contains(r.PrimaryKey, p.From.Name) {
				return false
			}
		}
	}
	return true
}

// through is the relationship between the targets of two foreign keys of a junction.
func through(a, b *Relationship) *Relationship {
	back := a.reverse()
	return &Relationship{cardinality: manyToMany, origin: a.Target, Target: b.Target, constraint: a.constraint, Columns: back.Columns,
		Junction: a.origin, constraintTo: b.constraint, ColumnsTo: b.Columns}
}

// hint is what chooses this relationship among several.
func (r *Relationship) hint() string {
	if r.Junction != nil {
		return r.Junction.Name
	}
	return r.constraint
}

// hinted tells whether a hint means this relationship: the foreign key, the one column on either side, or
// the junction.
func (r *Relationship) hinted(hint string) bool {
	if r.Junction != nil {
		return hint == r.Junction.Name
	}
	return hint == r.constraint || len(r.Columns) == 1 && (hint == r.Columns[0].From.Name || hint == r.Columns[0].To.Name)
}

// means tells whether an embed's name and hint mean this relationship. Of a key from a table to itself the
// table's name means the many and the column the one. A column or a foreign key as the name means a table, not
// a view that shows the same rows.
func (r *Relationship) means(name, hint string) bool {
	byColumn := r.Outgoing && len(r.Columns) == 1 && name == r.Columns[0].From.Name && !r.Target.IsView()
	switch {
	case r.self() && hint != "":
		return name == r.Target.Name && !r.Outgoing && len(r.Columns) == 1 && hint == r.Columns[0].To.Name
	case r.self():
		return name == r.Target.Name && !r.Outgoing || r.Outgoing && len(r.Columns) == 1 && name == r.Columns[0].From.Name
	case hint != "":
		return name == r.Target.Name && r.hinted(hint)
	default:
		return name == r.Target.Name || r.Junction == nil && name == r.constraint && !r.Target.IsView() || byColumn
	}
}

// Relationship finds what an embed means, among relations of the first of the schemas. What a function of any of them makes
// replaces what is detected; a hint names a foreign key, which a function does not have.
func (r *Relation) Relationship(schemas []string, name, hint string) (*Relationship, *fault.Error) {
	if r.functions != nil && hint == "" {
		for _, schema := range schemas {
			if rel := r.functions[QualifiedName{schema, name}]; rel != nil {
				return rel, nil
			}
		}
	}
	schema := schemas[0]
	var fitting []*Relationship
	for _, rel := range r.Relationships {
		if rel.Target.Schema == schema && rel.means(name, hint) {
			fitting = append(fitting, rel)
		}
	}
	if len(fitting) > 1 && r.IsView() {
		fitting = preferTables(fitting, name)
	}
	switch len(fitting) {
	case 0:
		return nil, fault.Relationship(schema, r.Name, name, hint)
	case 1:
		return fitting[0], nil
	}
	return nil, errAmbiguous(r.Name, name, fitting)
}

// preferTables leaves, of relationships that a column of a view means, those to tables if there are any: the view
// itself may show the same rows.
func preferTables(list []*Relationship, name string) []*Relationship {
	view := func(r *Relationship) bool { return r.Target.IsView() && r.Target.Name != name }
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
func (r *Relationship) describe() relationshipDescription {
	d := relationshipDescription{Cardinality: r.cardinality, Embedding: r.origin.Name + " with " + r.Target.Name}
	if r.Junction != nil {
		d.Relationship = r.Junction.Name + " using " + r.constraint + listNames(r.Columns, false) +
			" and " + r.constraintTo + listNames(r.ColumnsTo, true)
	} else {
		d.Relationship = r.constraint + " using " + r.origin.Name + listNames(r.Columns, true) +
			" and " + r.Target.Name + listNames(r.Columns, false)
	}
	return d
}

// listNames renders one side of pairs.
func listNames(pairs []Pair, from bool) string {
	names := make([]string, len(pairs))
	for i, p := range pairs {
		names[i] = p.To.Name
		if from {
			names[i] = p.From.Name
		}
	}
	return "(" + strings.Join(names, ", ") + ")"
}

// errAmbiguous reports that several relationships fit an embed, and what would choose each.
func errAmbiguous(origin, name string, candidates []*Relationship) *fault.Error {
	described := make([]relationshipDescription, len(candidates))
	hints := make([]string, len(candidates))
	for i, c := range candidates {
		described[i] = c.describe()
		hints[i] = fmt.Sprintf("'%s!%s'", c.Target.Name, c.hint())
	}
	details, _ := json.Marshal(described) // strings always encode
	return &fault.Error{Status: http.StatusMultipleChoices, Code: "PGRST201", DetailsJSON: details,
		Message: fmt.Sprintf("Could not embed because more than one relationship was found for '%s' and '%s'", origin, name),
		Hint: fmt.Sprintf("Try changing '%s' to one of the following: %s. Find the desired relationship in the 'details' key.",
			name, strings.Join(hints, ", "))}
}
