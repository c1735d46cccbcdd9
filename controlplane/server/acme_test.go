package server_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

const acmeName = "api.example.com"

// pebble is a CA that speaks ACME, with the files of its own certificate.
type pebble struct {
	dir, address, management string
	client                   *http.Client
}

// newPebble builds it from testdata/acme, a module of its own so that nothing of it is a dependency of ours. Where it cannot be had
// the test is skipped, unless everything is asked for.
func newPebble(t *testing.T) *pebble {
	t.Helper()
	p := &pebble{dir: t.TempDir(), address: freeAddress(t), management: freeAddress(t)}
	build := exec.Command("go", "build", "-o", p.path("pebble"), "github.com/letsencrypt/pebble/v2/cmd/pebble")
	build.Dir = "../../testdata/acme"
	if out, err := build.CombinedOutput(); err != nil {
		if os.Getenv("FLUXBASE_TEST_REQUIRE_ALL") != "" {
			t.Fatalf("no Pebble: %v\n%s", err, out)
		}
		t.Skipf("no Pebble: %v", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p.write(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	p.write(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.read(t, "cert.pem"))
	p.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	return p
}

func (p *pebble) path(name string) string { return filepath.Join(p.dir, name) }

func (p *pebble) write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(p.path(name), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *pebble) read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(p.path(name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// start runs it, with the ports where it looks for whoever answers for a name. It returns who is trusted by those who trust it.
func (p *pebble) start(t *testing.T, tlsPort, httpPort int) (roots *x509.CertPool, stop func()) {
	t.Helper()
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{"listenAddress": p.address, "managementListenAddress": p.management,
		"certificate": p.path("cert.pem"), "privateKey": p.path("key.pem"), "tlsPort": tlsPort, "httpPort": httpPort, "keyAlgorithm": "ecdsa",
		"retryAfter": map[string]int{"authz": 1, "order": 1}}})
	if err != nil {
		t.Fatal(err)
	}
	p.write(t, "config.json", config)
	var log servertest.Log
	cmd := exec.Command(p.path("pebble"), "-config", p.path("config.json"), "-dnsserver", names(t))
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("log of Pebble:\n%s", &log)
		}
	})
	roots = x509.NewCertPool()
	wait(t, "Pebble", func() bool {
		a, err := p.client.Get("https://" + p.management + "/roots/0")
		if err != nil {
			return false
		}
		defer a.Body.Close() //nolint:errcheck // read to its end
		text, _ := io.ReadAll(a.Body)
		return roots.AppendCertsFromPEM(text)
	})
	return roots, stop
}

// names is a server of DNS, by TCP, for which every name is this machine.
func names(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
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
				defer conn.Close() //nolint:errcheck // only closed
				for length := make([]byte, 2); ; {
					if _, err := io.ReadFull(conn, length); err != nil {
						return
					}
					question := make([]byte, binary.BigEndian.Uint16(length))
					if _, err := io.ReadFull(conn, question); err != nil || len(question) < 17 {
						return
					}
					answer := thisMachine(question)
					_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)) //nolint:gosec // a short one
				}
			}()
		}
	}()
	return l.Addr().String()
}

// thisMachine answers a message with one question (RFC 1035 section 4).
func thisMachine(question []byte) []byte {
	end := 12 + bytes.IndexByte(question[12:], 0) + 5 // of the question: name, type, class
	answer := bytes.Clone(question[:end])
	copy(answer[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}) // an answer, one question, nothing else
	if binary.BigEndian.Uint16(question[end-4:]) == 1 {          // type A: the name above, class IN, a minute, 127.0.0.1
		answer[7] = 1
		answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
	}
	return answer
}

func port(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(strings.TrimPrefix(address, "http://"))
	n, err2 := strconv.Atoi(text)
	if err != nil || err2 != nil {
		t.Fatalf("%v %v", err, err2)
	}
	return n
}

// A server gets its certificate from a private CA, by TLS where the CA can reach it so and else by plain HTTP, keeps it, and asks
// for no other name.
func TestACMEIssues(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"TLS", "HTTP"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			ca := newPebble(t)
			db := pgtest.Database(t)
			second := freeAddress(t)
			variables := []string{"FLUXBASE_SERVER_TLS_ENABLED=true", "FLUXBASE_SERVER_TLS_ACME_HOSTS=" + acmeName, "FLUXBASE_SERVER_TLS_ACME_CACHE_DIR=" + t.TempDir(),
				"FLUXBASE_SERVER_TLS_ACME_EMAIL=ops@example.com", "FLUXBASE_SERVER_TLS_ACME_DIRECTORY_URL=https://" + ca.address + "/dir",
				"FLUXBASE_SERVER_TLS_ACME_CA_FILE=" + ca.path("cert.pem"), "FLUXBASE_SERVER_TLS_REDIRECT_LISTEN=" + second, "FLUXBASE_SERVER_TLS_REDIRECT_HOST=" + acmeName + ":443"}
			s := servertest.On(t, db, variables...)
			// At port 80 the name in Host would have no port.
			usual := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(&url.URL{Scheme: "http", Host: second})
				r.Out.Host = acmeName
			}})
			t.Cleanup(usual.Close)
			nobody := port(t, freeAddress(t))
			tlsPort, httpPort := port(t, s.URL), nobody
			if way == "HTTP" {
				tlsPort, httpPort = nobody, port(t, usual.URL)
			}
			roots, stop := ca.start(t, tlsPort, httpPort)
			shake := func(s *servertest.Server, name string) (*x509.Certificate, error) {
				d := &net.Dialer{Timeout: 3 * time.Minute}
				conn, err := tls.DialWithDialer(d, "tcp", strings.TrimPrefix(s.URL, "http://"), &tls.Config{ServerName: name, RootCAs: roots})
				if err != nil {
					return nil, err
				}
				defer conn.Close() //nolint:errcheck // only closed
				return conn.ConnectionState().PeerCertificates[0], nil
			}
			if _, err := shake(s, "other.example.com"); err == nil {
				t.Error("another name is served")
			}
			first, err := shake(s, acmeName)
			if err != nil {
				t.Fatal(err)
			}
			if err := first.VerifyHostname(acmeName); err != nil || len(first.DNSNames) != 1 {
				t.Errorf("%v %v", first.DNSNames, err)
			}
			// The next server, and a client while the CA is away, find what is kept.
			stop()
			again, err := shake(servertest.On(t, db, variables[:len(variables)-2]...), acmeName)
			if err != nil || !again.Equal(first) {
				t.Errorf("after a restart: %v", err)
			}
		})
	}
}
