package catalog

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// catalogSQL reads the catalog in one statement.
//
//go:embed catalog.sql
var catalogSQL string

// askedSQL asks whether some does.
//
//go:embed asked.sql
var askedSQL string

// DynamicSQL asks whether application code may run SQL that it makes up.
//
//go:embed dynamicsql.sql
var dynamicSQL string

// hiddenSchemas are never exposed or searched, whatever the configuration says.
var hiddenSchemas = []string{"auth", "audit", "ratelimit", "fluxbase", "information_schema"}

// Schemas says what a catalog is of.
type Schemas struct {
	Exposed []string // the first is the default
	Extra   []string // searched behind the schema of a request, and not exposed
	Tenants []string // exposed, too, and known to nobody but their members
}

// WithoutJIT adds to the statement before another, which may be none, that the other is not compiled. What reads the system
// catalogs looks expensive to the planner, without statistics above all, and compiling it takes ten times as long as running it.
func WithoutJIT(before *gateway.Statement) *gateway.Statement {
	const off = "pg_catalog.set_config('jit', 'off', true)"
	if before == nil {
		return &gateway.Statement{SQL: "select " + off}
	}
	before.SQL += ", " + off
	return before
}

// Load reads the catalog of the exposed schemas through the gateway, with the rights of anon: the
// system catalogs that it reads are readable by everybody.
func Load(ctx context.Context, g Gateway, schemas Schemas) (*Catalog, error) {
	if err := schemas.check(); err != nil {
		return nil, err
	}
	var catalog *Catalog
	list := AppendArray(nil, schemas.listed())
	statement := gateway.Statement{SQL: catalogSQL, Args: [][]byte{list, AppendArray(nil, schemas.Extra)}}
	err := g.Query(ctx, gateway.Caller{Role: "anon"}, statement, gateway.QueryOptions{ReadOnly: true, Before: WithoutJIT(nil)},
		func(row [][]byte) (err error) {
			catalog, err = New(schemas, row[0])
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("load the catalog: %w", err)
	}
	if catalog == nil {
		return nil, errors.New("load the catalog: no row")
	}
	statement.Args = statement.Args[:1]
	for _, part := range []struct {
		sql  string
		read func([]byte) error
	}{
		{viewsSQL, catalog.relateViews},
		{mediaSQL, catalog.ReadMedia},
		{askedSQL, func(document []byte) error { return json.Unmarshal(document, &catalog.Asked) }},
		{dynamicSQL, func(document []byte) error { return json.Unmarshal(document, &catalog.DynamicSQL) }},
	} {
		statement.SQL = part.sql
		err = g.Query(ctx, gateway.Caller{Role: "anon"}, statement, gateway.QueryOptions{ReadOnly: true, Before: WithoutJIT(nil)},
			func(row [][]byte) error {
				sum := sha256.Sum256(append([]byte(catalog.Version), row[0]...))
				catalog.Version = hex.EncodeToString(sum[:])
				return part.read(row[0])
			})
		if err != nil {
			return nil, fmt.Errorf("load the catalog: %w", err)
		}
	}
	return catalog, nil
}

// listed are all schemas that are exposed.
func (s *Schemas) listed() []string { return append(slices.Clone(s.Exposed), s.Tenants...) }

// check refuses to expose nothing, and schemas that are ours or PostgreSQL's. As for the search path, PostgreSQL's own schema
// comes first and pg_temp last because neither is named.
func (s *Schemas) check() error {
	if len(s.Exposed) == 0 {
		return errors.New("rest: no schema to expose")
	}
	for _, name := range append(s.listed(), s.Extra...) {
		if name == "" || name == "$user" || strings.HasPrefix(name, "pg_") || slices.Contains(hiddenSchemas, name) {
			return fmt.Errorf("rest: schema %q can be neither exposed nor searched", name)
		}
	}
	return nil
}

// catalogDocument is what catalog.sql returns.
type catalogDocument struct {
	Relations []struct {
		Schema      string           `json:"schema"`
		Name        string           `json:"name"`
		SQL         string           `json:"sql"`
		Ident       string           `json:"ident"`
		Kind        string           `json:"kind"`
		Events      int              `json:"events"`
		Columns     []columnDocument `json:"columns"`
		PrimaryKey  []string         `json:"primary_key"`
		UniqueKeys  [][]string       `json:"unique_keys"`
		ForeignKeys []struct {
			Name       string   `json:"name"`
			Columns    []string `json:"columns"`
			Schema     string   `json:"schema"`
			Table      string   `json:"table"`
			References []string `json:"references"`
		} `json:"foreign_keys"`
	} `json:"relations"`
	Functions []struct {
		Schema     string     `json:"schema"`
		Name       string     `json:"name"`
		SQL        string     `json:"sql"`
		Ident      string     `json:"ident"`
		Volatility Volatility `json:"volatility"`
		Set        bool       `json:"set"`
		OneRow     bool       `json:"one_row"`
		Type       string     `json:"type"`
		Returns    Result     `json:"returns"`
		Relation   []string   `json:"relation"`
		Arguments  []struct {
			Name       string   `json:"name"`
			SQL        string   `json:"sql"`
			Type       string   `json:"type"`
			Display    string   `json:"display"`
			HasDefault bool     `json:"has_default"`
			Variadic   bool     `json:"variadic"`
			Relation   []string `json:"relation"`
		} `json:"arguments"`
		Columns []columnDocument `json:"columns"`
	} `json:"functions"`
	Representations []castDocument `json:"representations"`

	Timeouts  []roleTimeout `json:"timeouts"`
	Timezones []string      `json:"timezones"`
	Types     []struct {
		Name    string `json:"name"`
		Display string `json:"display"`
		SQL     string `json:"sql"`
	} `json:"types"`
}

type columnDocument struct {
	Name       string `json:"name"`
	SQL        string `json:"sql"`
	Type       string `json:"type"`
	Nullable   bool   `json:"nullable"`
	HasDefault bool   `json:"has_default"`
	Generated  bool   `json:"generated"`
}

// New builds a catalog from the document that catalog.sql returns.
func New(schemas Schemas, document []byte) (*Catalog, error) {
	if err := schemas.check(); err != nil {
		return nil, err
	}
	listed := schemas.listed()
	var doc catalogDocument
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, fmt.Errorf("rest: catalog document: %w", err)
	}
	sum := sha256.Sum256(document)
	c := &Catalog{
		Version:   hex.EncodeToString(sum[:]),
		Schemas:   listed,
		Tenants:   make(map[string]bool, len(schemas.Tenants)),
		Paths:     searchPaths(listed, schemas.Extra),
		Relations: make(map[QualifiedName]*Relation, len(doc.Relations)),
		Routines:  make(map[QualifiedName][]*Routine, len(doc.Functions)),
		Types:     make(map[string]string, 2*len(doc.Types)),
	}
	for _, name := range schemas.Tenants {
		c.Tenants[name] = true
	}
	c.Timeouts = timeouts(doc.Timeouts)
	represent := domains(doc.Representations)
	for _, d := range doc.Relations {
		r := &Relation{Schema: d.Schema, Name: d.Name, Kind: d.Kind, Events: d.Events, SQL: d.SQL, Ident: d.Ident,
			Columns: columns(d.Columns, represent), PrimaryKey: d.PrimaryKey, UniqueKeys: d.UniqueKeys}
		for _, k := range d.ForeignKeys {
			r.ForeignKeys = append(r.ForeignKeys, ForeignKey(k))
		}
		r.Index = indexColumns(r.Columns)
		c.Relations[QualifiedName{d.Schema, d.Name}] = r
	}
	c.relate()
	for _, d := range doc.Functions {
		r := &Routine{Schema: d.Schema, Name: d.Name, SQL: d.SQL, Ident: d.Ident, Volatility: d.Volatility, Set: d.Set,
			OneRow: d.OneRow, Type: d.Type, Returns: d.Returns, Columns: columns(d.Columns, represent)}
		for _, a := range d.Arguments {
			r.Arguments = append(r.Arguments, Argument{Name: a.Name, SQL: a.SQL, Type: a.Type, Display: a.Display,
				HasDefault: a.HasDefault, Variadic: a.Variadic, relation: c.named(a.Relation)})
		}
		r.Index = indexColumns(r.Columns)
		r.Relation = c.named(d.Relation)
		c.compute(r, represent)
		if !slices.Contains(listed, d.Schema) {
			continue // it is called for a row alone
		}
		name := QualifiedName{d.Schema, d.Name}
		c.Routines[name] = append(c.Routines[name], r)
	}
	c.Timezones = make(map[string]bool, len(doc.Timezones))
	for _, name := range doc.Timezones {
		c.Timezones[name] = true
	}
	for _, t := range doc.Types {
		// The first wins: types of pg_catalog come first, and a name of several schemas means the first.
		for _, name := range []string{t.Name, t.Display} {
			if _, taken := c.Types[name]; !taken {
				c.Types[name] = t.SQL
			}
		}
	}
	for alias, name := range map[string]string{"int": "int4", "float": "float8", "decimal": "numeric"} {
		if _, taken := c.Types[alias]; !taken && c.Types[name] != "" {
			c.Types[alias] = c.Types[name]
		}
	}
	return c, nil
}

// named returns the relation of a pair of schema and name, nil without such a pair.
func (c *Catalog) named(pair []string) *Relation {
	if len(pair) != 2 {
		return nil
	}
	return c.Relations[QualifiedName{pair[0], pair[1]}]
}

func columns(docs []columnDocument, represent map[string]*domainCasts) []Column {
	list := make([]Column, len(docs))
	for i, d := range docs {
		list[i] = Column{Name: d.Name, SQL: d.SQL, Type: d.Type, Nullable: d.Nullable, HasDefault: d.HasDefault,
			Generated: d.Generated, casts: represent[d.Type]}
	}
	return list
}

// Gateway runs one statement on behalf of a caller; see gateway.Gateway.Query.
type Gateway interface {
	Query(ctx context.Context, caller gateway.Caller, statement gateway.Statement, options gateway.QueryOptions,
		fn func(row [][]byte) error) error
}
