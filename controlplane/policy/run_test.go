package policy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const notes = `-- Notes of users.
select auth.enable_rls('public.notes');
grant select, insert on public.notes to authenticated;
create policy owner on public.notes to authenticated using (user_id = (select auth.current_user_id()));
`

var notesChanges = []string{
	"+ policy owner on public.notes: permissive for all to authenticated using (user_id = ...",
	"+ policy service_role_all on public.notes: permissive for all to service_role using true with check true",
	"+ table public.notes: grant insert to authenticated",
	"+ table public.notes: grant select to authenticated",
	"- table public.notes: row security off, owner ...",
	"+ table public.notes: row security on, forced, owner ...",
}

func TestPlanChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	before := b.facts(t, "")
	want(t, "plan", b.plan(t, notes), notesChanges...)
	if after := b.facts(t, ""); after != before {
		t.Errorf("a plan changed\n%s\nto\n%s", before, after)
	}
	result, err := Plan(t.Context(), b.owner, file(notes), quick)
	if err != nil || result.Locked != 1 {
		t.Errorf("%+v, %v: want one locked table", result, err)
	}
}

func TestApplyTakesAwayWhatTheFilesMade(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.exec(t, `create policy by_hand on public.notes for select to anon using (false); grant update on public.notes to authenticated;
		create function public.by_hand() returns integer language sql return 1`)
	const helper = `create or replace function public.mine(p uuid) returns boolean language sql stable return p = (select auth.current_user_id());
		revoke all on function public.mine(uuid) from public; grant execute on function public.mine(uuid) to authenticated;
		create or replace function public.by_hand() returns integer language sql return 2;
		grant update, delete on public.notes to authenticated; grant update (title) on public.tasks to authenticated;
		grant usage on schema public to service_role; alter default privileges in schema public grant select on tables to service_role;
		create policy mine on public.notes for update to authenticated using (public.mine(user_id));`
	b.apply(t, notes+helper)
	want(t, "again", b.apply(t, notes+helper))
	want(t, "only a part", b.apply(t, notes),
		"- column public.tasks.title: grant update to authenticated",
		"- default privileges of fluxbase_test_installer in schema public on tables: grant select to service_role",
		"- function public.mine(p uuid): grant execute to authenticated",
		"- policy mine on public.notes: ...",
		"- schema public: grant usage to service_role",
		"- table public.notes: grant delete to authenticated",
		"- function public.mine(p uuid): security invoker, ...")
	want(t, "other order, and one changed", b.apply(t, strings.Replace(notes, "select, insert", "insert", 1)),
		"- table public.notes: grant select to authenticated")
	// Row security stays on: a table that loses its rules is closed, not open.
	want(t, "nothing of it", b.apply(t, `select 1`),
		"- policy owner on public.notes: ...", "- policy service_role_all on public.notes: ...", "- table public.notes: grant insert to authenticated")
	for _, fact := range []string{"policy by_hand on public.notes", "table public.notes: grant update to authenticated", "table public.notes: row security on, forced"} {
		if b.facts(t, fact) == "" {
			t.Errorf("what others made is gone: %s", fact)
		}
	}
	b.exec(t, `select public.by_hand()`)
	want(t, "by hand", b.facts(t, "public.by_hand()"), "function public.by_hand(): grant execute to public")
}

func TestSetsAreApart(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.apply(t, notes)
	other := quick
	other.Set = "other"
	const tasks = `create policy tasks on public.tasks to anon using (true);`
	want(t, "other set", b.changes(t, Apply, file(tasks), other), "+ policy tasks on public.tasks: permissive for all to anon using true")
	want(t, "first set", b.plan(t, notes))
	want(t, "emptied", b.changes(t, Apply, file(`select 1`), other), "- policy tasks on public.tasks: ...")
	want(t, "first set", b.plan(t, notes))
}

func TestAppliedByHandComesBack(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.apply(t, notes)
	b.exec(t, `drop policy owner on public.notes; alter table public.notes no force row level security; grant truncate on public.notes to anon`)
	want(t, "drift", b.plan(t, notes), "+ policy owner on public.notes: ...", "- table public.notes: grant truncate to anon",
		"- table public.notes: row security on, owner ...", "+ table public.notes: row security on, forced, owner ...")
	b.apply(t, notes)
	want(t, "repaired", b.plan(t, notes))
	// What was made by hand becomes the files' when they make it anew.
	b.exec(t, `create policy hand on public.tasks to anon using (false)`)
	b.apply(t, notes+`drop policy if exists hand on public.tasks; create policy hand on public.tasks to anon using (false);`)
	want(t, "adopted", b.plan(t, notes), "- policy hand on public.tasks: ...")
}

// A grant is known by the name of its table: the files cannot take it away under another, and say so.
func TestPlanAfterARename(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.exec(t, `create table public."odd ""on"" name" (id bigint); create sequence public.s`)
	b.apply(t, notes+`grant select on public."odd ""on"" name" to anon; grant select (title) on public.tasks to anon; grant usage on sequence public.s to anon;
		grant usage on schema public to service_role; create policy "p on x" on public."odd ""on"" name" to anon using (true);`)
	result, err := Plan(t.Context(), b.owner, file("select 1"), quick)
	if err != nil || len(result.Lost) != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
	b.exec(t, `alter table public.tasks rename to jobs; alter table public."odd ""on"" name" rename to even; alter sequence public.s rename to s2`)
	for _, lost := range []int{4, 0} {
		result, err = Apply(t.Context(), b.owner, file(notes), quick)
		if err != nil || len(result.Lost) != lost || lost > 0 && result.Lost[0] != `grant select (title) on table public.tasks to anon` {
			t.Errorf("%+v, %v: want %d", result, err, lost)
		}
	}
}

// A list over varchar prints differently after a dump and restore.
func TestPlanAfterARestore(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	const text = `create policy list on public.tasks to authenticated using (title in ('a', 'b'));`
	b.apply(t, text)
	b.exec(t, `do $$ declare v text := pg_get_expr(polqual, polrelid) from pg_policy where polname = 'list'; begin
		drop policy list on public.tasks; execute format('create policy list on public.tasks to authenticated using (%s)', v); end $$`)
	want(t, "after a restore", b.plan(t, text))
}

func TestTemplatesInFiles(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	const text = `select auth.protect('public.notes', 'owner'); select auth.protect('public.tasks', 'tenant');`
	got := b.apply(t, text)
	for _, fact := range []string{"+ policy protect_owner on public.notes", "+ policy protect_members on public.tasks", "+ view public.titles: runs as its caller",
		"+ column public.notes.user_id: default ", "+ index public.notes_user_id_idx: "} {
		if !strings.Contains(got, fact) {
			t.Errorf("no %q in\n%s", fact, got)
		}
	}
	want(t, "again", b.apply(t, text))
}

func TestFilesThatDoMore(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.exec(t, `insert into public.tasks values (1, null, 'x'); create procedure public.ends() language plpgsql as 'begin commit; end'`)
	before := b.facts(t, "")
	for _, c := range []struct{ name, text, want string }{
		{"commit", notes + "commit;", "a.sql: EXECUTE of transaction commands is not implemented (0A000)\nhint: policy files run in one transaction"},
		{"rollback", "rollback; " + notes, "one transaction"},
		{"begin", "begin; " + notes, "one transaction"},
		{"savepoint", "savepoint a; " + notes, "one transaction"},
		{"procedure", notes + "call public.ends();", "one transaction"},
		{"table", notes + "create table public.more ();", "+ table public.more"},
		{"dropped table", "drop table public.notes;", "- table public.notes"},
		{"column", "alter table public.notes add more text;", "+ column public.notes.more: text"},
		{"type", "alter table public.notes alter body type varchar;", "column public.notes.body"},
		{"not null", "alter table public.tasks alter title set not null;", "title: character varying not null"},
		{"view", "create view public.v as select 1;", "+ view public.v"},
		{"rows", "insert into public.notes values (1);", "rows of public.notes"},
		{"rows by a block", "do $$ begin update public.tasks set title = 'y'; end $$;", "rows of public.tasks"},
		{"truncate", "truncate public.tasks;", "+ table public.tasks: p, file"},
		{"our settings", "select auth.set_setting('password_min_length', '8');", "rows of auth.settings"},
		{"our users", "select auth.create_user('eve@example.com', 'a long enough passphrase');", "rows of auth.users"},
		{"our policies", "set role fluxbase_owner; create policy p on auth.users to anon using (true);", "+ policy p on auth.users"},
		{"our grants", "set role fluxbase_owner; grant select on auth.users to anon;", "+ auth.users: row security"},
		{"our row security", "set role fluxbase_owner; alter table auth.users disable row level security;", "+ auth.users: row security f"},
		{"our functions", "set role fluxbase_owner; grant execute on function auth.setting(text) to anon;", "+ function auth.setting("},
		{"our helpers", "set role fluxbase_owner; create or replace function auth.uid() returns uuid language sql stable parallel safe return null::uuid;", "+ function auth.uid()"},
		{"trigger", "create trigger t before insert on public.notes execute function suppress_redundant_updates_trigger();", "triggers"},
		{"schema", "create schema more;", "+ schema more"},
		{"temporary", "create temporary table x ();", "types"},
		{"constraint", "alter table public.notes add constraint c check (id > 0);", "constraints"},
		{"meta-command", `\set x 1` + "\n" + notes, "commands of psql"},
		{"concurrently", "create index concurrently on public.notes (body);", "belongs to a migration"},
		{"syntax", "select 1;\n\n  creat policy;", "a.sql:3: syntax error"},
		{"unknown column", "select 1;\ncreate policy p on public.notes\n to anon using (nothing);", `a.sql: column "nothing" does not exist (42703)`},
		{"theirs", "select 1;\ncreate policy p on public.notes to anon; create policy p on public.notes to anon;", "another file makes it, too, or somebody else made it: then write \"drop policy if exists"},
		{"no UTF-8", "-- caf\xe9", "policy files are UTF-8"},
	} {
		_, err := Apply(t.Context(), b.owner, file(c.text), quick)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if after := b.facts(t, ""); after != before {
			t.Fatalf("%s changed the database:\n%s", c.name, after)
		}
	}
	var rows int
	if err := b.owner.QueryRow(t.Context(), `select count(*)::int from public.tasks`).Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d rows, %v", rows, err)
	}
	var fe *FileError
	if _, err := Plan(t.Context(), b.owner, file("select 1/0"), quick); !errors.As(err, &fe) || fe.Err.Code != "22012" {
		t.Errorf("division: %v", err)
	}
}

// A function of the files that a policy of others calls keeps the files from losing it.
func TestFunctionInUse(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.apply(t, `create or replace function public.yes() returns boolean language sql return true;`)
	b.exec(t, `create policy theirs on public.tasks to anon using (public.yes())`)
	_, err := Apply(t.Context(), b.owner, file(`select 1`), quick)
	if err == nil || !strings.Contains(err.Error(), "public.yes(): in the files no longer, and still in use\n  policy theirs on table ") {
		t.Errorf("%v", err)
	}
}

// What others make while the files run is theirs: the next application must not take it away.
func TestWhatOthersMakeMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	other := b.db.Conn(t, "installer")
	if _, err := other.Exec(t.Context(), `select pg_advisory_lock(4711)`); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		result, err := Apply(t.Context(), b.owner, file(`select pg_advisory_xact_lock(4711); `+notes), quick)
		if err == nil && len(result.Changes) != len(notesChanges) {
			err = fmt.Errorf("%v", result.Changes)
		}
		done <- err
	}()
	waitForWaiting(t, b)
	if _, err := other.Exec(t.Context(), `create table public.theirs (id bigint); grant select on public.theirs to anon; create policy theirs on public.theirs to anon using (false);
		create function public.theirs() returns integer language sql as 'select 1'; select pg_advisory_unlock(4711)`); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	want(t, "again", b.apply(t, notes))
	if got := b.facts(t, "public.theirs"); strings.Count(got, "\n") != 3 {
		t.Errorf("left of what others made:\n%s", got)
	}
}

// waitForWaiting returns when somebody waits for an advisory lock in the database.
func waitForWaiting(t *testing.T, b *bed) {
	t.Helper()
	super := b.db.Conn(t, "superuser")
	for waits := false; !waits; time.Sleep(10 * time.Millisecond) {
		if err := super.QueryRow(t.Context(), `select exists (select from pg_locks
			where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database()))`).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
}

// The login may have another isolation level: who waited for another to apply would not see what that one made.
func TestTheSecondSeesTheFirst(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.exec(t, `set default_transaction_isolation = 'serializable'`)
	first := b.db.Conn(t, "installer")
	tx, err := first.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `select pg_advisory_xact_lock($1)`, applyLock); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := Apply(t.Context(), b.owner, file(notes), quick)
		done <- err
	}()
	waitForWaiting(t, b)
	if _, err := tx.Exec(t.Context(), `create policy owner on public.notes to authenticated using (false);
		select auth.save_policy_set('default', '{policy owner on public.notes}', '{}')`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("takes what the first one made for somebody else's: %v", err)
	}
}

// A function gets one argument more while the old one is still there.
func TestFunctionWithAnotherSignature(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	text := `create or replace function public.f(a bigint) returns boolean stable language sql as 'select true';
		create policy f on public.notes to anon using (public.f(id));`
	b.apply(t, text)
	text = strings.Replace(text, "(a bigint)", "(a bigint, b integer default 1)", 1)
	if _, err := Apply(t.Context(), b.owner, file(text), quick); err == nil || !strings.Contains(err.Error(), "drop function if exists") {
		t.Errorf("%v", err)
	}
	b.apply(t, `drop function if exists public.f(bigint); `+text)
	want(t, "again", b.plan(t, `drop function if exists public.f(bigint); `+text))
}

// One function of the files calls another: both go.
func TestFunctionsThatNeedEachOther(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.apply(t, `create or replace function public.a() returns integer language sql begin atomic select 1; end;
		create or replace function public.b() returns integer language sql begin atomic select public.a(); end;
		create or replace procedure public.c() language sql begin atomic select public.b(); end;`)
	b.apply(t, `select 1`)
	want(t, "left", b.facts(t, "public.a()")+b.facts(t, "public.b()")+b.facts(t, "public.c()"))
}

// What is no right of anybody is applied and shown as well.
func TestWhatIsBesideRights(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	const text = `create policy p on public.notes to anon using (false);
		comment on policy p on public.notes is 'one';
		create or replace function public.f(a integer default 1) returns integer stable language sql as 'select 1';
		create or replace function public.g(a integer default 1) returns integer security definer stable language sql as 'select 1';`
	b.apply(t, text)
	want(t, "again", b.apply(t, text))
	for _, c := range []struct {
		old, new string
		want     []string
	}{
		{"is 'one'", "is 'two'", []string{"- comment on policy p on table notes: one", "+ comment on policy p on table notes: two"}},
		{"f(a integer default 1)", "f(a integer default 2)", []string{"... function public.f(a integer): security invoker, ", "... function public.f(a integer): security invoker, "}},
		{"select 1';", "select 1'; alter default privileges revoke execute on functions from public;", []string{"+ default privileges of fluxbase_test_installer on functions: no execute to public"}},
		{"definer stable", "definer volatile", []string{"... function public.g(a integer): definition ", "... function public.g(a integer): definition "}},
	} {
		changed := strings.Replace(text, c.old, c.new, 1)
		got := b.apply(t, changed)
		lines := strings.Split(got, "\n")
		if len(lines) != len(c.want) {
			t.Errorf("%s:\n%s", c.new, got)
			continue
		}
		for i, w := range c.want {
			if !strings.Contains(lines[i], strings.TrimPrefix(w, "...")) {
				t.Errorf("%s: %s, want %s", c.new, lines[i], w)
			}
		}
		want(t, c.new+", again", b.plan(t, changed))
		b.apply(t, text)
	}
	super := b.db.Conn(t, "superuser")
	if _, err := super.Exec(t.Context(), `create schema app; create sequence app.s`); err != nil {
		t.Fatal(err)
	}
	owner := b.owner
	b.owner = super
	defer func() { b.owner = owner }()
	got := b.plan(t, text+`alter schema app owner to fluxbase_admin; alter sequence app.s owner to fluxbase_admin; alter table public.notes set (fillfactor = 90);`)
	for _, fact := range []string{"+ schema app: owner fluxbase_admin", "+ sequence app.s: owner fluxbase_admin", "+ table public.notes: options fillfactor=90"} {
		if !strings.Contains(got, fact) {
			t.Errorf("no %q in\n%s", fact, got)
		}
	}
}

func TestWaitingIsBounded(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	other := b.db.Conn(t, "superuser")
	if _, err := other.Exec(t.Context(), `begin; select * from public.notes`); err != nil {
		t.Fatal(err)
	}
	o := Options{Set: "default", LockTimeout: 50 * time.Millisecond, Retries: 1}
	tries := 0
	o.Retrying = func(error) { tries++ }
	if _, err := Apply(t.Context(), b.owner, file(notes), o); err == nil || !strings.Contains(err.Error(), "gave up after 2 attempts, a table is in use") || tries != 1 {
		t.Errorf("%v after %d more tries", err, tries)
	}
	o.Retries = 10
	o.Retrying = func(error) {
		if _, err := other.Exec(t.Context(), `rollback`); err != nil {
			t.Error(err)
		}
	}
	if got := b.changes(t, Apply, file(notes), o); !strings.Contains(got, "+ policy owner") {
		t.Errorf("after the reader had gone:\n%s", got)
	}
}

func TestApplyIsRecorded(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.apply(t, notes)
	b.apply(t, notes)
	b.plan(t, `select 1`)
	super := b.db.Conn(t, "superuser")
	var rows int
	var who, details string
	err := super.QueryRow(t.Context(), `select count(*)::int, min(db_user), min(details::text) from audit.log where action = 'policies.apply'`).Scan(&rows, &who, &details)
	if err != nil || rows != 1 || who != "fluxbase_test_installer" || !strings.Contains(details, "+ policy owner on public.notes") {
		t.Errorf("%d rows by %s: %s, %v", rows, who, details, err)
	}
}

// A login that inherits nothing, and one that is no administrator.
func TestWhoMayApply(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	super := b.db.Conn(t, "superuser")
	for _, role := range []string{"none", "member"} {
		name := fmt.Sprintf("policy_%s_%d", role, os.Getpid())
		for _, sql := range []string{`create role ` + name + ` noinherit`, `grant create on schema public to ` + name} {
			if _, err := super.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() {
			ctx := context.Background() // that of the test has ended
			conn, err := pgx.Connect(ctx, b.db.URL("superuser"))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close(ctx) //nolint:errcheck // nothing was left open
			if _, err := conn.Exec(ctx, `drop owned by `+name+`; drop role `+name); err != nil {
				t.Error(err)
			}
		})
		if role == "member" {
			if _, err := super.Exec(t.Context(), `grant fluxbase_admin to `+name); err != nil {
				t.Fatal(err)
			}
		}
		conn := b.db.Conn(t, name)
		if _, err := conn.Exec(t.Context(), `create table public.of_`+role+` (id bigint)`); err != nil {
			t.Fatal(err)
		}
		_, err := Apply(t.Context(), conn, file(`create policy p on public.of_`+role+` to anon using (false)`), Options{Set: role, LockTimeout: time.Second})
		if role == "none" && (err == nil || !strings.Contains(err.Error(), "fluxbase_admin")) {
			t.Errorf("%s: %v", role, err)
		} else if role == "member" && err != nil {
			t.Errorf("%s: %v", role, err)
		}
	}
}
