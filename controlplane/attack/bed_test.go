package attack

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/postgres"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// fixture is an application: a table with a policy, and functions that run whatever text they are given.
const fixture = `
create table public.notes (id bigint generated always as identity primary key,
  user_id uuid not null default auth.current_user_id(), body text not null);
select auth.enable_rls(p_table => 'public.notes');
grant select, insert, update, delete on public.notes to authenticated, service_role;
create policy notes_owner on public.notes to authenticated using (user_id = (select auth.current_user_id()));
create function public.run(p_sql text) returns text language plpgsql volatile
  as $$ declare v text; begin execute p_sql into v; return v; end $$;
create function public.command(p_sql text) returns void language plpgsql volatile
  as $$ begin execute p_sql; end $$;
select auth.create_user(p_email => 'mallory@example.com'), auth.create_user(p_email => 'victim@example.com');
insert into public.notes (user_id, body) select id, 'secret of ' || email from auth.users;
update auth.users set encrypted_password = '$2a$10$' || repeat('v', 53) where email = 'victim@example.com';`

var logins = map[string]string{"fluxbase_api": "attack", "fluxbase_service": "attack", "fluxbase_server": "attack"}

// A bed is a private cluster with one installed database, cloned for each attack.
type bed struct {
	cluster *pgtest.PrivateCluster
	admin   *pgx.Conn // superuser in the maintenance database
	clones  int
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{cluster: pgtest.Cluster(t, pgtest.Options{})}
	b.admin = b.cluster.Superuser(t, "postgres")
	exec(t, b.admin, `create database sound`)
	conn := b.cluster.Superuser(t, "sound")
	if _, err := install.Migrate(t.Context(), conn, fluxbase.Files, install.Options{To: install.Latest}); err != nil {
		t.Fatal(err)
	}
	for login, password := range logins {
		exec(t, conn, fmt.Sprintf(`alter role %s password '%s'`, login, password))
	}
	exec(t, conn, fixture)
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
}

// A scene is one clone with two people signed in and a gateway that has a single data connection, so that each request
// finds what the one before it left.
type scene struct {
	name      string
	url       string // of the superuser
	superuser *pgx.Conn
	gateway   *gateway.Gateway
	mallory   gateway.Caller
	victim    gateway.Caller
}

func (b *bed) scene(t *testing.T) *scene {
	t.Helper()
	b.clones++
	s := &scene{name: fmt.Sprintf("scene_%d", b.clones)}
	exec(t, b.admin, fmt.Sprintf(`create database %s template sound`, s.name))
	s.url = b.cluster.SuperuserURL(s.name)
	s.superuser = b.cluster.Superuser(t, s.name)
	s.mallory, s.victim = s.signIn(t, "mallory@example.com"), s.signIn(t, "victim@example.com")
	s.gateway = s.open(t, s.url, gateway.PoolerNone)
	return s
}

// open connects a gateway to the server that url names, with one data connection.
func (s *scene) open(t *testing.T, url string, pooler gateway.Pooler) *gateway.Gateway {
	t.Helper()
	login := func(name string) gateway.PoolConfig {
		dsn, err := postgres.WithUser(url, name, logins[name])
		if err != nil {
			t.Fatal(err)
		}
		return gateway.PoolConfig{URL: dsn, Size: 1}
	}
	g, err := gateway.Open(t.Context(), gateway.Config{
		API: login("fluxbase_api"), Service: login("fluxbase_service"), Server: login("fluxbase_server"), Pooler: pooler,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return g
}

func (s *scene) signIn(t *testing.T, email string) gateway.Caller {
	t.Helper()
	c := gateway.Caller{Role: "authenticated", JTI: uuid.New(), AAL: "aal1", RequestID: "attack"}
	err := s.superuser.QueryRow(t.Context(), `insert into auth.sessions (user_id, expires_at)
		select id, now() + interval '1 hour' from auth.users where email = $1 returning user_id, id`, email).
		Scan(&c.UserID, &c.SessionID)
	if err != nil {
		t.Fatal(err)
	}
	c.Claims = fmt.Appendf(nil, `{"sub":"%s","email":"%s"}`, c.UserID, email)
	return c
}

// ask runs one statement as the caller and returns the rows as text, columns separated by |.
func ask(t *testing.T, g *gateway.Gateway, c gateway.Caller, options gateway.QueryOptions, sql string) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var rows []string
	err := g.Query(ctx, c, gateway.Statement{SQL: sql}, options, func(row [][]byte) error {
		text := ""
		for i, column := range row {
			if i > 0 {
				text += "|"
			}
			text += string(column)
		}
		rows = append(rows, text)
		return nil
	})
	return rows, err
}
