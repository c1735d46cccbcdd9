// Command fluxbase installs, checks and serves the security layer of a PostgreSQL database.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// exitError ends the process with a code of its own; the command has already said why.
type exitError int

// Error is for whoever prints it all the same.
func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	root := &cobra.Command{
		Use:           "fluxbase",
		Short:         "The security layer that lives inside PostgreSQL",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(
		newDevCommand(), newServeCommand(), newConfigCommand(),
		newPreflightCommand(), newMigrateCommand(), newKeysCommand(), newPolicyCommand(), newPsqlCommand(), newUninstallCommand())
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var code exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "fluxbase: stopped")
		return 1
	default:
		fmt.Fprintf(os.Stderr, "fluxbase: %v\n", err)
		return 1
	}
}
