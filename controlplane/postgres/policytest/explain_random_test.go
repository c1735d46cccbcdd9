package policytest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// What the random policies stand on: a table under row security of its own, and functions of every kind.
const randomSetup = `
	create table public.helper (k integer, user_id uuid);
	select auth.enable_rls('public.helper');
	grant select on public.helper to authenticated, service_role;
	create policy own on public.helper for select to authenticated using (user_id = (select auth.uid()));
	create table public.effects (at timestamptz default now());
	create function public.leaves_a_row(a integer) returns boolean language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
	  as $$ begin insert into public.effects default values; return a > 2; end $$;
	create function public.without_path(x integer) returns boolean language plpgsql stable
	  as $$ begin return exists (select from helper h where h.k = x) or x > 3; end $$;
	create function public.not_for_requests() returns boolean language sql return true;
	revoke all on function public.not_for_requests() from public;`

// Expressions of policies; %[1]s is the name of the table. The weight is how often one of a hundred is taken.
var expressions = []struct {
	weight int
	sql    string
}{
	{14, `user_id = (select auth.uid())`},
	{6, `user_id = auth.current_user_id()`},
	{8, `true`},
	{3, `false`},
	{2, `null::boolean`},
	{6, `a > 2`},
	{4, `a > 2 or b = 'x'`},
	{4, `b is null`},
	{3, `b = 'x' and k between 0 and 4`},
	{4, `c = 'dflt'`},
	{4, `g >= 6`},
	{4, `k in (select h.k from public.helper h)`},
	{3, `exists (select from public.helper h where h.k = %[1]s.k and h.user_id = %[1]s.user_id)`},
	{3, `exists (select from public.helper %[1]s where %[1]s.k = a)`},
	{3, `(%[1]s.*) is distinct from null`},
	{2, `to_jsonb(%[1]s.*) ->> 'b' = 'x'`},
	{3, `current_user = 'authenticated'`},
	{2, `pg_has_role('anon', 'member')`},
	{3, `(select auth.aal()) = 'aal2'`},
	{3, `(select auth.jwt() ->> 'email') like 'u0%%'`},
	{3, `(select auth.is_authenticated())`},
	{2, `auth.role() = 'authenticated' and a is not null`},
	{3, `(select auth.current_org_id()) is not null`},
	{3, `(select auth.current_org_role()) = 'owner'`},
	{2, `public.leaves_a_row(a)`},
	{3, `public.without_path(k)`},
	{3, `lower(b) like 'x%%' or c <> E'a\nb''"\\'`},
	{2, `u = any (array['one', 'two']::varchar[])`},
	{2, `at > now() - interval '1 day'`},
	{1, `public.not_for_requests()`},
}

// Rare ones, whose verdict may be error or unknown.
var rareExpressions = []string{`10 / a > 1`, `ctid is not null`, `tableoid is not null`, `s > 0`, `%[1]s.tableoid = 1`, `b::integer = 1`,
	// It recurses: every query ends with 42P17.
	`a in (select x.a from %[1]s x)`}

// randomTable is one table with its policies.
type randomTable struct {
	r     *rand.Rand
	name  string // as SQL writes it
	setup []string
}

func (g *randomTable) pick(options ...string) string { return options[g.r.IntN(len(options))] }
func (g *randomTable) chance(percent int) bool       { return g.r.IntN(100) < percent }

func (g *randomTable) expression() string {
	if g.chance(1) {
		return g.named(rareExpressions[g.r.IntN(len(rareExpressions))])
	}
	total := 0
	for _, e := range expressions {
		total += e.weight
	}
	n := g.r.IntN(total)
	for _, e := range expressions {
		if n -= e.weight; n < 0 {
			if g.chance(15) {
				return "(" + g.named(e.sql) + ") " + g.pick("and", "or") + " (" + g.expression() + ")"
			}
			return g.named(e.sql)
		}
	}
	panic("unreachable")
}

func (g *randomTable) named(sql string) string {
	if strings.Contains(sql, "%[1]s") {
		return fmt.Sprintf(sql, g.name)
	}
	return strings.ReplaceAll(sql, "%%", "%")
}

var columns = []string{"id", "user_id", "a", "b", "c", "k", "u", "at", "g", "s"}

func (g *randomTable) run(sql string) { g.setup = append(g.setup, sql) }

// make writes the statements that make a table, its one row, its policies and its grants.
func (g *randomTable) make(user func() string) {
	partitioned, child := g.chance(10), g.chance(8)
	suffix := ""
	switch {
	case partitioned:
		suffix = ` partition by list (id)`
	case child:
		g.run(`create table public.parent (id bigint)`)
		suffix = ` inherits (public.parent)`
	}
	g.run(fmt.Sprintf(`create table %s (id bigint primary key, user_id uuid default auth.uid(), a integer default 3, b text, c text default 'dflt', k integer,
		u varchar default 'one', at timestamptz default now(), g integer generated always as (a * 2) stored, s bigserial)%s`, g.name, suffix))
	if partitioned {
		g.run(fmt.Sprintf(`create table public.piece partition of %s default`, g.name))
	}
	g.run(fmt.Sprintf(`insert into %s (id, user_id, a, b, c, k) values (1, %s, %d, %s, %s, %d)`, g.name, user(), g.r.IntN(5), g.pick("null", "'x'", "'y'"), g.pick("'dflt'", "'other'", "null"), g.r.IntN(6)))
	if g.chance(95) {
		g.run(`alter table ` + g.name + ` enable row level security`)
	}
	if g.chance(70) {
		g.run(`alter table ` + g.name + ` force row level security`)
	}
	policies := g.r.IntN(6)
	if policies > 0 {
		g.run(fmt.Sprintf(`create policy base on %s to authenticated using (%s)`, g.name, g.expression()))
	}
	for i := range policies {
		command := g.pick("all", "all", "select", "select", "insert", "update", "update", "delete")
		to := g.pick("authenticated", "authenticated", "authenticated", "public", "anon, authenticated", "service_role", "anon", "authenticated, service_role")
		kind := g.pick("permissive", "permissive", "permissive", "restrictive")
		clauses := ""
		if command != "insert" {
			clauses += ` using (` + g.expression() + `)`
		}
		if command == "insert" || (command == "all" || command == "update") && g.chance(50) {
			clauses += ` with check (` + g.expression() + `)`
		}
		g.run(fmt.Sprintf(`create policy %s on %s as %s for %s to %s%s`, pgx.Identifier{fmt.Sprintf("%s %d", g.pick("p", `q"`, "r; --"), i)}.Sanitize(), g.name, kind, command, to, clauses))
	}
	for _, role := range []string{"authenticated", "anon", "service_role"} {
		for _, privilege := range []string{"select", "insert", "update", "delete"} {
			switch {
			case g.chance(88):
				g.run(fmt.Sprintf(`grant %s on %s to %s`, privilege, g.name, role))
			case g.chance(50) && privilege != "delete":
				kept := []string{"id"}
				for _, c := range columns[1:8] {
					if g.chance(70) {
						kept = append(kept, c)
					}
				}
				g.run(fmt.Sprintf(`grant %s (%s) on %s to %s`, privilege, strings.Join(kept, ", "), g.name, role))
			}
		}
		g.run(fmt.Sprintf(`grant usage on all sequences in schema public to %s`, role))
	}
	if g.chance(6) {
		g.run(`alter table ` + g.name + ` owner to authenticated`)
	}
	if g.chance(1) {
		g.run(`create function public.changes() returns trigger language plpgsql as $$ begin new.a := 4; return new; end $$;
			create trigger changes before insert or update on ` + g.name + ` for each row execute function public.changes()`)
	}
}

// randomStatement is one command: its SQL, and the same in the words of explain_access.
type randomStatement struct {
	sql, command     string
	reads, returning bool
	columns          any
	given            map[string]string // column to literal
	withRow          bool
}

func (g *randomTable) statement(user func() string) randomStatement {
	s := randomStatement{command: g.pick("select", "select for update", "insert", "insert", "update", "update", "update", "delete", "delete", "upsert"), withRow: true}
	returning := ""
	if g.chance(40) {
		s.returning, returning = true, " returning *"
	}
	where := " where id = 1"
	s.reads = g.chance(70)
	if !s.reads {
		where = ""
	}
	values := func(id string) {
		s.given = map[string]string{}
		if id != "" {
			s.given["id"] = id
		}
		for column, value := range map[string]string{"user_id": user(), "a": fmt.Sprint(g.r.IntN(5)), "b": g.pick("null", "'x'", "'y'"), "c": g.pick("'dflt'", "'z'"), "k": fmt.Sprint(g.r.IntN(6))} {
			if g.chance(50) {
				s.given[column] = value
			}
		}
	}
	var names, literals, sets []string
	split := func() {
		for _, c := range columns {
			if v, ok := s.given[c]; ok {
				names, literals, sets = append(names, c), append(literals, v), append(sets, c+" = "+v)
			}
		}
	}
	switch s.command {
	case "select", "select for update":
		list := "*"
		if g.chance(40) {
			list, s.columns = "id, a", []string{"id", "a"}
		}
		s.reads, s.returning = true, false
		s.sql = "select " + list + " from " + g.name + where
		if s.command != "select" {
			s.sql += " for update"
		}
	case "insert":
		values("2")
		split()
		s.sql = fmt.Sprintf("insert into %s (%s) values (%s)%s", g.name, strings.Join(names, ", "), strings.Join(literals, ", "), returning)
		s.withRow = false
	case "update":
		values("")
		if len(s.given) == 0 {
			s.given["a"] = "1"
		}
		split()
		s.sql = "update " + g.name + " set " + strings.Join(sets, ", ") + where + returning
	case "delete":
		s.sql = "delete from " + g.name + where + returning
	case "upsert":
		s.withRow = g.chance(60)
		values(map[bool]string{true: "1", false: "2"}[s.withRow])
		split()
		var excluded []string
		for _, n := range names {
			excluded = append(excluded, n+" = excluded."+n)
		}
		s.sql = fmt.Sprintf("insert into %s (%s) values (%s) on conflict (id) do update set %s%s", g.name, strings.Join(names, ", "), strings.Join(literals, ", "), strings.Join(excluded, ", "), returning)
	}
	return s
}

// json is the given row as an expression of type jsonb.
func (s randomStatement) json() string {
	if s.given == nil {
		return "null::jsonb"
	}
	var parts []string
	for _, c := range columns {
		if v, ok := s.given[c]; ok {
			parts = append(parts, fmt.Sprintf("'%s', %s", c, v))
		}
	}
	return "jsonb_build_object(" + strings.Join(parts, ", ") + ")"
}

// tally of verdicts against what PostgreSQL did.
type tally struct {
	sync.Mutex
	sets, cases, allowed, denied, uncertain, wrong int
}

// Random policy sets, users, commands and rows: the verdict is never the opposite of what PostgreSQL does.
func TestExplainAccessAgreesWithPostgreSQL(t *testing.T) {
	t.Parallel()
	sets, perSet := 90, 4
	if long() {
		sets, perSet = 4200, 4
	}
	var sum tally
	t.Cleanup(func() {
		t.Logf("%d policy sets, %d cases: %d allowed, %d denied, %d error or unknown (%.2f %%), %d wrong", sum.sets, sum.cases, sum.allowed, sum.denied, sum.uncertain,
			100*float64(sum.uncertain)/float64(max(1, sum.cases)), sum.wrong)
		if sum.uncertain*50 > sum.cases && sum.cases > 1000 {
			t.Errorf("more than 2 %% of the verdicts are error or unknown")
		}
		if sum.allowed*10 < sum.cases || sum.denied*10 < sum.cases {
			t.Error("the generator is lopsided")
		}
	})
	for worker := range 2 {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			exec(t, b.super, randomSetup)
			for u := range 3 {
				exec(t, b.super, `insert into helper values ($1, $2), ($3, $2)`, u, b.users[0][u], u+2)
			}
			// All are in both organizations, the first owns one, the second the other.
			exec(t, b.super, `insert into auth.memberships (org_id, user_id, role) select $1, id, case when n < 2 then 'owner' else 'member' end from unnest($2::uuid[]) with ordinality u (id, n)`,
				b.orgs[1], []uuid.UUID{b.users[0][1], b.users[0][0], b.users[0][2]})
			admin := b.db.Conn(t, "superuser")
			// As a DBA: a login without rights of its own, member of fluxbase_admin.
			dba := fmt.Sprintf("policytest_%s_%d", strings.ReplaceAll(b.db.Name, "fluxbase_test_", ""), worker)
			exec(t, b.super, `create role `+dba+` noinherit; grant fluxbase_admin to `+dba)
			t.Cleanup(func() { exec2(t, b, `drop role `+dba) })
			for n := range sets / 2 {
				if t.Failed() {
					return
				}
				explainRandomSet(t, b, admin, dba, uint64(worker*1_000_000+n), perSet, &sum)
			}
		})
	}
}

// exec2 runs a statement at the end of a test, when its context is over.
func exec2(t *testing.T, b *bed, sql string) {
	conn, err := pgx.Connect(background, b.db.URL("superuser"))
	if err == nil {
		defer conn.Close(background) //nolint:errcheck // nothing was left open
		_, err = conn.Exec(background, sql)
	}
	if err != nil {
		t.Errorf("%s: %v", sql, err)
	}
}

func explainRandomSet(t *testing.T, b *bed, conn *pgx.Conn, dba string, seed uint64, cases int, sum *tally) {
	t.Helper()
	g := &randomTable{r: rand.New(rand.NewPCG(seed, 7))}
	g.name = pgx.Identifier{"public", g.pick("t", "T t", `o"dd`, "order")}.Sanitize()
	user := func() string { return "'" + b.users[0][g.r.IntN(3)].String() + "'" }
	// Policies name their table without its schema.
	short := g.name[len(`"public".`):]
	full := g.name
	g.name = short
	g.make(user)
	exec(t, conn, `begin`)
	defer exec(t, conn, `rollback`)
	exec(t, conn, `set local search_path = public`)
	for _, s := range g.setup {
		if got := try(t, conn, s); got.code != "" {
			t.Fatalf("seed %d: %s: %s", seed, s, got.code)
		}
	}
	for range cases {
		s := g.statement(user)
		role := g.pick("authenticated", "authenticated", "authenticated", "authenticated", "authenticated", "anon", "service_role")
		aal := g.pick("aal1", "aal2")
		var who any
		if role == "authenticated" || g.chance(20) {
			who = email(0, g.r.IntN(3))
		}
		var org any // active in none by one way or the other, or in one of two
		if n := g.r.IntN(4); who != nil && n < 3 {
			org = []string{"", "org0", "org1"}[n]
		}
		row := "null::jsonb"
		if s.withRow {
			row = fmt.Sprintf("(select to_jsonb(x.*) from %s x)", full)
		}
		var old, given any
		if err := conn.QueryRow(t.Context(), fmt.Sprintf(`select %s, %s`, row, s.json())).Scan(&old, &given); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		exec(t, conn, `savepoint explain`)
		exec(t, conn, `set local session authorization `+dba)
		exec(t, conn, `set local role fluxbase_admin`)
		var verdict, why string
		if err := conn.QueryRow(t.Context(), `select result, detail from auth.explain_access($1, $2::text::regclass, $3, $4, $5, $6, $7, $8, $9, $10, $11) order by step desc limit 1`,
			who, full, s.command, old, given, s.reads, s.returning, s.columns, aal, role, org).Scan(&verdict, &why); err != nil {
			t.Fatalf("seed %d: %s: %v", seed, s.sql, describe(err))
		}
		exec(t, conn, `rollback to explain`)

		exec(t, conn, `select auth.login_as($1, $2, $3)`, who, aal, role)
		for i := range b.orgs {
			if org == fmt.Sprintf("org%d", i) {
				exec(t, conn, `select auth.set_active_org($1)`, b.orgs[i])
			}
		}
		exec(t, conn, `savepoint really`)
		got := try(t, conn, s.sql)
		exec(t, conn, `rollback to explain`)

		really := map[bool]string{true: "allowed", false: "denied"}[got.code == "" && got.rows == 1]
		sum.Lock()
		sum.cases++
		switch {
		case verdict == "error" || verdict == "unknown":
			sum.uncertain++
		case verdict != really:
			sum.wrong++
			t.Errorf("seed %d: explain_access says %s (%s), PostgreSQL: %s\n%s\nas %v, %s, %s, active in %v; setup:\n%s", seed, verdict, why, got, s.sql, who, role, aal, org, strings.Join(g.setup, ";\n"))
		case really == "allowed":
			sum.allowed++
		default:
			sum.denied++
		}
		sum.Unlock()
	}
	sum.Lock()
	sum.sets++
	sum.Unlock()
}
