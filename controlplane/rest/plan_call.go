package rest

import (
	"net/http"
	"slices"
)

// call chooses the function of a call and binds its arguments.
func (c *Catalog) call(p *Plan, schema string, r *Request) *Error {
	names := r.Payload.keys()
	if r.Payload.Kind == BodyNamed {
		names = argumentNames(r.Arguments)
	}
	var fitting []*Routine
	for _, f := range c.routines[qualifiedName{schema, r.Name}] {
		if f.accepts(names) {
			fitting = append(fitting, f)
		}
	}
	named := r.Payload.Kind == BodyNamed || r.Payload.Kind == BodyJSON && !r.Payload.isDocument()
	if !named || len(fitting) == 0 {
		fitting = c.taking(schema, r)
		p.whole = len(fitting) > 0
	}
	switch len(fitting) {
	case 0:
		if r.Payload.isDocument() {
			return errBody("Arguments of a function are a JSON object", "another document was sent")
		}
		return errFunction(schema, r.Name, names, r.Payload.Kind)
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
		return errCallMethod(method, "the function may write; use POST", "OPTIONS, POST")
	}
	p.routine = f
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
	if f.Returns != Composite && (r.Where != nil || r.Order != nil || r.Select != nil) {
		return errUnsupported("select, order or a filter on a function that does not return rows")
	}
	if !f.Set && r.Prefer.MaxAffected != nil {
		return errMaxAffectedCall()
	}
	return nil
}

// maxArguments is the greatest number of arguments that PostgreSQL lets a function have.
const maxArguments = 100

// argumentNames returns the distinct names of arguments in their order. Of more than a function can have, it returns
// one too many.
func argumentNames(arguments []NamedValue) (names []string) {
	for _, a := range arguments {
		if len(names) <= maxArguments && !slices.Contains(names, a.Name) {
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

// taking returns the functions that take the whole body as their one argument, which has no name.
func (c *Catalog) taking(schema string, r *Request) (fitting []*Routine) {
	if r.Payload.Raw == nil {
		return nil
	}
	for _, f := range c.routines[qualifiedName{schema, r.Name}] {
		if len(f.Arguments) == 1 && f.Arguments[0].Name == "" && slices.Contains(bodyTypes[r.Payload.Kind], f.Arguments[0].Type) {
			fitting = append(fitting, f)
		}
	}
	return fitting
}

// bodyTypes are the types of the argument that takes a body.
var bodyTypes = [...][]string{
	BodyJSON:   {"pg_catalog.json", "pg_catalog.jsonb"},
	BodyText:   {"pg_catalog.text"},
	BodyBinary: {"pg_catalog.bytea"},
	BodyXML:    {"pg_catalog.xml"},
}

// isDocument tells whether the body is JSON but no object, so that it names no arguments.
func (p *Payload) isDocument() bool { return p.Kind == BodyJSON && p.Parts == nil && p.Raw != nil }
