package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/development"
	"github.com/wayli-app/fluxbase/controlplane/mail"
)

func newDevCommand() *cobra.Command {
	var (
		options development.Options
		listen  string
		demo    bool
		noDemo  bool
	)
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Start a private PostgreSQL with everything installed and serve it",
		Long: `Makes and starts a private PostgreSQL cluster below --data-dir, installs Fluxbase, loads the demo application,
serves it and prints what to try, and each mail in place of sending it. A second start keeps the data. With --database it uses that database instead.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options.Demo = (options.Database == "" || demo) && !noDemo
			return dev(cmd.Context(), cmd, options, listen)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&listen, "listen", "127.0.0.1:8080", "address to serve on")
	flags.StringVar(&options.Dir, "data-dir", ".fluxbase", "directory of the cluster, its secrets and dev.env")
	flags.StringVar(&options.Database, "database", "", "URL of an existing database to use, as its installing user")
	flags.BoolVar(&demo, "demo", false, "load the demo into the database that --database names")
	flags.BoolVar(&noDemo, "no-demo", false, "do not load the demo")
	cmd.MarkFlagsMutuallyExclusive("demo", "no-demo")
	return cmd
}

func dev(ctx context.Context, cmd *cobra.Command, options development.Options, listen string) error {
	started := time.Now()
	out := cmd.OutOrStdout()
	options.Files = fluxbase.Files
	demo, err := fs.Sub(fluxbase.Demo, "testdata/demo")
	if err != nil {
		return err
	}
	options.DemoSQL = demo
	options.Report = func(format string, args ...any) { fmt.Fprintf(out, "  "+format+"\n", args...) }
	env, err := development.Prepare(ctx, options)
	if err != nil {
		return err
	}
	// The cluster outlives the signal that ends the server.
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if err := env.Close(stop); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "fluxbase: stop PostgreSQL: %v\n", err)
		}
	}()
	cfg, err := config.Load(os.DevNull, devEnviron(os.Environ(), env, listen))
	if err != nil {
		return err
	}
	o := serveOptions{}
	if options.Database == "" && cfg.Mail.Host == "" { // another database may have mails that are meant to be sent
		o.mail = mail.NewPrinter(out)
	}
	o.ready = func(address string) error {
		if err := env.WriteEnv(address); err != nil {
			return err
		}
		fmt.Fprint(out, hints(env, address, time.Since(started), o.mail != nil))
		return nil
	}
	return serveWith(ctx, cfg, cmd.ErrOrStderr(), o)
}

// devEnviron is the environment of the server: the developer's own settings, except where dev decides.
func devEnviron(environ []string, env *development.Environment, listen string) []string {
	var kept []string
	for _, variable := range environ {
		decided := strings.HasPrefix(variable, "FLUXBASE_DATABASE_") || strings.HasPrefix(variable, "FLUXBASE_AUTH_JWT_SECRET") ||
			strings.HasPrefix(variable, "FLUXBASE_AUTH_ENCRYPTION_KEY") ||
			strings.HasPrefix(variable, "FLUXBASE_SERVER_LISTEN") || strings.HasPrefix(variable, "FLUXBASE_SERVER_PORT") ||
			strings.HasPrefix(variable, "FLUXBASE_MODE")
		if !decided {
			kept = append(kept, variable)
		}
	}
	return append(kept,
		"FLUXBASE_MODE=development",
		"FLUXBASE_SERVER_LISTEN="+listen,
		"FLUXBASE_DATABASE_URL="+env.APIURL,
		"FLUXBASE_DATABASE_SERVICE_URL="+env.ServiceURL,
		"FLUXBASE_DATABASE_SERVER_URL="+env.ServerURL,
		"FLUXBASE_DATABASE_DIRECT_URL="+env.DatabaseURL,
		"FLUXBASE_AUTH_JWT_SECRET="+env.JWTSecret,
		"FLUXBASE_AUTH_ENCRYPTION_KEY="+env.SealKey)
}

func hints(env *development.Environment, address string, took time.Duration, printsMail bool) string {
	text := fmt.Sprintf("\nServing http://%s (ready after %.1f s). Ctrl-C stops it.\n", address, took.Seconds())
	text += fmt.Sprintf("\nKeys and addresses for scripts:\n  set -a; . %s; set +a\n", env.EnvFile())
	if env.Email != "" {
		text += `
Log in and read your rows (curl):
  TOKEN=$(curl -s $API_URL/auth/login -H 'Content-Type: application/json' \
    -d "{\"email\":\"$DEMO_EMAIL\",\"password\":\"$DEMO_PASSWORD\"}" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -s "$API_URL/rest/notes?select=id,body&order=id&limit=3" -H "Authorization: Bearer $TOKEN"

The same rows in psql, and the end of her sessions:
  psql $DATABASE_URL -c "begin" -c "select auth.login_as('$DEMO_EMAIL')" -c "select id, body from public.notes order by id limit 3"
  psql $DATABASE_URL -c "select auth.revoke_user('$DEMO_EMAIL')"

JavaScript (npm install @supabase/supabase-js):
  const db = createClient(process.env.SUPABASE_URL, process.env.ANON_KEY)
  await db.auth.signInWithPassword({ email: process.env.DEMO_EMAIL, password: process.env.DEMO_PASSWORD })
  const { data } = await db.from('notes').select('id, body').limit(3)
`
	}
	if printsMail {
		text += `
Mails are printed here instead of being sent (recovery, links, codes, invitations), and listed in psql:
  psql $DATABASE_URL -c "select kind, recipient, status, created_at from auth.outbox"
`
	}
	return text + "\n"
}
