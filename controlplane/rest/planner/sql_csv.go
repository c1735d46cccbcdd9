package planner

import (
	"bytes"
	"encoding/csv"
	"strconv"
)

// csv appends the expression that makes CSV of the rows r: the line of names, which is bound, and each row
// as PostgreSQL writes a record, without its parentheses.
func (b *builder) csv(names []string) {
	var header bytes.Buffer
	w := csv.NewWriter(&header)
	_ = w.Write(names) // a buffer takes everything
	w.Flush()
	b.sql("pg_catalog.concat(")
	b.bind(header.Bytes())
	b.sql("::pg_catalog.text, pg_catalog.string_agg(pg_catalog.substr((r.*)::pg_catalog.text, '2', " +
		"pg_catalog.length((r.*)::pg_catalog.text) - '2'), E'\\n'))")
}

// Names returns the keys of a node's objects.
func (n *node) Names() []string {
	members := n.expanded()
	list := make([]string, len(members))
	for i := range members {
		list[i] = members[i].key
	}
	return list
}

// values appends the select list of rows whose columns need no names.
func (b *builder) values(n *node) {
	b.ungroup(n)
	for i, m := range n.expanded() {
		b.comma(i)
		b.memberValue(n, &m)
		b.sql(" as s", strconv.Itoa(i))
	}
}
