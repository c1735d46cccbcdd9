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

// sayWithoutMail says what nobody would notice: a sign-up looks like a success, and its address is never confirmed.
func (s *Server) sayWithoutMail() {
	if now := s.settings.Load().auth; s.mail == nil && now.SignupEnabled && !now.SignupAutoconfirm {
		s.log.Info("no mail.host: who signs up cannot confirm the address, unless another server sends the mails of auth.outbox; " +
			"see the settings signup_enabled and signup_autoconfirm")
	}
}

// wakeMail makes the sender look at the outbox.
func (s *Server) wakeMail() {
	if s.mail != nil {
		s.mail.Wake()
	}
}
