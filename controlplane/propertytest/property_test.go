package propertytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// seedOfShort is that of make test; the long run has others.
const seedOfShort = 4

func newChance(t *testing.T, b *bed, part uint64) chance {
	seed := uint64(seedOfShort)
	if operations(0, 1) == 1 {
		seed = rand.Uint64()
		t.Logf("seed %d", seed)
	}
	return chance{rand.New(rand.NewPCG(seed, part)), b}
}

// tally counts what operations did, so that a run in which nothing happens is none.
type tally struct{ seen, foreign, refused, broken int }

// tops are the greatest ids of the tables.
func (b *bed) tops(t *testing.T) map[string]int {
	t.Helper()
	tops := map[string]int{}
	for _, table := range tables {
		key := "id"
		if table == "r_shares" {
			key = "row_id"
		}
		var top int
		if _, err := fmt.Sscan(b.Value(t, `select coalesce(max(`+key+`), 1) from public.`+table), &top); err != nil {
			t.Fatal(err)
		}
		tops[table] = top
	}
	return tops
}

// finish judges a run.
func (b *bed) finish(t *testing.T, n int, sum tally) {
	t.Helper()
	writes := b.Value(t, `select last_value from model.writes`)
	t.Logf("%d operations: %d rows seen, %s rows written, %d refused", n, sum.seen, writes, sum.refused)
	if sum.foreign != 0 {
		t.Errorf("%d foreign rows were seen", sum.foreign)
	}
	if v := b.violations(t); v != "" {
		t.Errorf("foreign rows were written:\n%s", v)
	}
	if sum.seen < n || len(writes) < 3 || sum.refused < n/50 {
		t.Error("too little happened for this to mean anything")
	}
	if sum.broken > n/20 {
		t.Errorf("%d of %d operations were malformed", sum.broken, n)
	}
}

func TestNoForeignRowsOverHTTP(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	n := operations(1500, 50000)
	b.finish(t, n, b.runHTTP(t, newChance(t, b, 1), n, nil, nil))
}

func TestNoForeignRowsInSQL(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	n := operations(1500, 50000)
	b.finish(t, n, b.runSQL(t, newChance(t, b, 2), n, nil, nil))
}

// runHTTP sends requests of users, to one table or to all, until enough says so.
func (b *bed) runHTTP(t *testing.T, c chance, n int, table []string, enough func(tally) bool) (sum tally) {
	t.Helper()
	var tops map[string]int
	for i := range n {
		if i > 0 && i%5000 == 0 {
			b.logIn(t)
		}
		if i%100 == 0 {
			b.seed(t)
			tops = b.tops(t)
		}
		name, caller := c.table(table), c.caller()
		r := c.request(name, tops[name])
		if caller >= 0 {
			r.headers = append(r.headers, b.bearers[caller])
		}
		a := b.Do(t, r.method, r.path, r.body, r.headers...)
		switch {
		case a.Status < 300:
			var rows []json.RawMessage
			if len(a.Body) > 0 && json.Unmarshal(a.Body, &rows) != nil {
				t.Fatalf("%s %s: %s", r.method, r.path, a.Body)
			}
			sum.seen += len(rows)
			if len(rows) == 0 {
				break
			}
			if f := b.foreign(t, name, b.who(caller), a.Body); f > 0 {
				sum.foreign += f
				if enough == nil {
					t.Errorf("%d as %d: %s %s %s %v gives\n%s", i, caller, r.method, r.path, encode(r.body), r.headers[:1], a.Body)
				}
			}
		case a.Status == 401 || a.Status == 403 || a.Status == 409:
			sum.refused++
		default:
			sum.broken++
			t.Logf("%s %s: %d %s", r.method, r.path, a.Status, a.Body)
		}
		if sum.foreign > 20 || enough != nil && enough(sum) {
			break
		}
	}
	return sum
}

// runSQL runs statements as users, as psql does with auth.login_as, on one table or all, until enough says so.
func (b *bed) runSQL(t *testing.T, c chance, n int, table []string, enough func(tally) bool) (sum tally) {
	t.Helper()
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, b.DB.URL("installer"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was left open
	var tops map[string]int
	for i := range n {
		if i%100 == 0 {
			b.seed(t)
			tops = b.tops(t)
		}
		name, caller := c.table(table), c.caller()
		sql := c.statement(name, tops[name])
		rows, err := asUser(ctx, conn, b, caller, sql)
		var pe *pgconn.PgError
		switch {
		case err == nil && len(rows) > 0:
			sum.seen += len(rows)
			if f := b.foreign(t, name, b.who(caller), []byte(encode(rows))); f > 0 {
				sum.foreign += f
				if enough == nil {
					t.Errorf("%d as %d: %s gives\n%s", i, caller, sql, encode(rows))
				}
			}
		case err == nil:
		case errors.As(err, &pe) && (pe.Code == "42501" || pe.Code[:2] == "23" || pe.Code == "21000"):
			sum.refused++
		default:
			sum.broken++
			t.Logf("%s: %v", sql, err)
		}
		if sum.foreign > 20 || enough != nil && enough(sum) {
			break
		}
	}
	return sum
}

func asUser(ctx context.Context, conn *pgx.Conn, b *bed, caller int, sql string) (rows []json.RawMessage, err error) {
	var user *string
	if caller >= 0 {
		user = &b.emails[caller]
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select auth.login_as($1)`, user); err != nil {
			return err
		}
		result, err := tx.Query(ctx, sql, pgx.QueryExecModeExec)
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(result, pgx.RowTo[json.RawMessage])
		return err
	})
	return rows, err
}

// A policy that is too wide for one command is found, whichever template and command.
func TestForeignRowsAreNoticed(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	c := chance{rand.New(rand.NewPCG(seedOfShort, 3)), b}
	spoiled := tables
	if operations(0, 1) == 0 {
		spoiled = []string{"r_owner", "r_writers", "r_shares"}
	}
	for _, table := range spoiled {
		for _, m := range []struct{ command, condition string }{
			{"select", "using (true)"}, {"insert", "with check (true)"}, {"update", "using (true) with check (true)"}, {"delete", "using (true)"},
		} {
			if m.command == "select" && table == "r_members" {
				continue // everybody who is signed in reads it
			}
			b.Exec(t, fmt.Sprintf(`create policy leak on public.%s for %s to authenticated %s`, table, m.command, m.condition))
			noticed := func(s tally) bool { return s.foreign > 0 || b.violations(t) != "" }
			if !noticed(b.runSQL(t, c, 1500, []string{table}, noticed)) {
				t.Errorf("%s: %s %s is not noticed in SQL", table, m.command, m.condition)
			}
			b.Exec(t, `truncate model.violations`)
			// Over HTTP a filter reads, so that a SELECT policy narrows what an UPDATE or DELETE finds.
			if m.command == "select" && !noticed(b.runHTTP(t, c, 1500, []string{table}, noticed)) {
				t.Errorf("%s: %s %s is not noticed over HTTP", table, m.command, m.condition)
			}
			b.Exec(t, fmt.Sprintf(`drop policy leak on public.%s; truncate model.violations`, table))
		}
	}
}
