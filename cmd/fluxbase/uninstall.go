package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
)

func newUninstallCommand() *cobra.Command {
	var roles, yes bool
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove everything of ours from a database: users, sessions and the audit log go with it",
		Long: `Removes our schemas with all that is in them, and nothing else. When policies, foreign keys, views or defaults
of yours depend on them it lists these and changes nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := connect(cmd.Context(), cmd)
			if err != nil {
				return err
			}
			defer hangUp(conn)
			if !yes {
				if in, ok := cmd.InOrStdin().(*os.File); !ok || !isatty.IsTerminal(in.Fd()) {
					return fmt.Errorf("nobody can be asked without a terminal: --yes deletes all users, sessions and the audit log of %s; nothing was changed", conn.Config().Database)
				}
				if err := confirm(cmd, conn.Config().Database); err != nil {
					return err
				}
			}
			if err := install.Uninstall(cmd.Context(), conn, roles); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "removed")
			return nil
		},
	}
	addDatabaseFlags(cmd)
	cmd.Flags().BoolVar(&roles, "roles", false, "drop our roles too; they belong to the whole cluster")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask; needed where there is no terminal")
	return cmd
}

// confirm asks for the name of the database, which is harder to type by habit than a yes.
func confirm(cmd *cobra.Command, database string) error {
	fmt.Fprintf(cmd.OutOrStdout(), "This deletes all users, sessions and the audit log. Type %s to go on: ", database)
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != database {
		return errors.New("nothing was changed")
	}
	return nil
}
