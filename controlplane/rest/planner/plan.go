package planner

import (
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// Plan is a checked request: every name in it is an entry of the catalog. What is left of the
// client's strings are values, which become bind arguments.
type Plan struct {
	Action   dialect.Action
	Profile  string // the schema, when several are exposed
	Head     bool
	Relation *catalog.Relation // of everything but a call
	Media    Media
	Prefer   dialect.Preferences

	Routine   *catalog.Routine // of a call
	arguments []argument
	whole     bool // the one argument is the whole body

	node // what is read of the target

	Payload  dialect.Payload
	parts    []part            // of the payload
	conflict []*catalog.Column // of an insert that may meet rows that are there: the columns in which they conflict

	volatile bool   // may run SQL that application code makes up
	Asked    bool   // may run SQL that looks at the HTTP request
	Path     string // the search path; empty is the login's
}

// node is what a plan reads of one relation or function result.
type node struct {
	number  int              // 0 is the root; an embed's are its names in the statement
	columns []catalog.Column // all that there are, for *
	row     string           // SQL of the type of the relation's rows, where the rows at hand are of another type
	members []member         // of the answer's objects; nil means every column
	where   []predicate
	order   []sortKey
	limit   *int64
	Offset  int64
	embeds  []*embed

	aggregates bool // a member is an aggregate function
	Grouped    bool // and the node is grouped by the others: it is not spread
}

// embed is a node that is read for each row of the node around it.
type embed struct {
	node
	*catalog.Relationship
	inner  bool // rows without a related row are left out
	spread bool
	hidden bool    // the answer has nothing of it
	tested bool    // a filter of the node around it asks whether there is a row
	sorts  []place // what the node around it is ordered by
	keyed  bool    // the node around it is grouped by it
}

// place is a column or what a JSON path finds in it.
type place struct {
	*catalog.Column
	path []dialect.Step
}

// member is a member of the answer's objects: a column, an embed, or a value lifted out of a spread embed.
type member struct {
	key  string
	sql  string // the quoted key when it is of the catalog; empty when it is the client's, which is bound
	star bool   // every column, instead of all the rest

	place
	cast string // SQL of a type; empty without a cast

	aggregate  string // aggregate function; without a column it counts rows
	resultCast string // SQL of a type

	embed  *embed
	lifted int // with an embed that is spread: which of its values
}

// predicate is a condition with its column or embed.
type predicate struct {
	*dialect.Condition
	place
	embed    *embed // of a test for null
	children []predicate
}

// sortKey is a term of order by.
type sortKey struct {
	place
	embed *embed // whose sorts[sort] is the key, if not nil
	sort  int
	term  dialect.OrderTerm
}

// argument is an argument given to a function. Called by GET it has a value or, when variadic, several.
type argument struct {
	*catalog.Argument
	values []string
}

// part is a part of the payload with its columns, in the order of the table.
type part struct {
	targets  []*catalog.Column // columns that the objects hold
	defaults []*catalog.Column // columns that the objects lack and that get their defaults; of an update
	json     []byte
}

// New checks a request against the catalog. It changes neither.
func New(c *catalog.Catalog, r *dialect.Request) (*Plan, *fault.Error) {
	schema, err := c.Schema(r.Schema)
	if err != nil {
		return nil, err
	}
	p := &Plan{Action: r.Action, Head: r.Head, Prefer: r.Prefer, Payload: r.Payload}
	if zone := r.Prefer.Timezone; zone != "" && !c.Timezones[zone] {
		if r.Prefer.Handling == dialect.HandlingStrict {
			return nil, fault.Preferences([]string{"timezone=" + zone})
		}
		p.Prefer.Timezone = ""
	}
	path := c.Paths[schema]
	p.volatile, p.Asked, p.Path = c.DynamicSQL, c.Asked, path.Setting
	if len(c.Schemas) > 1 {
		p.Profile = schema
	}
	resolver := resolver{catalog: c, schema: schema, computing: path.Schemas, maxRows: r.MaxRows, writes: r.Action != dialect.Read && r.Action != dialect.Call}
	scope := scope{resolver: &resolver, root: true, name: r.Name}
	if r.Action == dialect.Call {
		if err := p.call(c, schema, r); err != nil {
			return nil, err
		}
		scope.relation, scope.columns, scope.index = p.Routine.Relation, p.Routine.Columns, p.Routine.Index
	} else {
		p.Relation = c.Relations[catalog.QualifiedName{Schema: schema, Name: r.Name}]
		if p.Relation == nil {
			return nil, fault.Table(schema, r.Name)
		}
		scope.of(p.Relation)
	}
	if r.Action == dialect.Put && !namesRow(p.Relation, r.Where) {
		return nil, fault.PutFilters()
	}
	if scope.relation != nil && r.Action != dialect.Read {
		p.row = scope.relation.SQL
	}
	if err := scope.resolve(&p.node, &r.Query); err != nil {
		return nil, err
	}
	if err := p.negotiate(c, r); err != nil {
		return nil, err
	}
	switch {
	case r.Action == dialect.Insert || r.Action == dialect.Update || r.Action == dialect.Put:
		return p, p.write(r)
	case r.Action == dialect.Read || p.Routine != nil && p.Routine.Set:
		p.cap(r.MaxRows)
	}
	return p, nil
}

// cap applies the greatest number of rows of an answer; 0 is no limit.
func (n *node) cap(most int64) {
	if most > 0 && (n.limit == nil || *n.limit > most) {
		n.limit = &most
	}
}

// ReadOnly tells whether the statement runs in a read-only transaction: reads, and functions that
// promise not to write.
func (p *Plan) ReadOnly() bool {
	return p.Action == dialect.Read || p.Action == dialect.Call && p.Routine.Volatility != catalog.Volatile
}

// Volatile tells whether the statement may run SQL that application code makes up.
func (p *Plan) Volatile() bool { return p.volatile }

// Related tells whether the answer has rows of other relations, or depends on them.
func (p *Plan) Related() bool { return p.embeds != nil }

// Ordered tells whether the answer has an order.
func (p *Plan) Ordered() bool { return p.order != nil }

// Bodies are the parts of the payload, each an array in JSON.
func (p *Plan) Bodies() [][]byte {
	list := make([][]byte, len(p.parts))
	for i := range p.parts {
		list[i] = p.parts[i].json
	}
	return list
}

// Represents tells whether the answer of a write has a body.
func (p *Plan) Represents() bool { return p.Prefer.Return == dialect.ReturnRepresentation }

// Locates tells whether the answer names the row that it inserted.
func (p *Plan) Locates() bool {
	return p.Action == dialect.Insert && p.Prefer.Return == dialect.ReturnHeadersOnly && len(p.Relation.PrimaryKey) > 0
}

// Merges tells whether an insert may have updated rows that were there, so that their number is told.
func (p *Plan) Merges() bool {
	return p.conflict != nil && p.Prefer.Resolution == dialect.ResolutionMerge
}

// window tells whether limit or offset may leave rows out.
func (n *node) window() bool { return n.limit != nil || n.Offset != 0 }

// counts tells whether the statement counts the rows that there would be without limit and offset.
func (p *Plan) counts() bool {
	return p.Prefer.Count && p.window() && (p.Action == dialect.Read || p.Action == dialect.Call)
}

// OfPart is the plan for some rows of one part of the payload.
func (p *Plan) OfPart(number, rows int, json []byte) *Plan {
	one := *p
	one.parts = []part{p.parts[number]}
	one.parts[0].json = json
	one.Payload.Rows = rows
	return &one
}
