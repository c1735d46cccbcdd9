package propertytest

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// tables are one for each template, with the shares of the last.
var tables = []string{"r_owner", "r_tenant", "r_writers", "r_team", "r_public", "r_members", "r_shared", "r_shares"}

// bed is a server with two tenants of three users and a table under each template.
type bed struct {
	*servertest.Server
	orgs   []uuid.UUID
	users  []uuid.UUID // three of the first tenant, three of the second
	emails []string

	bearers []string // access tokens of the users, as headers
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{Server: servertest.Start(t, "FLUXBASE_RATE_LIMITING_ENABLED=false")}
	for o := range 2 {
		id := uuid.New()
		b.orgs = append(b.orgs, id)
		b.Exec(t, `insert into auth.organizations (id, slug, name) values ($1, $2, 'x')`, id, fmt.Sprint("org", o))
		for u := range 3 {
			email := fmt.Sprintf("u%d.%d@example.com", o, u)
			id := b.CreateUser(t, email)
			b.users = append(b.users, uuid.MustParse(id))
			b.emails = append(b.emails, email)
			role := "member"
			if u == 0 {
				role = "owner"
			}
			b.Exec(t, `insert into auth.memberships (org_id, user_id, role) values ($1, $2, $3)`, b.orgs[o], id, role)
		}
	}
	b.Exec(t, modelSQL)
	// Team 1 is of the first tenant, 2 of the second; in 3 one of each meets, and one whose time is over.
	b.Exec(t, `insert into public.team_members values (1, $1, null), (1, $2, null), (2, $3, null), (2, $4, now() + interval '1 day'),
		(3, $1, null), (3, $3, null), (3, $5, now() - interval '1 second')`, b.users[0], b.users[1], b.users[3], b.users[4], b.users[2])
	b.Exec(t, `select fluxbase.reload()`)
	b.seed(t)
	b.logIn(t)
	return b
}

// logIn gets tokens; they live for 15 minutes.
func (b *bed) logIn(t *testing.T) {
	t.Helper()
	b.bearers = nil
	for _, email := range b.emails {
		b.bearers = append(b.bearers, b.Login(t, email).Bearer())
	}
}

func (b *bed) seed(t *testing.T) {
	t.Helper()
	b.Exec(t, `select model.seed()`)
}

// foreign counts rows, given as a JSON array, that the caller may not read by the model.
func (b *bed) foreign(t *testing.T, table string, who uuid.UUID, rows []byte) int {
	t.Helper()
	var user any
	if who != uuid.Nil {
		user = who.String()
	}
	n := b.Value(t, `select count(*) from jsonb_array_elements($1) r where not model.may($2, $3, 'read', r)`, string(rows), strings.TrimPrefix(table, "v_"), user)
	var count int
	if _, err := fmt.Sscan(n, &count); err != nil {
		t.Fatal(err)
	}
	return count
}

// violations are the writes that the model forbids.
func (b *bed) violations(t *testing.T) string {
	t.Helper()
	return b.Value(t, `select string_agg(concat_ws(' ', relation, command, who, old_row, new_row), E'\n') from (select * from model.violations limit 5) v`)
}

// operations is how many random operations a test runs in all.
func operations(short, long int) int {
	if os.Getenv("FLUXBASE_TEST_LONG") != "" {
		return long
	}
	return short
}
