package dialect

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Spool is a file without a name: what was written is read from its begin, and gone when it is closed. It lies where the
// operating system keeps temporary files (TMPDIR).
type Spool struct {
	file *os.File
	w    *bufio.Writer
	Size int64
}

// NewSpool makes an empty file that nobody else can open.
func NewSpool() (*Spool, error) {
	file, err := os.CreateTemp("", "fluxbase-bulk-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("bulk insert: %w", err)
	}
	_ = os.Remove(file.Name()) // where an open file cannot be removed, close does it
	return &Spool{file: file, w: bufio.NewWriterSize(file, scanSize)}, nil
}

// Close removes the file.
func (s *Spool) Close() {
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
}

// Write appends.
func (s *Spool) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.Size += int64(n)
	return n, err
}

// Rewind returns a reader of all that was written.
func (s *Spool) Rewind() (*bufio.Reader, error) {
	if err := s.w.Flush(); err != nil {
		return nil, err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return bufio.NewReaderSize(s.file, scanSize), nil
}

// Truncate forgets all that was written.
func (s *Spool) Truncate() error {
	s.w.Reset(s.file)
	s.Size = 0
	_, err := s.file.Seek(0, io.SeekStart)
	return errors.Join(err, s.file.Truncate(0))
}

// Chunk is some of a body's rows as they lie in a spool: part, rows and length of the JSON, and the JSON.
type Chunk struct {
	Part, Rows int
	JSON       []byte
}

const chunkHeader = 12

// put appends a chunk.
func (s *Spool) put(c Chunk) error {
	var header [chunkHeader]byte
	binary.BigEndian.PutUint32(header[0:], uint32(c.Part))
	binary.BigEndian.PutUint32(header[4:], uint32(c.Rows))
	binary.BigEndian.PutUint32(header[8:], uint32(len(c.JSON)))
	if _, err := s.Write(header[:]); err != nil {
		return err
	}
	_, err := s.Write(c.JSON)
	return err
}

// Get reads the next chunk into c, whose buffer it uses again; io.EOF is the end.
func (c *Chunk) Get(in io.Reader) error {
	var header [chunkHeader]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return err
	}
	c.Part = int(binary.BigEndian.Uint32(header[0:]))
	c.Rows = int(binary.BigEndian.Uint32(header[4:]))
	size := int(binary.BigEndian.Uint32(header[8:]))
	if cap(c.JSON) < size {
		c.JSON = make([]byte, size)
	}
	c.JSON = c.JSON[:size]
	if _, err := io.ReadFull(in, c.JSON); err != nil {
		return fmt.Errorf("bulk insert: %w", err)
	}
	return nil
}
