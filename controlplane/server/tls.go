package server

import (
	"crypto/tls"
	"fmt"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/guard"
)

// certificateInterval is how often the files of the certificate are looked at.
const certificateInterval = 2 * time.Second

// openTLS prepares the certificate of the main listener, if it has one: that of the files, or those of a CA.
func (s *Server) openTLS() (err error) {
	c := s.config.Server.TLS
	switch {
	case c.Enabled && len(c.ACME.Hosts) > 0:
		if s.acme, err = guard.NewACME(c.ACME); err != nil {
			return fmt.Errorf("server.tls.acme.ca_file: %w", err)
		}
	case c.Enabled:
		s.certificate, err = guard.LoadCertificate(c.CertFile, c.KeyFile, s.log)
	}
	return err
}

// tls is how the main listener speaks TLS; nil is plain HTTP.
func (s *Server) tls() *tls.Config {
	oldest := s.config.Server.TLS.MinVersion
	switch {
	case s.acme != nil:
		return s.acme.TLS(oldest)
	case s.certificate != nil:
		return s.certificate.TLS(oldest)
	}
	return nil
}
