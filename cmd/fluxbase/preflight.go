package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
)

func newPreflightCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "preflight",
		Short: "Say what is missing for an installation; exit code 1 when something is",
		Long: `Connects as the installing user, says what migrate would miss and prints the statements that a DBA runs.
It changes nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := connect(cmd.Context(), cmd)
			if err != nil {
				return err
			}
			defer hangUp(conn)
			findings, err := install.Preflight(cmd.Context(), conn, fluxbase.Files)
			if err != nil {
				return err
			}
			if len(findings) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "-- ready: run fluxbase migrate")
				return nil
			}
			writeFindings(cmd.OutOrStdout(), findings)
			return exitError(1)
		},
	}
	addDatabaseFlags(cmd)
	return cmd
}

// writeFindings writes a script: words are comments, statements are not.
func writeFindings(w io.Writer, findings []install.Finding) {
	for i, f := range findings {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, comment(f.Problem))
		if f.Hint != "" {
			fmt.Fprintln(w, comment(f.Hint))
		}
		if f.Statements != "" {
			fmt.Fprintln(w, f.Statements)
		}
	}
}

func comment(text string) string { return "-- " + strings.ReplaceAll(text, "\n", "\n-- ") }
