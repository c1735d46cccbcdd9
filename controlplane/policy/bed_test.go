package policy

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bed is a database with an application's tables; the login that installed Fluxbase owns them.
type bed struct {
	db    *pgtest.DB
	owner *pgx.Conn
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{db: pgtest.Database(t)}
	b.owner = b.db.Conn(t, "installer")
	b.exec(t, `create table public.notes (id bigint primary key, user_id uuid, body text);
		create table public.tasks (id bigint primary key, org_id uuid, title varchar);
		create view public.titles as select title from public.tasks;`)
	return b
}

func (b *bed) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := b.owner.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// facts are the lines of auth.policy_lock() that contain a text.
func (b *bed) facts(t *testing.T, about string) string {
	t.Helper()
	text, err := Lock(t.Context(), b.owner)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, about) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return strings.Join(found, "\n")
}

var quick = Options{Set: "default", LockTimeout: 2 * time.Second}

func file(text string) []File { return []File{{Name: "a.sql", Text: text}} }

func (b *bed) apply(t *testing.T, text string) string {
	t.Helper()
	return b.changes(t, Apply, file(text), quick)
}

func (b *bed) plan(t *testing.T, text string) string {
	t.Helper()
	return b.changes(t, Plan, file(text), quick)
}

// changes are those of a plan or an application, one a line.
func (b *bed) changes(t *testing.T, how func(context.Context, *pgx.Conn, []File, Options) (*Result, error), files []File, o Options) string {
	t.Helper()
	result, err := how(t.Context(), b.owner, files, o)
	if err != nil {
		t.Fatal(err)
	}
	lines := make([]string, len(result.Changes))
	for i, c := range result.Changes {
		lines[i] = c.String()
	}
	return strings.Join(lines, "\n")
}

// want compares changes; a line that ends with ... is the beginning of one.
func want(t *testing.T, what, got string, lines ...string) {
	t.Helper()
	have := strings.Split(got, "\n")
	if got == "" {
		have = nil
	}
	same := len(have) == len(lines)
	for i := 0; same && i < len(lines); i++ {
		begin, open := strings.CutSuffix(lines[i], "...")
		same = have[i] == lines[i] || open && strings.HasPrefix(have[i], begin)
	}
	if !same {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, strings.Join(lines, "\n"))
	}
}
