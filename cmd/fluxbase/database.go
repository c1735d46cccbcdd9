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

	"github.com/wayli-app/fluxbase/controlplane/postgres"
)

// databaseVariables name the installing user's connection string, in the order in which they count. Each may also
// come from a file, as a Docker or Kubernetes secret does.
var databaseVariables = []string{"FLUXBASE_DATABASE_DIRECT_URL", "FLUXBASE_DATABASE_URL", "DATABASE_URL"}

func addDatabaseFlag(cmd *cobra.Command) {
	cmd.Flags().String("database", "", "connection string of the installing user (default: $"+strings.Join(databaseVariables, ", $")+")")
}

// databaseURL returns the connection string of the flag or the environment, or an empty one.
func databaseURL(cmd *cobra.Command) (string, error) {
	dsn, err := cmd.Flags().GetString("database")
	if dsn != "" || err != nil {
		return dsn, err
	}
	for _, name := range databaseVariables {
		if dsn := os.Getenv(name); dsn != "" {
			return dsn, nil
		}
		if path := os.Getenv(name + "_FILE"); path != "" {
			raw, err := os.ReadFile(path)
			if err != nil {
				return "", fmt.Errorf("%s_FILE: %w", name, err)
			}
			return strings.TrimSpace(string(raw)), nil
		}
	}
	return "", nil
}

// connect opens the installing user's session. The caller closes it with hangUp.
func connect(ctx context.Context, cmd *cobra.Command) (*pgx.Conn, error) {
	dsn, err := databaseURL(cmd)
	if err != nil {
		return nil, err
	}
	if dsn == "" {
		return nil, errors.New("which database? give --database URL or set FLUXBASE_DATABASE_DIRECT_URL")
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the connection string cannot be read; it looks like postgres://user@host:5432/database")
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "fluxbase"
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", postgres.Describe(dsn), err)
	}
	return conn, nil
}

func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}
