package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/wayli-app/fluxbase/controlplane/policy"
)

func newKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, list, rotate and revoke the API keys of applications",
		Long: `The keys that createClient of supabase-js wants: an anon key for programs without a user, a service key for a
backend that row security lets pass. Keys of users and organizations are theirs, over HTTP.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeysCreateCommand(), newKeysListCommand(), newKeysRotateCommand(), newKeysRevokeCommand())
	return cmd
}

// asAdmin runs fn as an administrator, in a transaction: what fn made is there when asAdmin returns without an error.
func asAdmin(cmd *cobra.Command, fn func(pgx.Tx) error) error {
	return withDatabase(cmd, func(conn *pgx.Conn) error { return policy.AsAdmin(cmd.Context(), conn, fn) })
}

// explain shows what PostgreSQL said for people, after what we were doing and with its hint.
func explain(err error) error {
	var pe *pgconn.PgError
	switch {
	case !errors.As(err, &pe):
		return err
	case pe.Hint != "":
		return fmt.Errorf("%s%s\nhint: %s", strings.TrimSuffix(err.Error(), pe.Error()), pe.Message, pe.Hint)
	default:
		return errors.New(strings.TrimSuffix(err.Error(), pe.Error()) + pe.Message)
	}
}

func newKeysCreateCommand() *cobra.Command {
	var name string
	var expires time.Duration
	var scopes []string
	cmd := &cobra.Command{
		Use:   "create anon|service",
		Short: "Make a key and print it: the only time that it can be seen",
		Args: func(cmd *cobra.Command, args []string) error {
			if cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)(cmd, args) != nil {
				return fmt.Errorf("invalid argument %q: say anon or service, and the name with --name", strings.Join(args, " "))
			}
			return nil
		},
		ValidArgs: []string{"anon", "service"},
		RunE: func(cmd *cobra.Command, args []string) error {
			var end *time.Time
			if expires != 0 {
				at := time.Now().Add(expires)
				end = &at
			}
			var key string
			err := asAdmin(cmd, func(tx pgx.Tx) error {
				return tx.QueryRow(cmd.Context(), `select auth.create_api_key(p_kind => $1, p_name => $2, p_scopes => $3, p_expires_at => $4)`,
					args[0], name, append([]string{}, scopes...), end).Scan(&key)
			})
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), key)
			}
			return err
		},
	}
	addDatabaseFlags(cmd)
	cmd.Flags().StringVar(&name, "name", "", "which program uses it")
	_ = cmd.MarkFlagRequired("name")
	cmd.Flags().DurationVar(&expires, "expires", 0, "after which it ends, for example 2160h (default: never)")
	cmd.Flags().StringSliceVar(&scopes, "scope", nil, "what it may do where tables ask for scopes, for example documents:read")
	return cmd
}

func newKeysListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys that are alive",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return asAdmin(cmd, func(tx pgx.Tx) error {
				rows, err := tx.Query(cmd.Context(), `
					select id::text, kind, name, prefix, coalesce(email, org_id::text, ''),
					       coalesce(to_char(expires_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), 'never'),
					       coalesce(to_char(last_used_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), 'never')
					from auth.admin_api_keys where alive`)
				if err != nil {
					return err
				}
				out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
				fmt.Fprintln(out, "ID\tKIND\tNAME\tPREFIX\tOWNER\tEXPIRES\tLAST USED")
				var id, kind, name, prefix, owner, expires, used string
				_, err = pgx.ForEachRow(rows, []any{&id, &kind, &name, &prefix, &owner, &expires, &used}, func() error {
					fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", id, kind, printable(name), prefix, printable(owner), expires, used)
					return nil
				})
				if err != nil {
					return err
				}
				return out.Flush()
			})
		},
	}
	addDatabaseFlags(cmd)
	return cmd
}

// printable is somebody else's text for a terminal: what is no visible character stands as an escape, such as \x1b.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

// keyID reads the id of a key.
func keyID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, errors.New("an id is a UUID; fluxbase keys list shows them")
	}
	return id, nil
}

func newKeysRotateCommand() *cobra.Command {
	var overlap time.Duration
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Make the successor of a key and print it; the old one ends after the overlap",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := keyID(args[0])
			if err != nil {
				return err
			}
			var key string
			err = asAdmin(cmd, func(tx pgx.Tx) error {
				return tx.QueryRow(cmd.Context(), `select auth.rotate_api_key(p_id => $1, p_overlap => $2)`, id.String(), overlap).Scan(&key)
			})
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), key)
			}
			return err
		},
	}
	addDatabaseFlags(cmd)
	cmd.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "how long the old key still works")
	return cmd
}

func newKeysRevokeCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "End a key: it is refused from the next request on",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := keyID(args[0])
			if err != nil {
				return err
			}
			var revoked bool
			err = asAdmin(cmd, func(tx pgx.Tx) error {
				return tx.QueryRow(cmd.Context(), `select auth.revoke_api_key(p_id => $1, p_reason => $2)`, id.String(), reason).Scan(&revoked)
			})
			switch {
			case err != nil:
				return err
			case !revoked:
				return errors.New("the key was revoked before")
			}
			fmt.Fprintln(cmd.OutOrStdout(), "revoked")
			return nil
		},
	}
	addDatabaseFlags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "admin", "for the audit log")
	return cmd
}
