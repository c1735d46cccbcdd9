package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
)

type migrateOptions struct {
	to        int32
	print     bool
	dryRun    bool
	passwords string
	context   string
}

func newMigrateCommand() *cobra.Command {
	var o migrateOptions
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Install into a database, or upgrade it",
		Long: `Installs into a database, or upgrades it: roles where they are missing, migrations, functions, policies.
It runs as the installing user: a superuser, an owner of the database with CREATEROLE, or a plain owner
of the database after a DBA ran schema/roles.sql. Running it again changes nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return migrate(cmd.Context(), cmd, o) },
	}
	addDatabaseFlags(cmd)
	f := cmd.Flags()
	f.Int32Var(&o.to, "to", install.Latest, "go up or down to this version; below the newest the functions are removed")
	f.BoolVar(&o.print, "print", false, "print what is pending as a script for psql, change nothing")
	f.BoolVar(&o.dryRun, "dry-run", false, "do everything in a transaction and roll it back")
	f.StringVar(&o.passwords, "login-passwords-from", "", "file with lines LOGIN=PASSWORD for fluxbase_api, fluxbase_service, fluxbase_server")
	f.StringVar(&o.context, "verified-context", "on", "off installs helpers that trust the request settings without a signature")
	cmd.MarkFlagsMutuallyExclusive("print", "dry-run")
	cmd.MarkFlagsMutuallyExclusive("print", "to")
	cmd.AddCommand(newMigrateStatusCommand())
	return cmd
}

func newMigrateStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what is installed and what is pending; exit code 2 when something is",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := connect(cmd.Context(), cmd)
			if err != nil {
				return err
			}
			defer hangUp(conn)
			s, err := install.ReadStatus(cmd.Context(), conn, fluxbase.Files)
			if err != nil {
				return err
			}
			writeStatus(cmd.OutOrStdout(), s)
			if !s.Current() {
				return exitError(2)
			}
			return nil
		},
	}
	addDatabaseFlags(cmd)
	return cmd
}

func writeStatus(w io.Writer, s install.Status) {
	if !s.Installed {
		fmt.Fprintln(w, "not installed")
	}
	fmt.Fprintf(w, "version   %d of %d\n", s.Version, s.Latest)
	for _, name := range s.Pending {
		fmt.Fprintf(w, "pending   %s\n", name)
	}
	for _, name := range install.Packages {
		fmt.Fprintf(w, "%-9s %s\n", name, s.Packages[name])
	}
}

func migrate(ctx context.Context, cmd *cobra.Command, o migrateOptions) error {
	if o.context != "on" && o.context != "off" {
		return errors.New("--verified-context is on or off")
	}
	passwords, err := readPasswords(o.passwords)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if o.print {
		return printScript(ctx, cmd, w, o.context == "off")
	}
	conn, err := connect(ctx, cmd)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	options := install.Options{To: o.to, PlainContext: o.context == "off", Report: func(format string, args ...any) {
		fmt.Fprintf(w, format+"\n", args...)
	}}
	if o.dryRun {
		r, err := install.DryRun(ctx, conn, fluxbase.Files, options)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "version %d would become %d; everything was rolled back\n", r.From, r.To)
		return nil
	}
	r, err := install.Migrate(ctx, conn, fluxbase.Files, options)
	if err != nil {
		return err
	}
	if o.passwords != "" {
		if err := install.SetPasswords(ctx, conn, passwords); err != nil {
			return err
		}
		fmt.Fprintln(w, "set the passwords of the logins")
	}
	fmt.Fprintf(w, "version %d\n", r.To)
	return nil
}

// printScript needs no database: without one it prints the script for an empty database.
func printScript(ctx context.Context, cmd *cobra.Command, w io.Writer, plain bool) error {
	dsn, err := databaseURL(cmd)
	if err != nil {
		return err
	}
	var conn *pgx.Conn
	installer := ""
	if dsn != "" {
		if conn, err = connect(ctx, cmd); err != nil {
			return err
		}
		defer hangUp(conn)
		installer = conn.Config().User
	}
	return install.Print(ctx, w, conn, fluxbase.Files, installer, plain)
}

func readPasswords(path string) (install.Passwords, error) {
	if path == "" {
		return install.Passwords{}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return install.Passwords{}, err
	}
	defer f.Close()
	passwords, err := install.ReadPasswords(f)
	if err != nil {
		return install.Passwords{}, fmt.Errorf("%s: %w", path, err)
	}
	return passwords, nil
}
