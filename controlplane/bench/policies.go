package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/policy"
)

// Size of what the policies are measured on.
const (
	tenants      = 1000
	policyRows   = 1_000_000
	checkTables  = 1000
	planPolicies = 200
	burst        = 100 // queries in one burst
	bursts       = 20  // of each side, taking turns
)

// policies compares queries under policies of templates with the same queries and a WHERE by hand, as the owner of the
// table would write it; and times what developers wait for.
func (b *bench) policies(ctx context.Context) (rows []row, err error) {
	owner, err := pgx.Connect(ctx, b.socket)
	if err != nil {
		return nil, err
	}
	defer owner.Close(ctx)
	user, err := pgx.Connect(ctx, b.socket)
	if err != nil {
		return nil, err
	}
	defer user.Close(ctx)
	for _, sql := range []string{
		`insert into auth.organizations (slug, name) select format('bench-%s', n), 'x' from generate_series(1, ` + fmt.Sprint(tenants) + `) n`,
		`insert into auth.users (email, email_confirmed_at) select format('tenant%s@example.com', n), now() from generate_series(1, ` + fmt.Sprint(tenants) + `) n`,
		`insert into auth.memberships (org_id, user_id, role)
			select o.id, u.id, 'member' from auth.organizations o join auth.users u on u.email = format('tenant%s@example.com', substr(o.slug, 7))
			where o.slug like 'bench-%'`,
		`create table public.bench_rows (id bigint primary key, user_id uuid not null, org_id uuid not null, body text not null, published boolean not null)`,
		`insert into public.bench_rows
			select n, m.user_id, m.org_id, 'row ' || n, n % 2 = 0
			from generate_series(1, ` + fmt.Sprint(policyRows) + `) n
			join (select m.*, row_number() over () - 1 as k from auth.memberships m join auth.organizations o on o.id = m.org_id and o.slug like 'bench-%') m
			  on m.k = n % ` + fmt.Sprint(tenants),
		`vacuum analyze public.bench_rows`, `vacuum analyze auth.memberships`, `analyze auth.users`,
	} {
		if _, err := owner.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	for _, template := range []struct{ name, column string }{{"owner", "user_id"}, {"tenant", "org_id"}, {"public_read", "user_id"}} {
		more, err := b.template(ctx, owner, user, template.name, template.column)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", template.name, err)
		}
		rows = append(rows, more...)
	}
	more, err := b.waiting(ctx, owner)
	return append(rows, more...), err
}

// template measures list, count and point read under one template.
func (b *bench) template(ctx context.Context, owner, user *pgx.Conn, name, column string) (rows []row, err error) {
	if _, err := owner.Exec(ctx, `select auth.protect('public.bench_rows', $1)`, name); err != nil {
		return nil, err
	}
	var tenant, person string
	if err := owner.QueryRow(ctx, `select `+column+`::text, (select email from auth.users u where u.id = t.user_id) from public.bench_rows t where id = 500000`).Scan(&tenant, &person); err != nil {
		return nil, err
	}
	if _, err := owner.Exec(ctx, `analyze public.bench_rows`); err != nil {
		return nil, err
	}
	restriction, and := ` where `+column+` = '`+tenant+`'`, ` and `
	if name == "public_read" { // which says nothing about reading
		restriction, and = ``, ` where `
	}
	for _, q := range []struct{ what, under, hand string }{
		{"list by key", `select id, body from public.bench_rows order by id limit 50`, `select id, body from public.bench_rows` + restriction + ` order by id limit 50`},
		{"list", `select id, body from public.bench_rows order by body limit 50`, `select id, body from public.bench_rows` + restriction + ` order by body limit 50`},
		{"count", `select count(*) from public.bench_rows`, `select count(*) from public.bench_rows` + restriction},
		{"point read", `select id, body from public.bench_rows where id = 500000`, `select id, body from public.bench_rows` + restriction + and + `id = 500000`},
	} {
		if name == "public_read" && q.what != "point read" {
			continue // everybody reads everything: there is nothing to write by hand
		}
		ratio, detail, err := compare(ctx, owner, user, person, q.under, q.hand)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{fmt.Sprintf("%s, template %s / WHERE by hand, 1 M rows", q.what, name), ratio, 1.10, true, detail})
	}
	return rows, nil
}

// compare takes turns: a burst under the policy, as the user, and one by hand, as the owner. The median burst counts.
func compare(ctx context.Context, owner, user *pgx.Conn, person, under, hand string) (ratio float64, detail string, err error) {
	tx, err := user.Begin(ctx)
	if err != nil {
		return 0, "", err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // nothing was written
	if _, err := tx.Exec(ctx, `select auth.login_as($1)`, person); err != nil {
		return 0, "", err
	}
	var secured, bare []float64
	for n := range bursts + 1 {
		mine, err := burstOf(ctx, user, under)
		if err != nil {
			return 0, "", err
		}
		theirs, err := burstOf(ctx, owner, hand)
		if err != nil {
			return 0, "", err
		}
		if n > 0 { // the first one plans
			secured, bare = append(secured, mine), append(bare, theirs)
		}
	}
	s, o := median(secured), median(bare)
	return s / o, fmt.Sprintf("%.0f us, %.0f us", s, o), nil
}

// burstOf returns microseconds a query. It ends a burst early when queries are slow.
func burstOf(ctx context.Context, conn *pgx.Conn, sql string) (float64, error) {
	started := time.Now()
	n := 0
	for n < burst && (n == 0 || time.Since(started) < 200*time.Millisecond) {
		rows, err := conn.Query(ctx, sql)
		if err != nil {
			return 0, err
		}
		rows.Close()
		if rows.Err() != nil {
			return 0, rows.Err()
		}
		n++
	}
	return float64(time.Since(started).Microseconds()) / float64(n), nil
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
