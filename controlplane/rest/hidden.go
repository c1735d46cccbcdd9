package rest

import (
	"context"
	_ "embed"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
	"github.com/wayli-app/fluxbase/controlplane/rest/planner"
)

// A column that grants hide from the caller is answered like one that does not exist: PostgreSQL would say that something is
// forbidden, and so that it is there. A caller with no right on any column of a table is told by PostgreSQL, as for any table.

// hiddenSQL asks for the first of some columns that is hidden.
//
//go:embed hidden.sql
var hiddenSQL string

// hide returns the error for a column that the caller may not know of when that is what err is about, else err. It costs a
// round trip, of a request that has failed.
func (h *Handler) hide(ctx context.Context, caller gateway.Caller, p *planner.Plan, err error) error {
	if err == nil {
		return nil
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "42501" {
		return err
	}
	named := p.NamedColumns()
	if len(named) == 0 {
		return err
	}
	var schemas, relations, columns []string
	for _, c := range named {
		schemas, relations, columns = append(schemas, c.Relation.Schema), append(relations, c.Relation.Name), append(columns, c.Name)
	}
	statement := gateway.Statement{SQL: hiddenSQL, Args: [][]byte{catalog.AppendArray(nil, schemas), catalog.AppendArray(nil, relations), catalog.AppendArray(nil, columns)}}
	position := 0
	if h.Gateway.Query(ctx, caller, statement, gateway.QueryOptions{ReadOnly: true}, func(row [][]byte) (err error) {
		position, err = strconv.Atoi(string(row[0]))
		return err
	}) != nil || position < 1 || position > len(named) {
		return err
	}
	c := named[position-1]
	if c.Written {
		return fault.TargetColumn(c.Relation.Name, c.Name)
	}
	return fault.Column(c.Relation.Name, c.Name)
}
