package rest

import (
	"context"
	_ "embed"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// A column that grants hide from the caller is answered like one that does not exist: PostgreSQL would say that something is
// forbidden, and so that it is there. A caller with no right on any column of a table is told by PostgreSQL, as for any table.

// hiddenSQL asks for the first of some columns that is hidden.
//
//go:embed hidden.sql
var hiddenSQL string

// namedColumn is a column that the client has named.
type namedColumn struct {
	relation *Relation
	name     string
	written  bool // a key of the body
}

// hide returns the error for a column that the caller may not know of when that is what err is about, else err. It costs a
// round trip, of a request that has failed.
func (h *Handler) hide(ctx context.Context, caller gateway.Caller, p *Plan, err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "42501" {
		return err
	}
	named := p.namedColumns()
	if len(named) == 0 {
		return err
	}
	var schemas, relations, columns []string
	for _, c := range named {
		schemas, relations, columns = append(schemas, c.relation.Schema), append(relations, c.relation.Name), append(columns, c.name)
	}
	statement := gateway.Statement{SQL: hiddenSQL, Args: [][]byte{appendArray(nil, schemas), appendArray(nil, relations), appendArray(nil, columns)}}
	position := 0
	if h.Gateway.Query(ctx, caller, statement, gateway.QueryOptions{ReadOnly: true}, func(row [][]byte) (err error) {
		position, err = strconv.Atoi(string(row[0]))
		return err
	}) != nil || position < 1 || position > len(named) {
		return err
	}
	c := named[position-1]
	if c.written {
		return errTargetColumn(c.relation.Name, c.name)
	}
	return errColumn(c.relation.Name, c.name)
}

// namedColumns lists the columns that the client has named, in the order in which the plan has looked them up.
func (p *Plan) namedColumns() (list []namedColumn) {
	root := p.relation
	if p.action == Call {
		root = p.routine.relation
	}
	list = p.node.namedColumns(nil, root)
	for i := range p.parts {
		for _, c := range p.parts[i].targets {
			list = append(list, namedColumn{root, c.Name, true})
		}
		for _, c := range p.parts[i].defaults {
			list = append(list, namedColumn{root, c.Name, true})
		}
	}
	for _, c := range p.conflict {
		list = append(list, namedColumn{root, c.Name, false})
	}
	return list
}

// namedColumns appends the columns of a node, which reads the relation, and of the embeds in it.
func (n *node) namedColumns(list []namedColumn, relation *Relation) []namedColumn {
	add := func(p *place) {
		if relation != nil && p.Column != nil && p.Column.function == "" {
			list = append(list, namedColumn{relation, p.Name, false})
		}
	}
	seen := make(map[*embed]bool, len(n.embeds))
	within := func(e *embed) {
		if !seen[e] {
			seen[e] = true
			list = e.namedColumns(list, e.target)
		}
	}
	for i := range n.members {
		if m := &n.members[i]; m.embed != nil {
			within(m.embed)
		} else {
			add(&m.place)
		}
	}
	for _, e := range n.embeds {
		within(e)
	}
	var conditions func([]predicate)
	conditions = func(where []predicate) {
		for i := range where {
			if p := &where[i]; p.children != nil {
				conditions(p.children)
			} else if p.embed == nil {
				add(&p.place)
			}
		}
	}
	conditions(n.where)
	for i := range n.order {
		if k := &n.order[i]; k.embed == nil {
			add(&k.place)
		}
	}
	for _, e := range n.embeds {
		for i := range e.sorts {
			if c := e.sorts[i].Column; c != nil && c.function == "" {
				list = append(list, namedColumn{e.target, c.Name, false})
			}
		}
	}
	return list
}
