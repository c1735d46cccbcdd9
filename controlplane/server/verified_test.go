package server

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

func TestVerified(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]bool{
		"postgres://u@db.example.com/app":                                 false,
		"postgres://u@db.example.com/app?sslmode=disable":                 false,
		"postgres://u@db.example.com/app?sslmode=require":                 false,
		"postgres://u@db.example.com/app?sslmode=verify-ca":               false,
		"postgres://u@db.example.com/app?sslmode=verify-full":             true,
		"postgres://u@localhost,db.example.com/app?sslmode=disable":       false,
		"postgres://u@localhost,db.example.com/app?sslmode=verify-full":   true,
		"postgres://u@localhost/app?sslmode=disable":                      true,
		"postgres://u@127.0.0.1/app?sslmode=disable":                      true,
		"postgres://u@[::1]/app?sslmode=disable":                          true,
		"postgres:///app?host=/var/run/postgresql&user=u&sslmode=disable": true,
	} {
		c, err := pgx.ParseConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		if host, got := verified(c); got != want || got != (host == "") {
			t.Errorf("%s: %v %q", url, got, host)
		}
	}
}

// Whoever starts a server learns of it, once.
func TestUnverifiedDatabaseIsAWarning(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel() // nobody is connected to
	for url, want := range map[string]int{"postgres://u@db.example.com/app?sslmode=require": 1, "postgres://u@db.example.com/app?sslmode=verify-full": 0} {
		c, err := config.Load(os.DevNull, []string{"FLUXBASE_DATABASE_URL=" + url, "FLUXBASE_AUTH_JWT_SECRET=n4vVq0dXcJ2mEw8rTz6uYb1aKs5hLf3g-verified"})
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		s := &Server{log: slog.New(slog.NewTextHandler(&log, nil))}
		for range 2 {
			if _, err := s.connect(ended, "database.url", c.Database.URL); err == nil {
				t.Error("connected")
			}
		}
		if n := strings.Count(log.String(), "sslmode=verify-full"); n != want || strings.Count(log.String(), "level=WARN") != want {
			t.Errorf("%s: %s", url, &log)
		}
	}
}
