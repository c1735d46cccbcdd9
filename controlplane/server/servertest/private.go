package servertest

import (
	"context"
	"testing"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// PrivateDatabase is a database with everything installed on a cluster of its own: for tests that change roles or
// restart PostgreSQL.
type PrivateDatabase struct{ *pgtest.PrivateCluster }

const privateName = "app"

// Private makes one.
func Private(t testing.TB, o pgtest.Options) PrivateDatabase {
	t.Helper()
	db := PrivateDatabase{pgtest.Cluster(t, o)}
	ctx := context.Background()
	if _, err := db.Superuser(t, "postgres").Exec(ctx, "create database "+privateName); err != nil {
		t.Fatalf("servertest: %v", err)
	}
	conn := db.Superuser(t, privateName)
	if _, err := install.Migrate(ctx, conn, fluxbase.Files, install.Options{To: install.Latest}); err != nil {
		t.Fatalf("servertest: %v", err)
	}
	for _, login := range []string{"fluxbase_api", "fluxbase_service", "fluxbase_server"} {
		if _, err := conn.Exec(ctx, "alter role "+login+" password '"+pgtest.Password(login)+"'"); err != nil {
			t.Fatalf("servertest: %v", err)
		}
	}
	return db
}

// URL returns the connection string of the superuser or of one of the three logins.
func (db PrivateDatabase) URL(role string) string {
	if role == "superuser" {
		return db.SuperuserURL(privateName)
	}
	return db.Cluster.URL(role, pgtest.Password(role), privateName)
}
