package dialect

import (
	"encoding/csv"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// ChunkSize is about how much JSON one INSERT of a bulk insert takes, in bytes.
const ChunkSize = 1 << 20

// BulkBody is the body of a bulk insert, re-encoded, in chunks on disk.
type BulkBody struct {
	*Spool
	Payload // without the rows themselves
}

// bulkReader re-encodes a body that is larger than memory should hold.
type bulkReader struct {
	partition
	spool   *Spool
	decoder decoder
	pending []int // rows of each part that are not written yet
	chunk   int   // size from which a chunk is written
}

// ReadBulk re-encodes a body into chunks. It understands what decodePayload and csvToJSON do, in the same way.
func ReadBulk(r *Request, csvBody bool, body io.Reader, l *Limits, chunk int) (*BulkBody, error) {
	file, err := NewSpool()
	if err != nil {
		return nil, err
	}
	b := bulkReader{spool: file, chunk: chunk, decoder: decoder{nesting: l.Nesting},
		partition: partition{columns: r.Columns, defaults: r.Prefer.Missing == MissingDefault}}
	list := true
	if csvBody {
		err = b.csv(body, int(l.Body))
	} else {
		scanner := rowScanner{in: body, limit: int(l.Body)}
		err = b.json(&scanner)
		list = scanner.list
	}
	if err == nil {
		err = b.end()
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	parts := make([]Part, len(b.parts))
	for i := range b.parts {
		parts[i].Keys = b.parts[i].Keys
	}
	return &BulkBody{file, Payload{Parts: parts, Rows: b.rows, List: list}}, nil
}

// json reads the objects of a JSON body.
func (b *bulkReader) json(s *rowScanner) error {
	for {
		row, err := s.next()
		if err != nil || row == nil {
			return err
		}
		if err := b.row(row, s.base+int64(s.start)); err != nil {
			return err
		}
	}
}

// row takes one object, which begins at this byte of the body.
func (b *bulkReader) row(src []byte, at int64) error {
	d := &b.decoder
	d.src, d.pos, d.out, d.base = src, 0, d.out[:0], at
	keys := d.object(2, true)
	if d.err == nil && d.pos < len(d.src) {
		d.fail(`expecting "," or "]"`)
	}
	b.add(d, 0, keys)
	if d.err != nil {
		return d.err
	}
	for len(b.pending) < len(b.parts) {
		b.pending = append(b.pending, 0)
	}
	b.pending[b.last]++
	if len(b.parts[b.last].JSON) >= b.chunk {
		return b.flush(b.last)
	}
	return nil
}

// flush writes what is there of a part.
func (b *bulkReader) flush(part int) error {
	p := &b.parts[part]
	err := b.spool.put(Chunk{part, b.pending[part], append(p.JSON, ']')})
	p.JSON, b.pending[part] = p.JSON[:0], 0
	return err
}

// end writes the rest. A body without objects is one empty chunk.
func (b *bulkReader) end() error {
	if b.parts == nil {
		b.finish()
		return b.spool.put(Chunk{0, 0, b.parts[0].JSON})
	}
	for i := range b.parts {
		if len(b.parts[i].JSON) > 0 {
			if err := b.flush(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// csv reads the lines of CSV.
func (b *bulkReader) csv(body io.Reader, limit int) error {
	budget := &budgetReader{in: body, limit: limit + scanSize}
	in := csv.NewReader(budget)
	in.FieldsPerRecord = -1 // counted below, for PostgREST's words
	in.ReuseRecord = true
	header, err := in.Read()
	var syntax *csv.ParseError
	switch {
	case errors.Is(err, io.EOF) || errors.As(err, &syntax):
		return fault.Body("CSV without a line of names", "")
	case err != nil:
		return err
	}
	keys := make([][]byte, len(header))
	for i, name := range header {
		keys[i] = AppendKey(nil, name)
	}
	var row []byte
	for {
		budget.used = 0
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return csvError(err)
		}
		if len(record) != len(keys) {
			return fault.Body("All lines must have same number of fields", "")
		}
		row = appendRecord(row[:0], keys, record)
		if len(row) > limit {
			return fault.Limit(http.StatusRequestEntityTooLarge, "row of a bulk insert", int64(limit))
		}
		if err := b.row(row, in.InputOffset()); err != nil {
			return err
		}
	}
}

// csvError is the refusal of CSV that cannot be read.
func csvError(err error) error {
	var syntax *csv.ParseError
	if errors.As(err, &syntax) {
		return fault.Body("Invalid CSV", err.Error())
	}
	return err
}

// budgetReader refuses to read more than limit bytes until used is set back: a quote that is never closed would
// otherwise be a field as long as the body.
type budgetReader struct {
	in          io.Reader
	used, limit int
}

// Read reads within the budget.
func (r *budgetReader) Read(p []byte) (int, error) {
	if r.used > r.limit {
		return 0, fault.Limit(http.StatusRequestEntityTooLarge, "row of a bulk insert", int64(r.limit-scanSize))
	}
	n, err := r.in.Read(p)
	r.used += n
	return n, err
}

// IsCSV tells whether a body is CSV; ok is false when it is neither CSV nor JSON in UTF-8.
func IsCSV(contentType string) (csv, ok bool) {
	kind, parameters, _ := strings.Cut(contentType, ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	return kind == "text/csv", isUTF8(parameters) && (kind == "" || kind == "application/json" || kind == "text/csv")
}
