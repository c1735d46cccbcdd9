package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// authority signs certificates of clients.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{certificate, key}
}

// client makes the certificate of a client that ends at a time.
func (a authority) client(t testing.TB, end time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "client"}, NotBefore: end.Add(-2 * time.Hour), NotAfter: end,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// Administration and metrics are for clients with a certificate of the CA, there alone, and still want credentials.
func TestAdminListener(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	roots := certificate(t, dir)
	ours, theirs := newAuthority(t), newAuthority(t)
	if err := os.WriteFile(filepath.Join(dir, "clients.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.certificate.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	s := servertest.Start(t, "FLUXBASE_SERVER_ADMIN_LISTEN="+address, "FLUXBASE_SERVER_ADMIN_CERT_FILE="+filepath.Join(dir, "cert.pem"),
		"FLUXBASE_SERVER_ADMIN_KEY_FILE="+filepath.Join(dir, "key.pem"), "FLUXBASE_SERVER_ADMIN_CLIENT_CA_FILE="+filepath.Join(dir, "clients.pem"))
	service := s.Value(t, `auth.create_api_key(p_kind => 'service', p_name => 'admin')`)
	get := func(path, key string, certificates ...tls.Certificate) (int, string, error) {
		t.Helper()
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: certificates}}}
		r, err := http.NewRequest("GET", "https://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			r.Header.Set("apikey", key)
		}
		a, err := c.Do(r)
		if err != nil {
			return 0, "", err
		}
		defer a.Body.Close() //nolint:errcheck // read to its end
		text, err := io.ReadAll(a.Body)
		return a.StatusCode, string(text), err
	}
	good := ours.client(t, time.Now().Add(time.Hour))
	for name, certificates := range map[string][]tls.Certificate{"none": nil, "of another CA": {theirs.client(t, time.Now().Add(time.Hour))},
		"expired": {ours.client(t, time.Now().Add(-time.Minute))}} {
		if status, _, err := get("/metrics", "", certificates...); err == nil {
			t.Errorf("a certificate %s: %d", name, status)
		}
	}
	for path, want := range map[string]int{"/auth/v1/admin/users": 200, "/api/v1/auth/admin/users": 200, "/metrics": 200, "/healthz": 200,
		"/auth/v1/settings": 404, "/rest/v1/notes": 404, "/readyz": 404, "/auth/v1/admin": 404} {
		if status, text, err := get(path, service, good); err != nil || status != want {
			t.Errorf("%s: %d %s %v", path, status, text, err)
		}
	}
	if status, text, err := get("/auth/v1/admin/users", "", good); err != nil || status != 401 {
		t.Errorf("without credentials: %d %s %v", status, text, err)
	}
	if _, text, err := get("/metrics", "", good); err != nil || !strings.Contains(text, "fluxbase_http_requests_total") {
		t.Errorf("metrics: %s %v", text, err)
	}
	for path, want := range map[string]int{"/auth/v1/admin/users": 404, "/api/v1/auth/admin/users": 404, "/auth/v1/%61dmin/users": 404, "/metrics": 404,
		"/auth/v1/settings": 200, "/healthz": 200} {
		if a := s.Do(t, "GET", path, nil, "apikey: "+service); a.Status != want {
			t.Errorf("main listener, %s: %d", path, a.Status)
		}
	}
}
