package install_test

import (
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// What preflight prints for a DBA is enough for the installing user, and preflight itself changes nothing.
func TestPreflight(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, attributes, setup string
		want                    []string // parts of the statements; none means ready
		problem                 string
	}{
		{name: "superuser", attributes: "superuser"},
		{name: "owner with CREATEROLE", attributes: "createrole"},
		{name: "plain owner", attributes: "nocreaterole",
			want: []string{"create role fluxbase_api login noinherit;", "grant fluxbase_owner to app", "grant create on database shop to fluxbase_owner;", "alter role fluxbase_server set statement_timeout = '15s';"}},
		{name: "CREATEROLE, but the database is another's", attributes: "createrole", setup: `alter database shop owner to postgres`,
			want: []string{"grant create on database shop to fluxbase_owner;"}},
		{name: "nobody may connect", attributes: "superuser", setup: `revoke connect on database shop from public`},
		{name: "somebody took our name as a superuser", attributes: "superuser", setup: `create role fluxbase_api superuser login`,
			problem: "too many rights: fluxbase_api"},
		{name: "backslashes escape", attributes: "superuser", setup: `alter database shop set standard_conforming_strings = off`,
			problem: "standard_conforming_strings is off"},
		{name: "a login of ours that inherits and cannot log in", attributes: "superuser", setup: `create role fluxbase_api nologin inherit`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := pgtest.Cluster(t, pgtest.Options{})
			super := c.Superuser(t, "postgres")
			exec1(t, super, `create role app login password 'app' `+tc.attributes)
			exec1(t, super, `create database shop owner app`)
			if tc.setup != "" {
				exec1(t, super, tc.setup)
			}
			dba := c.Superuser(t, "shop")
			conn := c.Conn(t, "app", "app", "shop")
			before := append(snapshot(t, dba, catalog), snapshot(t, dba, roles)...)
			findings, err := install.Preflight(t.Context(), conn, fluxbase.Files)
			if err != nil {
				t.Fatal(err)
			}
			differ(t, "preflight", before, append(snapshot(t, dba, catalog), snapshot(t, dba, roles)...))
			if tc.problem != "" {
				if len(findings) != 1 || !strings.Contains(findings[0].Problem, tc.problem) {
					t.Errorf("got %+v, want %s", findings, tc.problem)
				}
				return
			}
			if len(tc.want) == 0 && len(findings) != 0 || len(tc.want) > 0 && len(findings) != 1 {
				t.Fatalf("findings %+v", findings)
			}
			for _, part := range tc.want {
				if !strings.Contains(findings[0].Statements, part) {
					t.Errorf("%q is not in\n%s", part, findings[0].Statements)
				}
			}
			if len(findings) > 0 {
				exec1(t, dba, findings[0].Statements)
			}
			if findings, err := install.Preflight(t.Context(), conn, fluxbase.Files); err != nil || len(findings) != 0 {
				t.Errorf("after the DBA: %+v, %v", findings, err)
			}
			migrate(t, conn)
			var logins int
			err = dba.QueryRow(t.Context(), `select count(*) from pg_roles where rolname = any($1) and rolcanlogin and not rolinherit
				and has_database_privilege(oid, 'shop', 'connect')`, install.Logins).Scan(&logins)
			if err != nil || logins != 3 {
				t.Errorf("%d logins, %v", logins, err)
			}
		})
	}
}

// From 16 on, CREATEROLE does not let one grant roles that somebody else made.
func TestPreflightRolesOfOthers(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t, pgtest.Options{})
	if c.Version() < 16 {
		t.Skip("15 lets every user with CREATEROLE grant every role")
	}
	super := c.Superuser(t, "postgres")
	exec1(t, super, `create role anon; create role authenticated; create role service_role; create role app login password 'app' createrole`)
	exec1(t, super, `create database shop owner app`)
	conn := c.Conn(t, "app", "app", "shop")
	findings, err := install.Preflight(t.Context(), conn, fluxbase.Files)
	if err != nil || len(findings) != 1 || !strings.Contains(findings[0].Statements, "grant anon to fluxbase_api with inherit false, set true;") ||
		strings.Contains(findings[0].Statements, "create role anon") {
		t.Fatalf("%+v, %v", findings, err)
	}
	exec1(t, c.Superuser(t, "shop"), findings[0].Statements)
	migrate(t, conn)
}

func TestPreflightPgcrypto(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	conn := db.Conn(t, "superuser")
	if err := install.Uninstall(t.Context(), conn, false); err != nil {
		t.Fatal(err)
	}
	exec1(t, conn, `create schema extensions; create extension pgcrypto with schema extensions`)
	installer := db.Conn(t, "installer")
	findings, err := install.Preflight(t.Context(), installer, fluxbase.Files)
	if err != nil || len(findings) != 1 || findings[0].Statements != `grant usage on schema "extensions" to fluxbase_owner;` {
		t.Fatalf("%+v, %v", findings, err)
	}
	exec1(t, conn, findings[0].Statements)
	if findings, err = install.Preflight(t.Context(), installer, fluxbase.Files); err != nil || len(findings) != 0 {
		t.Errorf("%+v, %v", findings, err)
	}
	migrate(t, installer)
	if err := install.Uninstall(t.Context(), installer, false); err != nil {
		t.Fatal(err)
	}
	var there bool
	if err := conn.QueryRow(t.Context(), `select exists (select from pg_extension where extname = 'pgcrypto')`).Scan(&there); err != nil || !there {
		t.Errorf("pgcrypto of another schema is there: %v, %v", there, err)
	}
}
