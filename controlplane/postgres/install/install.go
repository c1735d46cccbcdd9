// Package install puts the three SQL trees (schema, sql, policies) into a database, tells what is installed, prints
// it for a DBA, checks it for the server, and takes it out again. Everything runs as fluxbase_owner under one advisory
// lock of the database, so that any number of installations at once end in one. The trees come as an fs.FS laid out
// as the root of the repository.
package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/tern/v2/migrate"
)

// VersionTable is the table in which tern counts, ours and a DBA's by hand.
const VersionTable = "fluxbase.schema_version"

// Owner is the role that owns everything of ours.
const Owner = "fluxbase_owner"

// Packages are the code packages in the order of their installation.
var Packages = []string{"sql", "policies"}

// Latest is the value of Options.To for all migrations there are.
const Latest = -1

// Options of Migrate.
type Options struct {
	To           int32                            // target version, or Latest; below the newest no package is installed
	PlainContext bool                             // install the plain helpers instead of the verified ones
	Report       func(format string, args ...any) // told of every step that changes something; may be nil
}

// Result is what Migrate found and left.
type Result struct {
	From, To int32
	Packages []string // the packages that were installed
}

// Migrate brings the database to the version of files: roles where they are missing, migrations, code packages. The
// installing user is conn's session user. Going down removes the code packages first, because they use the tables; the
// binary of the older release then installs its own with a plain migrate.
func Migrate(ctx context.Context, conn *pgx.Conn, files fs.FS, o Options) (Result, error) {
	report := o.Report
	if report == nil {
		report = func(string, ...any) {}
	}
	src, err := load(files)
	if err != nil {
		return Result{}, err
	}
	if o.PlainContext && src.plain == "" {
		return Result{}, errors.New("this build has no plain context helpers")
	}
	target := src.latest()
	if o.To != Latest {
		target = o.To
	}
	if target < 0 || target > src.latest() {
		return Result{}, fmt.Errorf("version %d does not exist; there are 0 to %d", target, src.latest())
	}

	unlock, err := lock(ctx, conn)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	if err := Roles(ctx, conn, files, ""); err != nil {
		return Result{}, err
	}
	release, err := become(ctx, conn, Owner)
	if err != nil {
		return Result{}, err
	}
	defer release()

	m, err := migrate.NewMigrator(ctx, conn, VersionTable)
	if err != nil {
		return Result{}, explain("read "+VersionTable, err)
	}
	m.Migrations = src.migrations
	m.OnStart = func(_ int32, name, direction, _ string) { report("%s %s", direction, name) }
	result := Result{}
	if result.From, err = m.GetCurrentVersion(ctx); err != nil {
		return result, explain("read "+VersionTable, err)
	}
	result.To = result.From
	if result.From > src.latest() {
		return result, fmt.Errorf("the database is at version %d, this program knows versions up to %d; use the newer program", result.From, src.latest())
	}
	if target < result.From {
		report("remove the code packages")
		if err := inTx(ctx, conn, func(tx pgx.Tx) error { return dropPackages(ctx, tx) }); err != nil {
			return result, err
		}
	}
	if err := m.MigrateTo(ctx, target); err != nil {
		return result, explain("migrate", err)
	}
	result.To = target
	if target != src.latest() {
		return result, nil
	}
	for _, name := range Packages {
		text := src.packages[name]
		if name == "sql" && o.PlainContext {
			text += src.plain
		}
		if err := migrate.LockExecTx(ctx, conn, text); err != nil {
			return result, explain("install "+name, err)
		}
		report("installed %s", name)
		result.Packages = append(result.Packages, name)
	}
	return result, nil
}

// lockKey spells fluxbase in ASCII. tern's own lock is another one and taken inside ours.
const lockKey int64 = 0x666c757862617365

// lock takes the installation lock of the database for the session. It asks again and again instead of waiting inside
// PostgreSQL, because a waiting statement holds a snapshot, for which create index concurrently in turn would wait.
func lock(ctx context.Context, conn *pgx.Conn) (unlock func(), err error) {
	for {
		var got bool
		if err := conn.QueryRow(ctx, `select pg_catalog.pg_try_advisory_lock($1)`, lockKey).Scan(&got); err != nil {
			return nil, fmt.Errorf("take the installation lock: %w", err)
		}
		if got {
			break
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another installation: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
	return func() {
		_, _ = conn.Exec(context.WithoutCancel(ctx), `select pg_catalog.pg_advisory_unlock($1)`, lockKey)
	}, nil
}

// become switches the session to a role, which tern's reset all between migrations does not undo, and returns what
// switches back.
func become(ctx context.Context, conn *pgx.Conn, role string) (release func(), err error) {
	var before string
	err = conn.QueryRow(ctx, `select pg_catalog.current_setting('role')`).Scan(&before)
	if err == nil {
		_, err = conn.Exec(ctx, `set role `+pgx.Identifier{role}.Sanitize())
	}
	if err != nil {
		return nil, explain("become "+role, err)
	}
	return func() {
		_, _ = conn.Exec(context.WithoutCancel(ctx), `select pg_catalog.set_config('role', $1, false)`, before)
	}, nil
}

func inTx(ctx context.Context, conn *pgx.Conn, fn func(pgx.Tx) error) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // after a commit there is nothing to roll back
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}
