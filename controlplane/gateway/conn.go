package gateway

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// conn is one connection of a pool. It is used by one request at a time.
type conn struct {
	pg         *pgconn.PgConn
	gates      []*gateStatement // of the pool
	statements *statements
	unnamed    bool      // prepare nothing under a name
	generation uint64    // of the pool, when the connection was begun
	expires    time.Time // when it is to be replaced
	train      *train    // made when it is first needed
}

// connect opens a connection and prepares the gates on it.
func connect(ctx context.Context, config *pgconn.Config, gates []*gateStatement, limit int, unnamed bool) (*conn, error) {
	pg, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	c := &conn{pg: pg, gates: gates, statements: newStatements(limit), unnamed: unnamed}
	if unnamed {
		return c, nil
	}
	ctx, cancel := context.WithTimeout(ctx, config.ConnectTimeout)
	defer cancel()
	pipeline := pg.StartPipeline(ctx)
	err = c.prepareGates(pipeline)
	if closeErr := pipeline.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = pg.Close(ctx)
		return nil, err
	}
	return c, nil
}

// abandon cuts the connection without a word. The pipeline that is closed next then fails to read on, cancels what the
// server may still be running, and closes the session in the background.
func (c *conn) abandon() {
	_ = c.pg.Conn().Close()
}

// close ends the session in the server and releases everything. It returns after closeTimeout at the latest.
func (c *conn) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = c.pg.Close(ctx)
	select {
	case <-c.pg.CleanupDone():
	case <-ctx.Done():
	}
}
