package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// The search path of a request, as in PostgREST: the schema that it names, then those of the setting rest.extra_search_path,
// then pg_temp, so that no temporary object takes the place of another. What lies in the extra schemas is found by SQL of
// the application (and so are operators of extensions by ours), but is not exposed, apart from columns that functions make.

// loginPath is the path of requests that need no setting: the logins' own.
const loginPath = "public"

// SearchPath is that of requests to one schema.
type SearchPath struct {
	Schemas []string // that schema, and the extra ones
	Setting string   // the value of search_path; empty when it needs none
}

// searchPaths makes the search path for each schema that a request may name.
func searchPaths(schemas, extra []string) map[string]SearchPath {
	paths := make(map[string]SearchPath, len(schemas))
	for _, schema := range schemas {
		p := SearchPath{Schemas: []string{schema}}
		for _, name := range extra {
			if !slices.Contains(p.Schemas, name) {
				p.Schemas = append(p.Schemas, name)
			}
		}
		if len(p.Schemas) > 1 || schema != loginPath {
			for _, name := range p.Schemas {
				p.Setting += `"` + strings.ReplaceAll(name, `"`, `""`) + `", `
			}
			p.Setting += "pg_temp"
		}
		paths[schema] = p
	}
	return paths
}

// openSchemasSQL lists the roles that requests run as and that may create objects in one of some schemas.
const openSchemasSQL = `select n.nspname::pg_catalog.text, r.rolname::pg_catalog.text
from pg_catalog.pg_namespace n
join pg_catalog.pg_roles r on not r.rolsuper and pg_catalog.pg_has_role(session_user, r.oid, 'member')
where n.nspname = any ($1::pg_catalog.text[])
  and pg_catalog.has_schema_privilege(r.oid, n.oid, 'create')
order by n.nspname, r.rolname`

// OpenSchemas says of which schemas of a search path the roles of requests may create objects in: whoever can put a
// function or an operator there can put it in the way of others.
func OpenSchemas(ctx context.Context, g Gateway, schemas []string) (list []string, err error) {
	statement := gateway.Statement{SQL: openSchemasSQL, Args: [][]byte{AppendArray(nil, schemas)}}
	err = g.Query(ctx, gateway.Caller{Role: "anon"}, statement, gateway.QueryOptions{ReadOnly: true}, func(row [][]byte) error {
		list = append(list, fmt.Sprintf("%s may create objects in %s", row[1], row[0]))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("search path: %w", err)
	}
	return list, nil
}

// missingSchemasSQL lists the names that no schema has.
const missingSchemasSQL = `select l.name from pg_catalog.unnest($1::pg_catalog.text[]) with ordinality l (name, n)
where not exists (select from pg_catalog.pg_namespace s where s.nspname = l.name) order by l.n`

// MissingSchemas says which of some schemas do not exist: misspelled, as a rule, or not made yet.
func MissingSchemas(ctx context.Context, g Gateway, schemas []string) (list []string, err error) {
	statement := gateway.Statement{SQL: missingSchemasSQL, Args: [][]byte{AppendArray(nil, schemas)}}
	err = g.Query(ctx, gateway.Caller{Role: "anon"}, statement, gateway.QueryOptions{ReadOnly: true}, func(row [][]byte) error {
		list = append(list, string(row[0]))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for schemas: %w", err)
	}
	return list, nil
}
