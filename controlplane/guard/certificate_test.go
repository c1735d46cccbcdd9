package guard_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/guard"
)

// issue writes a self-signed certificate of a name.
func issue(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	put(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	put(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return certFile, keyFile
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// echo is a listener that sends everything back.
func echo(t *testing.T, c *tls.Config) (address string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func subject(t *testing.T, address string) (name string, conn *tls.Conn) {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the name is looked at below
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, conn
}

func TestCertificateIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := issue(t, dir, "first.example")
	var log bytes.Buffer
	c, err := guard.LoadCertificate(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	address := echo(t, c.TLS(config.TLS12))
	name, old := subject(t, address)
	if name != "first.example" {
		t.Fatalf("got %s", name)
	}
	follow := func() {
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		c.Follow(ctx, 5*time.Millisecond)
	}
	follow()
	if log.Len() > 0 {
		t.Errorf("nothing changed: %s", &log)
	}
	// Between the two files, and after damage, the old pair serves. It is said once.
	other := t.TempDir()
	otherCert, otherKey := issue(t, other, "second.example")
	for _, damaged := range []string{read(t, otherCert), "-----BEGIN CERT", ""} {
		log.Reset()
		put(t, certFile, damaged)
		follow()
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 || strings.Contains(log.String(), "PRIVATE") {
			t.Errorf("%d lines: %s", n, &log)
		}
		if name, _ := subject(t, address); name != "first.example" {
			t.Errorf("damaged files: got %s", name)
		}
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	follow()
	put(t, certFile, read(t, otherCert))
	put(t, keyFile, read(t, otherKey))
	follow()
	if name, _ := subject(t, address); name != "second.example" {
		t.Errorf("after the change: got %s", name)
	}
	if _, err := old.Write([]byte("still here")); err != nil {
		t.Error(err)
	}
	answer := make([]byte, 10)
	if _, err := io.ReadFull(old, answer); err != nil || string(answer) != "still here" {
		t.Errorf("the old connection: %s %v", answer, err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{filepath.Join(dir, "none"), dir, pipe} {
		if _, err := guard.LoadCertificate(certFile, key, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("starts with the key %s: %v", key, err)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestVersionsAndSuites(t *testing.T) {
	t.Parallel()
	certFile, keyFile := issue(t, t.TempDir(), "a.example")
	c, err := guard.LoadCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	try := func(oldest config.TLSVersion, client *tls.Config) (uint16, error) {
		client.InsecureSkipVerify = true
		conn, err := tls.Dial("tcp", echo(t, c.TLS(oldest)), client)
		if err != nil {
			return 0, err
		}
		defer conn.Close() //nolint:errcheck // only closed
		return conn.ConnectionState().Version, nil
	}
	// The suites alone would keep older versions away; they are not meant to.
	for oldest, want := range map[config.TLSVersion]uint16{config.TLS12: tls.VersionTLS12, config.TLS13: tls.VersionTLS13} {
		if got := c.TLS(oldest).MinVersion; got != want {
			t.Errorf("%v: from %s on", oldest, tls.VersionName(got))
		}
	}
	for name, test := range map[string]struct {
		oldest config.TLSVersion
		client *tls.Config
		want   uint16 // 0 = refused
	}{
		"best":            {config.TLS12, &tls.Config{}, tls.VersionTLS13},
		"1.2":             {config.TLS12, &tls.Config{MaxVersion: tls.VersionTLS12}, tls.VersionTLS12},
		"1.1":             {config.TLS12, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, 0},
		"1.0":             {config.TLS12, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, 0},
		"1.2, of two":     {config.TLS13, &tls.Config{MaxVersion: tls.VersionTLS12}, 0},
		"CBC":             {config.TLS12, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, 0},
		"no forward secr": {config.TLS12, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, 0},
	} {
		if got, err := try(test.oldest, test.client); got != test.want || (err != nil) != (test.want == 0) {
			t.Errorf("%s: %s %v", name, tls.VersionName(got), err)
		}
	}
}
