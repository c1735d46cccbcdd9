package rest

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/planner"
)

// usable is what openapi.sql returns.
type usable struct {
	Description string `json:"description"`
	Relations   []struct {
		Name        string         `json:"name"`
		Description string         `json:"description"`
		Select      bool           `json:"select"`
		Insert      bool           `json:"insert"`
		Update      bool           `json:"update"`
		Delete      bool           `json:"delete"`
		Columns     []usableColumn `json:"columns"`
	} `json:"relations"`
	Functions []struct {
		Name        string         `json:"name"`
		Description string         `json:"description"`
		Reads       bool           `json:"reads"`
		Arguments   []usableColumn `json:"arguments"`
	} `json:"functions"`
}

// usableColumn is a column of a relation or an argument of a function.
type usableColumn struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Type        string   `json:"type"`
	Base        string   `json:"base"` // of a domain the type beneath it
	Required    bool     `json:"required"`
	Default     string   `json:"default"`
	Length      int      `json:"length"`
	Labels      []string `json:"labels"` // of an enum
}

// object is an object of JSON; its members are written in the order of their names.
type object = map[string]any

// description puts a document of OpenAPI 2.0 together, with the names that clients of PostgREST look for.
type description struct {
	catalog *catalog.Catalog
	schema  string
	base    string
	usable

	visible map[string]bool // relations that are described
}

// mediaTypes are the formats of tables.
var mediaTypes = []string{"application/json", planner.MediaObject + planner.NullsStripped, planner.MediaObject, "text/csv"}

// document returns the whole.
func (d *description) document() object {
	d.visible = make(map[string]bool, len(d.Relations))
	for i := range d.Relations {
		d.visible[d.Relations[i].Name] = true
	}
	title, text := summary(d.Description)
	if title == "" {
		title = "Data API of the schema " + d.schema
	}
	parameters, definitions := commonParameters(), object{}
	paths := object{"/": object{"get": object{"tags": []string{"Introspection"}, "summary": "OpenAPI description (this document)",
		"produces": []string{mediaOpenAPI, "application/json"}, "responses": response("200", "OK")}}}
	for i := range d.Relations {
		d.relation(i, paths, definitions, parameters)
	}
	for i := range d.Functions {
		d.function(i, paths)
	}
	info := object{"title": title, "version": d.catalog.Version[:min(12, len(d.catalog.Version))]}
	if text != "" {
		info["description"] = text
	}
	return object{
		"swagger": "2.0", "info": info, "basePath": d.base, "consumes": mediaTypes, "produces": mediaTypes,
		"paths": paths, "definitions": definitions, "parameters": parameters,
	}
}

// relation adds a table or view.
func (d *description) relation(i int, paths, definitions, parameters object) {
	r := &d.Relations[i]
	known := d.catalog.Relations[catalog.QualifiedName{Schema: d.schema, Name: r.Name}]
	properties, required, filters := object{}, []string{}, []any{}
	for j := range r.Columns {
		c := &r.Columns[j]
		property := c.property()
		if notes := d.notes(known, c.Name); notes != "" {
			property["description"] = strings.TrimPrefix(c.Description+"\n\n"+notes, "\n\n")
		} else if c.Description != "" {
			property["description"] = c.Description
		}
		properties[c.Name] = property
		if c.Required {
			required = append(required, c.Name)
		}
		name := "rowFilter." + r.Name + "." + c.Name
		filter := object{"name": c.Name, "in": "query", "required": false, "type": "string"}
		if c.Description != "" {
			filter["description"] = c.Description
		}
		parameters[name] = filter
		filters = append(filters, reference("parameters", name))
	}
	definition := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		definition["required"] = required
	}
	if r.Description != "" {
		definition["description"] = r.Description
	}
	definitions[r.Name] = definition
	body := "body." + r.Name
	parameters[body] = object{"name": r.Name, "description": r.Name, "in": "body", "required": false, "schema": reference("definitions", r.Name)}

	operation := func(status, text string, parameters ...any) object {
		o := object{"tags": []string{r.Name}, "parameters": parameters, "responses": response(status, text)}
		describeOperation(o, r.Description)
		return o
	}
	path := object{}
	if r.Select {
		get := operation("200", "OK", append(filters[:len(filters):len(filters)], named("select", "order", "range", "rangeUnit", "offset", "limit", "preferCount")...)...)
		get["responses"] = object{"200": object{"description": "OK", "schema": object{"type": "array", "items": reference("definitions", r.Name)}},
			"206": object{"description": "Partial Content"}}
		path["get"] = get
	}
	if r.Insert {
		path["post"] = operation("201", "Created", append([]any{reference("parameters", body)}, named("select", "preferPost")...)...)
	}
	if r.Update {
		path["patch"] = operation("204", "No Content", append(filters[:len(filters):len(filters)], reference("parameters", body), reference("parameters", "preferReturn"))...)
	}
	if r.Delete {
		path["delete"] = operation("204", "No Content", append(filters[:len(filters):len(filters)], reference("parameters", "preferReturn"))...)
	}
	paths["/"+r.Name] = path
}

// notes says what a column is a key of, in PostgREST's words, which clients read.
func (d *description) notes(r *catalog.Relation, column string) string {
	if r == nil {
		return "" // younger than the catalog
	}
	var notes []string
	for _, key := range r.PrimaryKey {
		if key == column {
			notes = append(notes, "This is a Primary Key.<pk/>")
		}
	}
	for _, rel := range r.Relationships {
		if !rel.Outgoing || rel.Junction != nil || rel.Function != nil || len(rel.Columns) != 1 || rel.Columns[0].From.Name != column ||
			rel.Target.IsView() || rel.Target.Schema != d.schema || !d.visible[rel.Target.Name] {
			continue
		}
		table, key := rel.Target.Name, rel.Columns[0].To.Name
		notes = append(notes, "This is a Foreign Key to `"+table+"."+key+"`.<fk table='"+table+"' column='"+key+"'/>")
		break
	}
	if notes == nil {
		return ""
	}
	return "Note:\n" + strings.Join(notes, "\n")
}

// function adds a function; of several with one name the first is described.
func (d *description) function(i int, paths object) {
	f := &d.Functions[i]
	name := "/rpc/" + f.Name
	if paths[name] != nil {
		return
	}
	properties, required, query := object{}, []string{}, []any{}
	for j := range f.Arguments {
		a := &f.Arguments[j]
		property := a.property()
		properties[a.Name] = property
		if a.Required {
			required = append(required, a.Name)
		}
		parameter := object{"name": a.Name, "in": "query", "required": a.Required, "format": a.Type, "type": "string"}
		if t, ok := property["type"]; ok && t != "array" {
			parameter["type"] = t
		}
		query = append(query, parameter)
	}
	schema := object{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	if f.Description != "" {
		schema["description"] = f.Description
	}
	operation := func(parameters []any) object {
		o := object{"tags": []string{"(rpc) " + f.Name}, "parameters": parameters, "responses": response("200", "OK"),
			"produces": []string{"application/json", planner.MediaObject + planner.NullsStripped, planner.MediaObject}}
		describeOperation(o, f.Description)
		return o
	}
	path := object{"post": operation([]any{object{"name": "args", "in": "body", "required": true, "schema": schema}, reference("parameters", "preferParams")})}
	if f.Reads {
		path["get"] = operation(query)
	}
	paths[name] = path
}

// property describes values of a column or an argument.
func (c *usableColumn) property() object {
	p := object{"format": c.Type}
	kind := jsonType(c.Base)
	if kind != "" {
		p["type"] = kind
	}
	if kind == "array" {
		items := object{}
		if element := jsonType(strings.TrimSuffix(c.Base, "[]")); element != "" {
			items["type"] = element
		}
		p["items"] = items
	}
	if c.Labels != nil {
		p["enum"] = c.Labels
	}
	if c.Length > 0 {
		p["maxLength"] = c.Length
	}
	if v := defaultValue(kind, c.Default); v != nil {
		p["default"] = v
	}
	return p
}

// jsonType is the type that values of a type of PostgreSQL have in JSON; empty when they have any.
func jsonType(name string) string {
	switch name {
	case "json", "jsonb":
		return ""
	case "boolean":
		return "boolean"
	case "smallint", "integer", "bigint":
		return "integer"
	case "numeric", "real", "double precision":
		return "number"
	}
	if strings.HasSuffix(name, "[]") {
		return "array"
	}
	return "string"
}

// defaultValue reads the default of a column: a literal, or for texts also an expression. It is nil where it cannot be
// said in JSON.
func defaultValue(kind, expression string) any {
	if expression == "" {
		return nil
	}
	literal, quoted := expression, false
	if strings.HasPrefix(expression, "'") {
		if end := strings.LastIndex(expression, "'::"); end > 0 {
			literal, quoted = strings.ReplaceAll(expression[1:end], "''", "'"), true
		}
	}
	switch kind {
	case "string":
		return literal
	case "integer", "number", "boolean":
		var v any
		if json.Unmarshal([]byte(literal), &v) == nil {
			return json.RawMessage(literal)
		}
	case "array":
		if quoted && literal == "{}" {
			return []any{}
		}
	}
	return nil
}

// describeOperation adds what a comment says: its first line and the rest.
func describeOperation(operation object, comment string) {
	line, rest := summary(comment)
	if line != "" {
		operation["summary"] = line
	}
	if rest != "" {
		operation["description"] = rest
	}
}

// summary splits a comment into its first line and the rest.
func summary(comment string) (line, rest string) {
	line, rest, _ = strings.Cut(comment, "\n")
	return line, strings.TrimLeft(rest, "\n")
}

func response(status, text string) object { return object{status: object{"description": text}} }

// reference points at a part of the document (RFC 6901 in a fragment).
func reference(section, name string) object {
	name = strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	return object{"$ref": "#/" + section + "/" + url.PathEscape(name)}
}

// named are references to common parameters.
func named(names ...string) []any {
	list := make([]any, len(names))
	for i, name := range names {
		list[i] = reference("parameters", name)
	}
	return list
}

// commonParameters are the parameters that tables share.
func commonParameters() object {
	query := func(name, text string) object {
		return object{"name": name, "description": text, "in": "query", "required": false, "type": "string"}
	}
	header := func(name, text string) object {
		return object{"name": name, "description": text, "in": "header", "required": false, "type": "string"}
	}
	prefer := func(values ...string) object {
		p := header("Prefer", "Preference")
		p["enum"] = values
		return p
	}
	unit := header("Range-Unit", "Limiting and Pagination")
	unit["default"] = "items"
	returns := []string{"return=representation", "return=minimal", "return=headers-only"}
	return object{
		"preferParams": prefer("handling=strict"),
		"preferReturn": prefer(returns...),
		"preferCount":  prefer("count=exact"),
		"preferPost":   prefer(append(returns[:3:3], "resolution=ignore-duplicates", "resolution=merge-duplicates")...),
		"select":       query("select", "Filtering Columns"),
		"on_conflict":  query("on_conflict", "On Conflict"),
		"order":        query("order", "Ordering"),
		"range":        header("Range", "Limiting and Pagination"),
		"rangeUnit":    unit,
		"offset":       query("offset", "Limiting and Pagination"),
		"limit":        query("limit", "Limiting and Pagination"),
	}
}
