package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNotReady is wrapped by every error of Check that an installation or an upgrade mends; its text names the command.
var ErrNotReady = errors.New("the database is not ready for this server")

// Querier is the part of a connection or a pool that Check needs.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Installed is what a database says about itself in fluxbase.installed().
type Installed struct {
	SchemaVersion int32             `json:"schema_version"`
	Packages      map[string]string `json:"packages"` // name: checksum
}

// Check compares what is installed with files. db is a session of fluxbase_server. The server serves only when Check
// returns nil; other errors than ErrNotReady mean that the database could not be asked.
func Check(ctx context.Context, db Querier, files fs.FS) error {
	src, err := load(files)
	if err != nil {
		return err
	}
	var raw []byte
	var got Installed
	err = db.QueryRow(ctx, `select fluxbase.installed()`).Scan(&raw)
	var pe *pgconn.PgError
	switch {
	case errors.As(err, &pe) && (pe.Code == "3F000" || pe.Code == "42883" || pe.Code == "42501"): // no schema, no function, no right
		return fmt.Errorf("%w: Fluxbase is not installed in it, or not completely; run: fluxbase migrate", ErrNotReady)
	case err != nil:
		return fmt.Errorf("ask the database what is installed: %w", err)
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		return fmt.Errorf("ask the database what is installed: %w", err)
	}
	switch latest := src.latest(); {
	case got.SchemaVersion < latest:
		return fmt.Errorf("%w: it is at version %d, the server needs %d; run: fluxbase migrate", ErrNotReady, got.SchemaVersion, latest)
	case got.SchemaVersion > latest:
		return fmt.Errorf("%w: it is at version %d, the server knows %d; upgrade the server, or go back with the newer program: "+
			"fluxbase migrate --to %d", ErrNotReady, got.SchemaVersion, latest, latest)
	}
	for _, name := range Packages {
		want, err := Checksum(files, name)
		if err != nil {
			return err
		}
		if got.Packages[name] == want {
			continue
		}
		if text, err := ChecksumSQL(files, name); err != nil {
			return err
		} else if have, err := fs.ReadFile(files, name+"/"+checksumFile); err != nil || string(have) != text {
			return fmt.Errorf("%w: %s/%s of this build is stale; run: go generate ./controlplane/postgres/install", ErrNotReady, name, checksumFile)
		}
		if got.Packages[name] == "" {
			return fmt.Errorf("%w: package %s is missing; run: fluxbase migrate", ErrNotReady, name)
		}
		return fmt.Errorf("%w: package %s is of another release; run the fluxbase migrate of the server's release", ErrNotReady, name)
	}
	return nil
}
