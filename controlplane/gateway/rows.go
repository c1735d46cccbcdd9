package gateway

import "sync"

// rows keeps copies of rows, all bytes in one buffer, until the commit that made them true is known.
type rows struct {
	buf    []byte
	cells  []cell
	counts []int    // columns of each row
	row    [][]byte // the row that is handed out
}

// cell is a column's place in the buffer; length -1 is NULL.
type cell struct{ start, length int }

// maxKept is the greatest buffer that is kept for the next request, in bytes.
const maxKept = 64 << 10

var rowsPool = sync.Pool{New: func() any { return new(rows) }}

func (r *rows) add(row [][]byte) error {
	for _, value := range row {
		c := cell{start: len(r.buf), length: -1}
		if value != nil {
			c.length = len(value)
			r.buf = append(r.buf, value...)
		}
		r.cells = append(r.cells, c)
	}
	r.counts = append(r.counts, len(row))
	return nil
}

// each calls fn for every row until it fails.
func (r *rows) each(fn func([][]byte) error) error {
	cells := r.cells
	for _, n := range r.counts {
		r.row = r.row[:0]
		for _, c := range cells[:n] {
			if c.length < 0 {
				r.row = append(r.row, nil)
				continue
			}
			end := c.start + c.length
			r.row = append(r.row, r.buf[c.start:end:end])
		}
		cells = cells[n:]
		if err := fn(r.row); err != nil {
			return err
		}
	}
	return nil
}

func (r *rows) reset() {
	r.buf, r.cells, r.counts = r.buf[:0], r.cells[:0], r.counts[:0]
}

// free gives the memory back for another request.
func (r *rows) free() {
	if cap(r.buf) > maxKept || cap(r.cells) > maxKept/16 {
		return
	}
	r.reset()
	rowsPool.Put(r)
}

// ignore is the row function of a caller who wants no rows.
func ignore([][]byte) error { return nil }
