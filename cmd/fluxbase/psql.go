package main

import (
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/psql"
)

func newPsqlCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "psql [-- ARGUMENTS OF psql]",
		Short: "Open psql on the database, with macros for administration",
		Long: `Opens psql as the installing user, with the macros :users, :sessions, :denied, :policies, :locks, :limits and :audit.
In a psql of your own, \i sql/admin/psqlrc gives the same.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			dsn, err := namedDatabase(cmd)
			if err != nil {
				return err
			}
			macros, err := fs.ReadFile(fluxbase.Files, "sql/admin/psqlrc")
			if err != nil {
				return err
			}
			if info, err := os.Stdin.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), ":users :sessions :denied :policies :locks :limits :audit, and \\df+ auth.* for what an administrator can do")
			}
			status, err := psql.Session(cmd.Context(), dsn, macros, psql.Streams{In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr()}, args...)
			if err == nil && status != 0 {
				return exitError(status) // psql has said why
			}
			return err
		},
	}
	addDatabaseFlags(cmd)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return fmt.Errorf("%w; arguments of psql come after --, as in fluxbase psql -- -c 'select 1'", err)
	})
	return cmd
}
