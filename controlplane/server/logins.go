package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
)

// ErrPrivilegedLogin is wrapped by the refusal of a login that could get round what the database decides.
var ErrPrivilegedLogin = errors.New("a database login has more rights than it may have")

// login is one of the three, with the roles that it may be given.
type login struct {
	key  string // of the configuration
	name string // of the login that the installation makes for it
	url  config.URL
	may  []string // roles that may be granted to it
	acts []string // roles that it may become although they would be refused elsewhere
}

// sqlLogin says what the session's login could do, whatever the names of roles in between: $1 may be granted to it,
// $2 it may become. Dangerous is every role that row security does not hold back, that makes roles, or that is one of
// ours or of PostgreSQL's own. The first column is null when all is well; else what is wrong; then what mends it.
const sqlLogin = `
with recursive dangerous as (
  select r.oid from pg_catalog.pg_roles r
  where (r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolreplication or r.rolname = 'service_role'
         or pg_catalog.starts_with(r.rolname, 'fluxbase_') or pg_catalog.starts_with(r.rolname, 'pg_'))
    and r.rolname <> all ($2::text[])
),
reach (role) as (
  select r.oid from pg_catalog.pg_roles r where r.rolname = session_user
  union
  select m.roleid from reach join pg_catalog.pg_auth_members m on m.member = reach.role
),
findings (ord, problem, remedy) as (
  select 1, pg_catalog.format('it is a superuser, or has BYPASSRLS, CREATEROLE or REPLICATION'),
         pg_catalog.format('alter role %I nosuperuser nobypassrls nocreaterole noreplication;', r.rolname)
  from pg_catalog.pg_roles r
  where r.rolname = session_user and (r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolreplication)
  union all
  select 2, pg_catalog.format('it can become %I', g.rolname), pg_catalog.format('revoke %I from %I;', g.rolname, u.rolname)
  from pg_catalog.pg_auth_members m
  join reach on reach.role = m.member
  join pg_catalog.pg_roles g on g.oid = m.roleid
  join pg_catalog.pg_roles u on u.oid = m.member
  where g.oid in (select d.oid from dangerous d)
     or u.rolname = session_user and g.rolname <> all ($1::text[]) and g.rolname <> all ($2::text[])
  union all
  select 3, pg_catalog.format('it owns %s, or can become the owner, whom row security does not hold back', c.oid::pg_catalog.regclass),
         pg_catalog.format('alter table %s owner to ...;', c.oid::pg_catalog.regclass)
  from pg_catalog.pg_class c
  join reach on reach.role = c.relowner
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'f')
    and (n.nspname = any ($3::text[]) or '` + tenantSchemas + `' = any ($3::text[]) and pg_catalog.starts_with(n.nspname, 'tenant_'))
    and not exists (select from pg_catalog.pg_roles r where r.oid = c.relowner and r.rolname = any ($2::text[]))
  union all
  -- A role may change its own settings, and so may SQL that got into a request: no timeout may be gone.
  select 4, pg_catalog.format('its setting %s takes away what every request relies on', c.setting),
         pg_catalog.format('alter role %I%s reset %I;', session_user,
           (select ' in database ' || pg_catalog.quote_ident(d.datname) from pg_catalog.pg_database d where d.oid = s.setdatabase),
           pg_catalog.split_part(c.setting, '=', 1))
  from pg_catalog.pg_db_role_setting s
  join pg_catalog.pg_roles r on r.oid = s.setrole
  cross join lateral pg_catalog.unnest(s.setconfig) c (setting)
  where r.rolname = session_user
    and (c.setting ~ '^(statement|lock|idle_in_transaction_session|transaction)_timeout=0+\s*[a-z]*$'
         or c.setting ~ '^(role|default_transaction_read_only|row_security|session_replication_role)=')
)
select problem, remedy from findings order by ord, problem, remedy`

// checkDatabase makes sure that the database is ours to serve and that no login could get round it.
func (s *Server) checkDatabase(ctx context.Context, allowPrivileged bool) error {
	db := s.config.Database
	server, err := s.connect(ctx, "database.server_url", db.ServerURL)
	if err != nil {
		return err
	}
	defer server.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was left open
	if err := install.Check(ctx, server, s.files); err != nil {
		return err
	}
	var extra []string
	const sqlRoles = `select pg_catalog.string_to_array(auth.setting(p_key => 'request_roles'), ',')`
	if err := server.QueryRow(ctx, sqlRoles).Scan(&extra); err != nil {
		return fmt.Errorf("read request_roles: %w", err)
	}
	logins := []login{
		{"database.url", "fluxbase_api", db.URL, append([]string{"anon", "authenticated"}, extra...), []string{}},
		{"database.service_url", "fluxbase_service", db.ServiceURL, []string{"service_role"}, []string{"service_role"}},
		{"database.server_url", "fluxbase_server", db.ServerURL, []string{}, []string{}},
	}
	for _, l := range logins {
		conn := server
		if l.key != "database.server_url" {
			if conn, err = s.connect(ctx, l.key, l.url); err != nil {
				return err
			}
			defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was left open
		}
		err := s.checkLogin(ctx, conn, l)
		switch {
		case errors.Is(err, ErrPrivilegedLogin) && allowPrivileged:
			s.log.Warn("starting with a privileged login, as told", "error", err)
		case err != nil:
			return err
		}
	}
	return nil
}

func (s *Server) checkLogin(ctx context.Context, conn *pgx.Conn, l login) error {
	rows, err := conn.Query(ctx, sqlLogin, l.may, l.acts, s.config.REST.Schemas)
	if err != nil {
		return fmt.Errorf("check the login of %s: %w", l.key, err)
	}
	type finding struct{ Problem, Remedy string }
	findings, err := pgx.CollectRows(rows, pgx.RowToStructByPos[finding])
	if err != nil {
		return fmt.Errorf("check the login of %s: %w", l.key, err)
	}
	if len(findings) == 0 {
		return nil
	}
	user := conn.Config().User
	var text strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&text, "\n  %s", f.Problem)
		// Somebody else's login, as a rule the administrator's own: whoever took its rights away might lock himself out.
		if user == l.name {
			fmt.Fprintf(&text, "; run: %s", f.Remedy)
		}
	}
	if user != l.name {
		fmt.Fprintf(&text, "\n  %s shall name a login that has no other use: leave the user out of it, which means %s", l.key, l.name)
	}
	return fmt.Errorf("%w: %s of %s%s", ErrPrivilegedLogin, user, l.key, &text)
}

// connect opens a session of its own beside the pools. It prepares nothing, so it works through a pooler.
func (s *Server) connect(ctx context.Context, key string, url config.URL) (*pgx.Conn, error) {
	c, err := pgx.ParseConfig(url.Reveal())
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read", key)
	}
	if host, ok := verified(c); !ok {
		s.plain.Do(func() {
			s.log.Warn("nobody checks who the database is: add sslmode=verify-full to its URL", "option", key, "host", host)
		})
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return conn, nil
}

// verified reports whether everybody whom the configuration may connect to is on this machine or shows a certificate
// for their name; host is one who is neither.
func verified(c *pgx.ConnConfig) (host string, ok bool) {
	check := func(host string, t *tls.Config) bool {
		address, err := netip.ParseAddr(host)
		local := strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" || err == nil && address.Unmap().IsLoopback()
		return local || t != nil && !t.InsecureSkipVerify
	}
	if !check(c.Host, c.TLSConfig) {
		return c.Host, false
	}
	for _, f := range c.Fallbacks {
		if !check(f.Host, f.TLSConfig) {
			return f.Host, false
		}
	}
	return "", true
}
