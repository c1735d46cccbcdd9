package planner

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// call chooses the function of a call and binds its arguments.
func (p *Plan) call(c *catalog.Catalog, schema string, r *dialect.Request) *fault.Error {
	names := r.Payload.Keys()
	if r.Payload.Kind == dialect.BodyNamed {
		names = argumentNames(r.Arguments)
	}
	var fitting []*catalog.Routine
	for _, f := range c.Routines[catalog.QualifiedName{Schema: schema, Name: r.Name}] {
		if f.Accepts(names) {
			fitting = append(fitting, f)
		}
	}
	named := r.Payload.Kind == dialect.BodyNamed || r.Payload.Kind == dialect.BodyJSON && !r.Payload.IsDocument()
	if !named || len(fitting) == 0 {
		fitting = taking(c, schema, r)
		p.whole = len(fitting) > 0
	}
	switch len(fitting) {
	case 0:
		if r.Payload.IsDocument() {
			return fault.Body("Arguments of a function are a JSON object", "another document was sent")
		}
		return NoFunction(schema, r.Name, names, r.Payload.Kind)
	case 1:
	default:
		return errOverload(fitting)
	}
	f := fitting[0]
	if r.Get && f.Volatility == catalog.Volatile {
		method := http.MethodGet
		if r.Head {
			method = http.MethodHead
		}
		return fault.CallMethod(method, "the function may write; use POST", "OPTIONS, POST")
	}
	p.Routine = f
	if p.whole {
		p.arguments = []argument{{Argument: &f.Arguments[0]}}
	}
	for i := range f.Arguments {
		if p.whole {
			break
		}
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
	everything := r.Select == nil || len(r.Select) == 1 && r.Select[0].Star
	if f.Returns != catalog.Composite && (r.Where != nil || r.Order != nil || !everything) {
		return fault.Unsupported("select, order or a filter on a function that does not return rows")
	}
	if !f.Set && r.Prefer.MaxAffected != nil {
		return fault.MaxAffectedCall()
	}
	return nil
}

// maxArguments is the greatest number of arguments that PostgreSQL lets a function have.
const maxArguments = 100

// argumentNames returns the distinct names of arguments in their order. Of more than a function can have, it returns
// one too many.
func argumentNames(arguments []dialect.NamedValue) (names []string) {
	for _, a := range arguments {
		if len(names) <= maxArguments && !slices.Contains(names, a.Name) {
			names = append(names, a.Name)
		}
	}
	return names
}

// taking returns the functions that take the whole body as their one argument, which has no name.
func taking(c *catalog.Catalog, schema string, r *dialect.Request) (fitting []*catalog.Routine) {
	if r.Payload.Raw == nil {
		return nil
	}
	for _, f := range c.Routines[catalog.QualifiedName{Schema: schema, Name: r.Name}] {
		if len(f.Arguments) == 1 && f.Arguments[0].Name == "" && slices.Contains(bodyTypes[r.Payload.Kind], f.Arguments[0].Type) {
			fitting = append(fitting, f)
		}
	}
	return fitting
}

// bodyTypes are the types of the argument that takes a body.
var bodyTypes = [...][]string{
	dialect.BodyJSON:   {"pg_catalog.json", "pg_catalog.jsonb"},
	dialect.BodyText:   {"pg_catalog.text"},
	dialect.BodyBinary: {"pg_catalog.bytea"},
	dialect.BodyXML:    {"pg_catalog.xml"},
}

// NoFunction reports a call that no function of the catalog fits.
func NoFunction(schema, name string, arguments []string, body dialect.BodyKind) *fault.Error {
	if body > dialect.BodyJSON {
		return &fault.Error{Status: http.StatusNotFound, Code: "PGRST202", Stale: true,
			Message: fmt.Sprintf("Could not find the function %s.%s in the schema cache", schema, name),
			Details: fmt.Sprintf("Searched for the function %s.%s with a single unnamed %s parameter, but no matches were found in the schema cache.",
				schema, name, bodyTypes[body][0][len("pg_catalog."):])}
	}
	call, with, or := " without parameters", " without parameters", ""
	if body == dialect.BodyJSON {
		or = " or with a single unnamed json/jsonb parameter"
	}
	if len(arguments) > 0 {
		list := strings.Join(arguments, ", ")
		call, with = "("+list+")", " with parameter "+list
		if len(arguments) > 1 {
			with = " with parameters " + list
		}
	}
	return &fault.Error{Status: http.StatusNotFound, Code: "PGRST202", Stale: true,
		Message: fmt.Sprintf("Could not find the function %s.%s%s in the schema cache", schema, name, call),
		Details: fmt.Sprintf("Searched for the function %s.%s%s%s, but no matches were found in the schema cache.", schema, name, with, or)}
}

// errOverload reports a call that several functions of the catalog fit.
func errOverload(candidates []*catalog.Routine) *fault.Error {
	list := make([]string, len(candidates))
	for i, f := range candidates {
		list[i] = f.Signature()
	}
	return &fault.Error{Status: http.StatusMultipleChoices, Code: "PGRST203",
		Message: "Could not choose the best candidate function between: " + strings.Join(list, ", "),
		Hint:    "Try renaming the parameters or the function itself in the database so function overloading can be resolved"}
}
