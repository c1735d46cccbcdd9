package install

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

// State of one code package.
const (
	PackageCurrent = "current"
	PackageOther   = "other release"
	PackageMissing = "missing"
)

// Status is what is installed in a database, beside what this build has.
type Status struct {
	Installed bool  // the schema fluxbase and its version table are there
	Version   int32 // of the database
	Latest    int32 // of this build
	Pending   []string
	Packages  map[string]string // name: PackageCurrent, PackageOther or PackageMissing
}

// Current says that a migrate would change nothing.
func (s Status) Current() bool {
	if !s.Installed || s.Version != s.Latest {
		return false
	}
	for _, name := range Packages {
		if s.Packages[name] != PackageCurrent {
			return false
		}
	}
	return true
}

// ReadStatus asks the database and changes nothing. The session may become fluxbase_owner, as the installing user
// does.
func ReadStatus(ctx context.Context, conn *pgx.Conn, files fs.FS) (Status, error) {
	src, err := load(files)
	if err != nil {
		return Status{}, err
	}
	s := src.untouched()
	err = inTx(ctx, conn, func(tx pgx.Tx) error { return s.read(ctx, tx, src, files) })
	return s, err
}

// untouched is the status of a database without anything of ours.
func (src source) untouched() Status {
	s := Status{Latest: src.latest(), Packages: map[string]string{}}
	for _, name := range Packages {
		s.Packages[name] = PackageMissing
	}
	for _, m := range src.migrations {
		s.Pending = append(s.Pending, m.Name)
	}
	return s
}

func (s *Status) read(ctx context.Context, tx pgx.Tx, src source, files fs.FS) error {
	if _, err := tx.Exec(ctx, `set transaction read only`); err != nil {
		return err
	}
	err := tx.QueryRow(ctx, `select exists (select from pg_catalog.pg_class c
		join pg_catalog.pg_namespace n on n.oid = c.relnamespace join pg_catalog.pg_roles r on r.oid = c.relowner
		where n.nspname = 'fluxbase' and c.relname = 'schema_version' and r.rolname = 'fluxbase_owner')`).Scan(&s.Installed)
	if err != nil || !s.Installed {
		return err
	}
	if _, err := tx.Exec(ctx, `set local role `+Owner); err != nil {
		return explain("become "+Owner, err)
	}
	if err := tx.QueryRow(ctx, `select version from fluxbase.schema_version`).Scan(&s.Version); err != nil {
		return explain("read "+VersionTable, err)
	}
	s.Pending = nil
	for _, m := range src.migrations {
		if m.Sequence > s.Version {
			s.Pending = append(s.Pending, m.Name)
		}
	}
	var there bool
	err = tx.QueryRow(ctx, `select pg_catalog.to_regprocedure('fluxbase.installed()') is not null`).Scan(&there)
	if err != nil || !there {
		return err
	}
	var raw []byte
	if err := tx.QueryRow(ctx, `select fluxbase.installed()`).Scan(&raw); err != nil {
		return explain("ask fluxbase.installed()", err)
	}
	var got Installed
	if err := json.Unmarshal(raw, &got); err != nil {
		return fmt.Errorf("ask fluxbase.installed(): %w", err)
	}
	for _, name := range Packages {
		want, err := Checksum(files, name)
		if err != nil {
			return err
		}
		switch got.Packages[name] {
		case "":
		case want:
			s.Packages[name] = PackageCurrent
		default:
			s.Packages[name] = PackageOther
		}
	}
	return nil
}
