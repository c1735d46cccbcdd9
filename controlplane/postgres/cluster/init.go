package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Init makes a cluster in o.Dir when there is none yet: encoding UTF8, scram-sha-256 for every connection, checksums
// as initdb decides, one superuser named postgres with o.Password. A call that dies half-way leaves nothing that
// counts as a cluster. An existing cluster of another major version is an error.
func Init(ctx context.Context, o Options) error {
	data := o.data()
	if raw, err := os.ReadFile(filepath.Join(data, "PG_VERSION")); err == nil {
		if v := strings.TrimSpace(string(raw)); v != strconv.Itoa(o.Binaries.Version) {
			return fmt.Errorf("%s was made by PostgreSQL %s, but the binaries in %s are version %d", data, v, o.Binaries.Dir, o.Binaries.Version)
		}
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if o.Password == "" {
		return errors.New("a new cluster needs a password for its superuser")
	}
	a, err := unprivileged()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return err
	}
	if err := a.checkReach(o.Dir); err != nil {
		return err
	}
	// initdb works in a directory beside the final one; the rename at the end is what makes it the cluster.
	scratch := filepath.Join(o.Dir, "init")
	if err := os.RemoveAll(scratch); err != nil {
		return err
	}
	if err := a.mkdir(scratch); err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	pwfile := filepath.Join(scratch, "password")
	if err := os.WriteFile(pwfile, []byte(o.Password+"\n"), 0o600); err != nil {
		return err
	}
	if err := a.own(pwfile); err != nil {
		return err
	}
	made := filepath.Join(scratch, "data")
	// C.UTF-8 knows the case of all letters and exists nearly everywhere; where it does not, no locale is portable.
	var out []byte
	for _, locale := range []string{"--locale=C.UTF-8", "--no-locale"} {
		args := []string{"-D", made, "-U", "postgres", "--auth=scram-sha-256", "--pwfile=" + pwfile, "-E", "UTF8", locale}
		if o.Volatile {
			args = append(args, "--no-sync")
		}
		if out, err = a.command(ctx, o.Binaries.path("initdb"), args...).CombinedOutput(); err == nil {
			break
		}
		if ctx.Err() != nil || !bytes.Contains(out, []byte("locale")) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLines(out, 4))
	}
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	return os.Rename(made, data)
}

// lastLines joins the last n lines of a program's output for an error message.
func lastLines(out []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "; ")
}
