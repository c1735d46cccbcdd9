package catalog

import (
	"slices"
	"strings"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// Catalog is an immutable picture of the exposed schemas. It is built once, shared by all requests
// and replaced as a whole (see Cache).
type Catalog struct {
	// Version identifies the content: two catalogs of one version are equal.
	Version string
	// Schemas are the exposed schemas, the default first.
	Schemas []string

	Tenants   map[string]bool       // those of Schemas that are of a tenant
	Paths     map[string]SearchPath // for each of Schemas
	Relations map[QualifiedName]*Relation
	Routines  map[QualifiedName][]*Routine
	Types     map[string]string // name as a client may write it -> SQL
	// DynamicSQL tells that application code may run SQL that it makes up, in whatever request.
	DynamicSQL bool
	// Asked tells that application code looks at the HTTP request.
	Asked     bool
	Timezones map[string]bool
	Timeouts  map[string]time.Duration // of the statements of roles that have a limit of their own
	Formats   *Formats
}

// QualifiedName is a schema and a name in it.
type QualifiedName struct{ Schema, Name string }

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

	Index         map[string]int // column name -> position in Columns
	Relationships []*Relationship
	Computed      map[QualifiedName]*Column       // columns that functions make, by the functions' names
	functions     map[QualifiedName]*Relationship // relationships that functions make, by the functions' names
}

// Column is a column of a relation or of a function's result.
type Column struct {
	Name       string
	SQL        string // the quoted name
	Type       string // SQL of the type, schema-qualified, without length or precision
	Nullable   bool
	HasDefault bool // a default or an identity
	Generated  bool

	// Function is the SQL of the function that makes the value of a row; empty for a column that is stored.
	Function string
	// casts say how values look outside; nil is PostgreSQL's own way.
	casts *domainCasts
}

// IsView tells whether the relation is a view or a materialized view.
func (r *Relation) IsView() bool { return r.Kind == "v" || r.Kind == "m" }

// Column returns a column that the relation has.
func (r *Relation) Column(name string) *Column { return &r.Columns[r.Index[name]] }

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

	Relation *Relation      // whose rows are returned; nil without
	Index    map[string]int // column name -> position in Columns
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

// Signature renders the function for an error message.
func (r *Routine) Signature() string {
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

// Schema returns the schema that a profile names; the empty profile is the default schema.
func (c *Catalog) Schema(profile string) (string, *fault.Error) {
	if profile == "" {
		return c.Schemas[0], nil
	}
	for _, s := range c.Schemas {
		if s == profile {
			return s, nil
		}
	}
	return "", fault.Profile(profile, c.Listed())
}

// indexColumns maps names to positions.
func indexColumns(columns []Column) map[string]int {
	index := make(map[string]int, len(columns))
	for i := range columns {
		index[columns[i].Name] = i
	}
	return index
}

// Accepts tells whether the function can be called with exactly these named arguments: it has all of
// them, and a default for every other.
func (r *Routine) Accepts(names []string) bool {
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

// Listed are the schemas that an error may name: all but those of tenants.
func (c *Catalog) Listed() []string {
	if len(c.Tenants) == 0 {
		return c.Schemas
	}
	var list []string
	for _, s := range c.Schemas {
		if !c.Tenants[s] {
			list = append(list, s)
		}
	}
	return list
}
