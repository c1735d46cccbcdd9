package attack

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// plainContext is the identity helper without its signature: what settings alone would be worth.
const plainContext = `create or replace function auth.verified_context_text() returns text language plpgsql stable as
	$$ begin return nullif(current_setting('fluxbase.context', true), ''); end $$`

const victimSecret = "secret of victim@example.com"

// nested runs a second statement inside an expression of the first, as injected text can.
func nested(sql string) string {
	return fmt.Sprintf(`query_to_xml(%s, true, true, '')::text`, quote(sql))
}

func quote(s string) string { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }

// attacks whose success is one statement that returns the loot.
var attacks = []struct {
	name   string
	sql    func(s *scene) string // run as mallory
	loot   func(s *scene) string // what its result holds when it succeeded
	weaken string                // as superuser in the clone: removes the protection
	undo   string                // of what weaken changed in the whole cluster
}{
	{
		name: "another user by set_config in a lateral join",
		sql: func(s *scene) string {
			return fmt.Sprintf(`select n.body from
				(select set_config('fluxbase.context', replace(current_setting('fluxbase.context'), '%s', '%s'), true) offset 0) x,
				lateral (select * from public.notes where x.set_config is not null offset 0) n`, s.mallory.UserID, s.victim.UserID)
		},
		weaken: plainContext,
	},
	{
		name: "another user by set_config before a nested statement",
		sql: func(s *scene) string {
			return fmt.Sprintf(`select set_config('fluxbase.context', replace(current_setting('fluxbase.context'), '%s', '%s'), true), %s`,
				s.mallory.UserID, s.victim.UserID, nested(`select body from public.notes`))
		},
		weaken: plainContext,
	},
	{
		name: "another user through the gate, opened again by the login",
		sql: func(s *scene) string {
			forged := fmt.Sprintf(`[1,"%s","%s",null,"aal1","authenticated",null,null,null,null,%d,null]`,
				s.victim.UserID, s.victim.SessionID, time.Now().Unix())
			gate := fmt.Sprintf(`select fluxbase.begin_request('authenticated', '%s', gen_random_uuid(), null, %s, '00', null, false, null)`,
				s.victim.SessionID, quote(forged))
			return fmt.Sprintf(`select set_config('role', 'none', true), %s, %s`, nested(gate), nested(`select body from public.notes`))
		},
		weaken: plainContext,
	},
	{
		name: "another user by a context that was overheard earlier",
		sql: func(s *scene) string {
			forged := fmt.Sprintf(`[1,"%s","%s",null,"aal1","authenticated",null,null,null,null,%d,null]`,
				s.victim.UserID, s.victim.SessionID, time.Now().Unix()-300)
			return fmt.Sprintf(`select set_config('fluxbase.context', %s, true), set_config('fluxbase.context_mac', %s, true), %s`,
				quote(forged), quote(s.sign(forged)), nested(`select body from public.notes`))
		},
		weaken: `do $$ begin execute replace(pg_get_functiondef('auth.verified_context_text'::regproc), '<= 60', '<= 600'); end $$`,
	},
	{
		name: "another user's claims",
		sql: func(*scene) string {
			return fmt.Sprintf(`select set_config('request.jwt.claims', '{"email":"%s"}', true), %s`,
				victimSecret, nested(`select auth.email()`))
		},
		weaken: `create or replace function auth.jwt() returns jsonb language plpgsql stable as
			$$ begin return current_setting('request.jwt.claims')::jsonb; end $$`,
	},
	{
		name: "service_role",
		sql: func(*scene) string {
			return `select set_config('role', 'service_role', true), ` + nested(`select body from public.notes`)
		},
		weaken: `grant service_role to fluxbase_api`,
		undo:   `revoke service_role from fluxbase_api`,
	},
	{
		name: "the owner",
		sql: func(*scene) string {
			return `select set_config('role', 'fluxbase_owner', true), ` + nested(`select encrypted_password as body from auth.users`)
		},
		loot:   func(*scene) string { return "$2a$10$vvvv" },
		weaken: `grant fluxbase_owner to fluxbase_api`,
		undo:   `revoke fluxbase_owner from fluxbase_api`,
	},
	{
		name: "the login, to read sessions",
		sql: func(*scene) string {
			return `select set_config('role', 'none', true), ` + nested(`select id from auth.sessions`)
		},
		loot:   func(s *scene) string { return s.victim.SessionID.String() },
		weaken: `grant select on auth.sessions to fluxbase_api; create policy t on auth.sessions to fluxbase_api using (true)`,
	},
	{
		name:   "sessions, read as the request's own role",
		sql:    func(*scene) string { return `select ` + nested(`select id from auth.sessions`) },
		loot:   func(s *scene) string { return s.victim.SessionID.String() },
		weaken: `grant select on auth.sessions to authenticated; create policy t on auth.sessions to authenticated using (true)`,
	},
	{
		name: "an entry point, called by the login",
		sql: func(*scene) string {
			return `select set_config('role', 'none', true), ` + nested(`select fluxbase.login_begin('victim@example.com')`)
		},
		loot:   func(*scene) string { return "$2a$10$vvvv" },
		weaken: `grant execute on function fluxbase.login_begin(text) to fluxbase_api`,
	},
	{
		name: "the key that signs contexts",
		sql: func(*scene) string {
			return `select set_config('role', 'none', true), ` + nested(`select 'key: ' || length(fluxbase.context_key())`)
		},
		loot:   func(*scene) string { return "key: 32" },
		weaken: `grant execute on function fluxbase.context_key() to fluxbase_api`,
	},
	{
		name: "a forged entry in the audit log",
		sql: func(*scene) string {
			return `select public.run('insert into audit.log (action, role) values (''forged'', ''x'') returning action')`
		},
		loot:   func(*scene) string { return "forged" },
		weaken: `grant usage on schema audit to authenticated; grant insert, select on audit.log to authenticated; grant usage on sequence audit.log_id_seq to authenticated; create policy t on audit.log to authenticated using (true)`,
	},
}

func (s *scene) sign(text string) string {
	var mac string
	if err := s.superuser.QueryRow(context.Background(), `select fluxbase.context_mac(p_context => $1)`, text).Scan(&mac); err != nil {
		panic(err)
	}
	return mac
}

func TestInjectedStatementAchievesNothing(t *testing.T) {
	b := newBed(t)
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			s := b.scene(t)
			loot := victimSecret
			if a.loot != nil {
				loot = a.loot(s)
			}
			attempt := func() (bool, []string, error) {
				rows, err := ask(t, s.gateway, s.mallory, gateway.QueryOptions{Volatile: true}, a.sql(s))
				return strings.Contains(strings.Join(rows, "\n"), loot), rows, err
			}
			if succeeded, rows, _ := attempt(); succeeded {
				t.Fatalf("the attack succeeded: %q", rows)
			}
			rows, err := ask(t, s.gateway, s.victim, gateway.QueryOptions{ReadOnly: true}, `select body from public.notes`)
			if err != nil || len(rows) != 1 || rows[0] != victimSecret {
				t.Fatalf("the next request on the connection: %q, %v", rows, err)
			}

			exec(t, s.superuser, a.weaken)
			if a.undo != "" {
				defer exec(t, s.superuser, a.undo)
			}
			if succeeded, rows, err := attempt(); !succeeded {
				t.Fatalf("without its protection the attack still fails, so the test proves nothing: %q, %v", rows, err)
			}
		})
	}
}

// An erased context is nobody, not somebody else.
func TestErasedContextIsNobody(t *testing.T) {
	s := newBed(t).scene(t)
	rows, err := ask(t, s.gateway, s.mallory, gateway.QueryOptions{},
		`select set_config('fluxbase.context', '', true), coalesce(auth.current_user_id()::text, 'nobody'), `+nested(`select body from public.notes`))
	if err != nil || len(rows) != 1 || !strings.Contains(rows[0], "nobody") || strings.Contains(rows[0], "secret") {
		t.Fatalf("%q, %v", rows, err)
	}
}

func TestReadOnlyRequestCannotWrite(t *testing.T) {
	s := newBed(t).scene(t)
	attempt := `select public.command('set transaction read write'), public.run('insert into public.notes (body) values (''x'') returning body')`
	if _, err := ask(t, s.gateway, s.mallory, gateway.QueryOptions{ReadOnly: true, Volatile: true}, attempt); err == nil {
		t.Fatal("a read-only request has written")
	}
	if _, err := ask(t, s.gateway, s.mallory, gateway.QueryOptions{Volatile: true}, strings.Replace(attempt, "set transaction read write", "select 1", 1)); err != nil {
		t.Fatalf("the same statement in a request that may write: %v", err)
	}
}

// leftovers lists what mallory leaves on the connection, and how the victim's request would notice.
var leftovers = []struct {
	name   string
	leave  string
	notice string // one row, one column: what the victim's request finds
	clean  string // what it must find; empty: the same as on a fresh connection
	gate   string // function of the gate that clears it
	weaken string // text to take out of that
}{
	{"search_path", `select set_config('search_path', 'pg_temp, evil', false)`, `select current_setting('search_path')`, "", "check_request", "reset all;"},
	{"statement_timeout", `select set_config('statement_timeout', '7777', false)`, `select current_setting('statement_timeout')`, "", "check_request", "reset all;"},
	{"row_security", `select set_config('row_security', 'off', false)`, `select current_setting('row_security')`, "on", "check_request", "reset all;"},
	{"a setting that a policy may read", `select set_config('app.tenant', 'mallory', false)`, `select coalesce(current_setting('app.tenant', true), '')`, "", "check_request", "reset all;"},
	{"an advisory lock", `select pg_advisory_lock(42)`, `select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()`, "0", "begin_request", "pg_advisory_unlock_all()"},
	{"a temporary type named like ours", `select public.command('create domain pg_temp.uuid as text'), public.command('create temp table notes as select 1 as id')`,
		`select count(*) from pg_class where relnamespace = pg_my_temp_schema()`, "0", "check_request", "discard temp;"},
}

func TestNothingIsLeftForTheNextRequest(t *testing.T) {
	b := newBed(t)
	for _, l := range leftovers {
		t.Run(l.name, func(t *testing.T) {
			s := b.scene(t)
			clean := l.clean
			notice := func() string {
				rows, err := ask(t, s.gateway, s.victim, gateway.QueryOptions{}, l.notice)
				if err != nil || len(rows) != 1 {
					t.Fatalf("the victim's request: %q, %v", rows, err)
				}
				return rows[0]
			}
			if clean == "" {
				clean = notice()
			}
			leave := func() {
				if _, err := ask(t, s.gateway, s.mallory, gateway.QueryOptions{}, l.leave); err != nil {
					t.Fatalf("leaving it: %v", err)
				}
			}
			leave()
			if found := notice(); found != clean {
				t.Fatalf("found %q, on a clean connection %q", found, clean)
			}
			with := ""
			if l.gate == "begin_request" { // an expression
				with = "null::void"
			}
			exec(t, s.superuser, fmt.Sprintf(`do $do$ begin execute replace(
				pg_get_functiondef('fluxbase.%s'::regproc), %s, %s); end $do$`, l.gate, quote(l.weaken), quote(with)))
			leave()
			if found := notice(); found == clean {
				t.Fatal("without its protection nothing is left either, so the test proves nothing")
			}
		})
	}
}

// A role that was set for the whole session is undone before the gate, which it would keep from running.
func TestSessionRoleIsUndone(t *testing.T) {
	s := newBed(t).scene(t)
	if _, err := ask(t, s.gateway, s.mallory, gateway.QueryOptions{}, `select set_config('role', 'anon', false)`); err != nil {
		t.Fatal(err)
	}
	rows, err := ask(t, s.gateway, s.victim, gateway.QueryOptions{ReadOnly: true}, `select current_user || ' ' || body from public.notes`)
	if err != nil || len(rows) != 1 || rows[0] != "authenticated "+victimSecret {
		t.Fatalf("%q, %v", rows, err)
	}
}

// A prepared statement that mallory put in the place of the gate's or of a request's never meets another request.
func TestReplacedStatementsAreGone(t *testing.T) {
	s := newBed(t).scene(t)
	const read = `select body from public.notes`
	if _, err := ask(t, s.gateway, s.victim, gateway.QueryOptions{ReadOnly: true}, read); err != nil {
		t.Fatal(err)
	}
	replace := `select public.command($r$ do $d$ declare r record; begin
		for r in select name, array_to_string(parameter_types, ',') as types from pg_prepared_statements loop
			execute format('deallocate %I', r.name);
			execute format('prepare %I %s as select ''replaced''', r.name, case when r.types = '' then '' else '(' || r.types || ')' end);
		end loop; end $d$ $r$)`
	if _, err := ask(t, s.gateway, s.mallory, gateway.QueryOptions{Volatile: true}, replace); err != nil {
		t.Fatal(err)
	}
	rows, err := ask(t, s.gateway, s.victim, gateway.QueryOptions{ReadOnly: true}, read)
	if err != nil || len(rows) != 1 || rows[0] != victimSecret {
		t.Fatalf("%q, %v", rows, err)
	}
}

// Behind a pooler that gives each transaction to the same server connection, two tenants take turns: every attack of
// one, and everything it leaves behind, meets the other's next request.
func TestBehindPgBouncer(t *testing.T) {
	s := newBed(t).scene(t)
	address := pgtest.PgBouncer(t, s.url, logins)
	g := s.open(t, fmt.Sprintf("postgres://%s/%s?sslmode=disable", address, s.name), gateway.PoolerTransaction)
	victimSees := func(after string) {
		t.Helper()
		rows, err := ask(t, g, s.victim, gateway.QueryOptions{ReadOnly: true}, `select body from public.notes`)
		if err != nil || len(rows) != 1 || rows[0] != victimSecret {
			t.Fatalf("the victim's request after %s: %q, %v", after, rows, err)
		}
	}
	victimSees("nothing")
	for _, a := range attacks {
		loot := victimSecret
		if a.loot != nil {
			loot = a.loot(s)
		}
		rows, _ := ask(t, g, s.mallory, gateway.QueryOptions{Volatile: true}, a.sql(s))
		if strings.Contains(strings.Join(rows, "\n"), loot) {
			t.Errorf("%s: %q", a.name, rows)
		}
		victimSees(a.name)
	}
	for _, l := range leftovers {
		notice := func() string {
			rows, err := ask(t, g, s.victim, gateway.QueryOptions{}, l.notice)
			if err != nil || len(rows) != 1 {
				t.Fatalf("%s: %q, %v", l.name, rows, err)
			}
			return rows[0]
		}
		before := notice()
		if _, err := ask(t, g, s.mallory, gateway.QueryOptions{}, l.leave); err != nil {
			t.Fatalf("%s: %v", l.name, err)
		}
		if after := notice(); after != before {
			t.Errorf("%s: %q became %q", l.name, before, after)
		}
		victimSees(l.name)
	}
}
