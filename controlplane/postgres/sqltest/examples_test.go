package sqltest

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// as runs fn as a request of the user, or of a caller without token.
func as(t *testing.T, admin *pgx.Conn, user string, fn func()) {
	t.Helper()
	exec(t, admin, `begin`)
	if user == "" {
		exec(t, admin, `select auth.login_as()`)
	} else {
		exec(t, admin, `select auth.login_as($1)`, user)
	}
	fn()
	exec(t, admin, `select auth.login_reset()`)
	exec(t, admin, `commit`)
}

// example runs the file as an ordinary owner of tables.
func example(t *testing.T, db *pgtest.DB, name string) {
	t.Helper()
	text, err := fluxbase.Files.ReadFile("policies/examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	conn := db.Conn(t, "superuser")
	owner := role(t, conn, name[:len(name)-len(".sql")], "")
	exec(t, conn, `grant fluxbase_author to `+owner+`; grant create on schema public to `+owner)
	exec(t, conn, `set session authorization `+owner)
	exec(t, conn, string(text))
	exec(t, conn, `reset session authorization`)
}

func TestExampleOwner(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	example(t, db, "owner.sql")
	admin := db.Conn(t, "fluxbase_admin")
	ann, _ := newUser(t, admin, "ann@example.com"), newUser(t, admin, "bob@example.com")
	as(t, admin, "ann@example.com", func() { exec(t, admin, `insert into public.documents (title) values ('one'), ('two')`) })
	as(t, admin, "bob@example.com", func() {
		if n := one[int](t, admin, `select count(*)::int from public.documents`); n != 0 {
			t.Errorf("bob sees %d documents of ann", n)
		}
		if n := one[int](t, admin, `with d as (delete from public.documents returning 1) select count(*)::int from d`); n != 0 {
			t.Errorf("bob deleted %d documents of ann", n)
		}
		exec(t, admin, `savepoint s`)
		refused(t, admin, "42501", []string{"row-level security"}, `insert into public.documents (title, user_id) values ('forged', $1)`, ann)
		exec(t, admin, `rollback to s`)
	})
	as(t, admin, "", func() {
		exec(t, admin, `savepoint s`)
		refused(t, admin, "42501", nil, `select * from public.documents`)
		exec(t, admin, `rollback to s`)
	})
	as(t, admin, "ann@example.com", func() {
		if n := one[int](t, admin, `select count(*)::int from public.documents`); n != 2 {
			t.Errorf("ann sees %d of her 2 documents", n)
		}
	})
	exec(t, admin, `select auth.delete_user('ann@example.com')`)
	exec(t, admin, `set role none`)
	if n := one[int](t, admin, `select count(*)::int from public.documents`); n != 0 {
		t.Errorf("%d documents outlive their owner", n)
	}
}

func TestExamplePublicRead(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	example(t, db, "public_read.sql")
	admin := db.Conn(t, "fluxbase_admin")
	newUser(t, admin, "ann@example.com")
	newUser(t, admin, "bob@example.com")
	as(t, admin, "ann@example.com", func() {
		exec(t, admin, `insert into public.articles (title, published_at) values ('out', now() - interval '1 day'), ('draft', null), ('later', now() + interval '1 day')`)
	})
	for user, want := range map[string]string{"": "out", "bob@example.com": "out", "ann@example.com": "draft later out"} {
		as(t, admin, user, func() {
			if got := one[string](t, admin, `select string_agg(title, ' ' order by title) from public.articles`); got != want {
				t.Errorf("%q sees %s, want %s", user, got, want)
			}
		})
	}
	as(t, admin, "bob@example.com", func() {
		if n := one[int](t, admin, `with u as (update public.articles set title = 'taken' returning 1) select count(*)::int from u`); n != 0 {
			t.Errorf("bob changed %d articles of ann", n)
		}
	})
}

// The active organization comes with a session's token, so the context is signed here.
func TestExampleTenant(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	example(t, db, "tenant.sql")
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	ann, bob := newUser(t, admin, "ann@example.com"), newUser(t, admin, "bob@example.com")
	acme := one[uuid.UUID](t, super, `insert into auth.organizations (slug, name) values ('acme', 'Acme') returning id`)
	rival := one[uuid.UUID](t, super, `insert into auth.organizations (slug, name) values ('rival', 'Rival') returning id`)
	exec(t, super, `insert into auth.memberships (org_id, user_id, role) values ($1, $2, 'owner'), ($1, $3, 'member'), ($4, $3, 'owner')`, acme, ann, bob, rival)
	exec(t, super, `insert into public.invoices values ($1, 1, 10), ($2, 1, 20)`, acme, rival)
	request := func(user, org uuid.UUID, fn func()) {
		t.Helper()
		exec(t, super, `begin`)
		exec(t, super, `select set_config('fluxbase.context', c, true), set_config('fluxbase.context_mac', fluxbase.context_mac(p_context => c), true)
			from format('[1,"%s",null,"%s","aal1","authenticated",null,null,null,null,%s,null]', $1::uuid, $2::uuid, extract(epoch from now())::bigint) c`, user, org)
		exec(t, super, `set local role authenticated`)
		fn()
		exec(t, super, `rollback`)
	}
	const write = `with u as (update public.invoices set amount = amount + 1 returning 1) select count(*)::int from u`
	for _, c := range []struct {
		name          string
		user, org     uuid.UUID
		reads, writes int
	}{
		{"the owner", ann, acme, 1, 1},
		{"a member", bob, acme, 2, 0},
		{"an owner elsewhere, there", bob, rival, 2, 1},
		{"an organization that is not hers", ann, rival, 1, 0},
	} {
		request(c.user, c.org, func() {
			if n := one[int](t, super, `select count(*)::int from public.invoices`); n != c.reads {
				t.Errorf("%s reads %d rows, want %d", c.name, n, c.reads)
			}
			if n := one[int](t, super, write); n != c.writes {
				t.Errorf("%s writes %d rows, want %d", c.name, n, c.writes)
			}
		})
	}
	request(ann, acme, func() {
		exec(t, super, `insert into public.invoices (number, amount) values (2, 5)`)
		refused(t, super, "42501", []string{"row-level security"}, `insert into public.invoices (org_id, number, amount) values ($1, 9, 5)`, rival)
	})
}
