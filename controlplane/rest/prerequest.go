package rest

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

// preRequestSQL finds a function that can be called before every request.
const preRequestSQL = `select pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname)
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname = $1::pg_catalog.text and p.proname = $2::pg_catalog.text and p.prokind = 'f' and p.pronargs = 0 and not p.proretset`

// PreRequest returns the SQL of the function that the setting rest.pre_request names: schema.function, or a function of the
// schema public. It has no arguments.
func PreRequest(ctx context.Context, g catalog.Gateway, name string) (sql string, err error) {
	schema, function, qualified := strings.Cut(name, ".")
	if !qualified {
		schema, function = "public", name
	}
	statement := gateway.Statement{SQL: preRequestSQL, Args: [][]byte{[]byte(schema), []byte(function)}}
	err = g.Query(ctx, gateway.Caller{Role: "anon"}, statement, gateway.QueryOptions{ReadOnly: true}, func(row [][]byte) error {
		sql = string(row[0])
		return nil
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("rest.pre_request: %w", err)
	case sql == "":
		return "", fmt.Errorf("rest.pre_request: there is no function %s.%s without arguments", schema, function)
	}
	return sql, nil
}

// before returns the statement that runs before the statement of a request, nil for none: it sets the search path,
// asks whether the caller is of the tenant whose schema it is, tells SQL what was asked, if some looks at it, and calls the
// function of the setting, in this order.
func (h *Handler) before(path, tenant string, looks bool, a *dialect.Asked) *gateway.Statement {
	if path == "" && tenant == "" && !looks && h.PreRequest == "" {
		return nil
	}
	var s gateway.Statement
	parts := make([]string, 0, 4)
	if path != "" {
		s.Args = append(s.Args, []byte(path))
		parts = append(parts, "pg_catalog.set_config('search_path', $1, true)")
	}
	if tenant != "" {
		s.Args = append(s.Args, []byte(tenant))
		parts = append(parts, "auth.require_tenant_schema(p_schema => $"+strconv.Itoa(len(s.Args))+")")
	}
	if looks {
		parts = append(parts, tell(a, &s))
	}
	if h.PreRequest != "" {
		parts = append(parts, h.PreRequest+"()")
	}
	s.SQL = "select " + strings.Join(parts, ", ")
	return &s
}
