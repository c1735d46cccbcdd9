// Package servertest runs a whole server on a database of a test's own, reached over HTTP.
package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/gateway/wiretest"
	"github.com/wayli-app/fluxbase/controlplane/logging"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
	"github.com/wayli-app/fluxbase/controlplane/server"
)

// Secret signs the tokens of test servers.
const Secret = "n4vVq0dXcJ2mEw8rTz6uYb1aKs5hLf3g-servertest"

// Password is one that the policy accepts.
const Password = "correct horse battery staple"

// Server is a running server with its database.
type Server struct {
	*server.Server
	URL   string            // http://127.0.0.1:port
	DB    Database          // its database
	Wire  *wiretest.Counter // counts round trips of the pools
	Log   *Log              // everything that it logged
	admin *pgx.Conn
	mu    sync.Mutex // guards admin
	stop  context.CancelFunc
	ended func() error // waits for the end of Serve
}

// Database is what a server is started on: a clone of [pgtest.Database] or a [Private] one.
type Database interface {
	URL(role string) string // as pgtest.DB
}

// Start runs a server on a new database and ends it with the test. Each variable is NAME=value of the server's
// environment.
func Start(t testing.TB, variables ...string) *Server {
	t.Helper()
	db := pgtest.Database(t)
	return On(t, db, variables...)
}

// On runs a server on a database that is there.
func On(t testing.TB, db Database, variables ...string) *Server {
	t.Helper()
	s := &Server{DB: db, Wire: wiretest.New(), Log: new(Log)}
	t.Cleanup(func() {
		if s.admin != nil {
			_ = s.admin.Close(context.Background())
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	s.URL = "http://" + listener.Addr().String()
	variables = append([]string{"FLUXBASE_SERVER_LISTEN=" + listener.Addr().String()}, variables...)
	s.Server, err = server.New(t.Context(), server.Options{
		Config:  Config(t, db, variables...),
		Files:   fluxbase.Files,
		Logger:  logging.New(s.Log, slog.LevelDebug, "json"),
		Version: "test",
		Dial:    s.Wire.Dial(nil),
	})
	if err != nil {
		_ = listener.Close()
		t.Fatalf("servertest: %v", err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	s.stop = stop
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, listener) }()
	s.ended = sync.OnceValue(func() error { return <-served })
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("servertest: stop: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
		if t.Failed() {
			t.Logf("log of the server:\n%s", s.Log)
		}
	})
	return s
}

// Stop asks the server to stop, waits for it and returns what Serve returned.
func (s *Server) Stop() error {
	s.stop()
	return s.ended()
}

// Config is the configuration of a server on a database.
func Config(t testing.TB, db Database, variables ...string) *config.Config {
	t.Helper()
	environ := append([]string{
		"FLUXBASE_MODE=development",
		"FLUXBASE_AUTH_JWT_SECRET=" + Secret,
		"FLUXBASE_DATABASE_URL=" + db.URL("fluxbase_api"),
		"FLUXBASE_DATABASE_SERVICE_URL=" + db.URL("fluxbase_service"),
		"FLUXBASE_DATABASE_SERVER_URL=" + db.URL("fluxbase_server"),
	}, variables...)
	c, err := config.Load(os.DevNull, environ)
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	return c
}

// superuser is a session that is open, also after a restart of PostgreSQL.
func (s *Server) superuser(t testing.TB) *pgx.Conn {
	t.Helper()
	if s.admin == nil || s.admin.Ping(context.Background()) != nil {
		var err error
		if s.admin, err = pgx.Connect(context.Background(), s.DB.URL("superuser")); err != nil {
			t.Fatalf("servertest: %v", err)
		}
	}
	return s.admin
}

// Exec runs SQL as the superuser.
func (s *Server) Exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.superuser(t).Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Value reads one value as text, as the superuser; NULL is empty.
func (s *Server) Value(t testing.TB, sql string, args ...any) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var v *string
	if err := s.superuser(t).QueryRow(context.Background(), "select ("+sql+")::text", args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if v == nil {
		return ""
	}
	return *v
}

// CreateUser makes a confirmed user in psql's way, with Password.
func (s *Server) CreateUser(t testing.TB, email string) (id string) {
	t.Helper()
	return s.Value(t, `auth.create_user(p_email => $1, p_password => $2)`, email, Password)
}

// RoundTrips is how many round trips to PostgreSQL a call takes. What the server asks for itself meanwhile would count
// too, so of three calls the least counts.
func (s *Server) RoundTrips(call func()) int {
	least := 0
	for i := range 3 {
		s.Wire.Reset()
		call()
		if n := s.Wire.Counts().Ready; i == 0 || n < least {
			least = n
		}
	}
	return least
}

// Answer is a whole HTTP answer.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Text is a member of the JSON body, empty without.
func (a Answer) Text(name string) string {
	var members map[string]any
	_ = json.Unmarshal(a.Body, &members)
	text, _ := members[name].(string)
	return text
}

// Code is the error code of the body in whatever form.
func (a Answer) Code() string {
	if code := a.Text("error_code"); code != "" {
		return code
	}
	return a.Text("code")
}

// Do sends a request. A body that is not a string is sent as JSON. Headers are lines of the form Name: value.
func (s *Server) Do(t testing.TB, method, path string, body any, headers ...string) Answer {
	t.Helper()
	a, err := s.Try(method, path, body, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// Try is Do for requests that may fail to get an answer.
func (s *Server) Try(method, path string, body any, headers ...string) (Answer, error) {
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = bytes.NewReader([]byte(body))
	default:
		text, err := json.Marshal(body)
		if err != nil {
			return Answer{}, err
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequest(method, s.URL+path, reader)
	if err != nil {
		return Answer{}, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range headers {
		name, value, _ := bytes.Cut([]byte(line), []byte(": "))
		if string(name) == "Content-Type" {
			r.Header.Set(string(name), string(value))
			continue
		}
		r.Header.Add(string(name), string(value))
	}
	response, err := client.Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, response.Header, text}, err
}

var client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}

// Tokens are what a login gives.
type Tokens struct{ Access, Refresh string }

// Bearer is the header that shows the access token.
func (k Tokens) Bearer() string { return "Authorization: Bearer " + k.Access }

// Login logs in with Password.
func (s *Server) Login(t testing.TB, email string) Tokens {
	t.Helper()
	a := s.Do(t, http.MethodPost, "/auth/v1/token?grant_type=password", map[string]string{"email": email, "password": Password})
	if a.Status != http.StatusOK {
		t.Fatalf("login: %d %s", a.Status, a.Body)
	}
	return a.Tokens()
}

// Tokens are those of an answer.
func (a Answer) Tokens() Tokens { return Tokens{a.Text("access_token"), a.Text("refresh_token")} }

// Log collects the lines of a logger.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends a line.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String is everything so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
