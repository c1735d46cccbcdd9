package policy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Lock returns the authorization surface of the database as text to commit. The login is a member of fluxbase_admin.
func Lock(ctx context.Context, q Queryer) (string, error) {
	rows, err := q.Query(ctx, `select auth.policy_lock()`)
	if err != nil {
		return "", err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(lines, "\n") + "\n", err
}

// WriteLock writes a lock file, whole or not at all. What is no file, such as /dev/null, is written to and not replaced.
func WriteLock(name, text string) (err error) {
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(name, []byte(text), 0o644)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".policies-*.lock")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// Drift compares a lock file with the database.
func Drift(ctx context.Context, q Queryer, name string) ([]Change, error) {
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no %s: write it with fluxbase policy lock", name)
	}
	if err != nil {
		return nil, err
	}
	return driftOf(ctx, q, string(text))
}

// Finding is a row of auth.check().
type Finding struct {
	Code, Severity, Object, Evidence, Fix string
}

// Check returns the errors and warnings of auth.check().
func Check(ctx context.Context, q Queryer) ([]Finding, error) {
	rows, err := q.Query(ctx, `select code, severity, object, evidence, fix from auth.check()`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Finding])
}
