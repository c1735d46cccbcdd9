package install

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Print writes one script for psql that does what is pending in the database of conn: roles, migrations, packages,
// with the same result as Migrate. A nil conn stands for an empty database. installer is the user for whom the script
// makes the roles; empty stands for whoever runs it. The script refuses a database that has changed since.
func Print(ctx context.Context, w io.Writer, conn *pgx.Conn, files fs.FS, installer string, plainContext bool) error {
	src, err := load(files)
	if err != nil {
		return err
	}
	if plainContext && src.plain == "" {
		return fmt.Errorf("this build has no plain context helpers")
	}
	s := src.untouched()
	rolesPending := true
	if conn != nil {
		if s, err = ReadStatus(ctx, conn, files); err != nil {
			return err
		}
		// Roles that are complete need nothing of the script; running it tells.
		rolesPending = !s.Installed || tryRoles(ctx, conn, src, installer) != nil
	}
	if s.Version > s.Latest {
		return fmt.Errorf("the database is at version %d, this program knows versions up to %d; use the newer program", s.Version, s.Latest)
	}

	var b bytes.Buffer
	b.WriteString("-- Made by fluxbase migrate --print. Review it, then run it in the database that it was made for:\n" +
		"--   psql --no-psqlrc -v ON_ERROR_STOP=1 -f FILE\n\\set ON_ERROR_STOP on\n")
	fmt.Fprintf(&b, "select pg_catalog.pg_advisory_lock(%d);\n", lockKey)
	if rolesPending {
		if installer != "" {
			fmt.Fprintf(&b, "set fluxbase.installer = %s;\n", literal(installer))
		}
		section(&b, "schema/roles.sql", "begin;\n"+src.roles+"\ncommit;\n")
	}
	fmt.Fprintf(&b, "\nset role %s;\n", Owner)
	fmt.Fprintf(&b, `do $fluxbase$
begin
  if (select v.version from %s v) <> %d then
    raise exception using errcode = '55000', message = 'this script was made for version %d of the database',
      detail = 'another installation ran meanwhile', hint = 'make the script again';
  end if;
end $fluxbase$;
`, VersionTable, s.Version, s.Version)
	for _, m := range src.migrations[s.Version:] {
		update := fmt.Sprintf("update %s set version = %d;\n", VersionTable, m.Sequence)
		if outsideTx(m) {
			section(&b, m.Name, closed(m.UpSQL)+update)
			continue
		}
		section(&b, m.Name, "begin;\n"+closed(m.UpSQL)+"reset all;\n"+update+"commit;\n")
	}
	for _, name := range Packages {
		text := src.packages[name]
		if name == "sql" && plainContext {
			text += "\n" + src.plain
		}
		if s.Packages[name] != PackageCurrent || s.Version != s.Latest || plainContext {
			section(&b, name, "begin;\n"+closed(text)+"commit;\n")
		}
	}
	b.WriteString("\nreset role;\n")
	fmt.Fprintf(&b, "select pg_catalog.pg_advisory_unlock(%d);\n", lockKey)
	if conn != nil && s.Current() && !rolesPending && !plainContext {
		b.Reset()
		b.WriteString("-- Nothing is pending.\n")
	}
	_, err = w.Write(b.Bytes())
	return err
}

func section(b *bytes.Buffer, title, text string) {
	fmt.Fprintf(b, "\n-- ---- %s ----\n%s", title, text)
}

// closed ends a text with a semicolon on a line of its own, where a trailing comment cannot swallow it.
func closed(text string) string { return strings.TrimRight(text, "\n") + "\n;\n" }

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// DryRun does everything that Migrate would do in one transaction and rolls it back, so that every statement meets the
// real data and the real rights; it reports each step as Migrate does. It waits at most two seconds for a lock.
// Migrations that run outside of a transaction cannot be tried: it stops before the first and names what it left out.
func DryRun(ctx context.Context, conn *pgx.Conn, files fs.FS, o Options) (Result, error) {
	src, err := load(files)
	if err != nil {
		return Result{}, err
	}
	if o.To != Latest && (o.To < 0 || o.To > src.latest()) {
		return Result{}, fmt.Errorf("version %d does not exist; there are 0 to %d", o.To, src.latest())
	}
	if o.Report == nil {
		o.Report = func(string, ...any) {}
	}
	unlock, err := lock(ctx, conn)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return Result{}, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // the connection is closed when it fails
	if _, err := tx.Exec(ctx, `set local lock_timeout = '2s'`); err != nil {
		return Result{}, err
	}
	if err := runRoles(ctx, tx, src.roles, ""); err != nil {
		return Result{}, explain("schema/roles.sql", err)
	}
	if _, err := tx.Exec(ctx, `set local role `+Owner); err != nil {
		return Result{}, explain("become "+Owner, err)
	}
	return src.rehearse(ctx, tx, o)
}

func (src source) rehearse(ctx context.Context, tx pgx.Tx, o Options) (r Result, err error) {
	if err := tx.QueryRow(ctx, `select version from `+VersionTable).Scan(&r.From); err != nil {
		return r, explain("read "+VersionTable, err)
	}
	r.To = r.From
	if r.From > src.latest() {
		return r, fmt.Errorf("the database is at version %d, this program knows versions up to %d; use the newer program", r.From, src.latest())
	}
	target := src.latest()
	if o.To != Latest {
		target = o.To
	}
	run := func(doing, text string) error {
		_, err := tx.Exec(ctx, text)
		return explain(doing, err)
	}
	for r.To < target {
		m := src.migrations[r.To]
		if outsideTx(m) {
			o.Report("not tried, because it runs outside of a transaction: %s and everything after it", m.Name)
			return r, nil
		}
		if err := run(m.Name, m.UpSQL); err != nil {
			return r, err
		}
		o.Report("up %s", m.Name)
		r.To++
	}
	if target < r.To {
		o.Report("remove the code packages")
		if err := dropPackages(ctx, tx); err != nil {
			return r, err
		}
	}
	for r.To > target {
		m := src.migrations[r.To-1]
		if m.DownSQL == "" {
			return r, fmt.Errorf("%s cannot be undone", m.Name)
		}
		if err := run(m.Name, m.DownSQL); err != nil {
			return r, err
		}
		o.Report("down %s", m.Name)
		r.To--
	}
	if target != src.latest() {
		return r, nil
	}
	for _, name := range Packages {
		text := src.packages[name]
		if name == "sql" && o.PlainContext {
			text += "\n" + src.plain
		}
		if err := run("install "+name, text); err != nil {
			return r, err
		}
		o.Report("installed %s", name)
		r.Packages = append(r.Packages, name)
	}
	return r, nil
}
