package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres/cluster"
)

// restSchema is what the requests of the data API work on, beside the demo's notes: three levels of rows, a table to
// write to, and a function. Policies ask for the caller in the way the guides tell.
const restSchema = `
	create table public.bench_authors (id bigint primary key, name text not null);
	create table public.bench_books (id bigint primary key, author_id bigint not null references public.bench_authors, title text not null);
	create table public.bench_pages (id bigint primary key, book_id bigint not null references public.bench_books, body text not null);
	create index on public.bench_books (author_id);
	create index on public.bench_pages (book_id);
	create table public.bench_writes (id bigint generated always as identity primary key, body text not null);
	insert into public.bench_authors select n, 'author ' || n from generate_series(1, 200) n;
	insert into public.bench_books select n, (n - 1) / 5 + 1, 'book ' || n from generate_series(1, 1000) n;
	insert into public.bench_pages select n, (n - 1) / 4 + 1, 'page ' || n from generate_series(1, 4000) n;
	create function public.bench_add(n bigint) returns bigint language sql stable return n + 1;
	do $$ declare t text; begin
		foreach t in array array['bench_authors', 'bench_books', 'bench_pages', 'bench_writes'] loop
			execute format('alter table public.%I enable row level security', t);
			execute format('create policy members on public.%I to authenticated using ((select auth.current_user_id()) is not null)', t);
			execute format('grant select, insert on public.%I to authenticated', t);
		end loop;
	end $$;
	grant execute on function public.bench_add(bigint) to authenticated;
	analyze public.bench_authors, public.bench_books, public.bench_pages`

// shape is a kind of request: as it is sent to the data API, and as the SQL that a handler of the same answer would send.
type shape struct {
	name      string
	request   func(b *bench, n int) []byte
	status    int
	statement string // with one number, $1
	low, high int    // of the number
	budget    float64
}

// shapes are those of the data API's budgets. The first note of the demo user is the least number of the list.
func (b *bench) shapes() []shape {
	first, last := int(b.ids[0]), int(b.ids[len(b.ids)-1])
	path := func(format string) func(*bench, int) []byte {
		return func(b *bench, n int) []byte { return get(fmt.Sprintf(format, n), b.token) }
	}
	return []shape{
		{"point read", path("/api/v1/rest/notes?select=id,body,created_at&id=eq.%d"), http.StatusOK, bareStatement, first, last, 0},
		{"list of 100", path("/api/v1/rest/notes?select=id,body,created_at&order=id&limit=100&id=gte.%d"), http.StatusOK,
			`select coalesce(json_agg(t), '[]')::text from (select id, body, created_at from public.notes where user_id =
			(select user_id from public.notes where id = ` + strconv.Itoa(first) + `) and id >= $1 order by id limit 100) t`, first, first, 0.70},
		{"embed of 3 levels", path("/api/v1/rest/bench_authors?select=name,bench_books(title,bench_pages(body))&id=eq.%d"), http.StatusOK,
			`select coalesce(json_agg(t), '[]')::text from (select a.name, b.j as bench_books from public.bench_authors a
			left join lateral (select json_agg(r) as j from (select b.title, p.j as bench_pages from public.bench_books b
			left join lateral (select json_agg(q) as j from (select p.body from public.bench_pages p where p.book_id = b.id) q) p on true
			where b.author_id = a.id) r) b on true where a.id = $1) t`, 1, 200, 0},
		{"insert with representation", func(b *bench, n int) []byte {
			body := fmt.Sprintf(`{"body":"note %d"}`, n)
			return fmt.Appendf(nil, "POST /api/v1/rest/bench_writes HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"+
				"Content-Type: application/json\r\nPrefer: return=representation\r\nContent-Length: %d\r\n\r\n%s", b.token, len(body), body)
		}, http.StatusCreated, `with w as (insert into public.bench_writes (body) values ('note ' || $1::bigint) returning id, body)
			select json_agg(w)::text from w`, 1, 1000, 0},
		{"call of a function", path("/api/v1/rest/rpc/bench_add?n=%d"), http.StatusOK, `select to_json(public.bench_add($1))::text`, 1, 1000, 0},
	}
}

// rest compares the requests of the data API with a bare handler that sends the same SQL, and with pgbench.
func (b *bench) rest(ctx context.Context) (rows []row, err error) {
	conn, err := pgx.Connect(ctx, b.env["DATABASE_URL"])
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, restSchema); err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, `select pg_notify('fluxbase_reload', '')`); err != nil {
		return nil, err
	}
	for _, s := range b.shapes() {
		if err := b.warm(s); err != nil {
			return nil, err
		}
		for _, connections := range []int{1, 16, 256} {
			r, err := b.compare(ctx, s, connections)
			if err != nil {
				return nil, err
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// warm sends a request until the server knows the tables.
func (b *bench) warm(s shape) error {
	var l load
	for range 50 {
		if l = run(b.address, 1, b.duration, s.status, once(s.request(b, s.low))); l.errors == 0 {
			return nil
		}
	}
	return l.check(s.name)
}

// once is the source of one request.
func once(request []byte) source {
	return func(_, n int, _ []byte) []byte {
		if n > 0 {
			return nil
		}
		return request
	}
}

// compare measures one shape with so many connections. Those to PostgreSQL are as many, up to the size of the pool.
func (b *bench) compare(ctx context.Context, s shape, connections int) (row, error) {
	address, stop, err := b.bareOf(s.statement, pool())
	if err != nil {
		return row{}, err
	}
	defer stop()
	number := func(c, n int) int { return s.low + (c*31+n)%(s.high-s.low+1) }
	if s.name == "point read" { // only the demo user's notes are read
		number = func(c, n int) int { return int(b.ids[(c*31+n)%len(b.ids)]) }
	}
	var ratios []float64
	var detail string
	for range b.rounds {
		base := run(address, connections, b.duration, http.StatusOK, func(c, n int, _ []byte) []byte {
			return get("/notes/"+strconv.Itoa(number(c, n)), "")
		})
		api := run(b.address, connections, b.duration, s.status, func(c, n int, _ []byte) []byte { return s.request(b, number(c, n)) })
		for what, l := range map[string]load{"bare " + s.name: base, s.name: api} {
			if err := l.check(what); err != nil {
				return row{}, err
			}
		}
		sql, err := b.pgbench(ctx, s, min(connections, pool()))
		if err != nil {
			return row{}, err
		}
		ratios = append(ratios, api.rate/base.rate)
		detail = fmt.Sprintf("%.0f/s, p99 %.1f ms; bare %.0f/s; pgbench %.0f/s (%.2f of it)", api.rate, api.p99.Seconds()*1000, base.rate, sql, api.rate/sql)
	}
	budget := 0.0
	if connections == 16 {
		budget = s.budget
	}
	return row{fmt.Sprintf("%s / bare handler, %d connections", s.name, connections), median(ratios), budget, false, detail}, nil
}

var tps = regexp.MustCompile(`tps = ([0-9.]+) \(without`)

// pgbench sends the statement prepared, without HTTP, and returns transactions per second.
func (b *bench) pgbench(ctx context.Context, s shape, connections int) (float64, error) {
	bin, err := cluster.Find(ctx)
	if err != nil {
		return 0, err
	}
	script := b.path("pgbench.sql")
	text := fmt.Sprintf("\\set n random(%d, %d)\n%s;\n", s.low, s.high, strings.ReplaceAll(strings.Join(strings.Fields(s.statement), " "), "$1", ":n"))
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		return 0, err
	}
	seconds := max(int(b.duration.Seconds()), 1)
	out, err := exec.CommandContext(ctx, filepath.Join(bin.Dir, "pgbench"), "-n", "-M", "prepared", "-c", strconv.Itoa(connections),
		"-j", strconv.Itoa(min(connections, 2)), "-T", strconv.Itoa(seconds), "-f", script, "-d", b.socket).CombinedOutput()
	match := tps.FindSubmatch(out)
	if err != nil || match == nil {
		return 0, fmt.Errorf("pgbench: %w\n%s", err, bytes.TrimSpace(out))
	}
	return strconv.ParseFloat(string(match[1]), 64)
}

// bareOf starts the bare handler of a statement in a process of its own.
func (b *bench) bareOf(statement string, connections int) (address string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command(self, "-bare", b.socket, "-statement", statement, "-connections", fmt.Sprint(connections))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := b.start(cmd, os.Stderr); err != nil {
		return "", nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(line), func() { b.end(cmd) }, err
}
