package postgres_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres"
)

func TestRewrite(t *testing.T) {
	t.Parallel()
	dsns := []string{
		"postgres://ann:old%40word@db.example:5433/shop?sslmode=disable",
		"postgresql:///shop?host=db.example&port=5433&user=ann&password=old@word&sslmode=disable",
		"host=db.example port=5433 user=ann password='old@word' dbname=shop sslmode=disable",
	}
	for _, dsn := range dsns {
		t.Run(dsn[:12], func(t *testing.T) {
			t.Parallel()
			got, err := postgres.WithUser(dsn, "bob", `it's\@/?`)
			if err == nil {
				got, err = postgres.WithDatabase(got, "we ird'/")
			}
			if err == nil {
				got, err = postgres.WithParam(got, "role", "fluxbase_owner")
			}
			if err != nil {
				t.Fatal(err)
			}
			c, err := pgx.ParseConfig(got)
			if err != nil {
				t.Fatalf("%s: %v", got, err)
			}
			if c.User != "bob" || c.Password != `it's\@/?` || c.Database != "we ird'/" || c.Host != "db.example" || c.Port != 5433 ||
				c.RuntimeParams["role"] != "fluxbase_owner" || c.TLSConfig != nil {
				t.Errorf("%s parsed as user=%s password=%s database=%s host=%s port=%d params=%v", got, c.User, c.Password, c.Database, c.Host, c.Port, c.RuntimeParams)
			}
			if d := postgres.Describe(dsn); d != "ann@db.example:5433/shop" {
				t.Errorf("Describe = %s", d)
			}
		})
	}
}

func TestWithUserDropsThePassword(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"postgres://ann:secret@h/d", "host=h dbname=d user=ann password=secret"} {
		got, err := postgres.WithUser(dsn, "bob", "")
		if err != nil {
			t.Fatal(err)
		}
		c, err := pgx.ParseConfig(got)
		if err != nil {
			t.Fatal(err)
		}
		if c.User != "bob" || c.Password == "secret" {
			t.Errorf("%s -> user=%s password=%s", got, c.User, c.Password)
		}
	}
}

func TestErrorsHideTheConnectionString(t *testing.T) {
	t.Parallel()
	bad := "postgres://ann:secret@h:port/d"
	_, err := postgres.WithUser(bad, "bob", "")
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error: %v", err)
	}
	if d := postgres.Describe(bad); strings.Contains(d, "secret") {
		t.Error(d)
	}
}

func TestSplitPassword(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"postgres://ann:se%40cret@db:5432/app?sslmode=require", "postgres://ann@db:5432/app?sslmode=require", "se@cret"},
		{"postgres://ann@db/app", "postgres://ann@db/app", ""},
		{"postgresql://db/app?password=secret&user=ann", "postgresql://db/app?user=ann", "secret"},
		{"host=db password=secret dbname=app", "host=db dbname=app", "secret"},
		{`host=db password = 'se \'c\\ret' dbname='password=x'`, `host=db dbname='password=x'`, `se 'c\ret`},
		{"", "", ""},
	} {
		rest, password, err := postgres.SplitPassword(c[0])
		if err != nil || rest != c[1] || password != c[2] {
			t.Errorf("%s: %q, %q, %v", c[0], rest, password, err)
		}
	}
	if _, _, err := postgres.SplitPassword("postgres://ann:secret@[/app"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}
