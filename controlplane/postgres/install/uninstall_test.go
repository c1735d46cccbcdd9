package install_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestUninstall(t *testing.T) {
	t.Parallel()
	c := pgtest.Cluster(t, pgtest.Options{})
	super := c.Superuser(t, "postgres")
	exec1(t, super, `create role app login password 'app' createrole`)
	exec1(t, super, `create database shop owner app`)
	conn := c.Conn(t, "app", "app", "shop")
	exec1(t, conn, application)
	dba := c.Superuser(t, "shop")
	before, rolesBefore := snapshot(t, dba, catalog), snapshot(t, dba, roles)
	migrate(t, conn)
	withRoles := snapshot(t, dba, roles)

	if err := install.Uninstall(t.Context(), conn, false); err != nil {
		t.Fatal(err)
	}
	differ(t, "uninstall", before, snapshot(t, dba, catalog))
	differ(t, "uninstall without roles", withRoles, snapshot(t, dba, roles))
	if err := install.Uninstall(t.Context(), conn, false); !errors.Is(err, install.ErrNotInstalled) {
		t.Errorf("again: %v", err)
	}

	migrate(t, conn)
	exec1(t, conn, `grant select on public.users to anon`)
	installed := snapshot(t, dba, catalog)
	if err := install.Uninstall(t.Context(), conn, true); err == nil || !strings.Contains(err.Error(), "privileges for table public.users") {
		t.Errorf("with a grant to anon: %v", err)
	}
	differ(t, "a refused uninstall", installed, snapshot(t, dba, catalog))
	exec1(t, conn, `revoke select on public.users from anon`)
	if err := install.Uninstall(t.Context(), conn, true); err != nil {
		t.Fatal(err)
	}
	differ(t, "uninstall with roles", before, snapshot(t, dba, catalog))
	differ(t, "uninstall with roles", rolesBefore, snapshot(t, dba, roles))
	migrate(t, conn)
}

// Objects of the users that hang on ours are listed, and nothing is changed.
func TestUninstallDependants(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, setup, want string }{
		{"policy", `create table public.t (u uuid); alter table public.t enable row level security; create policy own on public.t using (u = (select auth.uid()))`,
			"policy own on table public.t"},
		{"default", `create table public.t (u uuid default auth.current_user_id())`, "default value for column u of table public.t"},
		{"foreign key", `create table public.t (u uuid references auth.users (id))`, "constraint t_u_fkey on table public.t"},
		{"view", `create view public.v as select id from auth.users`, "rule _RETURN on view public.v"},
		{"column type", `create table public.t (u auth.users)`, "column u of table public.t"},
		{"function with a bound body", `create function public.f() returns uuid begin atomic select auth.uid(); end`, "function public.f()"},
		{"pgcrypto", `create table public.t (u text default fluxbase.crypt('a', 'b'))`, "default value for column u of table public.t"},
		{"table in a schema of ours", `create table auth.mine (id integer)`, "table auth.mine, owned by postgres"},
		{"function in a schema of ours", `create function auth.mine() returns integer language sql as 'select 1'`, "function auth.mine(), owned by postgres"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			conn := pgtest.Database(t).Conn(t, "superuser")
			exec1(t, conn, tc.setup)
			exec1(t, conn, `set search_path = ''`) // so that names come with their schemas
			before := snapshot(t, conn, catalog)
			err := install.Uninstall(t.Context(), conn, false)
			var used *install.InUse
			if !errors.As(err, &used) || len(used.Objects) != 1 || used.Objects[0] != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
			differ(t, "a refused uninstall", before, snapshot(t, conn, catalog))
		})
	}
}

// The users' own triggers, rows and functions whose text merely mentions ours do not count.
func TestUninstallLeavesTheRest(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	conn := db.Conn(t, "superuser")
	setup := `create table public.t (u uuid); insert into public.t values (gen_random_uuid());
		create function public.f() returns uuid language plpgsql as 'begin return auth.uid(); end'`
	exec1(t, conn, setup)
	if err := install.Uninstall(t.Context(), db.Conn(t, "installer"), false); err != nil {
		t.Fatal(err)
	}
	var n int
	err := conn.QueryRow(t.Context(), `select (select count(*) from public.t) * 10 + (select count(*) from pg_proc where proname = 'f' and pronamespace = 'public'::regnamespace)`).Scan(&n)
	if err != nil || n != 11 {
		t.Errorf("%d, %v", n, err)
	}
	migrate(t, db.Conn(t, "installer"))
	current(t, db.Conn(t, "installer"))
}
