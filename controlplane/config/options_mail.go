package config

import (
	"errors"
	"net/mail"
	"time"
)

func mailOptions() []option {
	return []option{
		entry("mail.host", hostName(), func(c *Config) *string { return &c.Mail.Host }, "",
			"The SMTP server. Without one, mails wait in `auth.outbox` for a server that has one."),
		entry("mail.port", integer(1, 65535), func(c *Config) *int { return &c.Mail.Port }, "587",
			"Its port; 465 is usual for `tls`."),
		entry("mail.tls", oneOf(MailStartTLS, MailTLS, MailPlain), func(c *Config) *MailTLSMode { return &c.Mail.TLS }, "starttls",
			"How the connection is encrypted: `starttls` after the greeting, `tls` from the first byte, `none` not at all, which is for this machine alone unless there is no password."),
		entry("mail.user", textKind("text"), func(c *Config) *string { return &c.Mail.User }, "",
			"Who logs in to it. Without a user nobody does."),
		entry("mail.password", secretText(), func(c *Config) *Secret { return &c.Mail.Password }, "",
			"The password of `mail.user`.", secret),
		entry("mail.from", mailAddress(), func(c *Config) *string { return &c.Mail.From }, "",
			"The sender: `Acme <no-reply@example.com>`, or the address alone."),
		entry("mail.timeout", duration(time.Second, 40*time.Second), func(c *Config) *time.Duration { return &c.Mail.Timeout }, "15s",
			"How long the server may take for each step."),
		entry("mail.links", oneOf(ConfirmPage, DirectLinks), func(c *Config) *MailLinks { return &c.Mail.Links }, "confirm_page",
			"What opening a mailed link does: `confirm_page` shows a page with a button, so that programs which look at links use none up; `direct` uses the link at once, as Supabase does."),
	}
}

// hostName is a name or an address of a host.
func hostName() kind[string] {
	return kind[string]{
		name: "host",
		parse: func(text string) (string, error) {
			if !isHost(text) {
				return "", errors.New("must be the name or the address of a host")
			}
			return text, nil
		},
		show: func(value string) string { return value },
	}
}

// mailAddress is an address of RFC 5322, with a name or without.
func mailAddress() kind[string] {
	return kind[string]{
		name: "address",
		parse: func(text string) (string, error) {
			if _, err := mail.ParseAddress(text); err != nil || checkSecretText(text) != nil {
				return "", hinted{"must be one mail address", "Acme <no-reply@example.com> is one"}
			}
			return text, nil
		},
		show: func(value string) string { return value },
	}
}

// secretText is a secret that somebody else has made.
func secretText() kind[Secret] {
	return kind[Secret]{
		name: "secret",
		parse: func(text string) (Secret, error) {
			if err := checkSecretText(text); err != nil {
				return Secret{}, err
			}
			return NewSecret(text), nil
		},
		show: Secret.String,
	}
}
