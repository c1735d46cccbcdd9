package clienttest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// provider is a certified OpenID provider on the loopback address.
type provider struct {
	Name         string `json:"name"`
	Issuer       string `json:"issuer"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// startProvider starts one for the time of the test. Each variable is NAME=value of its environment.
func startProvider(t *testing.T, name string, variables ...string) provider {
	t.Helper()
	node := nodePath(t)
	p := provider{Name: name, ClientID: "client-of-" + name, ClientSecret: "secret-of-" + name + "-0123456789abcdef0123456789"}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	command := exec.CommandContext(ctx, node, "provider.mjs")
	command.Dir = suites
	command.Env = append(append(os.Environ(), "CLIENT_ID="+p.ClientID, "CLIENT_SECRET="+p.ClientSecret), variables...)
	log := new(servertest.Log)
	command.Stderr = log
	in, err := command.StdinPipe() // the provider ends with it, also when the test is killed
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		stop()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("log of the provider %s:\n%s", name, log)
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "http://") {
			p.Issuer = lines.Text()
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return p
		}
	}
	t.Fatalf("the provider does not start: %v\n%s", lines.Err(), log)
	return p
}

// configured is the variable that makes a server know providers.
func configured(providers ...provider) string {
	text, err := json.Marshal(providers)
	if err != nil {
		panic(err) // texts alone
	}
	return "FLUXBASE_AUTH_PROVIDERS=" + string(text)
}

// browser is one that follows redirects step by step and keeps cookies.
type browser struct {
	t      *testing.T
	client *http.Client
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, &http.Client{Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// get asks for one address and returns the status and where it leads.
func (b *browser) get(address string) (status int, location *url.URL, body string) {
	b.t.Helper()
	response, err := b.client.Get(address)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if location, err = response.Location(); err != nil {
		location = new(url.URL)
	}
	return response.StatusCode, location, string(text)
}

// follow goes on from an address until one that stop accepts, which it does not ask for.
func (b *browser) follow(address string, stop func(*url.URL) bool) *url.URL {
	b.t.Helper()
	for range 20 {
		u, err := url.Parse(address)
		if err != nil {
			b.t.Fatal(err)
		}
		if stop(u) {
			return u
		}
		status, location, body := b.get(address)
		if location.Host == "" {
			b.t.Fatalf("%s: %d %s", address, status, body)
		}
		address = location.String()
	}
	b.t.Fatal("too many redirects")
	return nil
}

// isCallback says that a provider sends the browser back.
func isCallback(u *url.URL) bool { return strings.HasSuffix(u.Path, "/auth/v1/callback") }

// isApp says that the server sends the browser to the application.
func isApp(u *url.URL) bool { return u.Host == "localhost:3000" || u.Host == "app.example.com" }

const (
	app      = "https://app.example.com/in"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // of RFC 7636 appendix B
)

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorizeURL is where a client sends a browser; with pkce it has the challenge of verifier.
func authorizeURL(s *servertest.Server, name, account string, pkce bool) string {
	q := url.Values{"provider": {name}, "redirect_to": {app}, "login_hint": {account}}
	if pkce {
		q["code_challenge"], q["code_challenge_method"] = []string{challengeOf(verifier)}, []string{"s256"}
	}
	return s.URL + "/auth/v1/authorize?" + q.Encode()
}

// exchange exchanges the code that a browser brought to the application.
func exchange(t *testing.T, s *servertest.Server, code string) servertest.Answer {
	t.Helper()
	return s.Do(t, "POST", "/auth/v1/token?grant_type=pkce", map[string]string{"auth_code": code, "code_verifier": verifier})
}
