package mail

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
)

// Printer shows mails instead of sending them, links and codes included: for a developer who has no mail server. It is safe
// for concurrent use.
type Printer struct {
	mu  sync.Mutex
	out io.Writer
}

// NewPrinter makes one that writes to out.
func NewPrinter(out io.Writer) *Printer { return &Printer{out: out} }

// Send writes a mail's text.
func (p *Printer) Send(_ context.Context, m Message) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\nMail to %s: %s\n", m.To, m.Subject)
	for line := range strings.Lines(strings.TrimSpace(m.Text)) {
		fmt.Fprintf(&b, "  | %s\n", strings.TrimRight(line, "\r\n"))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.out.Write(b.Bytes())
	return err
}
