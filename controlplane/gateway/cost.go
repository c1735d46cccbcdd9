package gateway

import (
	"errors"
	"strconv"
)

// costSQL asks for the estimated cost of a statement that the connection has prepared, and raises ZF422 when it is above
// the limit. It runs as the role of the request, behind the gate.
const costSQL = "select auth.limit_cost(p_statement => $1, p_arguments => $2," +
	" p_search_path => pg_catalog.current_setting('search_path'), p_most => $3)"

// costTypes are the types of its parameters.
var costTypes = []uint32{oidText, oidTextArray, oidFloat8}

// errCostNeedsNames reports a limit that cannot be kept: a pooler in transaction mode has no named statements.
var errCostNeedsNames = errors.New("gateway: a limit of the cost needs named statements, which a pooler in transaction mode has not")

// sendCost queues the check of the statement's cost, if there is a limit.
func (c *conn) sendCost(b *batch, p *prepared) {
	if b.maxCost <= 0 {
		return
	}
	sendUnnamed(c.pg.Frontend(), costSQL, costTypes, [][]byte{
		[]byte(p.name), textArray(b.args), strconv.AppendFloat(nil, b.maxCost, 'g', -1, 64),
	}, nil, nil)
}

// textArray renders values as an array of texts; nil is NULL.
func textArray(values [][]byte) []byte {
	text := []byte{'{'}
	for i, value := range values {
		if i > 0 {
			text = append(text, ',')
		}
		if value == nil {
			text = append(text, "NULL"...)
			continue
		}
		text = append(text, '"')
		for _, c := range value {
			if c == '"' || c == '\\' {
				text = append(text, '\\')
			}
			text = append(text, c)
		}
		text = append(text, '"')
	}
	return append(text, '}')
}
