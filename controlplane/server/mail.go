package server

import (
	"github.com/wayli-app/fluxbase/controlplane/mail"
	"github.com/wayli-app/fluxbase/controlplane/token"
)

// newSender is what empties the outbox; none without a mail server, unless something stands in for one.
func (s *Server) newSender(tokens *token.MailTokens, standIn mail.Transport) (*mail.Sender, error) {
	c := s.config.Mail
	if c.Host == "" && standIn == nil {
		return nil, nil
	} else if c.Host == "" {
		return mail.NewSender(s.gateway, tokens, standIn, s.log), nil
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
