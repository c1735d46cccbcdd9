package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// MinVersion is the oldest major version of PostgreSQL that we work with.
const MinVersion = 15

// ErrNotFound says that the machine has no PostgreSQL of a version that we work with.
var ErrNotFound = errors.New("no PostgreSQL server binaries found")

// Binaries is a directory with initdb and postgres.
type Binaries struct {
	Dir     string
	Version int // major version
}

// Find looks for the server binaries where pg_config says, in PATH, where Debian's packages put them, in Homebrew and
// in Postgres.app, and returns the newest. Its error wraps ErrNotFound and says what to install.
func Find(ctx context.Context) (Binaries, error) {
	var dirs []string
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	if p, err := exec.LookPath("postgres"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			dirs = append(dirs, filepath.Dir(p))
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		found, _ := filepath.Glob(pattern)
		dirs = append(dirs, found...)
	}
	return newest(ctx, dirs)
}

// newest returns the usable directory with the highest version; the first of equals.
func newest(ctx context.Context, dirs []string) (Binaries, error) {
	var all []Binaries
	var tooOld []string
	for _, dir := range dirs {
		b, err := At(ctx, dir)
		switch {
		case err != nil:
		case b.Version < MinVersion:
			tooOld = append(tooOld, fmt.Sprintf("%s (%d)", b.Dir, b.Version))
		default:
			all = append(all, b)
		}
	}
	if len(all) == 0 {
		found := ""
		if len(tooOld) > 0 {
			found = "; too old: " + strings.Join(tooOld, ", ")
		}
		return Binaries{}, fmt.Errorf("%w%s; install PostgreSQL %d or later (Debian, Ubuntu: apt-get install postgresql; "+
			"Fedora: dnf install postgresql-server; macOS: brew install postgresql@18)", ErrNotFound, found, MinVersion)
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Version > all[j].Version })
	return all[0], nil
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// At checks that dir holds the server binaries and asks their version.
func At(ctx context.Context, dir string) (Binaries, error) {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return Binaries{}, fmt.Errorf("%w in %s", ErrNotFound, dir)
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return Binaries{}, fmt.Errorf("%w in %s: %v", ErrNotFound, dir, err)
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return Binaries{}, fmt.Errorf("%w in %s: unknown version %q", ErrNotFound, dir, out)
	}
	version, err := strconv.Atoi(string(m[1]))
	if err != nil {
		return Binaries{}, err
	}
	return Binaries{Dir: dir, Version: version}, nil
}

func (b Binaries) path(program string) string { return filepath.Join(b.Dir, program) }
