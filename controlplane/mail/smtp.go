package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/mail"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// Encryption is how a connection to the SMTP server is encrypted.
type Encryption string

// The ways of encryption.
const (
	StartTLS Encryption = "starttls" // STARTTLS (RFC 3207), needed: without it nothing is sent
	TLS      Encryption = "tls"      // from the first byte (RFC 8314)
	Plain    Encryption = "none"
)

// Message is one mail.
type Message struct {
	ID      string // left side of the Message-ID
	To      string
	Subject string
	Text    string
	HTML    string
	Date    time.Time
}

// SMTPConfig says where mails go out.
type SMTPConfig struct {
	Host       string
	Port       int
	User       string // empty: no authentication
	Password   string
	From       string // an address, with a name or without
	Encryption Encryption
	Timeout    time.Duration // of each step
	TLS        *tls.Config   // nil: the system's roots
}

// SMTP hands mails to a server. It is safe for concurrent use.
type SMTP struct {
	config SMTPConfig
	from   *mail.Address
	domain string
}

// NewSMTP makes a client; it does not connect.
func NewSMTP(c SMTPConfig) (*SMTP, error) {
	from, err := mail.ParseAddress(c.From)
	if err != nil {
		return nil, fmt.Errorf("mail.from: %w", err)
	}
	s := &SMTP{config: c, from: from}
	for i := range from.Address {
		if from.Address[i] == '@' {
			s.domain = from.Address[i+1:]
		}
	}
	if _, err := s.client(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *SMTP) client() (*gomail.Client, error) {
	c := s.config
	options := []gomail.Option{gomail.WithPort(c.Port), gomail.WithTimeout(c.Timeout)}
	roots := &tls.Config{}
	if c.TLS != nil {
		roots = c.TLS.Clone()
	}
	roots.ServerName, roots.MinVersion = c.Host, tls.VersionTLS12
	switch c.Encryption {
	case StartTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithTLSConfig(roots))
	case TLS:
		options = append(options, gomail.WithSSL(), gomail.WithTLSConfig(roots))
	case Plain:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		return nil, fmt.Errorf("mail.tls: %q is not known", c.Encryption)
	}
	if c.User != "" {
		method := gomail.SMTPAuthAutoDiscover
		if c.Encryption == Plain {
			method = gomail.SMTPAuthPlainNoEnc
		}
		options = append(options, gomail.WithSMTPAuth(method), gomail.WithUsername(c.User), gomail.WithPassword(c.Password))
	}
	return gomail.NewClient(c.Host, options...)
}

// Send hands one mail to the server. [Permanent] tells whether an error will be the same next time.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent()) // what we are made of, with its version, is nobody's business
	message.FromMailAddress(s.from)
	if err := message.To(m.To); err != nil {
		return &permanentError{fmt.Errorf("recipient: %w", err)}
	}
	message.Subject(m.Subject)
	message.SetMessageIDWithValue(m.ID + "@" + s.domain)
	message.SetDateWithValue(m.Date)
	message.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 section 5: nobody answers that he is on holiday
	message.SetBodyString(gomail.TypeTextPlain, m.Text)
	message.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	client, err := s.client()
	if err != nil {
		return err
	}
	if err := client.DialAndSendWithContext(ctx, message); err != nil {
		if message.HasSendError() && isFinal(message.SendError()) {
			return &permanentError{err}
		}
		return err
	}
	return nil
}

// isFinal reports whether the server refused the mail or its recipient with a reply of the form 5xx (RFC 5321 section
// 4.2.1); what happens before, wrong passwords included, is for an administrator to mend.
func isFinal(err error) bool {
	var refusal *gomail.SendError
	if !errors.As(err, &refusal) {
		return false
	}
	switch refusal.Reason {
	case gomail.ErrSMTPRcptTo, gomail.ErrSMTPData, gomail.ErrSMTPDataClose:
		return refusal.ErrorCode() >= 500 && refusal.ErrorCode() < 600
	}
	return false
}

// permanentError marks an error after which the same mail is not tried again; see [Permanent].
type permanentError struct{ error }

// Unwrap is the error that is marked.
func (e *permanentError) Unwrap() error { return e.error }

// Permanent reports whether sending the same mail again is in vain.
func Permanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}
