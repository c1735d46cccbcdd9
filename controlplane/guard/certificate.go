package guard

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

// Certificate is the certificate that a listener presents. Who replaces its files replaces it: for connections that
// begin from then on, while those that are open go on. Files that are not a whole pair are logged and not used.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]
	seen              [sha256.Size]byte // of the files as last read; used by one goroutine at a time
}

// LoadCertificate reads a chain and its key, both PEM.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	if _, err := c.Reload(); err != nil {
		return nil, fmt.Errorf("server.tls: %w", err)
	}
	return c, nil
}

// Reload reads the files and uses them when they are a pair that it has not seen; changed says that it does. The same
// bytes are looked at once: a pair that is refused is an error the first time only. Not for several goroutines at once.
func (c *Certificate) Reload() (changed bool, err error) {
	chain, err := readPEM(c.certFile)
	if err != nil {
		return false, err
	}
	key, err := readPEM(c.keyFile)
	if err != nil {
		return false, err
	}
	digest := sha256.New()
	fmt.Fprintf(digest, "%d ", len(chain))
	digest.Write(chain)
	digest.Write(key)
	sum := [sha256.Size]byte(digest.Sum(nil))
	if sum == c.seen {
		return false, nil
	}
	c.seen = sum
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return false, fmt.Errorf("%s and %s: %w", c.certFile, c.keyFile, err)
	}
	if now := time.Now(); now.After(pair.Leaf.NotAfter) {
		c.log.Warn("the certificate has expired", "file", c.certFile, "not_after", pair.Leaf.NotAfter)
	}
	c.current.Store(&pair)
	return true, nil
}

const maxPEMBytes = 1 << 20

func readPEM(path string) ([]byte, error) {
	// A pipe would keep whoever opens it until somebody writes.
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil, cmp.Or(err, errors.New(path+" is not a regular file"))
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(file, maxPEMBytes+1))
	if err == nil && len(text) > maxPEMBytes {
		err = errors.New(path + " is larger than a certificate can be")
	}
	return text, err
}

// Follow looks at the files again and again until ctx ends.
func (c *Certificate) Follow(ctx context.Context, interval time.Duration) {
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	var last string
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		changed, err := c.Reload()
		switch {
		case changed:
			last = ""
			c.log.Info("serving a new certificate", "file", c.certFile, "not_after", c.current.Load().Leaf.NotAfter)
		case err != nil && err.Error() != last:
			last = err.Error()
			c.log.Error("the new certificate is not used, the old one stays", "error", err)
		}
	}
}

// TLS is the configuration of a listener.
func (c *Certificate) TLS(oldest config.TLSVersion) *tls.Config {
	t := modern(oldest)
	t.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil }
	return t
}

// modern is TLS without a certificate. Of TLS 1.2 it speaks what keeps recorded connections secret when the key is
// stolen later, with authenticated encryption; the suites of 1.3 are all of that kind.
func modern(oldest config.TLSVersion) *tls.Config {
	t := &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
		NextProtos: []string{"h2", "http/1.1"},
	}
	if oldest == config.TLS13 {
		t.MinVersion = tls.VersionTLS13
	}
	return t
}

// CAs reads the certificates of those who sign the certificates of others.
func CAs(path string) (*x509.CertPool, error) {
	text, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", path)
	}
	return pool, nil
}

// Mutual is TLS for clients that show a certificate of one of these CAs.
func (c *Certificate) Mutual(clients *x509.CertPool) *tls.Config {
	t := c.TLS(config.TLS13)
	t.ClientAuth, t.ClientCAs = tls.RequireAndVerifyClientCert, clients
	return t
}
