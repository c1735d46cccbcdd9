package policytest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// demo makes a database with the tables of the demo application.
func demo(t *testing.T) *pgx.Conn {
	t.Helper()
	db := pgtest.Database(t)
	text, err := os.ReadFile("../../../testdata/demo/001_tables.sql")
	if err != nil {
		t.Fatal(err)
	}
	super := db.Conn(t, "superuser")
	// As the owner of an application: not a superuser.
	exec(t, super, `grant fluxbase_author to `+pgtest.Installer)
	exec(t, db.Conn(t, "installer"), string(text))
	return super
}

func TestCheckIsSilentOnSoundDatabases(t *testing.T) {
	t.Parallel()
	for name, conn := range map[string]*pgx.Conn{"clean": pgtest.Database(t).Conn(t, "superuser"), "demo": demo(t)} {
		if found := findings(t, conn, `select object || ': ' || code from auth.check('info') where code <> 'temporary_for_public'`); len(found) > 0 {
			t.Errorf("%s: %s", name, strings.Join(found, "\n"))
		}
	}
}

func findings(t *testing.T, conn *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	return lines(t, conn, sql, args...)
}

func TestLints(t *testing.T) {
	t.Parallel()
	conn := demo(t)
	codes := lines(t, conn, `select substr(viewname, 6) from pg_views where schemaname = 'auth' and viewname like 'lint\_%' and viewname not in ('lint_request_roles', 'lint_logins', 'lint_relations', 'lint_functions', 'lint_function_reads', 'lint_function_calls', 'lint_exposed') order by 1`)
	for _, code := range codes {
		if _, known := defects[code]; !known && code != "database_locale" { // which has a test of its own
			t.Errorf("the lint %s has no test", code)
		}
		if _, err := os.Stat(filepath.Join("../../../docs/policies", code+".md")); err != nil {
			t.Errorf("the lint %s has no page: %v", code, err)
		}
	}
	for name, d := range defects {
		code, _, _ := strings.Cut(name, "/")
		if !slices.Contains(codes, code) {
			t.Errorf("there is no lint %s", code)
		}
		seed := d.seed
		if name, ok := strings.CutPrefix(seed, "@"); ok {
			text, err := fluxbase.Files.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			seed = string(text)
		}
		inTx(t, conn, func() {
			exec(t, conn, seed)
			exec(t, conn, `set local role fluxbase_admin; set local search_path = public, auth`)
			found := check(t, conn)
			exec(t, conn, `reset role; reset search_path`)
			var got []string
			for _, f := range found {
				if f.Code == code {
					got = append(got, f.Object+": "+f.Evidence)
				}
				if f.Severity == "" || f.Object == "" || f.Evidence == "" || f.Fix == "" || f.Doc != "https://github.com/wayli-app/fluxbase/blob/main/docs/policies/"+f.Code+".md" {
					t.Errorf("%s: incomplete: %+v", name, f)
				}
			}
			for _, want := range d.finds {
				if !slices.ContainsFunc(got, func(f string) bool { return strings.Contains(f, want) }) {
					t.Errorf("%s does not find %q, but %q", name, want, got)
				}
			}
			if len(got) != len(d.finds) {
				t.Errorf("%s finds %q", name, got)
			}
			follow(t, conn, name, found)
		})
		inTx(t, conn, func() {
			exec(t, conn, d.sound)
			exec(t, conn, `set local search_path = pg_catalog, pg_temp`)
			if got := lines(t, conn, `select object || ': ' || evidence from auth.lint_`+code); len(got) > 0 {
				t.Errorf("%s finds something in what is sound: %q", name, got)
			}
		})
	}
}

// The locale is that of a whole database; the view stands on nothing else.
func TestCheckFindsLocale(t *testing.T) {
	t.Parallel()
	view, err := fluxbase.Files.ReadFile("sql/policy/lints/database_locale.sql")
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.Database(t)
	super := db.Conn(t, "superuser")
	for locale, want := range map[string]string{"tr-TR": "lower('I') is 'ı' here", "az": "lower('I') is 'ı' here", "en": ""} {
		name := db.Name + "_" + strings.ToLower(strings.ReplaceAll(locale, "-", "_"))
		_, err := super.Exec(t.Context(), `create database `+name+` template template0 encoding 'UTF8' locale_provider icu icu_locale '`+locale+`' locale 'C'`)
		if err != nil && strings.Contains(err.Error(), "ICU is not supported") {
			t.Skip("PostgreSQL was built without ICU")
		} else if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := super.Exec(context.WithoutCancel(t.Context()), `drop database `+name+` with (force)`); err != nil {
				t.Error(err)
			}
		})
		conn, err := pgx.Connect(t.Context(), strings.Replace(db.URL("superuser"), db.Name, name, 1))
		if err != nil {
			t.Fatal(err)
		}
		exec(t, conn, `create schema auth`)
		exec(t, conn, string(view))
		got := strings.Join(lines(t, conn, `select code || ' ' || evidence from auth.lint_database_locale`), "; ")
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q", locale, got)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Templates of auth.protect() are sound in the eyes of auth.check().
func TestCheckAcceptsTemplates(t *testing.T) {
	t.Parallel()
	conn := demo(t)
	for template, options := range map[string]string{
		"owner": `, p_deleted_column => 'deleted_at', p_aal => 'aal2', p_scope => 'docs'`, "tenant": `, p_write_org_roles => '{owner}'`, "team": `, p_members => 'public.members'`,
		"public_read": `, p_published_column => 'published'`, "members_write": ``, "shared": ``,
	} {
		inTx(t, conn, func() {
			exec(t, conn, docsSQL+`; create table public.members (team_id integer, user_id uuid)`)
			exec(t, conn, `select auth.protect('public.docs', '`+template+`'`+options+`)`)
			if found := findings(t, conn, `select object || ': ' || evidence from auth.check()`); len(found) > 0 {
				t.Errorf("%s: %q", template, found)
			}
		})
	}
}

func TestCheckSeverityAndCallers(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	admin := db.Conn(t, "fluxbase_admin")
	refused(t, admin, "22023", "error, warning or info", `select auth.check('loud')`)
	refused(t, admin, "22023", "error, warning or info", `select auth.check(null)`)
	for _, who := range []string{"anon", "authenticated", "service_role", "fluxbase_api"} {
		refused(t, db.Conn(t, who), "42501", "permission denied", `select auth.check()`)
	}
	super := db.Conn(t, "superuser")
	exec(t, super, tableSQL+`grant all on t to anon; alter default privileges grant select on tables to anon`)
	if got := strings.Join(lines(t, super, `select distinct severity from auth.check('error')`), " "); got != "error" {
		t.Errorf("at error: %s", got)
	}
	if got := strings.Join(lines(t, super, `select severity from auth.check() group by severity order by 1`), " "); got != "error warning" {
		t.Errorf("at warning: %s", got)
	}
}

// A thousand tables in five seconds; the bound leaves room for a busy machine.
func TestCheckOnManyTables(t *testing.T) {
	t.Parallel()
	if !long() {
		t.Skip("FLUXBASE_TEST_LONG is not set")
	}
	b := newBed(t)
	for n := range 10 {
		exec(t, b.owner, fmt.Sprintf(`do $$ begin for i in 1..100 loop
			execute format('create table public.t%[1]d_%%s (id bigint generated always as identity primary key, user_id uuid, org_id uuid)', i);
			perform auth.protect(format('public.t%[1]d_%%s', i)::regclass, 'tenant', p_write_org_roles => '{owner}'); end loop; end $$`, n))
	}
	start := time.Now()
	findings(t, b.super, `select object from auth.check('info')`)
	took := time.Since(start)
	t.Logf("auth.check() on 1,000 tables: %s", took)
	if took > 15*time.Second {
		t.Errorf("auth.check() took %s", took)
	}
}

// inTx runs statements in a transaction that is rolled back.
func inTx(t *testing.T, conn *pgx.Conn, fn func()) {
	t.Helper()
	exec(t, conn, `begin`)
	fn()
	exec(t, conn, `rollback`)
}
