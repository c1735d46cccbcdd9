// Package psql runs the program psql, for those who administer and test with it. Nothing that serves requests uses it.
package psql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/postgres"
)

// Command prepares psql for a database. A password travels in the environment, which other users of the machine cannot
// read, and not in the arguments; no name in args leads to another database. When ctx ends psql is interrupted, as by Ctrl-C, and killed when that does not help.
func Command(ctx context.Context, dsn string, args ...string) (*exec.Cmd, error) {
	program, err := exec.LookPath("psql")
	if err != nil {
		return nil, errors.New("psql is not in the PATH: it comes with the client programs of PostgreSQL")
	}
	target, password, err := postgres.SplitPassword(dsn)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, append(slices.Clone(args), "-d", target)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if cmd.Env = os.Environ(); password != "" {
		cmd.Env = append(cmd.Env, "PGPASSWORD="+password)
	}
	return cmd, nil
}

// Streams are those of a process.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Session runs psql for a person, or for a script on its standard input, after the startup file of the user and then
// macros have been read. It returns the exit status of psql.
func Session(ctx context.Context, dsn string, macros []byte, streams Streams, args ...string) (status int, err error) {
	// Ctrl-C is for the query that runs, and psql handles it itself.
	cmd, err := Command(context.WithoutCancel(ctx), dsn, args...)
	if err != nil {
		return 0, err
	}
	f, err := os.CreateTemp("", "fluxbase-psqlrc-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it holds no secret
	if own := ownStartup(); own != "" {
		_, err = fmt.Fprintf(f, "\\i '%s'\n", strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(own))
	}
	_, more := f.Write(macros)
	if err = errors.Join(err, more, f.Close()); err != nil {
		return 0, err
	}
	cmd.Env = append(cmd.Env, "PSQLRC="+f.Name())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = streams.In, streams.Out, streams.Err
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// ownStartup is the file that psql would have read.
func ownStartup() string {
	name := os.Getenv("PSQLRC")
	if name == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		name = filepath.Join(home, ".psqlrc")
	}
	if _, err := os.Stat(name); err != nil {
		return ""
	}
	return name
}
