package rest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// spool is a file without a name: what was written is read from its begin, and gone when it is closed. It lies where the
// operating system keeps temporary files (TMPDIR).
type spool struct {
	file *os.File
	w    *bufio.Writer
	size int64
}

// newSpool makes an empty file that nobody else can open.
func newSpool() (*spool, error) {
	file, err := os.CreateTemp("", "fluxbase-bulk-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("bulk insert: %w", err)
	}
	_ = os.Remove(file.Name()) // where an open file cannot be removed, close does it
	return &spool{file: file, w: bufio.NewWriterSize(file, scanSize)}, nil
}

// close removes the file.
func (s *spool) close() {
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
}

// Write appends.
func (s *spool) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.size += int64(n)
	return n, err
}

// rewind returns a reader of all that was written.
func (s *spool) rewind() (*bufio.Reader, error) {
	if err := s.w.Flush(); err != nil {
		return nil, err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(s.file, scanSize), nil
}

// truncate forgets all that was written.
func (s *spool) truncate() error {
	s.w.Reset(s.file)
	s.size = 0
	_, err := s.file.Seek(0, io.SeekStart)
	return errors.Join(err, s.file.Truncate(0))
}

// send answers with what was written, to a client that takes some of it within each sendPatience.
func (s *spool) send(w http.ResponseWriter, status int) {
	body, err := s.rewind()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(s.size, 10))
	w.WriteHeader(status)
	control := http.NewResponseController(w)
	for {
		_ = control.SetWriteDeadline(time.Now().Add(sendPatience)) // a writer that cannot is none of a connection
		if _, err := io.CopyN(w, body, 1<<20); err != nil {
			return // the end, or the client went away
		}
	}
}

// chunk is some of a body's rows as they lie in a spool: part, rows and length of the JSON, and the JSON.
type chunk struct {
	part, rows int
	json       []byte
}

const chunkHeader = 12

// put appends a chunk.
func (s *spool) put(c chunk) error {
	var header [chunkHeader]byte
	binary.BigEndian.PutUint32(header[0:], uint32(c.part))
	binary.BigEndian.PutUint32(header[4:], uint32(c.rows))
	binary.BigEndian.PutUint32(header[8:], uint32(len(c.json)))
	if _, err := s.Write(header[:]); err != nil {
		return err
	}
	_, err := s.Write(c.json)
	return err
}

// get reads the next chunk into c, whose buffer it uses again; io.EOF is the end.
func (c *chunk) get(in io.Reader) error {
	var header [chunkHeader]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return err
	}
	c.part = int(binary.BigEndian.Uint32(header[0:]))
	c.rows = int(binary.BigEndian.Uint32(header[4:]))
	size := int(binary.BigEndian.Uint32(header[8:]))
	if cap(c.json) < size {
		c.json = make([]byte, size)
	}
	c.json = c.json[:size]
	if _, err := io.ReadFull(in, c.json); err != nil {
		return fmt.Errorf("bulk insert: %w", err)
	}
	return nil
}
