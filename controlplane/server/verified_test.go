package server

import (
	"testing"

	"github.com/jackc/pgx/v5"
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
