package sqltest

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/pgtest"
)

// With the verification off the helpers answer alike and are inlined; another installation turns it on again.
func TestPlainContext(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	super, admin := db.Conn(t, "superuser"), db.Conn(t, "fluxbase_admin")
	exec(t, db.Conn(t, "installer"), notesSQL)
	newUser(t, admin, "ann@example.com")
	signatures := func() string {
		t.Helper()
		return join(lines(t, super, `select p.oid::regprocedure || ' ' || p.provolatile::text || p.proparallel::text || ' ' || coalesce(p.proacl::text, '')
			from pg_proc p where p.pronamespace = 'auth'::regnamespace order by 1`))
	}
	answers := func() string {
		t.Helper()
		var got string
		as(t, admin, "ann@example.com", func() {
			got = one[string](t, admin, `select concat_ws(' ', auth.uid(), auth.role(), auth.aal(), auth.email(), auth.is_authenticated(), auth.jwt())`)
		})
		return got + one[string](t, admin, `select concat_ws(' ', '/', auth.uid(), auth.role(), auth.is_authenticated(), auth.jwt())`)
	}
	const forge = `select set_config('fluxbase.context', $1, true)`
	forged := `[1,"` + uuid.NewString() + `",null,null,"aal1","authenticated",null,null,null,null,0,null]`
	verified, wasAnswered := signatures(), answers()
	exec(t, super, `begin`)
	exec(t, super, forge, forged)
	refused(t, super, "42501", []string{"context was changed"}, `select auth.uid()`)
	exec(t, super, `rollback`)

	text, err := fluxbase.Files.ReadFile("sql/context/plain.sql")
	if err != nil {
		t.Fatal(err)
	}
	exec(t, db.Conn(t, "fluxbase_owner"), string(text))
	if got := signatures(); got != verified {
		t.Errorf("signatures differ:\n%s", difference(verified, got))
	}
	if got := answers(); got != wasAnswered {
		t.Errorf("answers differ:\n got %s\nwant %s", got, wasAnswered)
	}
	plan := join(lines(t, super, `explain (costs off, verbose) select auth.uid() from generate_series(1, 2)`))
	if !strings.Contains(plan, "current_setting") {
		t.Errorf("not inlined:\n%s", plan)
	}
	install(t, db)
	exec(t, super, `begin`)
	exec(t, super, forge, forged)
	refused(t, super, "42501", []string{"context was changed"}, `select auth.uid()`)
	exec(t, super, `rollback`)
}
