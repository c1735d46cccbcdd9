// Package development prepares what fluxbase dev serves: a private PostgreSQL cluster or a database that the
// developer names, everything of ours installed in it, the demo application, and keys to try it with.
//
// All state lies in one directory: secrets.json, the cluster, and dev.env for scripts. Each of its files is replaced
// in one step, and the cluster recovers by itself, so that a killed process leaves nothing that breaks the next start.
package development

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/postgres"
	"github.com/wayli-app/fluxbase/controlplane/postgres/cluster"
	"github.com/wayli-app/fluxbase/controlplane/postgres/install"
)

// DemoEmail is one of the four users of the demo; they share a generated password.
const DemoEmail = "ann@example.com"

// databaseName is the database in a private cluster.
const databaseName = "fluxbase"

// Options of Prepare.
type Options struct {
	Dir      string // holds all state; made when missing
	Database string // URL of an installing user; empty for a private cluster
	Demo     bool   // load the demo unless it is there
	Files    fs.FS  // the three SQL trees
	DemoSQL  fs.FS  // *.sql of the demo, run in the order of their names
	Report   func(format string, args ...any)
}

// An Environment is a prepared database. Close it when the server has ended.
type Environment struct {
	DatabaseURL string // the owner of the cluster, or the database that was named
	APIURL      string // fluxbase_api
	ServiceURL  string // fluxbase_service
	ServerURL   string // fluxbase_server
	JWTSecret   string
	SealKey     string // auth.encryption_key
	AnonKey     string
	ServiceKey  string
	Email       string // of a demo user; empty without the demo
	Password    string

	dir     string
	cluster *cluster.Cluster
}

// Prepare makes everything ready for a server. It may be called again with the same directory and keeps the data.
func Prepare(ctx context.Context, o Options) (*Environment, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	keep, err := openSecrets(dir)
	if err != nil {
		return nil, err
	}
	e := &Environment{dir: dir, JWTSecret: keep.JWT, SealKey: keep.Seal, DatabaseURL: o.Database}
	if err := e.prepare(ctx, keep, o); err != nil {
		return nil, errors.Join(err, e.Close(context.WithoutCancel(ctx)))
	}
	return e, nil
}

// prepare starts the cluster where one is wanted, installs and fills the database.
func (e *Environment) prepare(ctx context.Context, keep *secrets, o Options) (err error) {
	loginBase := o.Database
	if o.Database == "" {
		if e.cluster, err = startCluster(ctx, e.dir, keep.Superuser, o.Report); err != nil {
			return err
		}
		e.DatabaseURL = e.cluster.URL("postgres", keep.Superuser, databaseName)
		loginBase = e.cluster.SocketURL("postgres", keep.Superuser, databaseName)
		if err := createDatabase(ctx, e.cluster.URL("postgres", keep.Superuser, "postgres")); err != nil {
			return err
		}
	}
	for _, login := range []struct {
		url            *string
		name, password string
	}{
		{&e.APIURL, "fluxbase_api", keep.API},
		{&e.ServiceURL, "fluxbase_service", keep.Service},
		{&e.ServerURL, "fluxbase_server", keep.Server},
	} {
		if *login.url, err = postgres.WithUser(loginBase, login.name, login.password); err != nil {
			return err
		}
	}
	conn, err := pgx.Connect(ctx, e.DatabaseURL)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", postgres.Describe(e.DatabaseURL), err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := install.Migrate(ctx, conn, o.Files, install.Options{To: install.Latest, Report: o.Report}); err != nil {
		return err
	}
	passwords := install.Passwords{API: keep.API, Service: keep.Service, Server: keep.Server}
	if err := install.SetPasswords(ctx, conn, passwords); err != nil {
		return err
	}
	return e.fill(ctx, conn, keep, o)
}

// startCluster starts the private cluster in dir, making it first when there is none.
func startCluster(ctx context.Context, dir, password string, report func(string, ...any)) (*cluster.Cluster, error) {
	binaries, err := cluster.Find(ctx)
	if errors.Is(err, cluster.ErrNotFound) {
		report("no PostgreSQL found on this machine: fetching one for development")
		fetched, fetchErr := cluster.Download(ctx, filepath.Join(dir, "postgresql"))
		if fetchErr != nil {
			return nil, fmt.Errorf("%w; fetching it failed too: %w", err, fetchErr)
		}
		binaries = fetched
	} else if err != nil {
		return nil, err
	}
	place, err := cluster.Place(filepath.Join(dir, "cluster"))
	if err != nil {
		return nil, err
	}
	options := cluster.Options{Binaries: binaries, Dir: place, Password: password}
	if err := cluster.Init(ctx, options); err != nil {
		return nil, err
	}
	return cluster.Start(ctx, options)
}

func createDatabase(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var exists bool
	err = conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, databaseName).Scan(&exists)
	if err != nil || exists {
		return err
	}
	_, err = conn.Exec(ctx, `create database `+databaseName+` encoding 'UTF8' template template0`)
	return err
}

// fill loads the demo, makes keys and, since development has no mail server, confirms sign-ups at once.
func (e *Environment) fill(ctx context.Context, conn *pgx.Conn, keep *secrets, o Options) error {
	if o.Demo {
		if err := loadDemo(ctx, conn, o, keep.Demo); err != nil {
			return fmt.Errorf("load the demo: %w", err)
		}
		e.Email, e.Password = DemoEmail, keep.Demo
	}
	_, err := conn.Exec(ctx, `
		select auth.set_setting(p_key => 'signup_autoconfirm', p_value => 'true')
		from auth.admin_settings where key = 'signup_autoconfirm' and source = 'default'`)
	if err != nil {
		return err
	}
	server, err := pgx.Connect(ctx, e.ServerURL)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", postgres.Describe(e.ServerURL), err)
	}
	defer server.Close(context.WithoutCancel(ctx))
	if keep.AnonKey, err = usableKey(ctx, conn, server, "anon", keep.AnonKey); err != nil {
		return err
	}
	if keep.ServiceKey, err = usableKey(ctx, conn, server, "service", keep.ServiceKey); err != nil {
		return err
	}
	e.AnonKey, e.ServiceKey = keep.AnonKey, keep.ServiceKey
	return keep.save()
}

func loadDemo(ctx context.Context, conn *pgx.Conn, o Options, password string) error {
	var exists bool
	if err := conn.QueryRow(ctx, `select to_regclass('public.notes') is not null`).Scan(&exists); err != nil || exists {
		return err
	}
	names, err := fs.Glob(o.DemoSQL, "*.sql")
	if err != nil {
		return err
	}
	sort.Strings(names)
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `select set_config('fluxbase.demo_password', $1, true)`, password); err != nil {
			return err
		}
		for _, name := range names {
			text, err := fs.ReadFile(o.DemoSQL, name)
			if err != nil {
				return err
			}
			// The simple protocol takes a file of several statements.
			if _, err := tx.Conn().PgConn().Exec(ctx, string(text)).ReadAll(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
}

// usableKey returns key when the database still accepts it from the server, else a new one that admin makes.
func usableKey(ctx context.Context, admin, server *pgx.Conn, kind, key string) (string, error) {
	if key != "" {
		var alive bool
		hash := sha256.Sum256([]byte(key))
		err := server.QueryRow(ctx, `select fluxbase.api_key(p_key_hash => $1) is not null`, hash[:]).Scan(&alive)
		if err != nil || alive {
			return key, err
		}
	}
	err := admin.QueryRow(ctx, `select auth.create_api_key(p_kind => $1, p_name => 'development', p_test => true)`, kind).Scan(&key)
	return key, err
}

// WriteEnv writes dev.env, which scripts read with `. .fluxbase/dev.env`; no value needs quoting.
func (e *Environment) WriteEnv(address string) error {
	text := ""
	for _, line := range [][2]string{
		{"API_URL", "http://" + address + "/api/v1"},
		{"SUPABASE_URL", "http://" + address},
		{"DATABASE_URL", e.DatabaseURL},
		{"ANON_KEY", e.AnonKey},
		{"SERVICE_KEY", e.ServiceKey},
		{"JWT_SECRET", e.JWTSecret},
		{"DEMO_EMAIL", e.Email},
		{"DEMO_PASSWORD", e.Password},
		{"PID", fmt.Sprint(os.Getpid())},
	} {
		text += line[0] + "=" + line[1] + "\n"
	}
	return writePrivate(e.EnvFile(), []byte(text))
}

// EnvFile is the path of dev.env.
func (e *Environment) EnvFile() string { return filepath.Join(e.dir, "dev.env") }

// Close stops the private cluster.
func (e *Environment) Close(ctx context.Context) error {
	if e.cluster == nil {
		return nil
	}
	return e.cluster.Stop(ctx)
}
