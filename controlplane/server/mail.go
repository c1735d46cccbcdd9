package server

import (
	"github.com/wayli-app/fluxbase/controlplane/mail"
	"github.com/wayli-app/fluxbase/controlplane/token"
)

// newSender is what empties the outbox; none without a mail server.
func (s *Server) newSender(tokens *token.MailTokens) (*mail.Sender, error) {
	c := s.config.Mail
	if c.Host == "" {
		return nil, nil
	}
	transport, err := mail.NewSMTP(mail.SMTPConfig{
		Host: c.Host, Port: c.Port, User: c.User, Password: c.Password.Reveal(), From: c.From,
		Encryption: mail.Encryption(c.TLS), Timeout: c.Timeout,
	})
	if err != nil {
		return nil, err
	}
	return mail.NewSender(s.gateway, tokens, transport, s.log), nil
}

// wakeMail makes the sender look at the outbox.
func (s *Server) wakeMail() {
	if s.mail != nil {
		s.mail.Wake()
	}
}
