package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/tern/v2/migrate"
)

// source is the SQL of one build, ready to run.
type source struct {
	roles      string
	migrations []*migrate.Migration
	packages   map[string]string // the text of each package's install.sql with all its files in place
	plain      string            // replaces the verified context helpers, empty when the build has none
}

// plainContext is the file of package sql that its install.sql does not list.
const plainContext = "context/plain.sql"

// pinned is what a migration begins with: nothing that somebody made in public takes part in it. The packages say so themselves.
const pinned = "set local search_path = pg_catalog, pg_temp;\n"

// latest is the number of the last migration.
func (src source) latest() int32 { return int32(len(src.migrations)) }

// load reads the trees of files.
func load(files fs.FS) (source, error) {
	s := source{packages: map[string]string{}}
	roles, err := fs.ReadFile(files, "schema/roles.sql")
	if err != nil {
		return s, err
	}
	s.roles = string(roles)
	schema, err := fs.Sub(files, "schema")
	if err != nil {
		return s, err
	}
	m, err := migrate.NewMigrator(context.Background(), nil, VersionTable) // without a connection: loads only
	if err != nil {
		return s, err
	}
	if err := m.LoadMigrations(schema); err != nil {
		return s, fmt.Errorf("load schema: %w", err)
	}
	s.migrations = m.Migrations
	for _, m := range s.migrations {
		if !outsideTx(m) {
			m.UpSQL = pinned + m.UpSQL
		}
	}
	for _, name := range Packages {
		sub, err := fs.Sub(files, name)
		if err != nil {
			return s, err
		}
		p, err := migrate.LoadCodePackage(sub)
		if err != nil {
			return s, fmt.Errorf("load %s: %w", name, err)
		}
		if s.packages[name], err = p.Eval(nil); err != nil {
			return s, fmt.Errorf("load %s: %w", name, err)
		}
	}
	plain, err := fs.ReadFile(files, "sql/"+plainContext)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	s.plain = string(plain)
	return s, nil
}

// outsideTx says that tern runs a migration statement by statement, without a transaction.
func outsideTx(m *migrate.Migration) bool {
	return strings.Contains("\n"+m.UpSQL+"\n", "\n---- tern: disable-tx ----\n")
}
