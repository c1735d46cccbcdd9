package rest

import "strings"

// Catalog is an immutable picture of the exposed schemas. It is built once, shared by all requests
// and replaced as a whole (see Cache).
type Catalog struct {
	// Version identifies the content: two catalogs of one version are equal.
	Version string
	// Schemas are the exposed schemas, the default first.
	Schemas []string

	tenants   map[string]bool       // those of Schemas that are of a tenant
	paths     map[string]searchPath // for each of Schemas
	relations map[qualifiedName]*Relation
	routines  map[qualifiedName][]*Routine
	types     map[string]string // name as a client may write it -> SQL
	// dynamicSQL tells that application code may run SQL that it makes up, in whatever request.
	dynamicSQL bool
	// asked tells that application code looks at the HTTP request.
	asked     bool
	timezones map[string]bool
	handlers  *mediaHandlers
}

// qualifiedName is a schema and a name in it.
type qualifiedName struct{ schema, name string }

// Relation is a table, partitioned table, view, materialized view or foreign table.
type Relation struct {
	Schema      string
	Name        string
	Kind        string // pg_class.relkind
	Events      int    // what can be written: the bits of pg_relation_is_updatable
	SQL         string // "schema"."name", quoted by PostgreSQL where needed
	Columns     []Column
	Ident       string // "name", quoted by PostgreSQL where needed
	PrimaryKey  []string
	UniqueKeys  [][]string
	ForeignKeys []ForeignKey

	index         map[string]int // column name -> position in Columns
	relationships []*relationship
	computed      map[qualifiedName]*Column       // columns that functions make, by the functions' names
	functions     map[qualifiedName]*relationship // relationships that functions make, by the functions' names
}

// Column is a column of a relation or of a function's result.
type Column struct {
	Name       string
	SQL        string // the quoted name
	Type       string // SQL of the type, schema-qualified, without length or precision
	Nullable   bool
	HasDefault bool // a default or an identity
	Generated  bool

	// function is the SQL of the function that makes the value of a row; empty for a column that is stored.
	function string
	// casts say how values look outside; nil is PostgreSQL's own way.
	casts *domainCasts
}

// isView tells whether the relation is a view or a materialized view.
func (r *Relation) isView() bool { return r.Kind == "v" || r.Kind == "m" }

// column returns a column that the relation has.
func (r *Relation) column(name string) *Column { return &r.Columns[r.index[name]] }

// ForeignKey is a reference from one exposed relation to another.
type ForeignKey struct {
	Name       string
	Columns    []string
	Schema     string
	Table      string
	References []string // columns of Table, in the order of Columns
}

// Volatility is pg_proc.provolatile.
type Volatility string

// The volatilities of functions.
const (
	Volatile  Volatility = "v"
	Stable    Volatility = "s"
	Immutable Volatility = "i"
)

// Result is what a function returns, apart from how often.
type Result string

// The kinds of results.
const (
	Void      Result = "void"
	Scalar    Result = "scalar"    // one value
	Composite Result = "composite" // a row with named columns
)

// Routine is a function that can be called with named arguments.
type Routine struct {
	Schema     string
	Name       string
	SQL        string // "schema"."name", quoted by PostgreSQL where needed
	Volatility Volatility
	Set        bool   // returns setof or table
	Ident      string // "name", quoted by PostgreSQL where needed
	OneRow     bool   // a set that is declared to have one row (ROWS 1)
	Returns    Result
	Type       string // SQL of the type that is returned
	Arguments  []Argument
	Columns    []Column // of a composite result

	relation *Relation      // whose rows are returned; nil without
	index    map[string]int // column name -> position in Columns
}

// Argument is an input argument of a function.
type Argument struct {
	Name       string
	SQL        string // the quoted name
	Type       string // SQL of the type
	Display    string // name of the type for error messages
	HasDefault bool
	Variadic   bool

	relation *Relation // whose rows it takes; nil without
}

// signature renders the function for an error message.
func (r *Routine) signature() string {
	var b strings.Builder
	b.WriteString(r.Schema + "." + r.Name + "(")
	for i, a := range r.Arguments {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(a.Name + " => " + a.Display)
	}
	b.WriteString(")")
	return b.String()
}

// schema returns the schema that a profile names; the empty profile is the default schema.
func (c *Catalog) schema(profile string) (string, *Error) {
	if profile == "" {
		return c.Schemas[0], nil
	}
	for _, s := range c.Schemas {
		if s == profile {
			return s, nil
		}
	}
	return "", errProfile(profile, c.listed())
}

// indexColumns maps names to positions.
func indexColumns(columns []Column) map[string]int {
	index := make(map[string]int, len(columns))
	for i := range columns {
		index[columns[i].Name] = i
	}
	return index
}
