package planner

import (
	"strconv"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
)

// Statement builds the one statement of the plan. Its row has four columns, or five: the body (text, or
// null where the answer has no body), the number of rows in it, the status and the headers that SQL of the
// application wants, and, where limit or offset leave rows out and the client asked for it, the number of all,
// or, of an insert that may update, the number of those that were there before. With ReturnHeadersOnly the first column is the primary
// key of the inserted row instead, an array of texts in JSON.
//
// Everything written into the text is a constant of these files or SQL of the catalog; the only other
// writer is bind, which writes a parameter number.
func (p *Plan) Statement() gateway.Statement {
	var b builder
	b.text.Grow(384)
	b.csvText = p.Media.CSV
	if e := p.Media.explain; e != nil {
		b.explain(e)
	}
	switch p.Action {
	case dialect.Read:
		b.read(p)
	case dialect.Call:
		b.call(p)
	default:
		b.write(p)
	}
	return gateway.Statement{SQL: b.text.String(), Args: b.args}
}

// builder collects the text and the arguments of a statement.
type builder struct {
	text    strings.Builder
	args    [][]byte
	groups  map[int][]groupKey // by the numbers of nodes
	csvText bool               // values are written for CSV
}

// sql appends constants and SQL of the catalog.
func (b *builder) sql(parts ...string) {
	for _, s := range parts {
		b.text.WriteString(s)
	}
}

// bind appends a parameter with this value.
func (b *builder) bind(value []byte) {
	if b.args == nil {
		b.args = make([][]byte, 0, 4)
	}
	b.args = append(b.args, value)
	var digits [8]byte
	b.text.WriteByte('$')
	b.text.Write(strconv.AppendInt(digits[:0], int64(len(b.args)), 10))
}

// bindInt appends a parameter with this number.
func (b *builder) bindInt(n int64) { b.bind(strconv.AppendInt(nil, n, 10)) }

// digits appends a small number of ours.
func (b *builder) digits(n int) { b.text.WriteString(strconv.Itoa(n)) }

// comma appends ", " before every element but the first.
func (b *builder) comma(i int) {
	if i > 0 {
		b.sql(", ")
	}
}
