package guard_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/guard"
)

// A certificate that the CA has given before is served from the directory, for the configured name alone; of other names
// nobody is asked.
func TestACME(t *testing.T) {
	t.Parallel()
	const name = "api.example.com"
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(80 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Bool
	ca := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Store(true)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer ca.Close()
	a, err := guard.NewACME(config.ACME{Hosts: []string{name}, CacheDir: dir, DirectoryURL: ca.URL})
	if err != nil {
		t.Fatal(err)
	}
	c := a.TLS(config.TLS12)
	if !slices.Equal(c.NextProtos, []string{"h2", "http/1.1", "acme-tls/1"}) || c.MinVersion != tls.VersionTLS12 || len(c.CipherSuites) != 6 {
		t.Errorf("configuration: %v %x %v", c.NextProtos, c.MinVersion, c.CipherSuites)
	}
	roots := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(leaf)
	shake := func(server string) error {
		here, there := net.Pipe()
		defer here.Close()  //nolint:errcheck // only closed
		defer there.Close() //nolint:errcheck // only closed
		_ = here.SetDeadline(time.Now().Add(5 * time.Second))
		go func() { _ = tls.Server(there, c).Handshake() }()
		return tls.Client(here, &tls.Config{ServerName: server, RootCAs: roots}).Handshake()
	}
	if err := shake(name); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	for _, other := range []string{"evil.example.com", "example.com"} {
		if shake(other) == nil {
			t.Errorf("%s is served", other)
		}
	}
	// The redirect goes on beside the CA's questions, and what they are answered has the headers of every answer.
	h := guard.Redirect(load(t, "FLUXBASE_SERVER_TLS_ENABLED=true", "FLUXBASE_SERVER_TLS_ACME_HOSTS="+name, "FLUXBASE_SERVER_TLS_ACME_CACHE_DIR="+dir,
		"FLUXBASE_SERVER_TLS_REDIRECT_LISTEN=:80", "FLUXBASE_SERVER_TLS_REDIRECT_HOST="+name+":443"), a)
	for path, want := range map[string]int{"/": http.StatusPermanentRedirect, "/.well-known/acme-challenge/unknown": http.StatusNotFound} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "http://"+name+path, nil))
		if w.Code != want || w.Header().Get("Content-Security-Policy") == "" || w.Header().Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "http://evil.example/.well-known/acme-challenge/x", nil))
	if w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), dir) {
		t.Errorf("another host: %d %s", w.Code, w.Body)
	}
	if asked.Load() {
		t.Error("the CA was asked")
	}
}
