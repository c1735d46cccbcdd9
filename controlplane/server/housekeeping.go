package server

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	housekeepingInterval = 10 * time.Minute
	sqlHousekeeping      = `select coalesce(pg_catalog.jsonb_object_agg(h.task, h.rows), '{}') from auth.housekeeping() h`
)

// keepHouse lets the database clear away what has expired, every ten minutes until ctx ends. Of several servers one
// does it: the function takes a lock and leaves when another has it.
func (s *Server) keepHouse(ctx context.Context) {
	pause(ctx, rand.N(time.Minute)) // servers that start together shall not ask together
	for ctx.Err() == nil {
		done, err := s.gateway.Entry(ctx, own, sqlHousekeeping, nil)
		switch {
		case err == nil:
			s.log.Debug("housekeeping", "done", string(done))
		case ctx.Err() == nil:
			s.log.Warn("housekeeping failed", "error", err)
		}
		pause(ctx, housekeepingInterval)
	}
}
