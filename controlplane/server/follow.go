package server

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

// The channels that a server listens on. The last is PostgREST's, for migrations that were written with it in mind.
const (
	settingsChannel  = "fluxbase_settings"
	reloadChannel    = "fluxbase_reload"
	postgrestChannel = "pgrst"
	mailChannel      = "fluxbase_mail"
)

const (
	pollInterval    = 5 * time.Second // of the settings, while nobody tells of changes
	catalogInterval = 6               // polls between two readings of the catalog
	keepAlive       = time.Minute     // how long a silent connection is believed to be alive
	refreshTimeout  = 30 * time.Second
)

// follow keeps settings and catalog current until ctx ends: told by NOTIFY where a session of its own can be had, and
// by asking every few seconds where not, or while that session is lost.
func (s *Server) follow(ctx context.Context) {
	key, url := s.listenURL()
	for n := 0; ctx.Err() == nil; n++ {
		if key != "" {
			err := s.listen(ctx, key, url)
			if ctx.Err() != nil {
				return
			}
			s.log.Warn("not told of changes, asking instead", "error", err)
		}
		pause(ctx, pollInterval)
		s.refresh(ctx, true, n%catalogInterval == catalogInterval-1)
	}
}

// listenURL is the connection to listen on, with its key; none behind a pooler in transaction mode, unless
// direct_url is set. Any login may listen, so without a pooler it is the one with the fewest rights.
func (s *Server) listenURL() (key string, url config.URL) {
	if s.config.Database.Pooler == config.NoPooler {
		return "database.server_url", s.config.Database.ServerURL
	}
	return s.directURL()
}

// directURL is the connection of the installing user, with its key; none when it is not set.
func (s *Server) directURL() (key string, url config.URL) {
	for _, v := range s.config.Values() {
		if v.Key == "database.direct_url" && v.Explicit() {
			return v.Key, s.config.Database.DirectURL
		}
	}
	return "", url
}

// listen follows the channels until the connection breaks.
func (s *Server) listen(ctx context.Context, key string, url config.URL) error {
	conn, err := s.connect(ctx, key, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // the session held nothing
	for _, channel := range [...]string{settingsChannel, reloadChannel, postgrestChannel, mailChannel} {
		if _, err := conn.Exec(ctx, "listen "+channel); err != nil {
			return err
		}
	}
	s.refresh(ctx, true, true) // for what was missed before
	for {
		first, err := waitFor(ctx, conn, keepAlive)
		switch {
		case err != nil:
			return err
		case first == "":
			if err := conn.Ping(ctx); err != nil {
				return err
			}
			continue
		case first == mailChannel:
			s.wakeMail()
			continue
		}
		told := map[string]bool{first: true}
		for { // one transaction may tell of many changes
			next, err := waitFor(ctx, conn, 50*time.Millisecond)
			if err != nil {
				return err
			}
			if next == "" {
				break
			}
			if next == mailChannel { // there may be many of these: they hold nothing up
				s.wakeMail()
				break
			}
			told[next] = true
		}
		s.refresh(ctx, told[settingsChannel], told[reloadChannel] || told[postgrestChannel])
	}
}

// waitFor returns the channel of the next notification, or none after the time.
func waitFor(ctx context.Context, conn *pgx.Conn, patience time.Duration) (channel string, err error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	notification, err := conn.WaitForNotification(waiting)
	switch {
	case err == nil:
		return notification.Channel, nil
	case waiting.Err() != nil && ctx.Err() == nil && !conn.IsClosed():
		return "", nil
	}
	return "", err
}

// refresh reads what may have changed. On failure the old state holds, and what is missed is read with the next change
// or connection.
func (s *Server) refresh(ctx context.Context, settings, catalog bool) {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	if settings {
		if err := s.reloadSettings(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("settings were not read", "error", err)
		}
		if err := s.keys.reload(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("signing keys were not read", "error", err)
		}
		if err := s.addresses.Reload(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("rules for addresses were not read", "error", err)
		}
		if s.config.RateLimiting.Enabled {
			if err := s.limiter.Reload(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn("rate limits were not read", "error", err)
			}
			s.refusals.Forget()
		}
	}
	if catalog {
		if err := s.catalog.Reload(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("the catalog of the data API was not read", "error", err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
