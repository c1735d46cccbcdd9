package rest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
	"github.com/wayli-app/fluxbase/controlplane/rest/planner"
)

const contentTypeJSON = "application/json; charset=utf-8"

// answer is the row of a statement, copied.
type answer struct {
	body  []byte
	rows  int64
	total int64 // of all rows; -1 when the statement does not say

	existing int64 // of an insert that may update: rows that were there before

	address string         // Content-Location; empty without
	large   largeAnswer    // how a large body is sent
	spooled *dialect.Spool // the body of a bulk insert's answer, instead of body

	status  int // that SQL wants; 0 when it does not say
	own     []fault.Header
	refused *fault.Error // of what SQL wants
}

// fields sets fields of a header. Their values lie in one piece of memory: an answer has several.
type fields struct {
	http.Header
	values []string
}

// fieldsOf is for the header of one answer.
func fieldsOf(w http.ResponseWriter) fields {
	return fields{w.Header(), make([]string, 0, 7)}
}

// set replaces a field, whose name is in its canonical form.
func (f *fields) set(name, value string) {
	f.values = append(f.values, value)
	n := len(f.values)
	f.Header[name] = f.values[n-1 : n : n]
}

// maxKept is the size in bytes up to which the buffer of an answer is kept for the next one.
const maxKept = 256 << 10

var answers = sync.Pool{New: func() any { return new(answer) }}

func (a *answer) free() {
	a.spooled = nil
	if cap(a.body) <= maxKept {
		answers.Put(a)
	}
}

// taker returns the function that takes the rows of a plan's statement. There may be none: a function may return no void.
func (a *answer) taker(p *planner.Plan) func(row [][]byte) error {
	a.reset()
	switch {
	case p.Media.Explains():
		return a.line
	case p.Media.Custom != nil && p.Media.Custom.Binary && !p.Head:
		return a.takeBinary
	}
	return a.take
}

// reset forgets an earlier answer, which may be somebody else's, but for its memory.
func (a *answer) reset() {
	*a = answer{body: a.body[:0], total: -1}
}

// line adds a line of a plan.
func (a *answer) line(row [][]byte) error {
	if len(row) != 1 {
		return fmt.Errorf("rest: a plan of %d columns", len(row))
	}
	if len(a.body) > 0 {
		a.body = append(a.body, '\n')
	}
	a.body = append(a.body, row[0]...)
	return nil
}

// takeBinary is take for a body in hexadecimal.
func (a *answer) takeBinary(row [][]byte) error {
	if err := a.take(row); err != nil {
		return err
	}
	n, err := hex.Decode(a.body, a.body)
	a.body = a.body[:n]
	return err
}

// take copies the row; the bytes are valid only during the call.
func (a *answer) take(row [][]byte) (err error) {
	if len(row) != 4 && len(row) != 5 {
		return fmt.Errorf("rest: a row of %d columns", len(row))
	}
	a.body = append(a.body[:0], row[0]...)
	a.total = -1
	a.status, a.own, a.refused = 0, nil, nil
	if len(row[2]) > 0 {
		a.status, a.refused = ownStatus(row[2])
	}
	if len(row[3]) > 0 && a.refused == nil {
		a.own, a.refused = ownHeaders(row[3])
	}
	if a.rows, err = strconv.ParseInt(string(row[1]), 10, 64); err == nil && len(row) == 5 {
		a.total, err = strconv.ParseInt(string(row[4]), 10, 64)
	}
	return err
}

// check refuses an answer that is not what the client allows. Writes were checked by PostgreSQL.
func (a *answer) check(p *planner.Plan) *fault.Error {
	if p.Media.Explains() {
		return nil
	}
	if p.Merges() {
		a.existing, a.total = a.total, -1
	}
	if p.Prefer.Count && a.total < 0 {
		a.total = a.rows
	}
	switch {
	case p.Prefer.Count && p.Offset > a.total && (p.Action == dialect.Read || p.Action == dialect.Call):
		return fault.Offset(p.Offset, a.total)
	case p.Media.Object && a.rows != 1 && p.ReadOnly():
		return fault.Singular(a.rows)
	}
	return a.refused
}

// write answers a request that succeeded. It returns the names of headers that SQL may not add.
func (a *answer) write(w http.ResponseWriter, p *planner.Plan) (dropped []string) {
	if p.Media.Explains() {
		a.writePlan(w, p)
		return nil
	}
	header := fieldsOf(w)
	status := http.StatusOK
	hasBody := true
	if a.address != "" {
		header.set("Content-Location", a.address)
	}
	switch p.Action {
	case dialect.Read:
		status = a.contentRange(&header, p, p.Offset, a.rows)
	case dialect.Call:
		status = a.contentRange(&header, p, p.Offset, a.rows)
		if p.Routine.Returns == catalog.Void {
			status, hasBody = http.StatusNoContent, false
		}
	case dialect.Insert:
		a.contentRange(&header, p, 0, 0)
		status, hasBody = http.StatusCreated, p.Represents()
		if p.Merges() && a.existing == a.rows {
			status = http.StatusOK
		}
		if p.Locates() && len(a.body) > 0 {
			header.set("Location", a.location(p.Relation))
		}
	case dialect.Put:
		if a.existing == 0 {
			status = http.StatusCreated
		}
	case dialect.Update:
		a.contentRange(&header, p, 0, a.rows)
	case dialect.Delete:
		a.contentRange(&header, p, 0, 0)
	}
	if p.Action == dialect.Update || p.Action == dialect.Delete || p.Action == dialect.Put {
		if hasBody = p.Represents(); !hasBody {
			status = http.StatusNoContent
		}
	}
	if applied := p.Prefer.Applied(p.Action); applied != "" {
		header.set("Preference-Applied", applied)
	}
	if a.status != 0 {
		status = a.status
		hasBody = hasBody && hasContent(status)
	}
	if hasBody {
		header.set("Content-Type", p.Media.ContentType())
		if p.Profile != "" {
			header.set("Content-Profile", p.Profile)
		}
	}
	dropped = addOwn(header.Header, a.own)
	if !hasBody || p.Head {
		w.WriteHeader(status)
		return dropped
	}
	if a.spooled != nil {
		sendSpool(w, a.spooled, status)
		return dropped
	}
	if a.large.is {
		a.large.send(w, &header, status, a.body)
		return dropped
	}
	if len(a.body) > netHTTPCounts {
		header.set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(status)
	_, _ = w.Write(a.body) // the client went away: nobody is left to tell
	return dropped
}

// contentRange says which rows of the whole the answer holds, and returns the status that fits: 206 for
// a part of a whole whose size is known.
func (a *answer) contentRange(header *fields, p *planner.Plan, offset, rows int64) int {
	b := make([]byte, 0, 32)
	if rows == 0 || a.total == 0 {
		b = append(b, '*')
	} else {
		b = strconv.AppendInt(b, offset, 10)
		b = append(b, '-')
		b = strconv.AppendInt(b, offset+rows-1, 10)
	}
	b = append(b, '/')
	if !p.Prefer.Count {
		header.set("Content-Range", string(append(b, '*')))
		return http.StatusOK
	}
	header.set("Content-Range", string(strconv.AppendInt(b, a.total, 10)))
	if rows < a.total {
		return http.StatusPartialContent
	}
	return http.StatusOK
}

// location is the address of the inserted row, whose primary key is the body.
func (a *answer) location(r *catalog.Relation) string {
	var values []string
	if json.Unmarshal(a.body, &values) != nil || len(values) != len(r.PrimaryKey) {
		return ""
	}
	var b strings.Builder
	b.WriteString("/" + url.PathEscape(r.Name))
	for i, name := range r.PrimaryKey {
		separator := "&"
		if i == 0 {
			separator = "?"
		}
		b.WriteString(separator + url.QueryEscape(name) + "=")
		b.WriteString("eq." + url.QueryEscape(values[i]))
	}
	return b.String()
}

// writePlan answers with the plan of the statement.
func (a *answer) writePlan(w http.ResponseWriter, p *planner.Plan) {
	header := w.Header()
	if a.address != "" {
		header.Set("Content-Location", a.address)
	}
	header.Set("Content-Type", p.Media.ContentType())
	if p.Profile != "" {
		header.Set("Content-Profile", p.Profile)
	}
	header.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(http.StatusOK)
	if !p.Head {
		_, _ = w.Write(a.body) // the client went away: nobody is left to tell
	}
}

// netHTTPCounts is the length, in bytes, up to which net/http knows the length of an answer by itself. One field less keeps the map
// of a plain answer's header fields from growing a third time.
const netHTTPCounts = 2048
