package planner

import (
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

// handler returns the format of the application's own for what a plan answers with; nil is none. What is made for all
// formats goes first, then what is made for the target, then what is made for any. Rows with columns that the client has
// named have no type that a function could take, and rows with other columns than the relation's are not its rows.
func (p *Plan) handler(c *catalog.Catalog, kind string) *catalog.Format {
	if p.Action == dialect.Call && p.Routine.Returns != catalog.Composite {
		return p.valueHandler(c, kind)
	}
	relation := p.Relation
	if p.Action == dialect.Call {
		relation = p.Routine.Relation
	}
	h := c.Formats
	if h == nil || p.renames() || p.Grouped {
		return nil
	}
	if p.members == nil && relation != nil {
		for _, k := range [...]string{mediaAny, kind} {
			if m := h.Rows[catalog.FormatTarget{Relation: relation, Kind: k}]; m != nil {
				return m
			}
		}
	}
	if m := h.Any[kind]; m != nil {
		return m
	}
	if kind == catalog.MediaGeo {
		return h.GeoJSON
	}
	return nil
}

// valueHandler is handler for a function that returns a value.
func (p *Plan) valueHandler(c *catalog.Catalog, kind string) *catalog.Format {
	if p.Routine.Set || p.Routine.Returns != catalog.Scalar {
		return nil
	}
	if h := c.Formats; h != nil {
		if m := h.Values[p.Routine.Type]; m != nil && (m.Name == kind || m.Name == mediaAny) {
			return m
		}
	}
	if m := builtinValues[p.Routine.Type]; m != nil && m.Name == kind {
		return m
	}
	return nil
}

// builtinValues are the formats of functions' values without a domain.
var builtinValues = map[string]*catalog.Format{
	"pg_catalog.bytea":   {Name: mediaBinary, Binary: true},
	"pg_catalog.text":    {Name: mediaText},
	"pg_catalog.varchar": {Name: mediaText},
	"pg_catalog.xml":     {Name: mediaXML},
}
