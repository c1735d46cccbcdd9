package mail_test

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/wayli-app/fluxbase/controlplane/mail"
	"github.com/wayli-app/fluxbase/controlplane/mail/mailtest"
)

func message(to string) mail.Message {
	return mail.Message{ID: "5a8c0f0e", To: to, Subject: "Grüße = Hello", Text: "Ein Text.\n.\nhttps://x.example/?a=b&c=" + strings.Repeat("d", 100) + "\n",
		HTML: "<p>Ein Text äöü</p>", Date: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
}

func client(t *testing.T, s *mailtest.Server, change func(*mail.SMTPConfig)) *mail.SMTP {
	t.Helper()
	c := mail.SMTPConfig{Host: s.Host, Port: s.Port, From: "Acme <no-reply@acme.test>", Encryption: mail.StartTLS, Timeout: 5 * time.Second,
		TLS: &tls.Config{RootCAs: s.Roots}}
	if change != nil {
		change(&c)
	}
	client, err := mail.NewSMTP(c)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestSMTP(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]mailtest.Options{
		"starttls": {StartTLS: true}, "starttls, login": {StartTLS: true, User: "acme", Password: "its password"},
		"tls": {TLS: true}, "tls, login": {TLS: true, User: "acme", Password: "its password"},
		"none": {}, "none, login": {User: "acme", Password: "its password"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := mailtest.Start(t, o)
			c := client(t, s, func(c *mail.SMTPConfig) {
				c.User, c.Password = o.User, o.Password
				switch {
				case o.TLS:
					c.Encryption = mail.TLS
				case !o.StartTLS:
					c.Encryption = mail.Plain
				}
			})
			want := message("ann@example.com")
			if err := c.Send(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			got := s.Next(t, "ann@example.com")
			if got.Subject != want.Subject || strings.TrimRight(got.Text, "\n") != strings.TrimRight(want.Text, "\n") || strings.TrimRight(got.HTML, "\n") != want.HTML {
				t.Errorf("%+v", got)
			}
			for header, text := range map[string]string{"From": `"Acme" <no-reply@acme.test>`, "To": "<ann@example.com>", "Message-Id": "<5a8c0f0e@acme.test>",
				"Auto-Submitted": "auto-generated", "User-Agent": "", "X-Mailer": "", "Date": "Fri, 01 May 2026 12:00:00 +0000"} {
				if got.Header.Get(header) != text {
					t.Errorf("%s: %s", header, got.Header.Get(header))
				}
			}
		})
	}
}

// Nothing goes over a connection that is not what the configuration says.
func TestSMTPRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		server mailtest.Options
		change func(*mail.SMTPConfig)
	}{
		"no STARTTLS":       {mailtest.Options{}, nil},
		"other certificate": {mailtest.Options{StartTLS: true}, func(c *mail.SMTPConfig) { c.TLS = nil }},
		"other certificate, TLS": {mailtest.Options{TLS: true}, func(c *mail.SMTPConfig) {
			c.TLS, c.Encryption = nil, mail.TLS
		}},
		"wrong password": {mailtest.Options{StartTLS: true, User: "acme", Password: "its password"}, func(c *mail.SMTPConfig) {
			c.User, c.Password = "acme", "another"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := mailtest.Start(t, c.server)
			err := client(t, s, c.change).Send(t.Context(), message("ann@example.com"))
			if err == nil || mail.Permanent(err) || len(s.All()) != 0 {
				t.Errorf("got %v, %d mails", err, len(s.All()))
			}
			if err != nil && (strings.Contains(err.Error(), "its password") || strings.Contains(err.Error(), "another")) {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
	s := mailtest.Start(t, mailtest.Options{StartTLS: true})
	for code, permanent := range map[int]bool{450: false, 452: false, 550: true, 553: true} {
		s.Refuse(func(string) error { return &smtp.SMTPError{Code: code, Message: "no"} })
		err := client(t, s, nil).Send(t.Context(), message("ann@example.com"))
		if err == nil || mail.Permanent(err) != permanent {
			t.Errorf("%d: %v, permanent %v", code, err, mail.Permanent(err))
		}
	}
	if mail.Permanent(nil) || mail.Permanent(errors.New("x")) {
		t.Error("nothing is permanent")
	}
	for _, from := range []string{"", "acme", "a@b.example, c@d.example"} {
		if _, err := mail.NewSMTP(mail.SMTPConfig{Host: "localhost", Port: 25, From: from, Encryption: mail.TLS, Timeout: time.Second}); err == nil {
			t.Errorf("from %q is accepted", from)
		}
	}
}
