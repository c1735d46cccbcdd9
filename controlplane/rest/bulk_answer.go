package rest

import (
	"bytes"
	"encoding/csv"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/planner"
)

// gatherer makes one answer of those of a bulk insert's chunks.
type gatherer struct {
	plan   *planner.Plan
	total  *answer
	one    answer // of the chunk at hand
	header []byte // of CSV
	rows   bool   // there were some
}

// begin empties the answer, which a first try may have filled.
func (g *gatherer) begin() (err error) {
	spooled := g.total.spooled
	*g.total = answer{spooled: spooled, total: -1}
	if !g.plan.Represents() {
		return nil
	}
	if g.plan.Media.CSV {
		var header bytes.Buffer
		w := csv.NewWriter(&header)
		_ = w.Write(g.plan.Names()) // a buffer takes everything
		w.Flush()
		g.header = header.Bytes()
	}
	if spooled != nil {
		return spooled.Truncate()
	}
	g.total.spooled, err = dialect.NewSpool()
	return err
}

// take adds the row of a chunk's statement.
func (g *gatherer) take(row [][]byte) error {
	if err := g.one.take(row); err != nil {
		return err
	}
	g.total.rows += g.one.rows
	g.total.status, g.total.own, g.total.refused = g.one.status, g.one.own, g.one.refused // the last says all
	if g.one.total >= 0 {
		g.total.total = max(g.total.total, 0) + g.one.total
	}
	if !g.plan.Represents() {
		g.total.body = nil
		if g.plan.Locates() && g.total.rows == 1 {
			g.total.body = append(g.total.body, g.one.body...)
		}
		return nil
	}
	return g.add(g.one.body)
}

// add appends the rows of a chunk to the answer.
func (g *gatherer) add(body []byte) error {
	separator, open := ", \n ", "["
	switch {
	case g.plan.Media.CSV:
		separator, open = "\n", string(g.header)
		body = bytes.TrimPrefix(body, g.header)
	case g.plan.Media.Object: // there is one row
		_, err := g.total.spooled.Write(body)
		g.rows = true
		return err
	default:
		if g.plan.Media.Stripped {
			separator = ","
		}
		body = body[1 : len(body)-1]
	}
	if g.one.rows == 0 {
		return nil
	}
	if !g.rows {
		separator = open
	}
	g.rows = true
	if _, err := g.total.spooled.Write([]byte(separator)); err != nil {
		return err
	}
	_, err := g.total.spooled.Write(body)
	return err
}

// end completes the answer.
func (g *gatherer) end() error {
	if g.total.spooled == nil {
		return nil
	}
	tail := "]"
	switch {
	case g.plan.Media.CSV && !g.rows:
		tail = string(g.header)
	case g.plan.Media.CSV, g.plan.Media.Object:
		tail = ""
	case !g.rows:
		tail = "[]"
	}
	_, err := g.total.spooled.Write([]byte(tail))
	return err
}

// sendSpool answers with what was written, to a client that takes some of it within each sendPatience.
func sendSpool(w http.ResponseWriter, s *dialect.Spool, status int) {
	body, err := s.Rewind()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if s.Size > netHTTPCounts {
		w.Header().Set("Content-Length", strconv.FormatInt(s.Size, 10))
	}
	w.WriteHeader(status)
	control := http.NewResponseController(w)
	for {
		_ = control.SetWriteDeadline(time.Now().Add(sendPatience)) // a writer that cannot is none of a connection
		if _, err := io.CopyN(w, body, 1<<20); err != nil {
			return // the end, or the client went away
		}
	}
}
