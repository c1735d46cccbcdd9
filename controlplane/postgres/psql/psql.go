// Package psql runs the program psql, for those who administer and test with it. Nothing that serves requests uses it.
package psql

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/postgres"
)

// Command prepares psql for a database. A password travels in the environment, which other users of the machine cannot
// read, and not in the arguments. When ctx ends psql is interrupted, as by Ctrl-C, and killed when that does not help.
func Command(ctx context.Context, dsn string, args ...string) (*exec.Cmd, error) {
	program, err := exec.LookPath("psql")
	if err != nil {
		return nil, errors.New("psql is not in the PATH: it comes with the client programs of PostgreSQL")
	}
	target, password, err := postgres.SplitPassword(dsn)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, append(args, target)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if cmd.Env = os.Environ(); password != "" {
		cmd.Env = append(cmd.Env, "PGPASSWORD="+password)
	}
	return cmd, nil
}
