package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/postgres"
)

// fallbackVariable is read when neither the configuration nor our own variables name a database.
const fallbackVariable = "DATABASE_URL"

func addDatabaseFlags(cmd *cobra.Command) {
	cmd.Flags().String("database", "", "connection string of the installing user (default: database.direct_url, else database.url without its user, else $"+fallbackVariable+")")
	cmd.Flags().String("config", "", "file to read (default: $"+config.ConfigVariable+", or else "+config.DefaultFile+" if there is one)")
}

// databaseURL returns the installing user's connection string, or an empty one when nothing names a database.
func databaseURL(cmd *cobra.Command) (string, error) {
	if dsn, err := cmd.Flags().GetString("database"); dsn != "" || err != nil {
		return dsn, err
	}
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return "", err
	}
	c, err := config.LoadForInstall(path, os.Environ())
	if err == nil {
		return c.Database.DirectURL.Reveal(), nil
	}
	// With an address in place whatever is wrong now is more than the missing address.
	dsn := os.Getenv(fallbackVariable)
	probe := dsn
	if probe == "" {
		probe = "postgres://localhost/postgres"
	}
	if _, other := config.LoadForInstall(path, append(os.Environ(), "FLUXBASE_DATABASE_DIRECT_URL="+probe)); other != nil {
		return "", other
	}
	return dsn, nil
}

// namedDatabase is databaseURL for those who need one: libpq would connect to something else, that nobody named.
func namedDatabase(cmd *cobra.Command) (string, error) {
	dsn, err := databaseURL(cmd)
	if err == nil && dsn == "" {
		err = errors.New("which database? give --database URL or set FLUXBASE_DATABASE_DIRECT_URL")
	}
	return dsn, err
}

// connect opens the installing user's session. The caller closes it with hangUp.
func connect(ctx context.Context, cmd *cobra.Command, options ...func(*pgx.ConnConfig)) (*pgx.Conn, error) {
	dsn, err := namedDatabase(cmd)
	if err != nil {
		return nil, err
	}
	target, err := pgx.ParseConfig(dsn)
	// A password with @ or # as they are ends up in the host, and would be told with it.
	if err != nil || strings.ContainsAny(target.Host, "@#?") {
		return nil, errors.New("the connection string cannot be read; it looks like postgres://user@host:5432/database, with @ as %40, : as %3A, / as %2F and # as %23 in a password")
	}
	if target.RuntimeParams["application_name"] == "" {
		target.RuntimeParams["application_name"] = "fluxbase"
	}
	for _, option := range options {
		option(target)
	}
	conn, err := pgx.ConnectConfig(ctx, target)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", postgres.Describe(dsn), err)
	}
	return conn, nil
}

// hangUp ends the session, and what it may still be doing.
func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
	// After Ctrl-C it is closed already, and the statement that still runs, with its locks, is being canceled.
	select {
	case <-conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}
