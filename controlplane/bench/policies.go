package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/policy"
)

// Size of what the policies are measured on.
const (
	tenants      = 1000
	policyRows   = 1_000_000
	checkTables  = 1000
	planPolicies = 200
)

// policies compares statements under policies of templates with the same statements and a WHERE by hand, and times what
// developers wait for.
func (b *bench) policies(ctx context.Context) (rows []row, err error) {
	owner, err := pgx.Connect(ctx, b.socket)
	if err != nil {
		return nil, err
	}
	defer owner.Close(ctx)
	for _, sql := range []string{
		`insert into auth.organizations (slug, name) select format('bench-%s', n), 'x' from generate_series(1, ` + fmt.Sprint(tenants) + `) n`,
		`insert into auth.users (email, email_confirmed_at) select format('tenant%s@example.com', n), now() from generate_series(1, ` + fmt.Sprint(tenants) + `) n`,
		`insert into auth.memberships (org_id, user_id, role)
			select o.id, u.id, 'member' from auth.organizations o join auth.users u on u.email = format('tenant%s@example.com', substr(o.slug, 7))
			where o.slug like 'bench-%'`,
		`create table public.bench_rows (id bigint primary key, user_id uuid not null, org_id uuid not null, body text not null, published boolean not null)
			with (autovacuum_enabled = false)`, // at work beside the first comparison it would be most of what is seen
		`insert into public.bench_rows
			select n, m.user_id, m.org_id, 'row ' || n, n % 2 = 0
			from generate_series(1, ` + fmt.Sprint(policyRows) + `) n
			join (select m.*, row_number() over () - 1 as k from auth.memberships m join auth.organizations o on o.id = m.org_id and o.slug like 'bench-%') m
			  on m.k = n % ` + fmt.Sprint(tenants),
		`vacuum analyze public.bench_rows`, `vacuum analyze auth.memberships`, `analyze auth.users`, `checkpoint`,
	} {
		if _, err := owner.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	g, pid, err := b.one(ctx)
	if err != nil {
		return nil, err
	}
	defer g.Close(ctx) //nolint:errcheck // only read
	for _, t := range []template{
		{name: "owner", protect: `'owner'`, identity: `user_id = (select auth.current_user_id())`, constant: `user_id = 'USER'`, price: 15},
		{name: "tenant", protect: `'tenant'`, identity: `org_id = any (array(select unnest(auth.org_ids())))`, constant: `org_id = any ('{ORG}')`, price: 25},
		{name: "tenant, active", protect: `'tenant', p_active_org => true`, identity: `org_id = (select auth.current_org_id())`, constant: `org_id = 'ORG'`, price: 25},
		{name: "public_read", protect: `'public_read'`},
	} {
		more, err := t.measure(ctx, owner, g, pid)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		rows = append(rows, more...)
	}
	more, err := b.waiting(ctx, owner)
	return append(rows, more...), err
}

// A template, and what somebody would write by hand in its place.
type template struct {
	name     string
	protect  string  // arguments of auth.protect() behind the table
	identity string  // by hand, for whoever the signed context says is asking; empty when everybody reads everything
	constant string  // for one USER and one ORG, without asking anybody
	price    float64 // microseconds a statement that asking may cost
}

var queries = []struct{ what, columns, where, tail string }{
	{"list by key", "id, body", "", "order by id limit 100"},
	{"list", "id, body", "", "order by body limit 100"},
	{"count", "count(*)", "", ""},
	{"point read", "id, body", "id = 500000", ""},
}

// measure compares list, count and point read under the policies with a WHERE by hand that asks the same question: on behalf of
// whom the statement runs. That question has a price of its own, the same for every statement however short, because nobody may
// answer it for himself: the signature of the context is checked, and memberships are read. It is measured against a WHERE with
// a constant, which asks nobody, on the point read. Both readings have the bound; counts and point reads miss it against a constant.
func (t template) measure(ctx context.Context, owner *pgx.Conn, g *gateway.Gateway, pid int) (rows []row, err error) {
	// The view reads with the rights of its owner: the same rows and indexes for the same role, without policies.
	for _, sql := range []string{
		`drop view if exists public.bench_open`,
		`select auth.protect('public.bench_rows', ` + t.protect + `)`,
		`create view public.bench_open as select * from public.bench_rows`, `grant select on public.bench_open to authenticated`,
		`analyze public.bench_rows`,
	} {
		if _, err := owner.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	var userID, orgID string
	if err := owner.QueryRow(ctx, `select user_id::text, org_id::text from public.bench_rows where id = 500000`).Scan(&userID, &orgID); err != nil {
		return nil, err
	}
	person, err := caller(ctx, owner, orgID, userID)
	if err != nil {
		return nil, err
	}
	constant := strings.NewReplacer("USER", userID, "ORG", orgID).Replace(t.constant)
	for _, q := range queries {
		if t.identity == "" && q.where == "" {
			continue // there is nothing to write by hand
		}
		from := func(relation string, conditions ...string) string {
			conditions = slices.DeleteFunc(append(conditions, q.where), func(c string) bool { return c == "" })
			sql := "select " + q.columns + " from public." + relation
			if len(conditions) > 0 {
				sql += " where " + strings.Join(conditions, " and ")
			}
			return sql + " " + q.tail
		}
		policy, byIdentity, byConstant := from("bench_rows"), from("bench_open", t.identity), from("bench_open", constant)
		// Many statements behind one gate.
		err := g.Transaction(ctx, person, gateway.TransactionOptions{Rollback: true}, func(tx *gateway.Transaction) error {
			ask := func(sql string) side {
				return func(ctx context.Context) error { return tx.Query(ctx, gateway.Statement{SQL: sql}, nil) }
			}
			under, hand, err := compare(ctx, pid, ask(policy), ask(byIdentity))
			if err != nil {
				return err
			}
			held := row{fmt.Sprintf("%s, %s / by hand", q.what, t.name), under / hand, 1.10, true, fmt.Sprintf("%.0f us, %.0f us", under, hand)}
			if t.constant == "" {
				rows = append(rows, held)
				return nil
			}
			if under, hand, err = compare(ctx, pid, ask(policy), ask(byConstant)); err != nil {
				return err
			}
			rows = append(rows, held, row{held.what + ": constant", under / hand, 1.10, true, fmt.Sprintf("%.0f us, %.0f us", under, hand)})
			if q.where != "" {
				rows = append(rows, row{fmt.Sprintf("who is asking, %s: us a statement", t.name), under - hand, t.price, true, ""})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// waiting measures auth.check() on many tables and a plan of many policies.
func (b *bench) waiting(ctx context.Context, owner *pgx.Conn) (rows []row, err error) {
	_, err = owner.Exec(ctx, fmt.Sprintf(`do $$ begin for i in 1..%d loop
		execute format('create table public.bench_t%%s (id bigint primary key, user_id uuid not null, body text)', i);
		perform auth.protect(format('public.bench_t%%s', i)::regclass, 'owner');
		if i %% 100 = 0 then commit; end if; end loop; end $$`, checkTables))
	if err != nil {
		return nil, err
	}
	started := time.Now()
	var findings int
	if err := owner.QueryRow(ctx, `select count(*)::int from auth.check()`).Scan(&findings); err != nil {
		return nil, err
	}
	rows = append(rows, row{fmt.Sprintf("auth.check() on %d tables, seconds", checkTables), time.Since(started).Seconds(), 5, true, fmt.Sprintf("%d findings", findings)})

	dir := b.path("rules")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	for n := range planPolicies {
		text := fmt.Sprintf("create policy bench_%[1]d on public.bench_t%[1]d for select to authenticated using (body = 'public' or user_id = (select auth.current_user_id()));\n", n+1)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.sql", n)), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	files, err := policy.ReadFiles(os.DirFS(dir))
	if err != nil {
		return nil, err
	}
	started = time.Now()
	result, err := policy.Plan(ctx, owner, files, policy.Options{Set: "bench", LockTimeout: 2 * time.Second})
	if err != nil {
		return nil, err
	}
	return append(rows, row{fmt.Sprintf("policy plan of %d policies, seconds", planPolicies), time.Since(started).Seconds(), 5, true,
		fmt.Sprintf("%d changes among %d tables", len(result.Changes), checkTables)}), nil
}
