package policytest

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// finding is a row of auth.check().
type finding struct{ Code, Severity, Object, Evidence, Fix, Doc string }

func check(t *testing.T, conn *pgx.Conn) []finding {
	t.Helper()
	rows, err := conn.Query(t.Context(), `select coalesce(code, ''), coalesce(severity, ''), coalesce(object, ''), coalesce(evidence, ''), coalesce(fix, ''), coalesce(doc, '') from auth.check('info')`)
	if err == nil {
		var found []finding
		if found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[finding]); err == nil {
			return found
		}
	}
	t.Fatalf("auth.check(): %v", describe(err))
	panic("unreachable")
}

// runs says that a fix is SQL: it ends as SQL does.
func (f finding) runs() bool { return strings.HasSuffix(f.Fix, ";") }

// follow runs the fixes of a lint that are SQL as a DBA would, who copies them into psql, and sees that the findings are gone and that nothing
// worse came.
func follow(t *testing.T, conn *pgx.Conn, name string, found []finding) {
	t.Helper()
	code, _, _ := strings.Cut(name, "/")
	before := map[string]bool{}
	advised := 0
	for _, f := range found {
		before[f.Code+" "+f.Object] = true
		if f.Code == code && f.runs() {
			exec(t, conn, strings.Replace(f.Fix, "create index concurrently", "create index", 1)) // which no transaction lets in
		} else if f.Code == code {
			advised++
			if advice[code] == "" {
				t.Errorf("%s: the fix is no statement: %s", name, f.Fix)
			}
		}
	}
	for _, f := range check(t, conn) {
		if f.Code == code {
			advised--
			if f.runs() {
				t.Errorf("%s: %s still has %s after %s", name, f.Object, f.Evidence, f.Fix)
			}
		} else if !before[f.Code+" "+f.Object] && f.Severity != "info" {
			t.Errorf("%s: the fix makes %+v", name, f)
		}
	}
	if works := keeps[name]; works != "" {
		exec(t, conn, works)
		exec(t, conn, `reset role`)
	}
	if advised != 0 {
		t.Errorf("%s: %d findings with advice went or came by the fixes of others", name, advised)
	}
}

// A fix that no transaction lets in, run as it is printed.
func TestFixesOutsideOfTransactions(t *testing.T) {
	t.Parallel()
	conn := pgtest.Database(t).Conn(t, "superuser")
	exec(t, conn, closedSQL+`alter table t add "Team Id" uuid; create policy p on t to authenticated using ("Team Id" = any (array(select unnest(auth.org_ids()))));
		create table public.p (org_id uuid) partition by list (org_id); create table public.p1 partition of p default; select auth.enable_rls('public.p');
		create policy p on p to authenticated using (org_id = any (array(select unnest(auth.org_ids()))))`)
	fixes := lines(t, conn, `select fix from auth.check() where code = 'policy_column_not_indexed'`)
	for _, fix := range fixes {
		exec(t, conn, fix)
	}
	if left := lines(t, conn, `select fix from auth.check() where code = 'policy_column_not_indexed'`); len(fixes) != 2 || len(left) > 0 {
		t.Errorf("after %q: %q", fixes, left)
	}
}

// What policy_recursive says is what happens, and where it is silent nothing of the kind does.
func TestRecursionIsReal(t *testing.T) {
	t.Parallel()
	conn := pgtest.Database(t).Conn(t, "superuser")
	for name, d := range defects {
		if !strings.HasPrefix(name, "policy_recursive") {
			continue
		}
		for _, seed := range []string{d.seed, d.sound} {
			inTx(t, conn, func() {
				exec(t, conn, seed)
				exec(t, conn, `grant select, insert on all tables in schema public to authenticated; set local search_path = pg_catalog, pg_temp;
					do $$ declare v_table regclass; begin
						for v_table in select c.oid from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' loop
							begin
								execute format('insert into %s (id) values (1)', v_table);
							exception when generated_always then
								execute format('insert into %s default values', v_table);
							end;
						end loop; end $$`)
				for _, row := range lines(t, conn, `select concat_ws(' ', p.polname, p.polrelid::regclass, case p.polcmd when 'a' then 'insert' else 'select' end, coalesce(substring(l.evidence from '[0-9A-Z]{5}$'), 'nothing'))
						from pg_policy p left join auth.lint_policy_recursive l on l.object = format('policy %I on %s', p.polname, p.polrelid::regclass)
						where p.polrelid::regclass::text like 'public.%' and p.polname <> 'service_role_all'`) {
					parts := strings.Fields(row)
					sql := "select from " + parts[1]
					if parts[2] == "insert" {
						sql = "insert into " + parts[1] + " default values"
					}
					exec(t, conn, `set local role authenticated; set local search_path = public`)
					if got := try(t, conn, sql).code; (got == "42P17" || got == "54001" || parts[3] != "nothing") && got != parts[3] {
						t.Errorf("%s: %s: %s ends with %q, and the lint says %s", name, parts[0], sql, got, parts[3])
					}
					exec(t, conn, `reset role`)
				}
			})
		}
	}
}
