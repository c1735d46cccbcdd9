package rest

import (
	"net/http"
	"slices"
)

// Plan is a checked request: every name in it is an entry of the catalog. What is left of the
// client's strings are values, which become bind arguments.
type Plan struct {
	action   Action
	head     bool
	answer   Return
	relation *Relation // of everything but a call

	routine   *Routine // of a call
	arguments []argument

	output []output // nil means every column
	where  []predicate
	order  []sortKey
	limit  *int64
	offset int64

	payload Payload
	targets []*Column // columns that the payload writes, in the order of the table

	volatile bool // may run SQL that application code makes up
}

// output is a column of the result.
type output struct {
	column *Column
	cast   string // SQL of a type; empty without a cast
	alias  string // the client's, bound; empty when the column keeps its name
	star   bool   // every column
}

// predicate is a condition with its column.
type predicate struct {
	*Condition
	column   *Column
	children []predicate
}

// sortKey is a term of order by.
type sortKey struct {
	column *Column
	term   OrderTerm
}

// argument is an argument given to a function. Called by GET it has a value or, when variadic, several.
type argument struct {
	*Argument
	values []string
}

// Plan checks a request against the catalog. It changes neither.
func (c *Catalog) Plan(r *Request) (*Plan, *Error) {
	schema, err := c.schema(r.Schema)
	if err != nil {
		return nil, err
	}
	p := &Plan{action: r.Action, head: r.Head, answer: r.Return, limit: r.Limit, offset: r.Offset, payload: r.Payload}
	p.volatile = c.foreign.mayRun(r.Action, qualifiedName{schema, r.Name})
	scope := scope{name: r.Name}
	if r.Action == Call {
		if err := c.call(p, schema, r); err != nil {
			return nil, err
		}
		scope.columns, scope.index = p.routine.Columns, p.routine.index
	} else {
		p.relation = c.relations[qualifiedName{schema, r.Name}]
		if p.relation == nil {
			return nil, errTable(schema, r.Name)
		}
		scope.columns, scope.index = p.relation.Columns, p.relation.index
	}
	if p.output, err = c.outputs(scope, r.Select); err != nil {
		return nil, err
	}
	if p.where, err = scope.predicates(r.Where); err != nil {
		return nil, err
	}
	if p.order, err = scope.sortKeys(r.Order); err != nil {
		return nil, err
	}
	if r.Action == Insert || r.Action == Update {
		if err := p.target(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// ReadOnly tells whether the statement runs in a read-only transaction: reads, and functions that
// promise not to write.
func (p *Plan) ReadOnly() bool {
	return p.action == Read || p.action == Call && p.routine.Volatility != Volatile
}

// Volatile tells whether the statement may run SQL that application code makes up (see foreignCode).
func (p *Plan) Volatile() bool { return p.volatile }

// target resolves the keys of the payload to columns of the relation.
func (p *Plan) target() *Error {
	p.targets = make([]*Column, 0, len(p.payload.Keys))
	for _, key := range p.payload.Keys {
		i, ok := p.relation.index[key]
		if !ok {
			return errTargetColumn(p.relation.Name, key)
		}
		p.targets = append(p.targets, &p.relation.Columns[i])
	}
	// One order for all orders of keys, so that the statement's text is the same.
	slices.SortFunc(p.targets, func(a, b *Column) int {
		return p.relation.index[a.Name] - p.relation.index[b.Name]
	})
	return nil
}

// scope resolves column names of one table or function result.
type scope struct {
	name    string
	columns []Column
	index   map[string]int
}

func (s *scope) column(name string) (*Column, *Error) {
	if i, ok := s.index[name]; ok {
		return &s.columns[i], nil
	}
	return nil, errColumn(s.name, name)
}

// outputs resolves select=.
func (c *Catalog) outputs(s scope, items []SelectItem) ([]output, *Error) {
	if len(items) == 0 || len(items) == 1 && items[0].Star {
		return nil, nil
	}
	list := make([]output, len(items))
	for i, item := range items {
		if item.Star {
			list[i].star = true
			continue
		}
		column, err := s.column(item.Column)
		if err != nil {
			return nil, err
		}
		list[i].column = column
		if item.Alias != item.Column {
			list[i].alias = item.Alias
		}
		if item.Cast != "" {
			sql, ok := c.types[item.Cast]
			if !ok {
				return nil, errType(item.Cast)
			}
			list[i].cast = sql
		}
	}
	return list, nil
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
			list[i].column, err = s.column(c.Column)
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
		column, err := s.column(t.Column)
		if err != nil {
			return nil, err
		}
		list[i] = sortKey{column, t}
	}
	return list, nil
}

// call chooses the function of a call and binds its arguments.
func (c *Catalog) call(p *Plan, schema string, r *Request) *Error {
	names := r.Payload.Keys
	if r.Get {
		names = argumentNames(r.Arguments)
	}
	var fitting []*Routine
	for _, f := range c.routines[qualifiedName{schema, r.Name}] {
		if f.accepts(names) {
			fitting = append(fitting, f)
		}
	}
	switch len(fitting) {
	case 0:
		return errFunction(schema, r.Name, names)
	case 1:
	default:
		return errOverload(fitting)
	}
	f := fitting[0]
	if r.Get && f.Volatility == Volatile {
		method := http.MethodGet
		if r.Head {
			method = http.MethodHead
		}
		return errCallMethod(method, "the function may write; use POST", "POST")
	}
	p.routine = f
	for i := range f.Arguments {
		a := argument{Argument: &f.Arguments[i]}
		if !slices.Contains(names, a.Name) {
			continue
		}
		for _, v := range r.Arguments {
			switch {
			case v.Name != a.Name:
			case a.Variadic:
				a.values = append(a.values, v.Value)
			default:
				a.values = append(a.values[:0], v.Value) // of a repeated one the last counts
			}
		}
		p.arguments = append(p.arguments, a)
	}
	if f.Returns != Composite && (r.Where != nil || r.Order != nil || r.Select != nil) {
		return errUnsupported("select, order or a filter on a function that does not return rows")
	}
	if !f.Set && (r.Limit != nil || r.Offset != 0) {
		return errUnsupported("limit or offset on a function that returns one value")
	}
	return nil
}

// argumentNames returns the distinct names of arguments in the order of the query.
func argumentNames(arguments []NamedValue) (names []string) {
	for _, a := range arguments {
		if !slices.Contains(names, a.Name) {
			names = append(names, a.Name)
		}
	}
	return names
}

// accepts tells whether the function can be called with exactly these named arguments: it has all of
// them, and a default for every other.
func (r *Routine) accepts(names []string) bool {
	given := 0
	for _, a := range r.Arguments {
		switch {
		case a.Name != "" && slices.Contains(names, a.Name):
			given++
		case !a.HasDefault:
			return false
		}
	}
	return given == len(names)
}
