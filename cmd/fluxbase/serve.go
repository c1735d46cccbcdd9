package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/wayli-app/fluxbase"
	"github.com/wayli-app/fluxbase/controlplane/config"
	"github.com/wayli-app/fluxbase/controlplane/logging"
	"github.com/wayli-app/fluxbase/controlplane/mail"
	"github.com/wayli-app/fluxbase/controlplane/server"
)

// version is set by the release build.
var version = "development"

// newServeCommand serves a database in which Fluxbase is installed.
func newServeCommand() *cobra.Command {
	var (
		path    string
		options serveOptions
	)
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve the auth routes and the data API",
		Long: "Serve the auth routes and the data API until a signal asks to stop; requests in flight are finished. " +
			"The database must carry this release (fluxbase migrate), and no login may have more rights than it needs.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			cfg, err := config.Load(path, os.Environ())
			if err != nil {
				return err
			}
			for _, warning := range cfg.Warnings() {
				fmt.Fprintf(command.ErrOrStderr(), "fluxbase: warning: %s\n", warning)
			}
			options.ready = func(address string) error {
				scheme := "http"
				if cfg.Server.TLS.Enabled {
					scheme = "https"
				}
				_, err := fmt.Fprintf(command.OutOrStdout(), "fluxbase: serving %s://%s\n", scheme, address)
				return err
			}
			return serveWith(command.Context(), cfg, command.ErrOrStderr(), options)
		},
	}
	command.Flags().StringVar(&path, "config", "", "file to read (default: $"+config.ConfigVariable+", or else "+config.DefaultFile+" if there is one)")
	command.Flags().BoolVar(&options.allowPrivileged, "allow-privileged-logins", false,
		"start although a database login could get round row security; for development only")
	return command
}

type serveOptions struct {
	allowPrivileged bool
	mail            mail.Transport             // in place of a mail server; nil: mails wait
	ready           func(address string) error // called when the port is open
}

// serveWith runs a server until ctx ends. The log goes to log.
func serveWith(ctx context.Context, cfg *config.Config, log io.Writer, o serveOptions) error {
	s, err := server.New(ctx, server.Options{
		Config:                cfg,
		Files:                 fluxbase.Files,
		Logger:                logging.New(log, cfg.Logging.Level, cfg.Logging.Format),
		Version:               version,
		AllowPrivilegedLogins: o.allowPrivileged,
		Mail:                  o.mail,
	})
	if err != nil {
		return err
	}
	// The threads that hash passwords give way to everything else, and each of them holds a P of the scheduler.
	runtime.GOMAXPROCS(s.RecommendedMaxProcs())
	tuneHeap()
	listener, err := s.Listen(ctx)
	if err == nil {
		if err = o.ready(listener.Addr().String()); err == nil {
			return s.Serve(ctx, listener)
		}
		_ = listener.Close()
	}
	s.Close(ctx)
	return err
}
