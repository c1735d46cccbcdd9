package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/wayli-app/fluxbase/controlplane/policy"
)

// changed is the exit status of a plan with changes, and of a check with findings.
const changed exitError = 2

func newPolicyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Plan, apply, test and check the access rules in a directory of SQL files",
		Long: `A directory of SQL files holds the policies, grants and row security of your tables. plan shows what applying it
would change, apply makes the database so, lock writes all rules of the database as text to commit, check compares
that text with the database, and test runs tests. The directory is policies/ unless another is named.

Exit status: 0 nothing to say, 2 changes, drift or findings, 1 an error.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPolicyPlanCommand(), newPolicyApplyCommand(), newPolicyLockCommand(), newPolicyCheckCommand(), newPolicyTestCommand())
	return cmd
}

// policyDir is the directory that the arguments name.
func policyDir(args []string, otherwise string) string {
	if len(args) > 0 {
		return args[0]
	}
	return otherwise
}

// inDirectory names the directory that could not be read: a file system does not know where it is.
func inDirectory(dir string, err error) error {
	if _, missing := os.Stat(dir); errors.Is(missing, fs.ErrNotExist) {
		return fmt.Errorf("there is no directory %s", dir)
	}
	return fmt.Errorf("%s: %w", dir, err)
}

// withDatabase runs fn on a connection of the one who owns the tables.
func withDatabase(cmd *cobra.Command, fn func(*pgx.Conn) error) error {
	conn, err := connect(cmd.Context(), cmd, func(target *pgx.ConnConfig) {
		if target.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement {
			target.DefaultQueryExecMode = pgx.QueryExecModeExec // a pooler may not know statements that are prepared
		}
		target.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { showNotice(cmd.ErrOrStderr(), n) }
	})
	if err != nil {
		return err
	}
	defer hangUp(conn)
	err = fn(conn)
	var file *policy.FileError
	if errors.As(err, &file) {
		return err
	}
	return explain(err)
}

// showNotice prints what PostgreSQL and our functions remark, but not that there was nothing to drop.
func showNotice(w io.Writer, n *pgconn.Notice) {
	if strings.HasSuffix(n.Message, ", skipping") {
		return
	}
	fmt.Fprintf(w, "%s: %s\n", strings.ToLower(n.SeverityUnlocalized), n.Message)
	if n.Hint != "" {
		fmt.Fprintf(w, "hint: %s\n", n.Hint)
	}
}

func addPolicyFlags(cmd *cobra.Command, o *policy.Options) {
	addDatabaseFlags(cmd)
	cmd.Flags().StringVar(&o.Set, "set", "default", "name of the set that the directory makes, when a database has several")
	cmd.Flags().DurationVar(&o.LockTimeout, "lock-timeout", 2*time.Second, "how long to wait for the lock of a table; everybody else waits behind")
	cmd.Flags().IntVar(&o.Retries, "retries", 5, "how often to begin anew when a lock was not had")
	o.Retrying = func(err error) { fmt.Fprintf(cmd.ErrOrStderr(), "trying again: %v\n", err) }
}

func newPolicyPlanCommand() *cobra.Command {
	var o policy.Options
	var against string
	cmd := &cobra.Command{
		Use:   "plan [DIR]",
		Short: "Show what applying the files would change",
		Long: `Applies the files in a transaction, compares all access rules with those before, and rolls back. Meanwhile the
tables that the files name are locked with ACCESS EXCLUSIVE: nobody reads them. --against plans on a copy instead.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := policyDir(args, "policies")
			files, err := policy.ReadFiles(os.DirFS(dir))
			if err != nil {
				return inDirectory(dir, err)
			}
			if against != "" {
				if err := cmd.Flags().Set("database", against); err != nil {
					return err
				}
			}
			return withDatabase(cmd, func(conn *pgx.Conn) error {
				result, err := policy.Plan(cmd.Context(), conn, files, o)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "%d tables were locked with ACCESS EXCLUSIVE, for at most %d ms\n", result.Locked, result.Took.Milliseconds())
				return showResult(cmd, result, "changes")
			})
		},
	}
	addPolicyFlags(cmd, &o)
	cmd.Flags().StringVar(&against, "against", "", "connection string of a copy of the database to plan on")
	return cmd
}

// showResult prints changes; when there are some the exit status says so.
func showResult(cmd *cobra.Command, result *policy.Result, word string) error {
	if len(result.Lost) > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "tables are gone or have another name; what the files made there is theirs no longer:\n  %s\n"+
			"hint: after a rename drop the policies and revoke the grants that the new name still has\n", strings.Join(result.Lost, "\n  "))
	}
	if len(result.Changes) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "no changes")
		return nil
	}
	if err := policy.WriteChanges(cmd.OutOrStdout(), result.Changes); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d %s\n", len(result.Changes), word)
	return changed
}

func newPolicyApplyCommand() *cobra.Command {
	var o policy.Options
	var lockFile string
	var watch bool
	cmd := &cobra.Command{
		Use:   "apply [DIR]",
		Short: "Make the access rules of the database those of the files",
		Long: `Runs the files in one transaction, takes away what they made before and no longer contain, and writes the lock
file. When nothing changes, nothing is written. --watch does it again whenever a file changes, for development.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := policyDir(args, "policies")
			if lockFile == "" {
				lockFile = filepath.Join(dir, policy.LockFile)
			}
			apply := func(files []policy.File) error {
				return withDatabase(cmd, func(conn *pgx.Conn) error { return applyPolicies(cmd, conn, files, o, lockFile) })
			}
			if watch {
				policy.Watch(cmd.Context(), os.DirFS(dir), func(files []policy.File, err error) {
					if err == nil {
						err = apply(files)
					} else {
						err = inDirectory(dir, err)
					}
					if err != nil && cmd.Context().Err() == nil {
						fmt.Fprintf(cmd.ErrOrStderr(), "%v\n", err)
					}
				})
				return nil
			}
			files, err := policy.ReadFiles(os.DirFS(dir))
			if err != nil {
				return inDirectory(dir, err)
			}
			return apply(files)
		},
	}
	addPolicyFlags(cmd, &o)
	cmd.Flags().StringVar(&lockFile, "lock-file", "", "where to write all rules as text (default: DIR/"+policy.LockFile+")")
	cmd.Flags().BoolVar(&watch, "watch", false, "stay, and apply again when a file changes")
	return cmd
}

func applyPolicies(cmd *cobra.Command, conn *pgx.Conn, files []policy.File, o policy.Options, lockFile string) error {
	result, err := policy.Apply(cmd.Context(), conn, files, o)
	if err != nil {
		return err
	}
	if err := showResult(cmd, result, "changes applied"); err != nil && err != error(changed) {
		return err
	}
	return writeLock(cmd, conn, lockFile)
}

func writeLock(cmd *cobra.Command, conn *pgx.Conn, name string) error {
	var text string
	err := policy.AsAdmin(cmd.Context(), conn, func(tx pgx.Tx) (err error) {
		text, err = policy.Lock(cmd.Context(), tx)
		return err
	})
	if err != nil {
		return err
	}
	if name == "-" {
		_, err := fmt.Fprint(cmd.OutOrStdout(), text)
		return err
	}
	return policy.WriteLock(name, text)
}

func newPolicyLockCommand() *cobra.Command {
	var lockFile string
	cmd := &cobra.Command{
		Use:   "lock [DIR]",
		Short: "Write all access rules of the database as text to commit",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if lockFile == "" {
				lockFile = filepath.Join(policyDir(args, "policies"), policy.LockFile)
			}
			return withDatabase(cmd, func(conn *pgx.Conn) error { return writeLock(cmd, conn, lockFile) })
		},
	}
	addDatabaseFlags(cmd)
	cmd.Flags().StringVar(&lockFile, "lock-file", "", "where to write it, - for standard output (default: DIR/"+policy.LockFile+")")
	return cmd
}

func newPolicyCheckCommand() *cobra.Command {
	var lockFile string
	cmd := &cobra.Command{
		Use:   "check [DIR]",
		Short: "Compare the lock file with the database, and look for rules that do not do what they seem to",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if lockFile == "" {
				lockFile = filepath.Join(policyDir(args, "policies"), policy.LockFile)
			}
			return withDatabase(cmd, func(conn *pgx.Conn) error { return checkPolicies(cmd, conn, lockFile) })
		},
	}
	addDatabaseFlags(cmd)
	cmd.Flags().StringVar(&lockFile, "lock-file", "", "the committed text (default: DIR/"+policy.LockFile+")")
	return cmd
}

func checkPolicies(cmd *cobra.Command, conn *pgx.Conn, lockFile string) error {
	var drift []policy.Change
	var findings []policy.Finding
	err := policy.AsAdmin(cmd.Context(), conn, func(tx pgx.Tx) (err error) {
		if drift, err = policy.Drift(cmd.Context(), tx, lockFile); err == nil {
			findings, err = policy.Check(cmd.Context(), tx)
		}
		return err
	})
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if len(drift) > 0 {
		fmt.Fprintf(out, "drift: the database is not what %s says\n", lockFile)
		if err := policy.WriteChanges(out, drift); err != nil {
			return err
		}
	}
	for _, f := range findings {
		fmt.Fprintf(out, "%s %s: %s: %s\n  %s\n", f.Severity, f.Code, f.Object, f.Evidence, f.Fix)
	}
	if len(drift)+len(findings) > 0 {
		return changed
	}
	fmt.Fprintln(out, "no drift, no findings")
	return nil
}

func newPolicyTestCommand() *cobra.Command {
	var parallel int
	var junit string
	cmd := &cobra.Command{
		Use:   "test [DIR]",
		Short: "Run the tests in a directory of SQL files",
		Long: `Runs each .sql file below the directory (policies/tests unless another is named) in psql and reads the TAP that
auth.test_... prints. Each file begins a transaction and rolls it back; psql -f runs it as well.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dsn, err := namedDatabase(cmd)
			if err != nil {
				return err
			}
			return testPolicies(cmd, dsn, policyDir(args, filepath.Join("policies", "tests")), parallel, junit)
		},
	}
	addDatabaseFlags(cmd)
	cmd.Flags().IntVarP(&parallel, "jobs", "j", 4, "how many files at a time")
	cmd.Flags().StringVar(&junit, "junit", "", "write the outcome as JUnit XML to this file")
	return cmd
}

func testPolicies(cmd *cobra.Command, dsn, dir string, parallel int, junit string) error {
	var reports []policy.Report
	tests, failed := 0, 0
	err := policy.RunTests(cmd.Context(), dsn, dir, parallel, func(r policy.Report) {
		reports = append(reports, r)
		tests += len(r.Tests)
		failed += r.Failed()
		_ = policy.WriteReport(cmd.OutOrStdout(), r)
	})
	if err != nil {
		return err
	}
	if junit != "" {
		f, err := os.Create(junit)
		if err == nil {
			err = errors.Join(policy.WriteJUnit(f, reports), f.Close())
		}
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d tests in %d files, %d failed\n", tests, len(reports), failed)
	if failed > 0 {
		return exitError(1)
	}
	return nil
}
