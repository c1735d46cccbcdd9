package guard

import (
	"crypto/tls"
	"net/http"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

// ACME gets certificates from a CA by itself (RFC 8555) and renews them; accounts and certificates are kept in a
// directory. It asks for the configured hosts alone, whatever name a client connects to.
type ACME struct {
	manager *autocert.Manager
}

// NewACME makes one; the CA is asked when the first client connects.
func NewACME(c config.ACME) (*ACME, error) {
	m := &autocert.Manager{Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(c.CacheDir), HostPolicy: autocert.HostWhitelist(c.Hosts...), Email: c.Email}
	if c.DirectoryURL != "" {
		m.Client = &acme.Client{DirectoryURL: c.DirectoryURL}
	}
	if c.CAFile != "" {
		roots, err := CAs(c.CAFile)
		if err != nil {
			return nil, err
		}
		m.Client.HTTPClient = &http.Client{Timeout: acmeTimeout, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	}
	return &ACME{m}, nil
}

// acmeTimeout is how long a private CA may take for one answer.
const acmeTimeout = 30 * time.Second

// TLS is the configuration of a listener, which also answers the CA's questions by TLS (RFC 8737).
func (a *ACME) TLS(oldest config.TLSVersion) *tls.Config {
	t := modern(oldest)
	t.NextProtos = append(t.NextProtos, acme.ALPNProto)
	t.GetCertificate = a.manager.GetCertificate
	return t
}

// challenges answers the CA's questions by plain HTTP (RFC 8555 section 8.3) before next.
func (a *ACME) challenges(next http.Handler) http.Handler { return a.manager.HTTPHandler(next) }
