package docs

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

var update = flag.Bool("update", false, "write docs/sql-api.md from the catalog")

// routine is a function of ours, or a view: what its reader needs to call it.
type routine struct {
	Signature string
	Result    string
	Callers   []string
	Definer   bool
	Comment   string
}

// routinesSQL lists functions, then views; grantees are names, public first, without the owner.
const routinesSQL = `
select format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_arguments(p.oid)), pg_get_function_result(p.oid),
       array(select case a.grantee when 0 then 'public' else a.grantee::regrole::text end
             from aclexplode(p.proacl) a
             where a.grantee <> p.proowner and a.privilege_type = 'EXECUTE'
             order by a.grantee <> 0, a.grantee::regrole::text collate "C"),
       p.prosecdef, coalesce(obj_description(p.oid, 'pg_proc'), '')
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase')
  and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
order by n.nspname collate "C", p.proname collate "C", pg_get_function_identity_arguments(p.oid) collate "C"`

const viewsSQL = `
select format('%I.%I', n.nspname, c.relname),
       (select string_agg(a.attname, ', ' order by a.attnum) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
       array(select case a.grantee when 0 then 'public' else a.grantee::regrole::text end
             from aclexplode(c.relacl) a
             where a.grantee <> c.relowner and a.privilege_type = 'SELECT'
             order by a.grantee <> 0, a.grantee::regrole::text collate "C"),
       false, coalesce(obj_description(c.oid, 'pg_class'), '')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('auth', 'audit', 'ratelimit', 'fluxbase') and c.relkind = 'v'
order by n.nspname collate "C", c.relname collate "C"`

// docs/sql-api.md is what the catalog of an installed database says.
func TestSQLAPI(t *testing.T) {
	t.Parallel()
	conn := pgtest.Database(t).Conn(t, "superuser")
	page := sqlAPI(routines(t, conn, routinesSQL), routines(t, conn, viewsSQL))
	if *update {
		if err := os.WriteFile("sql-api.md", []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(filepath.Join(root, "docs/sql-api.md"))
	if err != nil || string(got) != page {
		t.Errorf("docs/sql-api.md is not what the catalog says: go test ./docs -run TestSQLAPI -update (%v)", err)
	}
}

func routines(t *testing.T, conn *pgx.Conn, sql string) []routine {
	t.Helper()
	rows, _ := conn.Query(t.Context(), sql)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[routine])
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatal("nothing of ours in the catalog")
	}
	for _, r := range list {
		if r.Comment == "" {
			t.Errorf("%s has no comment", r.Signature)
		}
	}
	return list
}

// sqlAPI renders the page: one section for each kind of caller, widest first.
func sqlAPI(functions, views []routine) string {
	var b strings.Builder
	b.WriteString("# SQL API\n\n" +
		"Made from the catalog of an installed database; a test keeps it current. Call functions with named arguments,\n" +
		"`auth.ban_user(p_user => 'ann@example.com')`, or by position. A function that runs as owner\n" +
		"has the rights of `fluxbase_owner`.\n")
	sections := []struct {
		title, words string
		takes        func(routine) bool
	}{
		{"For everybody", "What policies and queries call.", calledBy("public")},
		{"For administrators", "Executable by members of `fluxbase_admin`.", calledBy("fluxbase_admin")},
		{"For the server", "Entry points and the gate: executable by the server's logins only, which are named.",
			calledBy("fluxbase_api", "fluxbase_service", "fluxbase_server")},
		{"For other roles", "Executable by the roles that are named.", func(r routine) bool { return len(r.Callers) > 0 }},
		{"Inside", "Building blocks and triggers that nobody but `fluxbase_owner` executes. They may change in any release.",
			func(routine) bool { return true }},
	}
	done := make([]bool, len(functions))
	for _, s := range sections {
		var list []routine
		for i, f := range functions {
			if !done[i] && s.takes(f) {
				done[i] = true
				list = append(list, f)
			}
		}
		if len(list) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| function | returns | callers | runs as | what it does |\n|---|---|---|---|---|\n", s.title, s.words)
		for _, f := range list {
			runsAs := "caller"
			if f.Definer {
				runsAs = "owner"
			}
			row(&b, "`"+f.Signature+"`", "`"+f.Result+"`", strings.Join(f.Callers, ", "), runsAs, f.Comment)
		}
	}
	b.WriteString("\n## Views\n\n| view | columns | callers | what it shows |\n|---|---|---|---|\n")
	for _, v := range views {
		row(&b, "`"+v.Signature+"`", v.Result, strings.Join(v.Callers, ", "), v.Comment)
	}
	return b.String()
}

func calledBy(roles ...string) func(routine) bool {
	return func(r routine) bool {
		return slices.ContainsFunc(r.Callers, func(caller string) bool { return slices.Contains(roles, caller) })
	}
}

func row(b *strings.Builder, cells ...string) {
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}
