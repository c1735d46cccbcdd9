package rest

// Plan is a checked request: every name in it is an entry of the catalog. What is left of the
// client's strings are values, which become bind arguments.
type Plan struct {
	action   Action
	profile  string // the schema, when several are exposed
	head     bool
	relation *Relation // of everything but a call
	media    Media
	prefer   Preferences

	routine   *Routine // of a call
	arguments []argument
	whole     bool // the one argument is the whole body

	node // what is read of the target

	payload  Payload
	parts    []part    // of the payload
	conflict []*Column // of an insert that may meet rows that are there: the columns in which they conflict

	volatile bool   // may run SQL that application code makes up
	asked    bool   // may run SQL that looks at the HTTP request
	path     string // the search path; empty is the login's
}

// node is what a plan reads of one relation or function result.
type node struct {
	number  int      // 0 is the root; an embed's are its names in the statement
	columns []Column // all that there are, for *
	row     string   // SQL of the type of the relation's rows, where the rows at hand are of another type
	members []member // of the answer's objects; nil means every column
	where   []predicate
	order   []sortKey
	limit   *int64
	offset  int64
	embeds  []*embed

	aggregates bool // a member is an aggregate function
	grouped    bool // and the node is grouped by the others: it is not spread
}

// embed is a node that is read for each row of the node around it.
type embed struct {
	node
	*relationship
	inner  bool // rows without a related row are left out
	spread bool
	hidden bool    // the answer has nothing of it
	tested bool    // a filter of the node around it asks whether there is a row
	sorts  []place // what the node around it is ordered by
	keyed  bool    // the node around it is grouped by it
}

// place is a column or what a JSON path finds in it.
type place struct {
	*Column
	path []Step
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
	*Condition
	place
	embed    *embed // of a test for null
	children []predicate
}

// sortKey is a term of order by.
type sortKey struct {
	place
	embed *embed // whose sorts[sort] is the key, if not nil
	sort  int
	term  OrderTerm
}

// argument is an argument given to a function. Called by GET it has a value or, when variadic, several.
type argument struct {
	*Argument
	values []string
}

// part is a part of the payload with its columns, in the order of the table.
type part struct {
	targets  []*Column // columns that the objects hold
	defaults []*Column // columns that the objects lack and that get their defaults; of an update
	json     []byte
}

// Plan checks a request against the catalog. It changes neither.
func (c *Catalog) Plan(r *Request) (*Plan, *Error) {
	schema, err := c.schema(r.Schema)
	if err != nil {
		return nil, err
	}
	p := &Plan{action: r.Action, head: r.Head, prefer: r.Prefer, payload: r.Payload}
	if zone := r.Prefer.Timezone; zone != "" && !c.timezones[zone] {
		if r.Prefer.Handling == HandlingStrict {
			return nil, errPreferences([]string{"timezone=" + zone})
		}
		p.prefer.Timezone = ""
	}
	path := c.paths[schema]
	p.volatile, p.asked, p.path = c.dynamicSQL, c.asked, path.setting
	if len(c.Schemas) > 1 {
		p.profile = schema
	}
	resolver := resolver{catalog: c, schema: schema, computing: path.schemas, maxRows: r.MaxRows, writes: r.Action != Read && r.Action != Call}
	scope := scope{resolver: &resolver, root: true, name: r.Name}
	if r.Action == Call {
		if err := c.call(p, schema, r); err != nil {
			return nil, err
		}
		scope.relation, scope.columns, scope.index = p.routine.relation, p.routine.Columns, p.routine.index
	} else {
		p.relation = c.relations[qualifiedName{schema, r.Name}]
		if p.relation == nil {
			return nil, errTable(schema, r.Name)
		}
		scope.of(p.relation)
	}
	if r.Action == Put && !p.relation.named(r.Where) {
		return nil, errPutFilters()
	}
	if scope.relation != nil && r.Action != Read {
		p.row = scope.relation.SQL
	}
	if err := scope.resolve(&p.node, &r.Query); err != nil {
		return nil, err
	}
	if err := c.negotiate(p, r); err != nil {
		return nil, err
	}
	switch {
	case r.Action == Insert || r.Action == Update || r.Action == Put:
		return p, p.write(r)
	case r.Action == Read || p.routine != nil && p.routine.Set:
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
	return p.action == Read || p.action == Call && p.routine.Volatility != Volatile
}

// Volatile tells whether the statement may run SQL that application code makes up.
func (p *Plan) Volatile() bool { return p.volatile }

// represents tells whether the answer of a write has a body.
func (p *Plan) represents() bool { return p.prefer.Return == ReturnRepresentation }

// locates tells whether the answer names the row that it inserted.
func (p *Plan) locates() bool {
	return p.action == Insert && p.prefer.Return == ReturnHeadersOnly && len(p.relation.PrimaryKey) > 0
}

// merges tells whether an insert may have updated rows that were there, so that their number is told.
func (p *Plan) merges() bool { return p.conflict != nil && p.prefer.Resolution == ResolutionMerge }

// window tells whether limit or offset may leave rows out.
func (n *node) window() bool { return n.limit != nil || n.offset != 0 }

// counts tells whether the statement counts the rows that there would be without limit and offset.
func (p *Plan) counts() bool {
	return p.prefer.Count && p.window() && (p.action == Read || p.action == Call)
}
