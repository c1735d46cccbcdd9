package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
	"github.com/wayli-app/fluxbase/controlplane/server"
	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

const (
	ann = "ann@example.com"
	bob = "bob@example.com"
)

const notes = `
create table public.notes (id bigint generated always as identity primary key,
  user_id uuid not null default auth.current_user_id(), body text not null);
alter table public.notes enable row level security, force row level security;
create policy notes_owner on public.notes to authenticated
  using (user_id = (select auth.current_user_id())) with check (user_id = (select auth.current_user_id()));
create policy notes_service on public.notes to service_role using (true) with check (true);
grant select, insert, update, delete on public.notes to authenticated, service_role;
create function public.nap(seconds double precision) returns void language sql volatile as 'select pg_sleep(seconds)';
grant execute on function public.nap(double precision) to anon, authenticated;
select pg_notify('fluxbase_reload', '');`

// wait repeats a question until the answer is yes.
func wait(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// start runs a server with the table notes.
func start(t testing.TB, variables ...string) *servertest.Server {
	t.Helper()
	s := servertest.Start(t, variables...)
	s.Exec(t, notes)
	wait(t, "the catalog", func() bool { return s.Do(t, "GET", "/rest/v1/notes", nil).Status != 404 })
	return s
}

func TestMainJob(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.CreateUser(t, ann)
	s.CreateUser(t, bob)
	hers, his := s.Login(t, ann), s.Login(t, bob)
	for _, prefix := range []string{"/rest/v1", "/api/v1/rest"} {
		if a := s.Do(t, "POST", prefix+"/notes", map[string]string{"body": "hers"}, hers.Bearer()); a.Status != 201 {
			t.Fatalf("insert: %d %s", a.Status, a.Body)
		}
		a := s.Do(t, "GET", prefix+"/notes?select=body&limit=1", nil, hers.Bearer())
		if a.Status != 200 || string(a.Body) != `[{"body":"hers"}]` {
			t.Errorf("she reads %d %s", a.Status, a.Body)
		}
		if a := s.Do(t, "GET", prefix+"/notes?select=body", nil, his.Bearer()); a.Status != 200 || string(a.Body) != `[]` {
			t.Errorf("he reads %d %s", a.Status, a.Body)
		}
		if a := s.Do(t, "GET", prefix+"/notes", nil); a.Status != 401 || a.Code() != "42501" {
			t.Errorf("nobody reads %d %s", a.Status, a.Body)
		}
	}
	if n := s.RoundTrips(func() { s.Do(t, "GET", "/rest/v1/notes", nil, hers.Bearer()) }); n != 1 {
		t.Errorf("a read takes %d round trips", n)
	}
	s.Exec(t, `select auth.revoke_user($1)`, ann)
	if a := s.Do(t, "GET", "/rest/v1/notes", nil, hers.Bearer()); a.Status != 401 || a.Code() != "session_not_found" || a.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("after the end of her session: %d %s", a.Status, a.Body)
	}
	if a := s.Do(t, "GET", "/rest/v1/notes", nil, his.Bearer()); a.Status != 200 {
		t.Errorf("he: %d %s", a.Status, a.Body)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.CreateUser(t, ann)
	k := s.Login(t, ann)
	s.Do(t, "POST", "/rest/v1/notes", map[string]string{"body": "hers"}, k.Bearer())
	key := func(kind, user string) string {
		return s.Value(t, `auth.create_api_key(p_kind => $1, p_name => 'test', p_user => nullif($2, ''))`, kind, user)
	}
	anon, service, own := key("anon", ""), key("service", ""), key("user", ann)
	read := func(headers ...string) servertest.Answer {
		return s.Do(t, "GET", "/rest/v1/notes?select=body", nil, headers...)
	}
	for name, c := range map[string]struct {
		headers []string
		status  int
		body    string
	}{
		"signed out client": {[]string{"apikey: " + anon, "Authorization: Bearer " + anon}, 401, ""},
		"signed in client":  {[]string{"apikey: " + anon, k.Bearer()}, 200, `[{"body":"hers"}]`},
		"service key":       {[]string{"apikey: " + service, "Authorization: Bearer " + service}, 200, `[{"body":"hers"}]`},
		"service, X":        {[]string{"X-API-Key: " + service}, 200, `[{"body":"hers"}]`},
		"user's key":        {[]string{"Authorization: Bearer " + own}, 200, `[{"body":"hers"}]`},
		"token over key":    {[]string{"apikey: " + service, "Authorization: Bearer garbage"}, 401, ""},
		"forged key":        {[]string{"apikey: fb_live_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, 401, ""},
		"expired form":      {[]string{"Authorization: Bearer " + strings.Repeat("a", 10000)}, 401, ""},
	} {
		if a := read(c.headers...); a.Status != c.status || c.body != "" && string(a.Body) != c.body {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	if n := s.RoundTrips(func() { read("apikey: " + service) }); n != 1 {
		t.Errorf("a read with a known key takes %d round trips", n)
	}
	// The gate does not remember for the database: the next request is refused, and so is the one after.
	for _, kind := range []string{"anon", "service", "user"} {
		text := map[string]string{"anon": anon, "service": service, "user": own}[kind]
		read("apikey: " + text)
		s.Exec(t, `select auth.revoke_api_key(id) from auth.api_keys where kind = $1`, kind)
		for range 2 {
			if a := read("apikey: " + text); a.Status != 401 || a.Code() != "invalid_api_key" {
				t.Errorf("revoked %s key: %d %s", kind, a.Status, a.Body)
			}
		}
	}
	for _, secret := range []string{anon, service, own, k.Access, k.Refresh, servertest.Password, servertest.Secret, "pgtest-fluxbase"} {
		if strings.Contains(s.Log.String(), secret) {
			t.Errorf("a secret is in the log: %s", secret)
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	s := start(t)
	ids := map[string]bool{}
	for _, path := range []string{"/healthz", "/readyz", "/auth/v1/health", "/auth/v1/nothing", "/rest/v1/notes", "/nothing", "/.well-known/security.txt"} {
		a := s.Do(t, "GET", path, nil, "X-Request-Id: chosen", "X-Forwarded-For: 203.0.113.9", "X-Real-Ip: 203.0.113.9")
		id := a.Header.Get("X-Request-Id")
		if len(id) < 20 || ids[id] {
			t.Errorf("%s: request id %q", path, id)
		}
		ids[id] = true
		if a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Server") != "" || a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: headers %v", path, a.Header)
		}
	}
	s.CreateUser(t, ann)
	s.Do(t, "POST", "/auth/v1/login", map[string]string{"email": ann, "password": servertest.Password}, "X-Forwarded-For: 203.0.113.9", "X-Request-Id: chosen")
	if got := s.Value(t, `select host(ip) || ' ' || (request_id <> 'chosen') from audit.log where action = 'login'`); got != "127.0.0.1 true" {
		t.Errorf("the audit log has %s", got)
	}
	a, err := s.Try("GET", "/healthz", nil, "X-Large: "+strings.Repeat("x", 64<<10))
	if err == nil && a.Status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 64 kB: %d", a.Status)
	}
}

func TestErrorsByFamily(t *testing.T) {
	t.Parallel()
	s := start(t)
	keys := func(a servertest.Answer) string {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(a.Body, &members); err != nil {
			return err.Error()
		}
		var list []string
		for _, name := range []string{"code", "error_code", "msg", "message", "details", "hint"} {
			if _, ok := members[name]; ok {
				list = append(list, name)
			}
		}
		return strings.Join(list, " ")
	}
	for _, c := range []struct {
		method, path string
		headers      []string
		status       int
		code, keys   string
	}{
		{"GET", "/auth/v1/nothing", nil, 404, "not_found", "code error_code msg"},
		{"GET", "/auth/v1/signup", nil, 405, "method_not_allowed", "code error_code msg"},
		{"GET", "/rest/v1/nothing", nil, 404, "PGRST205", "code message details hint"},
		{"GET", "/rest/v1/a/b/c", nil, 404, "PGRST125", "code message details hint"},
		{"PURGE", "/rest/v1/notes", nil, 405, "PGRST117", "code message details hint"},
		{"GET", "/rest/v1/notes", []string{"Authorization: Bearer x"}, 401, "PGRST301", "code message details hint"},
		{"GET", "/rest/v1/notes", []string{"Authorization: Basic x"}, 401, "PGRST301", "code message details hint"},
		{"GET", "/rest/v1/a%00b", nil, 404, "PGRST205", "code message details hint"},
		{"POST", "/rest/v1/", nil, 405, "PGRST117", "code message details hint"},
		{"DELETE", "/api/v1/rest", nil, 405, "PGRST117", "code message details hint"},
		{"GET", "/rest/v1/notes/", nil, 404, "PGRST125", "code message details hint"},
		{"GET", "/rest/v1/a%2fb", nil, 404, "PGRST205", "code message details hint"},
		{"GET", "/", nil, 404, "not_found", "code message"},
		{"POST", "/healthz", nil, 405, "method_not_allowed", "code message"},
		{"GET", "/rest", nil, 404, "not_found", "code message"},
	} {
		a := s.Do(t, c.method, c.path, nil, c.headers...)
		if a.Status != c.status || a.Code() != c.code || keys(a) != c.keys {
			t.Errorf("%s %s: %d %s", c.method, c.path, a.Status, a.Body)
		}
		if c.status == 405 && c.method != "PURGE" && a.Header.Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", c.method, c.path)
		}
	}
}

// What the database says stays inside; the log has it, without details, under the id that the client was given.
func TestDatabaseErrorsStayInside(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.CreateUser(t, ann)
	k := s.Login(t, ann)
	s.Exec(t, `create or replace function fluxbase.user() returns jsonb language plpgsql as
		$$ begin raise exception using message = 'c4n4ry', detail = 'c4n4ry detail'; end $$`)
	a := s.Do(t, "GET", "/auth/v1/user", nil, k.Bearer())
	if a.Status != 500 || a.Code() != "unexpected_failure" || strings.Contains(string(a.Body), "c4n4ry") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	found := false
	for line := range strings.Lines(s.Log.String()) {
		found = found || strings.Contains(line, "c4n4ry") && strings.Contains(line, a.Header.Get("X-Request-Id"))
	}
	if !found {
		t.Error("the log does not say why")
	}
	if strings.Contains(s.Log.String(), "c4n4ry detail") {
		t.Error("the log has a detail of the application, which may be a row")
	}
	// The context of an error quotes statements and documents, hint and detail say what the application likes.
	for _, body := range []string{
		`execute format('select 1 / length(substr(%L, 100))', 'c4n4ry value')`,
		`perform ('{"password": "c4n4ry value" x}')::json`,
		`raise exception using message = 'no', hint = 'c4n4ry value'`,
		`raise exception using errcode = '42703', message = 'no', detail = 'c4n4ry value'`,
	} {
		s.Exec(t, `create or replace function fluxbase.user() returns jsonb language plpgsql as $$ begin `+body+`; return null; end $$`)
		if a := s.Do(t, "GET", "/auth/v1/user", nil, k.Bearer()); a.Status != 500 {
			t.Errorf("%s: %d %s", body, a.Status, a.Body)
		}
	}
	if log := s.Log.String(); strings.Contains(log, "c4n4ry value") || !strings.Contains(log, "PL/pgSQL function fluxbase.") {
		t.Errorf("the log has values, or does not say where: %s", log)
	}
	s.Exec(t, `create or replace function fluxbase.user() returns jsonb language plpgsql as $$ begin return '{"status":"nonsense"}'::jsonb; end $$`)
	if a := s.Do(t, "GET", "/auth/v1/user", nil, k.Bearer()); a.Status != 500 || strings.Contains(string(a.Body), "nonsense") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		if a := s.Do(t, "GET", path, nil); a.Status != 200 || string(a.Body) != `{"status":"ok"}` {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	ready := func(status int) {
		t.Helper()
		wait(t, fmt.Sprint("readyz to answer ", status), func() bool { return s.Do(t, "GET", "/readyz", nil).Status == status })
	}
	s.Exec(t, `update fluxbase.packages set checksum = repeat('0', 64) where name = 'sql'`)
	ready(503)
	if a := s.Do(t, "GET", "/readyz", nil); string(a.Body) != `{"status":"unavailable"}` || a.Header.Get("Retry-After") == "" {
		t.Errorf("readyz tells %s", a.Body)
	}
	if !strings.Contains(s.Log.String(), "fluxbase migrate") {
		t.Error("the log does not name the command")
	}
	if a := s.Do(t, "GET", "/healthz", nil); a.Status != 200 {
		t.Errorf("healthz asks the database: %d", a.Status)
	}
}

func TestSecurityText(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	a := s.Do(t, "GET", "/.well-known/security.txt", nil)
	if a.Status != 200 || a.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(a.Body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		fields[name] = value
	}
	if _, err := time.Parse(time.RFC3339, fields["Expires"]); err != nil || fields["Contact"] != "mailto:security@fluxbase.io" {
		t.Errorf("%s", a.Body)
	}
}

func TestRefusesOtherReleases(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	if _, err := db.Conn(t, "superuser").Exec(t.Context(), `update fluxbase.packages set checksum = repeat('0', 64) where name = 'sql'`); err != nil {
		t.Fatal(err)
	}
	_, err := server.New(t.Context(), server.Options{Config: servertest.Config(t, db), Files: fluxbase.Files, Logger: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, install.ErrNotReady) || !strings.Contains(err.Error(), "fluxbase migrate") {
		t.Errorf("got %v", err)
	}
}

// Roles belong to the cluster, so this has one of its own.
func TestRefusesPrivilegedLogins(t *testing.T) {
	t.Parallel()
	db := servertest.Private(t, pgtest.Options{})
	admin := db.Superuser(t, "app")
	exec := func(sql string) {
		t.Helper()
		if _, err := admin.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	try := func(allow bool) error {
		s, err := server.New(t.Context(), server.Options{Config: servertest.Config(t, db), Files: fluxbase.Files, AllowPrivilegedLogins: allow, Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			s.Close(context.Background())
		}
		return err
	}
	if err := try(false); err != nil {
		t.Fatalf("as installed: %v", err)
	}
	exec(`create role harmless; create role strong bypassrls; create role middle; grant strong to middle; create table public.mine (id integer)`)
	for name, c := range map[string]struct{ do, undo, remedy string }{
		"superuser":           {`alter role fluxbase_api superuser`, `alter role fluxbase_api nosuperuser`, `alter role fluxbase_api nosuperuser nobypassrls`},
		"bypassrls":           {`alter role fluxbase_api bypassrls`, `alter role fluxbase_api nobypassrls`, `alter role fluxbase_api nosuperuser nobypassrls`},
		"server, bypassrls":   {`alter role fluxbase_server bypassrls`, `alter role fluxbase_server nobypassrls`, `alter role fluxbase_server`},
		"service, createrole": {`alter role fluxbase_service createrole`, `alter role fluxbase_service nocreaterole`, `alter role fluxbase_service`},
		"service_role":        {`grant service_role to fluxbase_api`, `revoke service_role from fluxbase_api`, `revoke service_role from fluxbase_api;`},
		"through anon":        {`grant service_role to anon`, `revoke service_role from anon`, `revoke service_role from anon;`},
		"through two":         {`grant middle to authenticated`, `revoke middle from authenticated`, `revoke strong from middle;`},
		"owner":               {`grant fluxbase_owner to fluxbase_api`, `revoke fluxbase_owner from fluxbase_api`, `revoke fluxbase_owner from fluxbase_api;`},
		"predefined":          {`grant pg_read_all_data to fluxbase_api`, `revoke pg_read_all_data from fluxbase_api`, `revoke pg_read_all_data from fluxbase_api;`},
		"not listed":          {`grant harmless to fluxbase_api`, `revoke harmless from fluxbase_api`, `revoke harmless from fluxbase_api;`},
		"server is a member":  {`grant anon to fluxbase_server`, `revoke anon from fluxbase_server`, `revoke anon from fluxbase_server;`},
		"service is a member": {`grant authenticated to fluxbase_service`, `revoke authenticated from fluxbase_service`, `revoke authenticated from fluxbase_service;`},
		"owns a table":        {`alter table public.mine owner to fluxbase_api`, `alter table public.mine owner to postgres`, `alter table mine owner to`},
		"no timeout":          {`alter role fluxbase_api set statement_timeout = 0`, `alter role fluxbase_api set statement_timeout = '15s'`, `alter role fluxbase_api reset statement_timeout;`},
		"no timeout here":     {`alter role fluxbase_server in database app set lock_timeout = '0s'`, `alter role fluxbase_server in database app reset all`, `alter role fluxbase_server in database app reset lock_timeout;`},
		"read-only login":     {`alter role fluxbase_api set default_transaction_read_only = on`, `alter role fluxbase_api reset default_transaction_read_only`, `reset default_transaction_read_only;`},
		"role owns a table":   {`alter table public.mine owner to authenticated`, `alter table public.mine owner to postgres`, `alter table mine owner to`},
	} {
		exec(c.do)
		err := try(false)
		if !errors.Is(err, server.ErrPrivilegedLogin) || !strings.Contains(err.Error(), c.remedy) {
			t.Errorf("%s: %v", name, err)
		}
		if err := try(true); err != nil {
			t.Errorf("%s, told to start: %v", name, err)
		}
		exec(c.undo)
	}
	exec(`grant harmless to fluxbase_api; select auth.set_setting('request_roles', 'harmless')`)
	if err := try(false); err != nil {
		t.Errorf("listed: %v", err)
	}
}

// Whoever puts the own login into the configuration must not be told to take its rights away.
func TestSaysWhichLoginWasMeant(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	_, err := server.New(t.Context(), server.Options{
		Config: servertest.Config(t, db, "FLUXBASE_DATABASE_URL="+db.URL("superuser")), Files: fluxbase.Files, Logger: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, server.ErrPrivilegedLogin) {
		t.Fatal(err)
	}
	if text := err.Error(); strings.Contains(text, "run:") || !strings.Contains(text, "it is a superuser") || !strings.Contains(text, "leave the user out of it, which means fluxbase_api") {
		t.Error(text)
	}
}

func TestSettingsOfTheConfiguration(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, "FLUXBASE_AUTH_PASSWORD_MIN_LENGTH=30", "FLUXBASE_AUTH_ACCESS_TOKEN_LIFETIME=2m")
	if got := s.Value(t, `select string_agg(key || ' ' || value || ' ' || source, ', ' order by key) from auth.settings where source <> 'default'`); !strings.Contains(got, "password_min_length 30 config") {
		t.Errorf("settings: %s", got)
	}
	s.Exec(t, `insert into auth.users (email, encrypted_password, email_confirmed_at) select $1, auth.hash_password('x'), now()`, ann)
	a := s.Do(t, "POST", "/auth/v1/login", map[string]string{"email": ann, "password": "x"})
	if !strings.Contains(string(a.Body), `"expires_in":120,`) {
		t.Errorf("lifetime: %s", a.Body)
	}
	a = s.Do(t, "POST", "/auth/v1/signup", map[string]string{"email": bob, "password": servertest.Password})
	if a.Code() != "weak_password" || !strings.Contains(string(a.Body), "30 characters") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	// psql speaks last, and the server follows.
	s.Exec(t, `select auth.set_setting('password_min_length', '8')`)
	wait(t, "the setting", func() bool {
		return s.Do(t, "POST", "/auth/v1/signup", map[string]string{"email": bob, "password": servertest.Password}).Status == 200
	})
}

func TestRefusesSettingsThatTheDatabaseRefuses(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	if _, err := db.Conn(t, "superuser").Exec(t.Context(), `update auth.settings set minimum = 20 where key = 'password_min_length'`); err != nil {
		t.Fatal(err)
	}
	cfg := servertest.Config(t, db, "FLUXBASE_AUTH_PASSWORD_MIN_LENGTH=12")
	_, err := server.New(t.Context(), server.Options{Config: cfg, Files: fluxbase.Files, Logger: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "FLUXBASE_AUTH_PASSWORD_MIN_LENGTH") || !strings.Contains(err.Error(), "password_min_length") {
		t.Errorf("got %v", err)
	}
}

// Without NOTIFY, behind a pooler, settings are asked for.
func TestSettingsArePolled(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, "FLUXBASE_DATABASE_POOLER=transaction")
	s.Exec(t, `select auth.set_setting('signup_enabled', 'false')`)
	wait(t, "the setting", func() bool {
		return strings.Contains(string(s.Do(t, "GET", "/auth/v1/settings", nil).Body), `"disable_signup":true`)
	})
}

func TestCatalogFollows(t *testing.T) {
	t.Parallel()
	for _, channel := range []string{"fluxbase_reload", "pgrst"} {
		s := servertest.Start(t)
		s.Do(t, "GET", "/rest/v1/later", nil) // so that the miss has been asked about
		s.Exec(t, `create table public.later (id integer); grant select on public.later to anon`)
		s.Exec(t, `select pg_notify($1, 'reload schema')`, channel)
		started := time.Now()
		wait(t, "the table", func() bool { return s.Do(t, "GET", "/rest/v1/later", nil).Status == 200 })
		if took := time.Since(started); took > 4*time.Second {
			t.Errorf("%s was not heard: it took %v", channel, took)
		}
	}
}

func TestBusyIs503(t *testing.T) {
	t.Parallel()
	s := start(t, "FLUXBASE_DATABASE_POOL_SIZE=1", "FLUXBASE_DATABASE_POOL_TIMEOUT=500ms")
	var sleeper sync.WaitGroup
	sleeper.Go(func() {
		// The first connection may take longer than the pool waits on a busy machine.
		for range 20 {
			if a, err := s.Try("POST", "/rest/v1/rpc/nap", map[string]float64{"seconds": 60}); err != nil || a.Status != http.StatusServiceUnavailable {
				return
			}
		}
	})
	wait(t, "the nap", func() bool {
		return s.Value(t, `select count(*) from pg_stat_activity where wait_event = 'PgSleep'`) == "1"
	})
	a := s.Do(t, "GET", "/rest/v1/notes", nil)
	if a.Status != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s %v", a.Status, a.Body, a.Header)
	}
	s.Exec(t, `select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'`)
	sleeper.Wait()
}

// The shorter of the configured limit and the role's own holds: a role may change its own settings.
func TestStatementTimeout(t *testing.T) {
	t.Parallel()
	const configured = "FLUXBASE_REST_STATEMENT_TIMEOUT="
	s := start(t, configured+"200ms")
	nap := func(s *servertest.Server) {
		t.Helper()
		started := time.Now()
		a := s.Do(t, "POST", "/rest/v1/rpc/nap", map[string]float64{"seconds": 20})
		if a.Status < 500 || a.Code() != "57014" || time.Since(started) > 10*time.Second {
			t.Errorf("%d %s after %v", a.Status, a.Body, time.Since(started))
		}
	}
	nap(s)
	own := func(timeout string) {
		s.Exec(t, `do $$ begin execute format('alter role anon in database %I set statement_timeout = %L', current_database(), '`+timeout+`'); end $$`)
	}
	own("20d")
	nap(servertest.On(t, s.DB, configured+"200ms"))
	own("200ms")
	nap(servertest.On(t, s.DB, configured+"1h"))
}

func TestMaxCost(t *testing.T) {
	t.Parallel()
	s := start(t, "FLUXBASE_REST_MAX_COST=1")
	s.CreateUser(t, ann)
	a := s.Do(t, "GET", "/rest/v1/notes", nil, s.Login(t, ann).Bearer())
	if a.Status != 422 || a.Code() != "query_too_expensive" || strings.Contains(string(a.Body), "cost=") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := s.Do(t, "POST", "/rest/v1/rpc/nap", map[string]float64{"seconds": 0}); a.Status != 204 {
		t.Errorf("a cheap request: %d %s", a.Status, a.Body)
	}
}

// No request in flight is cut: neither a slow one, nor one of many on connections that are kept alive.
func TestGracefulShutdown(t *testing.T) {
	t.Parallel()
	s := start(t)
	slow := make(chan error, 1)
	go func() {
		a, err := s.Try("POST", "/rest/v1/rpc/nap", map[string]float64{"seconds": 2})
		if err == nil && a.Status != 204 {
			err = fmt.Errorf("%d %s", a.Status, a.Body)
		}
		slow <- err
	}()
	var (
		clients  sync.WaitGroup
		answered atomic.Int64
		cut      = make(chan error, 8)
	)
	for range 8 {
		clients.Go(func() {
			n, err := busyClient(s.URL)
			answered.Add(n)
			if err != nil {
				cut <- err
			}
		})
	}
	wait(t, "the nap", func() bool {
		return s.Value(t, `select count(*) from pg_stat_activity where wait_event = 'PgSleep'`) == "1"
	})
	if err := s.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	clients.Wait()
	close(cut)
	for err := range cut {
		t.Errorf("cut: %v", err)
	}
	if err := <-slow; err != nil {
		t.Errorf("the slow request: %v", err)
	}
	if answered.Load() == 0 {
		t.Error("nothing was answered")
	}
	if _, err := s.Try("GET", "/healthz", nil); err == nil {
		t.Error("it still serves")
	}
}

// busyClient sends one request after the other on one connection until it is told to close it.
func busyClient(url string) (answered int64, err error) {
	host := strings.TrimPrefix(url, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return 0, err
	}
	defer conn.Close() //nolint:errcheck // a test's connection
	reader := bufio.NewReader(conn)
	for {
		if _, err := io.WriteString(conn, "GET /readyz HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); err != nil {
			return answered, err
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return answered, err
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return answered, err
		}
		answered++
		if response.Close {
			return answered, nil
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// PostgreSQL is killed with -9 under load and comes back: the server recovers by itself, no insert that was confirmed
// is lost, and every token that was given out works.
func TestPostgresIsKilled(t *testing.T) {
	t.Parallel()
	db := servertest.Private(t, pgtest.Options{Durable: true})
	s := servertest.On(t, db)
	s.Exec(t, notes)
	s.CreateUser(t, ann)
	k := s.Login(t, ann)
	wait(t, "the catalog", func() bool { return s.Do(t, "GET", "/rest/v1/notes", nil, k.Bearer()).Status == 200 })

	var (
		clients   sync.WaitGroup
		confirmed atomic.Int64
		stop      = make(chan struct{})
		mu        sync.Mutex
		logins    []servertest.Tokens
		strange   []string
	)
	for i := range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				var a servertest.Answer
				var err error
				if i == 0 {
					a, err = s.Try("POST", "/auth/v1/login", map[string]string{"email": ann, "password": servertest.Password})
				} else {
					a, err = s.Try("POST", "/rest/v1/notes", map[string]string{"body": "x"}, k.Bearer())
				}
				mu.Lock()
				switch {
				case err != nil:
					strange = append(strange, err.Error())
				case a.Status == 201:
					confirmed.Add(1)
				case a.Status == 200:
					logins = append(logins, a.Tokens())
				case a.Status != 503 || a.Header.Get("Retry-After") == "":
					strange = append(strange, fmt.Sprint(a.Status, " ", string(a.Body)))
				}
				mu.Unlock()
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	wait(t, "some load", func() bool { return confirmed.Load() > 20 })
	db.Kill()
	time.Sleep(300 * time.Millisecond)
	if a := s.Do(t, "GET", "/rest/v1/notes", nil, k.Bearer()); a.Status != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("without a database: %d %s", a.Status, a.Body)
	}
	if a := s.Do(t, "GET", "/readyz", nil); a.Status != 503 {
		t.Errorf("readyz without a database: %d", a.Status)
	}
	if err := db.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := confirmed.Load()
	wait(t, "recovery", func() bool { return confirmed.Load() > before+20 })
	close(stop)
	clients.Wait()
	for _, text := range strange {
		t.Errorf("an answer that is neither a success nor 503: %s", text)
	}
	var stored int64
	if _, err := fmt.Sscan(s.Value(t, `select count(*) from public.notes`), &stored); err != nil || stored < confirmed.Load() {
		t.Errorf("%d inserts were confirmed, %d are there", confirmed.Load(), stored)
	}
	for _, tokens := range logins {
		if a := s.Do(t, "GET", "/auth/v1/user", nil, tokens.Bearer()); a.Status != 200 {
			t.Fatalf("a login that succeeded: %d %s", a.Status, a.Body)
		}
	}
	if n := s.Value(t, `select count(*) from auth.sessions s where not exists (select from auth.refresh_tokens r where r.session_id = s.id)`); n != "0" {
		t.Errorf("%s half-done logins", n)
	}
	// It listens again.
	s.Exec(t, `select auth.set_setting('signup_enabled', 'false')`)
	wait(t, "the setting", func() bool {
		return strings.Contains(string(s.Do(t, "GET", "/auth/v1/settings", nil).Body), `"disable_signup":true`)
	})
}

// TestMaxRows sees that rest.max_rows bounds an answer, whatever the client asks for.
func TestMaxRows(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, "FLUXBASE_REST_MAX_ROWS=2")
	s.Exec(t, `create table public.numbers (n integer primary key)`)
	s.Exec(t, `insert into public.numbers select generate_series(1, 5)`)
	s.Exec(t, `grant select on public.numbers to anon`)
	for _, query := range []string{"", "?limit=4", "?limit=1"} {
		want := 2
		if query == "?limit=1" {
			want = 1
		}
		a := s.Do(t, "GET", "/api/v1/rest/numbers"+query, nil)
		if rows := bytes.Count(a.Body, []byte(`"n"`)); a.Status != http.StatusOK || rows != want {
			t.Errorf("%q: %d with %d rows, want %d: %s", query, a.Status, rows, want, a.Body)
		}
	}
}
